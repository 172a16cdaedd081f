"""Local folders and the shipped example, atomic writes, full disks, and locks between processes.

A file that is only extended has holes. On a full disk, writing into one through a memory map kills the process with
SIGBUS, without a message; so the space of a mapped file is allocated first.

Locks are file locks of the operating system: however a process ends, kill -9 included, only an unlocked file is left.
On file systems without locks nobody waits: the same work may then be done twice, but each result is complete.
"""

import errno
import os
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from hf_transfer_score.errors import NoSpaceError, OptionError, TransferScoreError, chain, closest

HOME_VARIABLE = "HF_TRANSFER_SCORE_HOME"
LIMIT_VARIABLE = "HF_TRANSFER_SCORE_CACHE_SIZE"
DEFAULT_LIMIT = 20 * 10**9  # bytes of features that are kept by default

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota on that disk is used up",
    errno.EFBIG: "files there may not become that large (see `ulimit -f`)",
}
SAID = {"No space left on device": errno.ENOSPC, "Disk quota exceeded": errno.EDQUOT, "File too large": errno.EFBIG}
"""Messages of libraries that drop the error number."""

CANNOT_ALLOCATE = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors of file systems that cannot allocate space in advance."""

BLOCK = 1 << 20

LOOK_SECONDS = 0.1  # between two attempts to take a lock that another process holds
HELD = (BlockingIOError, PermissionError)  # raised where another process holds a lock

Notify = Callable[[str], None]

EXAMPLE = "example"
"""Name of the shipped dataset, and of all shipped checkpoints together; one of them is `example/NAME`."""

MOST_BESIDE = 1000
"""Names in a folder that are compared with a misspelt one."""

EXAMPLE_CAUTION = "this is a toy example: its results are no evidence for or against any metric"
SHIPPED = Path(__file__).parent / "shipped" / EXAMPLE


def home() -> Path:
    """Return the folder of samples, features and checkpoint descriptions.

    It is HF_TRANSFER_SCORE_HOME, or else `transfer_score` in HF_HOME (by default ~/.cache/huggingface).
    """
    if os.environ.get(HOME_VARIABLE):
        return Path(os.environ[HOME_VARIABLE]).expanduser()
    return hub_home() / "transfer_score"


def hub_home() -> Path:
    """Return the folder where the Hub's clients keep downloads: HF_HOME, or ~/.cache/huggingface."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or f"{cache}/huggingface").expanduser()


def cache_limit() -> int:
    """Return how many bytes of features are kept; HF_TRANSFER_SCORE_CACHE_SIZE may say "500M" or "20GB"."""
    text = os.environ.get(LIMIT_VARIABLE)
    return parse_bytes(text) if text else DEFAULT_LIMIT


def parse_bytes(text: str) -> int:
    """Parse a number of bytes.

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
    """Return the error number if an exception, or one of its causes, means that there is no space; else None."""
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
    """Return the error for a write of, say, "the features of a/b" without enough space; at least `needed` bytes.

    The folder of a file that the exception names replaces `folder`.
    """
    reason = FULL[fullness(error) or errno.ENOSPC]
    for one in chain(error):
        name = getattr(one, "filename", None)
        if isinstance(one, OSError) and fullness(one) and isinstance(name, str) and Path(name).is_absolute():
            folder = Path(name).parent
            break
    free = free_bytes(folder)
    figures = [f"at least {needed:,} bytes are needed"] if needed > 0 else []
    figures += [] if free is None else [f"{free:,} are free"]
    known = f" ({', '.join(figures)})" if figures else ""
    return NoSpaceError(f"There is no room for {what} in {folder}: {reason}{known}. {remedy(folder)}")


def free_bytes(folder: Path) -> int | None:
    """Return how many bytes are free where a folder is or would be created; None if unknown."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def remedy(folder: Path) -> str:
    """Return what to do about a folder without space."""
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
    """Turn every exception that means a full disk into NoSpaceError; see `no_space` for the arguments."""
    try:
        yield
    except TransferScoreError:
        raise
    except Exception as error:
        if fullness(error) is None:
            raise
        raise no_space(error, what, folder, needed() if callable(needed) else needed) from error


