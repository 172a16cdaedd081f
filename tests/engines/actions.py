"""Small actions of workers, which leave notes."""

import json
import os
import signal
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_transfer_score.engines.base import Work
from hf_transfer_score.errors import CheckpointError, DatasetError


@dataclass(frozen=True)
class Noted:
    """Leaves a file NAME.NUMBER in a folder when it starts, and takes some seconds."""

    folder: Path
    name: str
    seconds: float = 0.0

    def __call__(self) -> str:
        (self.folder / f"{self.name}.{uuid.uuid4().hex}").write_text(str(os.getpid()))
        time.sleep(self.seconds)
        return self.name.upper()


@dataclass(frozen=True)
class Deadly(Noted):
    """Kills its worker in the first attempts, `times` of them."""

    times: int = 1

    def __call__(self) -> str:
        found = super().__call__()
        if attempts(self.folder, self.name) <= self.times:
            os.kill(os.getpid(), signal.SIGKILL)
        return found


@dataclass(frozen=True)
class Sent(Deadly):
    """The same for workers that share no folder: it reads a file, and leaves a result."""

    times: int = 0
    read: Path = Path()
    bound: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.read,)

    def leave(self, files: Sequence[Path], folder: Path) -> None:
        if self.name == "refused":
            refuse()
        (folder / "said.json").write_text(json.dumps([self(), files[0].read_text()]))

    def take(self, folder: Path) -> list[str]:
        return json.loads((folder / "said.json").read_text())


def refuse() -> None:
    """Raise an error that ends a run."""
    raise DatasetError("the sample cannot be read")


def attempts(folder: Path, name: str) -> int:
    return len(list(folder.glob(f"{name}.*")))


def check_killed_workers(engine: Any, folder: Path) -> CheckpointError:
    """Check that a killed worker only costs its own work, and that an exception ends the run; return the failure."""
    import pytest  # which workers need not load

    works = [Work("b", Noted(folder, "b")), Work("c", Deadly(folder, "c")), Work("d", Deadly(folder, "d", times=9))]
    found = {one.work.name: one for one in engine.run(works, lambda _: None)}
    assert {name: one.value for name, one in found.items()} == {"b": "B", "c": "C", "d": None}
    assert {name: attempts(folder, name) for name in "bcd"} == {"b": 1, "c": 2, "d": 1 + engine.retries}
    with pytest.raises(DatasetError, match="the sample cannot be read"):
        list(engine.run([Work("a", refuse)], lambda _: None))
    return found["d"].failure
