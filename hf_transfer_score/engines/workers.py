"""What engines share that hand work out to workers: so many at a time, and again where a worker ended."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Protocol

from hf_transfer_score.engines.base import Finished, Work
from hf_transfer_score.errors import CheckpointError, FailureKind, TransferScoreError


class WorkerLostError(TransferScoreError):
    """A worker ended before its work was done; the message says how, as a clause about the worker.

    Attributes:
        kind: what kind of failure it is if that happens again.
    """

    def __init__(self, how: str, kind: FailureKind = "error") -> None:
        super().__init__(how)
        self.kind: FailureKind = kind


class Workers(Protocol):
    """Where work goes. What is begun is known by a handle that `start` returns."""

    def start(self, work: Work) -> Any:
        """Begin some work, and return its handle."""

    def over(self, handles: Sequence[Any]) -> list[Any]:
        """Return those that are over; where none is yet, wait for a while first."""

    def value(self, handle: Any) -> Any:
        """Return what came of work that is over, raise what it raised, or WorkerLostError."""

    def cancel(self, handle: Any) -> None:
        """End work that is not over."""


def hand_out(
    works: Iterable[Work], began: Callable[[Work], None], workers: Workers, *, most: int, retries: int
) -> Generator[Finished, None, None]:
    """Yield each work once when it is over.

    Args:
        works: what is to be done; the next is taken when a worker is free, and asked for again after there was none.
        began: called when one is begun for the first time.
        workers: who do it.
        most: how much is under way at a time.
        retries: how often work is begun again whose worker ended.
    """
    source, again, attempts, running = iter(works), deque[Work](), Counter[str](), dict[Any, Work]()
    try:
        while True:
            while len(running) < most:
                work = again.popleft() if again else next(source, None)
                if work is None:
                    break
                if not attempts[work.name]:
                    began(work)
                attempts[work.name] += 1
                running[workers.start(work)] = work
            if not running:
                return
            for handle in workers.over(list(running)):
                work = running.pop(handle)
                finished = _finished(work, workers, handle, attempts[work.name], retries)
                if finished is None:
                    again.append(work)
                else:
                    del attempts[work.name]
                    yield finished
    finally:
        for handle in running:
            workers.cancel(handle)


def _finished(work: Work, workers: Workers, handle: Any, attempt: int, retries: int) -> Finished | None:
    """Return what came of work, None where it is to be begun again."""
    try:
        return Finished(work, workers.value(handle))
    except WorkerLostError as lost:
        if attempt <= retries:
            return None
        times = "" if attempt == 1 else f" {attempt} times"
        return Finished(work, failure=CheckpointError(lost.kind, f"its worker ended{times}: {lost}"))


Outcome = tuple[Any, Exception | None]
"""What an action returned, or what it raised."""


def tried(action: Callable[[], Any]) -> Outcome:
    """Return what came of an action, for workers that cannot pass on what is raised."""
    try:
        return action(), None
    except Exception as error:  # noqa: BLE001  # raised where the run is
        return None, error


def raised_or(outcome: Outcome) -> Any:
    """Return what an action returned, or raise what it raised."""
    value, error = outcome
    if error is not None:
        raise error
    return value