def reserve(file: BinaryIO, size: int) -> None:
    """Allocate `size` bytes for a file, writing zeros where the system cannot, or raise OSError."""
    if size <= 0:
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
        return
    except AttributeError:  # not on this system
        pass
    except OSError as error:
        if error.errno not in CANNOT_ALLOCATE:
            raise
    place, end = file.tell(), file.seek(0, os.SEEK_END)
    while end < size:
        end += file.write(bytes(min(BLOCK, size - end)))
    file.flush()
    file.seek(place)


def temporary_name(name: str) -> str:
    """Return a unique hidden name for a file that is renamed to `name` when it is complete."""
    return f".{name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"


@contextmanager
def whole(path: Path, needed: int = 0) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` at the end of the block, or is removed if the block fails."""
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
    """Write a file atomically."""
    with whole(path, len(content)) as aside:
        aside.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_bytes(path, text.encode())


def check_folder(folder: Path | None) -> None:
    """Refuse a file where a folder is written."""
    if folder is not None and folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is a file; name a folder.")


def make_folder(folder: Path) -> None:
    """Make a folder of samples or features; one that cannot be written is an OptionError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        if fullness(error) is not None:
            raise
        why = error.strerror or type(error).__name__
        raise OptionError(
            f"The folder {folder}, for samples and features, cannot be written ({why}). Set {HOME_VARIABLE} to another "
            "folder."
        ) from None


@contextmanager
def alone(path: Path, waiting: Notify = lambda _: None) -> Iterator[None]:
    """Hold a file lock during a block, after waiting for any other process that holds it.

    `waiting` is called once with the holder, such as "process 123".
    """
    file = _wait(path, waiting)
    try:
        yield
    finally:
        if file is not None:
            with suppress(OSError):
                path.unlink()  # while it is held: waiting processes see that the name is gone, and create a new file
            file.close()


def _wait(path: Path, waiting: Notify) -> FileIO | None:
    """Return the locked file, None where the file system has no locks."""
    told = ""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b", buffering=0)
        except OSError:
            return None
        try:
            _lock(file)
            with suppress(FileNotFoundError):  # its last holder has removed the name
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    with suppress(OSError):  # on a full disk the holder stays unknown
                        file.truncate(0)
                        file.write(f"{os.getpid()} {socket.gethostname()}".encode())
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

        file.seek(1 << 20)  # beyond the name of the holder, which others read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(file: FileIO) -> str:
    with suppress(OSError, ValueError):
        file.seek(0)
        number, host = file.read(500).decode().split(" ", 1)
        where = "" if host == socket.gethostname() else f" on {host}"
        return f"process {int(number)}{where}"
    return "another process"


def example_dataset(dataset: Any) -> Path | None:
    """Return the folder of the shipped dataset if it is meant; a local file or folder of that name has precedence."""
    is_meant = isinstance(dataset, str) and dataset == EXAMPLE and not Path(EXAMPLE).exists()
    return SHIPPED / "dataset" if is_meant else None


def near_name(name: str, cached: Iterable[str] = ()) -> str:
    """Return " Did you mean 'x'?" for the dataset, folder or file whose name is closest to one that does not exist.

    Args:
        name: what does not exist.
        cached: ids of the Hub that are on this computer.

    Example:
        >>> near_name("exampel"), near_name("example/vit-pretraned")
        (" Did you mean 'example'?", " Did you mean 'example/vit-pretrained'?")
    """
    path, prefix = Path(name), "./" if name.startswith("./") else ""
    try:
        inside = path.expanduser().parent.iterdir()
        known = {one.name: f"{prefix}{path.parent / one.name}" for one in islice(inside, MOST_BESIDE)}
    except (OSError, RuntimeError, ValueError):  # also a name that is too long, or an unknown home
        known = {}
    if path.parent.name == EXAMPLE:
        known |= {one.name: f"{EXAMPLE}/{one.name}" for one in example_checkpoints(EXAMPLE)}
    if "/" not in name:
        known[EXAMPLE] = EXAMPLE
    known = {one.rpartition("/")[2]: one for one in cached} | known
    near = closest(path.name, sorted(one for one in known if known[one] != name))
    return f" Did you mean {known[near]!r}?" if near else ""


def example_checkpoints(text: str) -> list[Path]:
    """Return the folders of the shipped checkpoints that are meant; a local folder `example` has precedence.

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
