"""What ends a command otherwise than well, told in one sentence; the traceback is shown on request."""

from __future__ import annotations

import errno
import os
import sys
import traceback

from hf_transfer_score.cli.ending import is_main
from hf_transfer_score.cli.naming import with_flags
from hf_transfer_score.cli.output import say
from hf_transfer_score.errors import NoSpaceError, OptionError, TransferScoreError, UnknownMetricError
from hf_transfer_score.text import LONGEST, shown

FAILED, USAGE, BROKEN_PIPE = 1, 2, 141
TRACEBACK = "--traceback"
NO_SPACE = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def split_traceback(arguments: list[str]) -> tuple[list[str], bool]:
    """Return the arguments without `--traceback`, wherever it stands among the options, and whether it was there.

    Example:
        >>> split_traceback(["score", "a.npz", "--traceback"])
        (['score', 'a.npz'], True)
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [one for one in arguments[:end] if one != TRACEBACK]
    return [*options, *arguments[end:]], len(options) < end


def tell(error: BaseException, *, with_traceback: bool) -> int:
    """Say what went wrong, and return the exit status."""
    if is_main():
        if with_traceback:
            say("".join(traceback.format_exception(error)).rstrip("\n"))
        say(f"error: {sentence(error)}")
    if isinstance(error, TransferScoreError):
        return USAGE if isinstance(error, (OptionError, UnknownMetricError, NoSpaceError)) else FAILED
    return USAGE


def sentence(error: BaseException) -> str:
    """Return what went wrong in one sentence, and what to do where that is known."""
    said = shown(str(error).strip(), LONGEST)
    if isinstance(error, TransferScoreError):
        return with_flags(said)
    if isinstance(error, OSError):
        return _of_the_system(error, said)
    if isinstance(error, MemoryError):
        return f"there is not enough memory{f' ({said})' if said else ''}: take fewer samples, or close other programs."
    if isinstance(error, RecursionError):
        return f"something that was read is nested too deeply; {TRACEBACK} shows where."
    if isinstance(error, UnicodeError):
        return f"some text cannot be read or written in its encoding ({said}); {TRACEBACK} shows where."
    return f"this was not foreseen: {type(error).__name__}: {said or 'no more is known'}; {TRACEBACK} shows where."


def _of_the_system(error: OSError, said: str) -> str:
    """Return what the operating system refused: of which file, and why."""
    if isinstance(error, FileNotFoundError) and error.filename is None and not _is_somewhere():
        return "the working folder is gone: change to another one, and start again from there."
    names = [shown(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    said = shown(error.strerror) if error.strerror else said or type(error).__name__
    if error.errno in NO_SPACE:
        where = f" for {names[0]}" if names else ""
        advice = "make room, or name a folder on another disk (HF_TRANSFER_SCORE_HOME)"
        return f"the disk is full{where} ({said}): {advice}."
    return f"{' and '.join(names)}: {said}." if names else f"{said}; {TRACEBACK} shows where."


def _is_somewhere() -> bool:
    try:
        os.getcwd()  # noqa: PTH109  # there is no path object of a folder that is gone
    except OSError:
        return False
    return True


def tell_output(failure: OSError, status: int) -> int:
    """Say that standard output could not be written, and return the exit status; who closed a pipe knows it."""
    if isinstance(failure, BrokenPipeError):
        return BROKEN_PIPE if status in (0, FAILED) else status
    if is_main() and sys.stderr is not None:
        say(f"error: standard output could not be written: {shown(failure.strerror or failure)}.")
    return status if status > FAILED else USAGE
