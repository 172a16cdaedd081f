"""Disks without room: told in one sentence, and met before a file is written through a mapping.

A file that is only made longer has holes. Who writes into one through a mapping of a full disk is killed by SIGBUS,
without a word; so whatever is to be mapped gets its room first.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from hf_transfer_score import places
from hf_transfer_score.errors import NoSpaceError, TransferScoreError, chain

FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota on that disk is used up",
    errno.EFBIG: "a file may not become that large there (see `ulimit -f`)",
}
SAID = {
    "No space left on device": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "File too large": errno.EFBIG,
}
"""What libraries say that pass on the words and not the number."""

NOT_KNOWN = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a filesystem answers that cannot reserve room."""

BLOCK = 1 << 20


def fullness(error: BaseException | None) -> int | None:
    """Return the error number by which an exception, or one it came from, says that there is no room; else None."""
    for one in chain(error):
        number = getattr(one, "errno", None)
        if number in FULL:
            return int(number)
        if isinstance(one, (OSError, RuntimeError, ValueError)):
            for words, meant in SAID.items():
                if words in str(one):
                    return meant
    return None


def no_space(error: BaseException, what: str, folder: Path, needed: int = 0) -> NoSpaceError:
    """Return the error for a write that found no room.

    Args:
        error: what was raised.
        what: what was written, as in "the features of a/b".
        folder: where, unless the exception names a file.
        needed: its bytes, at least, where they are known.
    """
    reason = FULL[fullness(error) or errno.ENOSPC]
    folder = _folder_of(error) or folder
    free = free_bytes(folder)
    known = {f"at least {needed:,} bytes are needed": needed > 0, f"{free or 0:,} are free": free is not None}
    figures = f" ({', '.join(words for words, there in known.items() if there)})" if any(known.values()) else ""
    return NoSpaceError(f"There is no room for {what} in {folder}: {reason}{figures}. {remedy(folder)}")


def _folder_of(error: BaseException) -> Path | None:
    """Return the folder of the file that an exception names, else None."""
    for one in chain(error):
        name = getattr(one, "filename", None)
        if isinstance(one, OSError) and fullness(one) and isinstance(name, str) and Path(name).is_absolute():
            return Path(name).parent
    return None


def free_bytes(folder: Path) -> int | None:
    """Return how many bytes are free where a folder is or would be made; None where that cannot be told."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def remedy(folder: Path) -> str:
    """Return what to do about a folder without room."""
    if folder.absolute().is_relative_to(places.home().absolute()):
        return (
            f"Make room there, or set {places.HOME_VARIABLE} to a folder on another disk; `hf-transfer-score cache "
            "clear` removes the features that are kept."
        )
    if folder.absolute().is_relative_to(places.hub_home().absolute()):
        return (
            "Make room there, or set HF_HOME to a folder on another disk; --free-disk removes the weights of each "
            "checkpoint once it is scored."
        )
    if folder.absolute() == Path(tempfile.gettempdir()).absolute():
        return "Make room there, or set TMPDIR to a folder on another disk."
    return "Make room there, or name a folder on another disk."


@contextmanager
def room_for(what: str, folder: Path, needed: int | Callable[[], int] = 0) -> Iterator[None]:
    """Turn whatever says that there is no room into one sentence; see `no_space` for the arguments.

    Raises:
        NoSpaceError: there is no room.
    """
    try:
        yield
    except TransferScoreError:
        raise
    except Exception as error:
        if fullness(error) is None:
            raise
        raise no_space(error, what, folder, needed() if callable(needed) else needed) from error


def reserve(file: BinaryIO, size: int) -> None:
    """Give a file its room up to `size` bytes, or raise OSError; where that cannot be asked for, zeros are written."""
    if size <= 0:
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except AttributeError:  # no such function on this system
        _fill(file, size)
    except OSError as error:
        if error.errno not in NOT_KNOWN:
            raise
        _fill(file, size)


def _fill(file: BinaryIO, size: int) -> None:
    place, end = file.tell(), file.seek(0, os.SEEK_END)
    while end < size:
        end += file.write(bytes(min(BLOCK, size - end)))
    file.flush()
    file.seek(place)
