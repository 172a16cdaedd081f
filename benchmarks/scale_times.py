"""Times on this machine, and requests sent to the Hub: the input of the simulation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extraction_material import image_model, text_file
from leaderboard_material import made_records
from scale_material import write_million

os.environ["HF_HUB_DISABLE_XET"] = "1"  # the local Hub has no such store; the client reads this at import
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

TOKEN, RESULTS, REQUESTS = "hf_benchmark", "team/results", "team/requests"
WAITING, STORED = 100, 50
"""Requests waiting in the measured queue, and models with ten records each in the repository of results."""

PASS_ROWS = 5000
"""Rows of the sample that a candidate reads: the default of `rank`."""

RANK = """
import sys
from hf_transfer_score import RankOptions, plan_rank, rank
call = plan_rank if sys.argv[1] == "plan" else rank
call(sys.argv[2], sys.argv[3:], options=RankOptions(replicates=0))
"""


@dataclass(frozen=True)
class Asked:
    """The cost of an action: seconds, and requests for the API and for files."""

    seconds: float
    api: int
    resolve: int


@contextmanager
def local_hub(folder: Path) -> Iterator[Any]:
    """Yield a local Hub with repositories of results and of requests."""
    from tests.hub.server import LocalHub

    with LocalHub(folder / "hub") as hub:
        hub.users, hub.members = {TOKEN: "owner"}, {"team": {"owner"}}
        yield hub


def counted(hub: Any, action: Callable[[], Any]) -> Asked:
    """Return the cost of an action."""
    before, start = len(hub.requests), time.perf_counter()
    action()
    seconds, paths = time.perf_counter() - start, [one.path for one in hub.requests[before:]]
    return Asked(seconds, sum("/api/" in one for one in paths), sum("/resolve/" in one for one in paths))


def of_candidates(folder: Path) -> dict[str, float]:
    """Return the requests for a candidate on the Hub, before and while it runs."""
    from tests.checkpoints.texts import write_text

    with local_hub(folder) as hub:
        names = [f"team/model-{number}" for number in range(2)]
        for number, name in enumerate(names):
            hub.add(name, write_text(folder / f"m{number}", seed=number))
        data = str(text_file(folder / "texts.jsonl", 64))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment |= {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_XET": "1"}
        environment |= {"HF_TRANSFER_SCORE_HOME": str(folder / "kept")}

        def run(what: str) -> None:
            command = [sys.executable, "-c", RANK, what, data, *names]
            subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True)

        plan, fetch = (counted(hub, lambda what=what: run(what)) for what in ("plan", "rank"))  # type: ignore[misc]
    both = {"plan_api": plan.api, "plan_resolve": plan.resolve, "fetch_api": fetch.api, "fetch_resolve": fetch.resolve}
    return {name: value / len(names) for name, value in both.items()}


def of_places(folder: Path) -> dict[str, float]:
    """Return seconds and requests of a claim, of publishing ten records, and of reading a store."""
    from hf_transfer_score.records.place import FolderPlace, HubPlace
    from hf_transfer_score.records.publishing import publish
    from hf_transfer_score.records.store import load
    from hf_transfer_score.requests.queue import RequestQueue
    from hf_transfer_score.requests.request import Request, request_path

    write_million(folder / "store", 1, STORED)
    start = time.process_time()  # other load of the machine does not count
    count = len(load(FolderPlace(folder / "store")).table)
    read = (time.process_time() - start) / count
    with local_hub(folder) as hub:
        asked = "2025-01-01T00:00:00+00:00"
        waiting = [Request(f"a/m{number}", "d/pets", asked=asked) for number in range(WAITING)]
        hub.add(REQUESTS, {str(request_path(one)): one.to_json().encode() for one in waiting}, kind="dataset")
        hub.add(RESULTS, folder / "store", kind="dataset")
        queue = RequestQueue(HubPlace(REQUESTS, token=TOKEN, endpoint=hub.endpoint))
        queue.requests()  # like a worker that has looked before
        claim = counted(hub, lambda: queue.claim("worker", 900.0))
        place = HubPlace(RESULTS, token=TOKEN, endpoint=hub.endpoint)
        records = list(made_records(2, 2))
        first = counted(hub, lambda: publish(place, records[-20:-10]))
        more = counted(hub, lambda: publish(place, records[-10:]))
    return {
        "read_seconds": read,
        "commit_seconds": claim.seconds,
        "claim_api": claim.api,
        "first_publish_seconds": first.seconds,
        "first_publish_resolve": first.resolve,
        "publish_seconds": more.seconds,
        "publish_api": more.api,
        "publish_resolve": more.resolve,
    }


def of_passes(folder: Path, images: int = 64) -> dict[str, float]:
    """Return the CPU time of one candidate, resnet50 over 5,000 images; other load does not change it."""
    from gpu import backbone_of, pictures

    from hf_transfer_score.features.extract import extract

    sample = pictures(images)
    backbone = backbone_of(image_model(folder / "resnet50", "resnet50"), sample)
    start = time.process_time()
    extract(backbone, sample, None)
    return {"candidate": PASS_ROWS * (time.process_time() - start) / images}


def measured() -> dict[str, float]:
    """Return all measurements."""
    found: dict[str, float] = {}
    for part in (of_candidates, of_places, of_passes):
        with tempfile.TemporaryDirectory() as folder:
            found |= part(Path(folder))
            print(json.dumps(found), file=sys.stderr, flush=True)
    return found
