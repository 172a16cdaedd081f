"""The command `worker`."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from hf_transfer_score import places
from hf_transfer_score.cli.ending import end_children, interrupted_status
from hf_transfer_score.cli.printing import say
from hf_transfer_score.cli.tables import Page
from hf_transfer_score.errors import OptionError
from hf_transfer_score.hub.settings import has_token
from hf_transfer_score.hub.words import no_token
from hf_transfer_score.requests.queue import RequestQueue
from hf_transfer_score.results.place import FolderPlace, Place, open_place
from hf_transfer_score.text import shown
from hf_transfer_score.worker.box import BoxLimits
from hf_transfer_score.worker.job import JobOptions
from hf_transfer_score.worker.loop import Worker, WorkerOptions

STATES = ("done", "failed", "refused", "again", "lost")


def run(
    arguments: argparse.Namespace,
    *,
    page: Callable[[int], Page],
    write: Callable[[str], None],
    write_json: Callable[[Any], None],
) -> int:
    """Run `worker` and return its exit status."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise OptionError("A worker is one process: start several, each with its own --device, without a launcher.")
    requests, results = _place(arguments.requests), _place(arguments.results)
    options = WorkerOptions(
        name=arguments.name,
        lease=arguments.lease,
        poll=arguments.poll,
        once=arguments.once,
        limit=arguments.limit,
        job=JobOptions(
            arguments.device,
            arguments.max_params,
            box=BoxLimits(arguments.memory or _usual_memory(), arguments.time, arguments.disk),
            folder=places.home().absolute(),
        ),
    )
    worker = Worker(RequestQueue(requests), results, options, _say)
    _say(f"{worker.id} takes requests from {requests.name} and publishes to {results.name}")
    _say(f"one job may take {options.job.box}; change it with --memory, --time and --disk")
    try:
        with _nowhere():
            counts = worker.run()
    except KeyboardInterrupt:
        _say(f"stopped: {_summary(worker.counts)}")
        end_children()
        os._exit(interrupted_status())  # a download may be under way, and nobody waits for it
    _say(_summary(counts))
    return 0


def _place(text: str) -> Place:
    """Return the place that a text names, wherever the process goes; refuse one on the Hub that nobody may write."""
    place = open_place(text)
    if isinstance(place, FolderPlace):
        return FolderPlace(place.folder.absolute())
    if not has_token(None):
        raise no_token(place.name)
    return place


def _usual_memory() -> int:
    """Return how much memory a job may take where nobody says: most of what this machine has, up to the default."""
    import psutil

    return max(min(BoxLimits.memory, int(0.8 * psutil.virtual_memory().total)), 10**9)


@contextmanager
def _nowhere() -> Iterator[None]:
    """Be in an empty folder, so that no name that a stranger wrote is that of a file here."""
    before, folder = Path.cwd(), places.home() / "nowhere"
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
