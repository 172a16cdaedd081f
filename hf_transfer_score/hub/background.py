"""Threads that wait for the Hub; a process that is stopped by hand does not wait for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from functools import partial
from queue import SimpleQueue
from threading import Thread
from threading import enumerate as all_threads
from typing import Any, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")

AWAKE_SECONDS = 0.5
THREAD = "hf-transfer-score"


class Background:
    """Some threads that do one thing after another, in the order these were handed in.

    The threads of `concurrent.futures` are joined before a process ends, however long a download takes; these are not.

    Args:
        at_once: how many threads.

    Example:
        >>> background = Background()
        >>> background.submit(lambda: 6 * 7).result()
        42
        >>> background.close()
    """

    def __init__(self, at_once: int = 1) -> None:
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, name=THREAD, daemon=True) for _ in range(at_once)]
        for thread in self._threads:
            thread.start()

    def submit(self, action: Callable[[], Value]) -> Future[Value]:
        """Return what will hold the result."""
        future: Future[Value] = Future()
        self._waiting.put((future, action))
        return future

    def close(self) -> None:
        """Drop what has not begun; what has begun goes on, and nobody waits for it."""
        while not self._waiting.empty():
            dropped = self._waiting.get()
            if dropped is not None:
                dropped[0].cancel()
        for _ in self._threads:
            self._waiting.put(None)

    def _work(self) -> None:
        while (task := self._waiting.get()) is not None:
            future, action = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(action())
            except BaseException as error:  # noqa: BLE001  # raised where the result is asked for
                future.set_exception(error)


def at_work() -> bool:
    """Whether anything handed to some `Background` still goes on, or may."""
    return any(thread.name == THREAD for thread in all_threads())


def result_of(future: Future[Value]) -> Value:
    """Return a future's result, or raise its exception.

    It wakes up now and then: Ctrl-C that comes just before a wait would have to wait for its end.
    """
    while not future.done():
        wait([future], timeout=AWAKE_SECONDS)
    return future.result()


def map_at_once(function: Callable[[Item], Value], items: Iterable[Item], at_once: int) -> list[Value]:
    """Return a function's values for some items, computed by so many threads.

    Example:
        >>> map_at_once(len, ["a", "bcd"], 2)
        [1, 3]
    """
    todo = list(items)
    background = Background(min(at_once, len(todo)))
    try:
        return [result_of(future) for future in [background.submit(partial(function, item)) for item in todo]]
    finally:
        background.close()
