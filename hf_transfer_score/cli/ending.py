"""How a command is ended from outside: Ctrl-C, the signal that ends a service, and a terminal that is closed.

All three do the same: what is done is kept, one sentence is said, and no child is left behind.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer, main_thread
from typing import Any, NoReturn

from hf_transfer_score.cli.output import say

AGAIN_SECONDS = 0.05
AGAIN = "interrupted: run the same command again to go on"
_by: list[int] = []
"""The signal that ended this command, once one did."""


def interrupted_status() -> int:
    """Return the exit status of a command that was ended: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP."""
    return 128 + (_by[0] if _by else int(signal.SIGINT))


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does, unless whoever started this wants them ignored (as nohup does)."""
    _by.clear()
    before = {}
    if threading.current_thread() is main_thread():
        numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
        for number in numbers:
            if signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, _end)
    try:
        with _pressed_again():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _: Any) -> NoReturn:
    """End like Ctrl-C, which a terminal sends to the children too."""
    _by.append(number)
    end_children()
    raise KeyboardInterrupt


@contextmanager
def _pressed_again() -> Iterator[None]:
    """Repeat a Ctrl-C that came while some object was taken apart: Python would print it and go on."""
    before = sys.unraisablehook

    def hook(lost: Any) -> None:
        if isinstance(lost.exc_value, KeyboardInterrupt):
            Timer(AGAIN_SECONDS, _press).start()
        else:
            before(lost)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _press() -> None:
    if hasattr(signal, "pthread_kill"):  # it wakes what the main thread waits for
        signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Leave at once when ended from outside.

    Downloads go on in threads. They make and remove temporary folders, and so does Python when it takes itself apart:
    of a folder that both remove, it would print a traceback.
    """
    try:
        yield
    except KeyboardInterrupt:
        leave_at_once(AGAIN)


def leave_at_once(words: str) -> NoReturn:
    """End the process with some last words, not waiting for a download; what it has is kept and resumed."""
    if is_main():
        say(words)
    with suppress(Exception):
        sys.stdout.flush()
    end_children()
    os._exit(interrupted_status())


def is_main() -> bool:
    """Whether this is the process that speaks, of those a launcher started."""
    rank = os.environ.get("RANK", "0")
    return not rank.isdecimal() or int(rank) == 0


def waiting_threads() -> bool:
    """Whether Python would wait for some thread before it ends."""
    return any(thread is not main_thread() and not thread.daemon for thread in threading.enumerate())


def end_children() -> None:
    """End the processes that this one started, and theirs."""
    for child in _descendants(os.getpid()):
        with suppress(OSError):
            os.kill(child, signal.SIGTERM)


def _descendants(pid: int) -> list[int]:
    """Return the children of a process and theirs, the youngest generation last; those of multiprocessing elsewhere."""
    found = _children(pid)
    if found is None:
        from multiprocessing import active_children

        return [child.pid for child in active_children() if child.pid is not None]
    return [*found, *(below for child in found for below in _descendants(child))]


def _children(pid: int) -> list[int] | None:
    """Return the children that Linux names, None where it does not."""
    tasks = Path(f"/proc/{pid}/task")
    try:
        lists = [(task / "children").read_text() for task in tasks.iterdir()]
    except OSError:
        return None if pid == os.getpid() else []
    return [int(child) for one in lists for child in one.split()]
