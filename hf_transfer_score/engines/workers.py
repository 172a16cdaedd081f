"""Hands out work to the workers of an engine: a number at a time, and again if a worker ended."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Protocol

from hf_transfer_score.engines.base import Finished, Work
from hf_transfer_score.errors import CheckpointError, FailureKind, TransferScoreError


class WorkerLostError(TransferScoreError):
    """A worker ended before its work was done; the message is a clause about the worker."""

    def __init__(self, how: str, kind: FailureKind = "error") -> None:
        super().__init__(how)
        self.kind: FailureKind = kind  # of the failure if it happens again


class Workers(Protocol):
    """The workers of an engine."""

    def start(self, work: Work) -> Any:
        """Start work, and return a handle for it."""

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

    The next work is taken when a worker is free, and asked for again after there was none.
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
