"""Files of datasets on the Hub with the content that the Hub says they have."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from hf_transfer_score.disk import room_for
from hf_transfer_score.errors import DatasetError, UnreadableError
from hf_transfer_score.hub.words import DAMAGED
from hf_transfer_score.integrity import READ_AT_ONCE, digest_of
from hf_transfer_score.parquet_pages import chunks_of

SMALL_BYTES = 4 * 1024 * 1024
"""A file of no more bytes is fetched whole, whatever is read of it."""

WHOLE_BYTES = 256 * 1024 * 1024
"""A file of more bytes is read in parts, which cannot be held to the hash of the whole."""

MEMORY_BYTES = 64 * 1024 * 1024
"""A file of more bytes waits on the disk for its reader."""

ATTEMPTS = 2
"""How often a file is fetched whose content is not what the Hub says."""


def open_named(open_file: Callable[[], Any], whole: Callable[[Any], bool]) -> Any:
    """Return an open file; one on the Hub is fetched whole, and again where its hash is not what the Hub says.

    Args:
        open_file: opens it, by `datasets` or on this computer.
        whole: whether a file on the Hub is to be fetched whole; one that is not is returned as it was opened.
    """
    for _ in range(ATTEMPTS):
        file = open_file()
        name = _hash_of(file)
        if name is None or not whole(file):
            return file
        with file:
            copy, found = _copied(file, name)
        if found == name:
            return copy
        copy.close()
    raise DatasetError(
        f"the file {file.path!r} came {ATTEMPTS} times with other content than the Hub says it has: {DAMAGED}."
    )


def is_mostly_read(file: Any, columns: Sequence[str] | None) -> bool:
    """Whether at least half of a file on the Hub is read, so that to fetch it whole costs little.

    Args:
        file: it.
        columns: what is read of a Parquet file, nothing where only types are; None where all of a file is read.
    """
    if file.size <= SMALL_BYTES or file.size > WHOLE_BYTES or not columns:
        return bool(file.size <= (SMALL_BYTES if columns == () else WHOLE_BYTES))
    try:
        read = sum(one.stop - one.start for one in chunks_of(file) if one.is_in(set(columns)))
    except UnreadableError:  # whoever reads it says why
        return True
    finally:
        file.seek(0)
    return bool(2 * read >= file.size)


def _hash_of(file: Any) -> str | None:
    """Return the hash that the Hub names an open file by, None where it says none or the file is elsewhere."""
    details = getattr(file, "details", None)
    if not isinstance(details, Mapping):
        return None
    large = details.get("lfs")
    if large is not None:
        return str(large["sha256"] if isinstance(large, Mapping) else large.sha256)
    return details.get("blob_id")


def _copied(file: Any, name: str) -> tuple[IO[bytes], str]:
    """Return the content of a file on the Hub in one without a name, and its hash of the kind of another."""
    copy: IO[bytes] = io.BytesIO() if file.size <= MEMORY_BYTES else tempfile.TemporaryFile()  # noqa: SIM115
    digest = digest_of(name, file.size)
    with room_for(f"the file {file.path}", Path(tempfile.gettempdir())):
        while part := file.read(READ_AT_ONCE):
            copy.write(part)
            digest.update(part)
    copy.seek(0)
    return copy, digest.hexdigest()
