"""How a command ends after an error or an interruption: with one sentence, and a traceback on request.

Ctrl-C, the signal that ends a service, and a closed terminal do the same: finished work is kept, and no child process
is left behind.
"""

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer, main_thread
from typing import Any, NoReturn

import psutil

from hf_transfer_score.cli.naming import with_flags
from hf_transfer_score.cli.output import say
from hf_transfer_score.cli.shared import TRACEBACK
from hf_transfer_score.errors import NoSpaceError, OptionError, TransferScoreError, UnknownMetricError
from hf_transfer_score.text import LONGEST, shown

FAILED, USAGE, BROKEN_PIPE = 1, 2, 141
NO_SPACE = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
AGAIN_SECONDS = 0.05
AGAIN = "interrupted: run the same command again to continue"
_by: list[int] = []
"""The signal that ended this command, once one did."""


def interrupted_status() -> int:
    """Return the exit status of an interrupted command: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP."""
    return 128 + (_by[0] if _by else int(signal.SIGINT))


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C, unless they are ignored (as under nohup)."""
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
    """End like Ctrl-C, which a terminal also sends to the children."""
    _by.append(number)
    end_children()
    raise KeyboardInterrupt


@contextmanager
def _pressed_again() -> Iterator[None]:
    """Repeat a Ctrl-C that arrived inside a destructor: Python would print it and continue."""
    before = sys.unraisablehook

    def press() -> None:
        if hasattr(signal, "pthread_kill"):  # it wakes what the main thread waits for
            signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)
        else:
            signal.raise_signal(signal.SIGINT)

    def hook(lost: Any) -> None:
        if isinstance(lost.exc_value, KeyboardInterrupt):
            Timer(AGAIN_SECONDS, press).start()
        else:
            before(lost)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Exit at once when interrupted.

    Downloads continue in threads. They create and remove temporary folders, and so does Python at exit: where both
    remove the same folder, it would print a traceback.
    """
    try:
        yield
    except KeyboardInterrupt:
        leave_at_once(AGAIN)


def leave_at_once(words: str) -> NoReturn:
    """End the process with a last message, without waiting for a download, which will be resumed."""
    if is_main():
        say(words)
    with suppress(Exception):
        sys.stdout.flush()
    end_children()
    os._exit(interrupted_status())


def is_main() -> bool:
    """Whether this is the process that prints, of those a launcher started."""
    rank = os.environ.get("RANK", "0")
    return not rank.isdecimal() or int(rank) == 0


def waiting_threads() -> bool:
    """Whether Python would wait for a thread before it ends."""
    return any(thread is not main_thread() and not thread.daemon for thread in threading.enumerate())


def end_children() -> None:
    """End the processes that this one started, and their children."""
    with suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                child.terminate()


def tell(error: BaseException, *, with_traceback: bool) -> int:
    """Print an error, and return the exit status."""
    if is_main():
        if with_traceback:
            say("".join(traceback.format_exception(error)).rstrip("\n"))
        say(f"error: {sentence(error)}")
    ours = isinstance(error, TransferScoreError)
    return FAILED if ours and not isinstance(error, (OptionError, UnknownMetricError, NoSpaceError)) else USAGE


def sentence(error: BaseException) -> str:
    """Return an error as one sentence, with what to do about it where that is known."""
    said = shown(str(error).strip(), LONGEST)
    if isinstance(error, TransferScoreError):
        return with_flags(said)
    if isinstance(error, OSError):
        return _of_the_system(error, said)
    if isinstance(error, MemoryError):
        return f"there is not enough memory{f' ({said})' if said else ''}: take fewer samples, or close other programs."
    if isinstance(error, RecursionError):
        return f"some input is nested too deeply; {TRACEBACK} shows where."
    if isinstance(error, UnicodeError):
        return f"some text cannot be read or written in its encoding ({said}); {TRACEBACK} shows where."
    return f"unexpected error: {type(error).__name__}: {said or 'no message'}; {TRACEBACK} shows where."


def _of_the_system(error: OSError, said: str) -> str:
    """Return an error of the operating system, with the file."""
    if isinstance(error, FileNotFoundError) and error.filename is None:
        try:
            os.getcwd()  # noqa: PTH109  # there is no path object of a folder that is gone
        except OSError:
            return "the working folder no longer exists: change to another one, and start again from there."
    names = [shown(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    said = shown(error.strerror) if error.strerror else said or type(error).__name__
    if error.errno in NO_SPACE:
        where = f" for {names[0]}" if names else ""
        advice = "make room, or name a folder on another disk (HF_TRANSFER_SCORE_HOME)"
        return f"the disk is full{where} ({said}): {advice}."
    return f"{' and '.join(names)}: {said}." if names else f"{said}; {TRACEBACK} shows where."


def tell_output(failure: OSError, status: int) -> int:
    """Report that standard output could not be written, unless a pipe was closed, and return the exit status."""
    if isinstance(failure, BrokenPipeError):
        return BROKEN_PIPE if status in (0, FAILED) else status
    if is_main() and sys.stderr is not None:
        say(f"error: standard output could not be written: {shown(failure.strerror or failure)}.")
    return status if status > FAILED else USAGE
