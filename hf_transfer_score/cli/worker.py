"""`worker`: score models that others requested."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from hf_transfer_score.cli.ending import end_children, interrupted_status
from hf_transfer_score.cli.flags import Bytes, Count, EngineFlags, Engines, Seconds, Whole
from hf_transfer_score.cli.output import say
from hf_transfer_score.errors import OptionError
from hf_transfer_score.home import home
from hf_transfer_score.hub.failures import no_token
from hf_transfer_score.hub.settings import has_token
from hf_transfer_score.records.place import FolderPlace, Place, open_place
from hf_transfer_score.requests.box import BoxLimits
from hf_transfer_score.requests.job import JobOptions
from hf_transfer_score.requests.queue import RequestQueue
from hf_transfer_score.requests.worker import Worker, WorkerOptions, at_once
from hf_transfer_score.text import shown

STATES = ("done", "failed", "refused", "again", "lost")


@dataclass(frozen=True)
class JobFlags:
    """The limits of one job.

    Attributes:
        memory: bytes, such as 8G; by default 12G, or most of this computer's memory.
        time: seconds from start to end.
        disk: bytes, including downloads.
        device: where models run: cpu, cuda, cuda:1, mps; by default an accelerator if there is one.
        max_parameters: largest model, such as 100M or 1.5B; larger ones fail.
    """

    memory: Bytes | None = None
    time: Seconds = BoxLimits.seconds
    disk: Annotated[Bytes, Parameter(show_default="20G")] = BoxLimits.disk
    device: str | None = None
    max_parameters: Count = None

    def options(self) -> JobOptions:
        """Return how requests are run."""
        import psutil

        most = max(min(BoxLimits.memory, int(0.8 * psutil.virtual_memory().total)), 10**9)
        box = BoxLimits(self.memory or most, self.time, self.disk)
        return JobOptions(self.device, self.max_parameters, box=box, folder=home().absolute())


@dataclass(frozen=True)
class WorkFlags:
    """How a worker runs.

    Attributes:
        once: stop when no request is waiting.
        limit: stop after this many requests.
        poll: seconds between checks for new requests.
        lease: seconds that a claim lasts.
        name: name of this worker, which others see; a random part is added.
    """

    once: bool = False
    limit: Whole = None
    poll: Seconds = 30.0
    lease: Seconds = 900.0
    name: str = "worker"


def worker(
    *,
    requests: str,
    results: str,
    working: Annotated[WorkFlags, Parameter(name="*")] = WorkFlags(),
    job: Annotated[JobFlags, Parameter(name="*", group=Group("One job", sort_key=10))] = JobFlags(),
    engine: Engines = EngineFlags(),
) -> int:
    """Score models that others requested.

    A worker claims the oldest request, ranks its model on its dataset as `rank` does, publishes the records, and takes
    the next one. Any number of workers on any computers can share a queue, which is a folder, or a dataset repository
    on the Hub (OWNER/NAME) that your token can write to.

    A claim is renewed while its request runs. Ctrl-C and SIGTERM give it back at once. If a worker dies, its claim ends
    after `--lease` seconds, and another worker takes the request. A request fails after three starts that did not
    finish, or if it cannot be scored, with the reason; problems with the Hub are tried again. No remote code runs, and
    no pickled weights are loaded.

    Each request runs in a process of its own, without your token and environment, in a folder that is removed
    afterwards. The process and its children are killed if they exceed the limits on memory, time or disk.

    ```bash
    hf-transfer-score worker --requests me/requests --results me/results
    hf-transfer-score worker --requests ./requests --results ./results --once
    ```

    Args:
        requests: where the requests are.
        results: where the records are published.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise OptionError("A worker is one process: start several, each with its own `device`, without a launcher.")
    if engine.engine == "jobs":
        raise OptionError("--engine jobs runs no requests: each needs a box of its own. Use here, ray or slurm.")
    queue, records = _place(requests), _place(results)
    options = WorkerOptions(**vars(working), job=job.options())
    with engine.opened() as opened:
        running = Worker(RequestQueue(queue), records, options, _say, opened)
        _say(f"{running.id} takes requests from {queue.name} and publishes to {records.name}")
        several = f", {at_once(opened)} at a time" if at_once(opened) > 1 else ""
        _say(f"one job may take {options.job.box}{several}; change it with --memory, --time and --disk")
        try:
            with _nowhere():
                counts = running.run()
        except KeyboardInterrupt:
            _say(f"stopped: {_summary(running.counts)}")
            opened.close()
            end_children()
            os._exit(interrupted_status())  # do not wait for a download
    _say(_summary(counts))
    return 0


def _place(text: str) -> Place:
    """Return the place that a text names, with an absolute folder; refuse one on the Hub without a token."""
    place = open_place(text)
    if isinstance(place, FolderPlace):
        return FolderPlace(place.folder.absolute())
    if not has_token(None):
        raise no_token(place.name)
    return place


@contextmanager
def _nowhere() -> Iterator[None]:
    """Change to an empty folder, so that no name from a stranger matches a file."""
    before, folder = Path.cwd(), home() / "nowhere"
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _summary(counts: Counter[str]) -> str:
    told = [f"{counts[state]} {state}" for state in STATES if counts[state]]
    return ", ".join(told) or "no request was run"


def _say(text: str) -> None:
    say(f"{datetime.now().astimezone().isoformat(timespec='seconds')} {shown(text)}")
