"""Where things are kept on this computer and what ships with the package, writes that are whole or absent, and locks.

A file that is only made longer has holes. Who writes into one through a mapping of a full disk is killed by SIGBUS,
without a word; so whatever is to be mapped gets its room first.

A lock is a file that the operating system locks: however a process ends, kill -9 included, nothing is left of it but a
name. Where a filesystem knows no locks nobody waits: the same work may then be done twice, and each result is whole.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

from hf_transfer_score.errors import NoSpaceError, OptionError, TransferScoreError, chain

HOME_VARIABLE = "HF_TRANSFER_SCORE_HOME"
LIMIT_VARIABLE = "HF_TRANSFER_SCORE_CACHE_SIZE"
DEFAULT_LIMIT = 20 * 10**9
"""Bytes of features that are kept unless the environment says another number."""

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota on that disk is used up",
    errno.EFBIG: "a file may not become that large there (see `ulimit -f`)",
}
SAID = {"No space left on device": errno.ENOSPC, "Disk quota exceeded": errno.EDQUOT, "File too large": errno.EFBIG}
"""What libraries say that pass on the words and not the number."""

NOT_KNOWN = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a filesystem answers that cannot reserve room."""

BLOCK = 1 << 20

LOOK_SECONDS = 0.1
"""Between two looks at a lock that somebody else holds."""

HELD = (BlockingIOError, PermissionError)
"""What a system says of a lock that somebody else holds."""

Notify = Callable[[str], None]

EXAMPLE = "example"
"""Of the dataset, and of all the checkpoints together; one of them is `example/NAME`."""

EXAMPLE_CAUTION = "this is a toy to try the package on: what it shows is no evidence for or against any metric"
SHIPPED = Path(__file__).parent / "shipped" / EXAMPLE


def home() -> Path:
    """Return the folder of samples, features and what is known of checkpoints.

    It is HF_TRANSFER_SCORE_HOME, else the folder `transfer_score` in HF_HOME, which by default is ~/.cache/huggingface.
    """
    if os.environ.get(HOME_VARIABLE):
        return Path(os.environ[HOME_VARIABLE]).expanduser()
    return hub_home() / "transfer_score"


def hub_home() -> Path:
    """Return the folder in which the Hub's clients keep what they download: HF_HOME, or ~/.cache/huggingface."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or f"{cache}/huggingface").expanduser()


def cache_limit() -> int:
    """Return how many bytes of features are kept; HF_TRANSFER_SCORE_CACHE_SIZE may say "500M" or "20GB"."""
    text = os.environ.get(LIMIT_VARIABLE)
    return parse_bytes(text) if text else DEFAULT_LIMIT


def parse_bytes(text: str) -> int:
    """Return a number of bytes from text.

    Example:
        >>> parse_bytes("1.5GB"), parse_bytes("300M")
        (1500000000, 300000000)
    """
    bare = text.strip().upper().removesuffix("B")
    unit = bare[-1:] if bare[-1:] in UNITS else ""
    try:
        return int(float(bare.removesuffix(unit)) * UNITS[unit])
    except ValueError:
        raise OptionError(f"{text!r} is not a number of bytes: expected one such as 500M or 20GB.") from None


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
    """Return the error for a write of something ("the features of a/b") that found no room in a folder.

    The folder is that of the file that the exception names, if it does; `needed` are bytes at least, where known.
    """
    reason = FULL[fullness(error) or errno.ENOSPC]
    for one in chain(error):
        name = getattr(one, "filename", None)
        if isinstance(one, OSError) and fullness(one) and isinstance(name, str) and Path(name).is_absolute():
            folder = Path(name).parent
            break
    free = free_bytes(folder)
    known = {f"at least {needed:,} bytes are needed": needed > 0, f"{free or 0:,} are free": free is not None}
    figures = f" ({', '.join(words for words, there in known.items() if there)})" if any(known.values()) else ""
    return NoSpaceError(f"There is no room for {what} in {folder}: {reason}{figures}. {remedy(folder)}")


def free_bytes(folder: Path) -> int | None:
    """Return how many bytes are free where a folder is or would be made; None where that is unknown."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def remedy(folder: Path) -> str:
    """Return what to do about a folder without room."""
    there, more = folder.absolute(), ""
    if there.is_relative_to(home().absolute()):
        how, more = f"set {HOME_VARIABLE} to", "; `hf-transfer-score cache clear` removes the features that are kept"
    elif there.is_relative_to(hub_home().absolute()):
        how, more = "set HF_HOME to", "; `free_disk` removes the weights of each checkpoint once it is scored"
    else:
        how = "set TMPDIR to" if there == Path(tempfile.gettempdir()).absolute() else "name"
    return f"Make room there, or {how} a folder on another disk{more}."


@contextmanager
def room_for(what: str, folder: Path, needed: int | Callable[[], int] = 0) -> Iterator[None]:
    """Turn whatever says that there is no room into one NoSpaceError; see `no_space` for the arguments."""
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
        return
    except AttributeError:  # no such function on this system
        pass
    except OSError as error:
        if error.errno not in NOT_KNOWN:
            raise
    place, end = file.tell(), file.seek(0, os.SEEK_END)
    while end < size:
        end += file.write(bytes(min(BLOCK, size - end)))
    file.flush()
    file.seek(place)


def temporary_name(name: str) -> str:
    """Return a name of this writer's own, hidden, for what is renamed to `name` when it is whole."""
    return f".{name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"


@contextmanager
def whole(path: Path, needed: int = 0) -> Iterator[Path]:
    """Yield a path to write to, which takes the place of a file once the block is done, and is gone if it fails."""
    aside = path.with_name(temporary_name(path.name))
    with room_for(path.name, path.parent, needed):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            aside.replace(path)
        except BaseException:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old or the new content, never a part."""
    with whole(path, len(content)) as aside:
        aside.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file so that readers see the old or the new text, never a part."""
    write_bytes(path, text.encode())


@contextmanager
def alone(path: Path, waiting: Notify = lambda _: None) -> Iterator[None]:
    """Hold the lock of a file for the length of a block, waiting for as long as another process does.

    `waiting` is called once with who holds it, as in "process 123".
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
            with suppress(FileNotFoundError):  # its last holder has taken the name away
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
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


def example_dataset(dataset: Any) -> Path | None:
    """Return the folder of the dataset where its name was given; what is here under that name counts more."""
    return (
        SHIPPED / "dataset" if isinstance(dataset, str) and dataset == EXAMPLE and not Path(EXAMPLE).exists() else None
    )


def example_checkpoints(text: str) -> list[Path]:
    """Return the folders of the checkpoints that are meant: all, one, or none; what is here counts more.

    Example:
        >>> [folder.name for folder in example_checkpoints("example/vit-pretrained")]
        ['vit-pretrained']
        >>> example_checkpoints("owner/model")
        []
    """
    owner, _, name = text.partition("/")
    if owner != EXAMPLE or Path(EXAMPLE).exists():
        return []
    return sorted(one for one in (SHIPPED / "checkpoints").iterdir() if name in ("", one.name))
