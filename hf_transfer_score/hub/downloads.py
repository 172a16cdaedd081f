"""Files onto this computer, those of checkpoints with the content that the Hub names, and what broken downloads left.

What comes with other content is fetched once more, then refused. Of parts that ended half-way the client goes on from
those it can, and the others only take room.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.hub.known import Known
from hf_transfer_score.hub.settings import hub_cache
from hf_transfer_score.hub.words import DAMAGED
from hf_transfer_score.integrity import is_named
from hf_transfer_score.places import home

HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")

OWN = re.compile(r"(?P<blob>.+)\.[0-9a-f]{8}\.incomplete")
"""The name of a part that one process made for itself, so that no other goes on from it."""

STILL_SECONDS = 600.0
"""A part that grew within this time may be at work, whatever its lock says."""

OLD_SECONDS = 24 * 3600.0


def sound_file(repository: str, name: str, commit: str, hashes: Mapping[str, str], size: int | None = None) -> Path:
    """Return a file of a repository on this computer, downloaded where it is not here, with the content it should have.

    Its hash is taken once: a file of the same size and time of change is not read again.

    Args:
        repository: the id on the Hub.
        name: the file.
        commit: the full commit.
        hashes: what the Hub says the hashes of the files are; what it does not say is taken from the cache, which
            names files by them.
        size: the bytes that the Hub says it has.

    Raises:
        CheckpointError: "download" or "corrupt", where it came twice with other content.
        Exception: what the client raises for a file that cannot be downloaded.
    """
    from huggingface_hub import hf_hub_download

    path = Path(hf_hub_download(repository, name, revision=commit))
    if not _is_sound(path, hashes.get(name), size):
        path = Path(hf_hub_download(repository, name, revision=commit, force_download=True))
        if not _is_sound(path, hashes.get(name), size):
            raise _refused(path, name, size)
    return path


def dataset_file(name: str, file: str, commit: str) -> Path | None:
    """Return a file of a dataset on this computer, downloaded where it is not here; None where the dataset has none."""
    from huggingface_hub import errors, hf_hub_download

    try:
        return Path(hf_hub_download(name, file, repo_type="dataset", revision=commit))
    except errors.EntryNotFoundError:
        return None


def _is_sound(path: Path, named: str | None, size: int | None) -> bool:
    real = path.resolve()
    about = real.stat()
    if size is not None and about.st_size != size:
        return False
    named = named or (real.name if real.parent.name == "blobs" and HASH.fullmatch(real.name) else None)
    if named is None:
        return True
    known, question = Known(home() / "checkpoints"), f"content of {real} {about.st_size} {about.st_mtime_ns} is {named}"
    if known.recall(question) is not None:
        return True
    if not is_named(real, named):
        return False
    known.remember(question, {"sound": True})
    return True


def _refused(path: Path, name: str, size: int | None) -> CheckpointError:
    """Remove a file that is not what it should be, and return what to say."""
    came = path.stat().st_size
    for place in {path, path.resolve()}:
        place.unlink(missing_ok=True)
    if size is not None and came != size:
        return CheckpointError("download", f"{name} came with {came:,} bytes of {size:,}; try again")
    return CheckpointError(
        "corrupt",
        f"{name} came twice with other content than the Hub says it has (its hash differs): {DAMAGED}",
    )


def sweep_parts(name: str) -> int:
    """Remove parts of a checkpoint's files that nobody will go on from, and return how many bytes that freed."""
    folder = f"models--{name.replace('/', '--')}"
    cache, freed = hub_cache(), 0
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
