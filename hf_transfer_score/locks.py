"""One process at a time for work that several would otherwise do; the system frees a lock when its holder ends.

A lock is a file that the operating system locks: however a process ends, kill -9 included, nothing is left of it but a
name. Where a filesystem knows no locks nobody waits: the same work may then be done twice, and each result is whole.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

LOOK_SECONDS = 0.1
"""Between two looks at a lock that somebody else holds."""

HELD = (BlockingIOError, PermissionError)
"""What a system says of a lock that somebody else holds."""

Notify = Callable[[str], None]


@contextmanager
def alone(path: Path, waiting: Notify = lambda _: None) -> Iterator[None]:
    """Hold the lock of a file for the length of a block, waiting for as long as another process does.

    Args:
        path: the file; its folder is made.
        waiting: called once with who holds the lock, as in "process 123".
    """
    file = _wait(path, waiting)
    try:
        yield
    finally:
        if file is not None:
            with suppress(OSError):
                path.unlink()  # while it is held: whoever waits for it sees that the name is gone, and takes a new one
            file.close()


def _wait(path: Path, waiting: Notify) -> FileIO | None:
    """Return the locked file, None where there are no locks."""
    told = ""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b", buffering=0)
        except OSError:
            return None
        try:
            _lock(file)
            if _is_named(file, path):
                _sign(file)
                return file
            file.close()
            continue
        except HELD:
            holder = _holder(file)
            file.close()
        except OSError:
            file.close()
            return None
        if holder != told:
            waiting(holder)
            told = holder
        time.sleep(LOOK_SECONDS)


def _lock(file: FileIO) -> None:
    """Lock a file, or raise one of HELD at once; another OSError where that is not possible here."""
    if os.name == "nt":
        import msvcrt

        file.seek(1 << 20)  # beyond the signature, which others read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_named(file: FileIO, path: Path) -> bool:
    """Whether a file still has its name: its last holder has taken it away."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _sign(file: FileIO) -> None:
    with suppress(OSError):  # on a full disk nobody learns whom to wait for
        file.truncate(0)
        file.write(f"{os.getpid()} {socket.gethostname()}".encode())


def _holder(file: FileIO) -> str:
    """Return who holds a lock, in words."""
    with suppress(OSError, ValueError):
        file.seek(0)
        number, host = file.read(500).decode().split(" ", 1)
        where = "" if host == socket.gethostname() else f" on {host}"
        return f"process {int(number)}{where}"
    return "another process"
