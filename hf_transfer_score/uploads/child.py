"""What runs in the process that reads uploads: it holds itself to its limits, and says what each file came to."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hf_transfer_score.metrics.scores import FeatureScores
from hf_transfer_score.uploads.limits import MEMORY_BYTES, SECONDS
from hf_transfer_score.worker.box import BoxLimits, limit_this_process


def hold_to_limits() -> None:
    """Let the system refuse memory beyond the limit, so that reading fails before the machine is short of it."""
    limit_this_process(BoxLimits(memory=MEMORY_BYTES, seconds=SECONDS, disk=10**6), device="cpu")
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (8 * SECONDS, 8 * SECONDS))


def main() -> None:
    """Score the files that are asked for, one line for each; the line before says which file is looked at."""
    asked = json.loads(sys.stdin.read())
    hold_to_limits()
    from hf_transfer_score.metrics.registry import get_metric
    from hf_transfer_score.uploads.scoring import scored_files

    files = {int(place): Path(path) for place, path in asked["files"].items()}
    metrics = [get_metric(name) for name in asked["metrics"]]
    before = None if asked["labels_of"] is None else Path(asked["labels_of"])
    for place, found, labels in scored_files(files, metrics, labels_of=before, looked_at=_look):
        _say({"place": place, "scores": plain(found), "labels_of": None if labels is None else str(labels)})


def plain(scores: FeatureScores) -> dict[str, Any]:
    """Return scores as JSON can hold them, without what no page shows."""
    results = {name: replace(result, overlap=None) for name, result in scores.results.items()}
    return replace(scores, results=results).as_dict()


def _look(place: int) -> None:
    _say({"looking": place})


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
