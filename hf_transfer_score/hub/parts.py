"""Parts of downloads that ended half-way: the client goes on from those it can, and the others only take room."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path

OWN = re.compile(r"(?P<blob>.+)\.[0-9a-f]{8}\.incomplete")
"""The name of a part that one process made for itself, so that no other goes on from it."""

STILL_SECONDS = 600.0
"""A part that grew within this time may be at work, whatever its lock says."""

OLD_SECONDS = 24 * 3600.0


def sweep_parts(name: str) -> int:
    """Remove parts of a checkpoint's files that nobody will go on from, and return how many bytes that freed."""
    from huggingface_hub import constants

    folder = f"models--{name.replace('/', '--')}"
    cache, freed = Path(constants.HF_HUB_CACHE), 0
    for part in (cache / folder / "blobs").glob("*.incomplete"):
        with suppress(OSError):
            stat = part.stat()
            if _is_left(part, time.time() - stat.st_mtime, cache / ".locks" / folder):
                part.unlink()
                freed += stat.st_size
    return freed


def _is_left(part: Path, age: float, locks: Path) -> bool:
    """Whether nobody goes on from a part: it is a dead process's own, or old and of another client."""
    own = OWN.fullmatch(part.name)
    if own is None:
        return age > OLD_SECONDS and not _resumes()
    return age > OLD_SECONDS or (age > STILL_SECONDS and not _is_locked(locks / f"{own['blob']}.lock"))


def _resumes() -> bool:
    """Whether this client goes on from parts of others: those that name each part anew do not."""
    from huggingface_hub import file_download

    move = getattr(file_download, "_download_to_tmp_and_move", None)
    return move is not None and "uuid4" not in move.__code__.co_names


def _is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a download."""
    try:
        import fcntl
    except ImportError:
        return path.exists()
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
