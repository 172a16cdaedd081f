"""The environment of the trials: a local Hub with traps, good checkpoints, and a warm process that runs commands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.conftest import clean_environment  # noqa: E402
from tests.hostile.judging import last_line, terms_of  # noqa: E402
from tests.hostile.limited import Finished  # noqa: E402
from tests.hostile.traps import Traps  # noqa: E402
from tests.hostile.trying import Good, write_good  # noqa: E402
from tests.hub.server import LocalHub  # noqa: E402
from tests.runs.pool import fill  # noqa: E402
from tests.runs.warm import Parent, Warm  # noqa: E402


@dataclass
class Stage:
    """What all kinds of faults share.

    Attributes:
        folder: the root of all files.
        hub: a Hub with good checkpoints and datasets.
        traps: things that must stay untouched.
        warm: runs commands.
        good: good local checkpoints and datasets.
    """

    folder: Path
    hub: LocalHub
    traps: Traps
    warm: Warm
    good: Good

    def place(self, name: str) -> Path:
        """Return a new folder."""
        place = self.folder / name
        place.mkdir(parents=True)
        return place


@contextmanager
def set_up(folder: Path) -> Iterator[Stage]:
    """Build the environment in a folder."""
    with LocalHub(folder / "hub") as hub, Traps(folder / "traps", hub) as traps:
        fill(hub, folder / "pool")
        home = folder / "home"
        parent, environment = Parent(folder), {**clean_environment(home, hub.endpoint), "HOME": str(home)}
        try:
            yield Stage(folder, hub, traps, Warm(parent, folder, environment), write_good(folder / "good"))
        finally:
            parent.close()
            hub.crashes.clear()  # effects on the local Hub are not measured


def numbers(report: dict[str, Any]) -> dict[str, Any]:
    """Return the exact result of a ranking, without times."""
    models = {name: terms_of(one["scores"]["results"]) for name, one in report["pool"].items() if one.get("scores")}
    return {"terms": models, "ranks": report["mean_ranks"], "intervals": report.get("intervals")}


def refusal(done: Finished) -> str:
    """Return the last line of a command's error stream."""
    return last_line(done.err)
