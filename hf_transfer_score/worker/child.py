"""What runs in the box of a job: read what is asked, score it, and write what it came to."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hf_transfer_score.home import write_text
from hf_transfer_score.requests.request import Request
from hf_transfer_score.worker.box import BoxLimits, limit_this_process
from hf_transfer_score.worker.job import ANSWER, QUESTION, Outcome, scored


def main(folder: Path) -> None:
    """Carry out the job that a folder describes."""
    asked = json.loads((folder / QUESTION).read_text(encoding="utf-8"))
    limit_this_process(BoxLimits(**asked["limits"]), device=asked["device"])
    outcome = scored(
        Request.from_json(json.dumps(asked["request"])),
        asked["commit"],
        device=asked["device"],
        max_parameters=asked["max_parameters"],
        folder=folder / "kept",
    )
    write_text(folder / ANSWER, json.dumps(_plain(outcome)))


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {**asdict(outcome), "records": [one.to_json() for one in outcome.records]}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
