"""What an engine is, and the one list of them.

Engines are found through the entry-point group `hf_transfer_score.engines`; the built-in ones come the same way, so a
package of yours that names `my_engine = "my_package.my_engine:MyEngine"` in that group stands beside them. The name
stands for a dataclass whose fields are the engine's options, each with a default.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from hf_transfer_score.errors import CheckpointError, OptionError

ENTRY_POINT_GROUP = "hf_transfer_score.engines"

HERE = "here"


@dataclass(frozen=True)
class Work:
    """The work on one candidate, which depends on no other's.

    Attributes:
        name: of the candidate.
        action: does the work and returns what came of it. A candidate that fails is a value too; what it raises ends
            the run. An engine that works elsewhere pickles it, and the files that it reads and writes are in folders
            that all workers share.
        weights: bytes of the candidate's weights, 0 where that is not known.
        gpu: whether it computes on a GPU where there is one.
    """

    name: str
    action: Callable[[], Any]
    weights: int = 0
    gpu: bool = True


@runtime_checkable
class Portable(Protocol):
    """An action that can also be done where no folder is shared with this computer.

    What it reads is sent along, and what it makes comes back as plain files, which are not trusted.
    """

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it reads."""

    @property
    def bound(self) -> str:
        """Why it can be done on this computer only, as a clause about the candidate; "" where it can be sent."""

    def leave(self, files: Sequence[Path], folder: Path) -> None:
        """Do the work there, with those files in the same order, and leave what came of it in an empty folder."""

    def take(self, folder: Path) -> Any:
        """Return here what the action would have returned, from what was left."""


@dataclass(frozen=True)
class Finished:
    """Work that is over.

    Attributes:
        work: which it was.
        value: what its action returned.
        failure: why there is no value: its worker ended, and ended again when it was repeated.
    """

    work: Work
    value: Any = None
    failure: CheckpointError | None = None


class Engine(Protocol):
    """Something that carries out work, here or elsewhere.

    Attributes:
        elsewhere: whether the work is done in other processes, which know nothing but what its action holds.
    """

    elsewhere: ClassVar[bool]

    def run(self, works: Iterable[Work], began: Callable[[Work], None]) -> Generator[Finished, None, None]:
        """Yield each work once when it is over, in any order; `began` is called here when one is begun.

        Where the next work is taken from `works` only when there is room for it, more can come while others run.

        What an action raises is raised here. Whoever stops listening closes the generator, and what goes on is ended.
        """

    def close(self) -> None:
        """Give back what the engine holds; it is not used again."""


def all_engines() -> list[str]:
    """Return the names of the engines that are installed.

    Example:
        >>> "here" in all_engines()
        True
    """
    return sorted({point.name for point in entry_points(group=ENTRY_POINT_GROUP)})


def open_engine(name: str, settings: Mapping[str, Any] | None = None) -> Engine:
    """Return an engine, ready to run.

    Args:
        name: one of `all_engines()`.
        settings: options of the engine by name, such as {"workers": 4}; those that are None are left out.

    Raises:
        OptionError: there is no such engine or option, or something that the engine needs is not installed.

    Example:
        >>> works, begun = [Work("a", lambda: 1), Work("b", lambda: 2)], []
        >>> [one.value for one in open_engine("here").run(works, begun.append)], len(begun)
        ([1, 2], 2)
    """
    kind = engine_kind(name)
    given = {option: value for option, value in (settings or {}).items() if value is not None}
    known = [one.name for one in fields(kind) if one.init]
    for option in given:
        if option not in known:
            takes = f"its options: {', '.join(known)}" if known else "it has no options"
            raise OptionError(f"{option!r} is no option of the engine {name}; {takes}.")
    engine: Engine = kind(**given)
    return engine


@contextmanager
def opened(engine: str | Engine) -> Iterator[Engine]:
    """Yield an engine by its name, and close it behind the block; one that is open already stays open."""
    if not isinstance(engine, str):
        yield engine
        return
    own = open_engine(engine)
    try:
        yield own
    finally:
        own.close()


def engine_kind(name: str) -> type[Any]:
    """Return the dataclass of an engine by its name."""
    found = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in found:
        close = difflib.get_close_matches(name, found, 1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise OptionError(f"engine={name!r}: expected one of {', '.join(sorted(found))}.{hint}")
    kind: type[Any] = found[name].load()
    return kind


def extra(package: str, engine: str) -> Any:
    """Return a package that an engine needs, or raise OptionError with what to install."""
    try:
        return import_module(package)
    except ImportError:
        raise OptionError(
            f"engine={engine!r} needs the package {package}, which is not installed: "
            f"pip install 'hf-transfer-score[{engine}]'."
        ) from None
