"""Many processes that publish to one repository of a local Hub at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from leaderboard_material import made_records, write_records

ROOT = Path(__file__).resolve().parents[1]
TOKEN = "hf_benchmark"

CODE = """
import sys, json, time
from pathlib import Path
from hf_transfer_score.records.place import open_place
from hf_transfer_score.records.place import FolderPlace
from hf_transfer_score.records.publishing import publish
from hf_transfer_score.records.store import load
records = load(FolderPlace(Path(sys.argv[1]))).table.records()
start = time.perf_counter()
done = publish(open_place("team/results"), records)
print(json.dumps({"seconds": time.perf_counter() - start, "written": done.written}))
"""


def publish_at_once(publishers: int, each: int) -> dict[str, object]:
    """Return the result of `publishers` processes that publish `each` records to one repository at once."""
    sys.path.insert(0, str(ROOT))
    from tests.hub.server import LocalHub

    with tempfile.TemporaryDirectory() as folder, LocalHub(Path(folder) / "hub") as hub:
        hub.users, hub.members = {TOKEN: "owner"}, {"team": {"owner"}}
        hub.add("team/results", {"README.md": "# Results\n"}, kind="dataset")
        mine = [Path(folder) / f"part-{number}" for number in range(publishers)]
        records = list(made_records(1, publishers * each // 10))
        for number, part in enumerate(mine):
            write_records(part, iter(records[number * each : (number + 1) * each]))
        start = time.perf_counter()
        running = [_start(hub.endpoint, Path(folder) / f"home-{number}", part) for number, part in enumerate(mine)]
        answers = [process.communicate() for process in running]
        seconds = time.perf_counter() - start
        for process, (_, errors) in zip(running, answers, strict=True):
            assert process.returncode == 0, errors
        found = list(hub.repository("team/results", "dataset").folder.glob("records/*/*/*.json"))
        refused = sum(one.status == 412 for one in hub.asked("/commit/main", "POST"))
        return {
            "records": len(found),
            "names": len({path.name for path in found}),
            "written": sum(json.loads(out.splitlines()[-1])["written"] for out, _ in answers),
            "seconds": seconds,
            "slowest publish": max(json.loads(out.splitlines()[-1])["seconds"] for out, _ in answers),
            "commits that met another": refused,
        }


def _start(endpoint: str, home: Path, records: Path) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", CODE, str(records)]
    return subprocess.Popen(
        command, env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
