"""What an engine is, the list of engines, and how one hands out work to its workers.

Engines are found through the entry-point group `hf_transfer_score.engines`. The built-in engines use it too, so your
own package adds one by naming `my_engine = "my_package.my_engine:MyEngine"` in that group: a dataclass whose fields are
the engine's options, each with a default.
"""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from hf_transfer_score.errors import CheckpointError, FailureKind, OptionError, TransferScoreError, did_you_mean
from hf_transfer_score.text import joined

ENTRY_POINT_GROUP = "hf_transfer_score.engines"

HERE = "here"


@dataclass(frozen=True)
class Work:
    """The work on one candidate, independent of all others.

    The action returns its result. A candidate that fails is a result too; an exception ends the run. An engine that
    works elsewhere pickles the action, and its files are in folders that all workers share.
    """

    name: str  # of the candidate
    action: Callable[[], Any]
    weights: int = 0  # bytes of the candidate's weights, 0 if unknown
    gpu: bool = True  # whether it uses a GPU if there is one


@runtime_checkable
class Portable(Protocol):
    """An action that can also be done on a machine that shares no folder with this computer.

    The files it reads are sent along, and its results come back as plain files, which are not trusted.
    """

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it reads."""

    @property
    def bound(self) -> str:
        """Why it can only be done on this computer, as a clause about the candidate; "" if it can be sent."""

    def leave(self, files: Sequence[Path], folder: Path) -> None:
        """Do the work on the other machine, with its copies of the files, and write the result into an empty folder."""

    def take(self, folder: Path) -> Any:
        """Return the result of the action from that folder, back on this computer."""


@dataclass(frozen=True)
class Finished:
    """Finished work, with the result of its action, or the failure if its worker ended in all attempts."""

    work: Work
    value: Any = None
    failure: CheckpointError | None = None


class Engine(Protocol):
    """Runs work, here or elsewhere."""

    elsewhere: ClassVar[bool]  # whether it runs in other processes, which only know what an action contains

    def run(self, works: Iterable[Work], began: Callable[[Work], None]) -> Generator[Finished, None, None]:
        """Yield each work when it is finished, in any order, and call `began` when one starts.

        Engines that take the next work only when there is room for it allow more works to come while others run.
        Exceptions of actions are raised here. Closing the generator ends the work that is still running.
        """

    def close(self) -> None:
        """Release the engine's resources; it is not used again."""


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
        OptionError: there is no such engine or option, or a package that the engine needs is not installed.

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
            raise OptionError(f"{option!r} is not an option of the engine {name}; {takes}.")
    engine: Engine = kind(**given)
    return engine


@contextmanager
def opened(engine: str | Engine) -> Iterator[Engine]:
    """Yield an engine by its name, and close it after the block; one that is already open stays open."""
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
    found = {point.value: point for point in entry_points(group=ENTRY_POINT_GROUP, name=name)}
    if not found:
        known = all_engines()
        raise OptionError(f"engine={name!r}: expected one of {', '.join(known)}.{did_you_mean(name, known)}")
    if len(found) > 1:
        raise OptionError(f"engine={name!r} is in several installed packages: {joined(sorted(found))}. Uninstall one.")
    ((value, point),) = found.items()
    try:
        kind = point.load()
    except (ImportError, AttributeError) as error:
        raise OptionError(f"engine={name!r} cannot be loaded from {value}: {error}.") from error
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise OptionError(f"engine={name!r}: expected a dataclass at {value}, whose fields are its options.")
    return kind


def extra(package: str, engine: str) -> Any:
    """Import a package that an engine needs, or raise OptionError with what to install."""
    try:
        return import_module(package)
    except ImportError:
        raise OptionError(
            f"engine={engine!r} needs the package {package}, which is not installed: "
            f"pip install 'hf-transfer-score[{engine}]'."
        ) from None


class WorkerLostError(TransferScoreError):
    """A worker ended before its work was done; the message is a clause about the worker."""

    def __init__(self, how: str, kind: FailureKind = "error") -> None:
        super().__init__(how)
        self.kind: FailureKind = kind  # of the failure if it happens again


class NotStartedError(TransferScoreError):
    """Work was refused, as by a limit on running jobs."""


class Workers(Protocol):
    """The workers of an engine."""

    def start(self, work: Work) -> Any:
        """Start work, and return a handle for it, or raise NotStartedError."""

    def over(self, handles: Sequence[Any]) -> list[Any]:
        """Return those that are finished; if there are none, wait for a while first."""

    def value(self, handle: Any) -> Any:
        """Return the result of finished work, or raise its exception or WorkerLostError."""

    def cancel(self, handle: Any) -> None:
        """End unfinished work."""


def hand_out(
    works: Iterable[Work], began: Callable[[Work], None], workers: Workers, *, most: int, retries: int
) -> Generator[Finished, None, None]:
    """Yield each work when it is finished, with at most `most` running; `began` is called when one is first started.

    The next work is taken when a worker is free, and asked for again after there was none. Refused work waits until
    other work is finished.
    """
    source, again, attempts, running = iter(works), deque[Work](), Counter[str](), dict[Any, Work]()
    room = most
    try:
        while True:
            while len(running) < room:
                work = again.popleft() if again else next(source, None)
                if work is None:
                    break
                if not _is_started(work, workers, running):
                    again.appendleft(work)
                    room = len(running)
                    break
                attempts[work.name] += 1
                if attempts[work.name] == 1:
                    began(work)
            if not running:
                return
            for handle in workers.over(list(running)):
                work, room = running.pop(handle), most
                finished = _finished(work, workers, handle, attempts[work.name], retries)
                if finished is None:
                    again.append(work)
                else:
                    del attempts[work.name]
                    yield finished
    finally:
        for handle in running:
            workers.cancel(handle)


def _is_started(work: Work, workers: Workers, running: dict[Any, Work]) -> bool:
    """Start work, and return whether that was possible; raises NotStartedError if nothing is running either."""
    try:
        running[workers.start(work)] = work
    except NotStartedError:
        if not running:
            raise
        return False
    return True


def _finished(work: Work, workers: Workers, handle: Any, attempt: int, retries: int) -> Finished | None:
    """Return finished work, None if it has to be repeated."""
    try:
        return Finished(work, workers.value(handle))
    except WorkerLostError as lost:
        if attempt <= retries:
            return None
        times = "" if attempt == 1 else f" {attempt} times"
        return Finished(work, failure=CheckpointError(lost.kind, f"its worker ended{times}: {lost}"))


Outcome = tuple[Any, Exception | None]
"""The result of an action, or its exception."""


def tried(action: Callable[[], Any]) -> Outcome:
    """Return the outcome of an action, for workers that cannot pass on exceptions."""
    try:
        return action(), None
    except Exception as error:  # noqa: BLE001  # raised again where the run is
        return None, error


def raised_or(outcome: Outcome) -> Any:
    """Return the result of an action, or raise its exception."""
    value, error = outcome
    if error is not None:
        raise error
    return value
