"""Checks the content of files by hashes, and the folders that they may lie in."""

import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDERS_VARIABLE = "HF_TRANSFER_SCORE_FOLDERS"
"""More folders that may hold files of local datasets and checkpoints, separated as in PATH."""

READ_AT_ONCE = 1 << 20
SHA256_LETTERS = 64
SEAL = "checksum"


def is_named(content: bytes | Path, name: str) -> bool:
    """Whether content has a hash from the Hub: 64 digits for sha256, 40 for git's hash of a blob.

    Example:
        >>> is_named(b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
        True
    """
    digest = digest_of(name, len(content) if isinstance(content, bytes) else content.stat().st_size)
    for part in _parts(content):
        digest.update(part)
    return bool(digest.hexdigest() == name.lower())


def blob_id(content: bytes) -> str:
    """Return git's hash of a content, which the Hub gives for each file.

    Example:
        >>> blob_id(b"hello")
        'b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0'
    """
    digest = digest_of("", len(content))
    digest.update(content)
    return str(digest.hexdigest())


def digest_of(name: str, size: int) -> Any:
    """Return a new digest of the same kind as a hash, for content of `size` bytes."""
    if len(name) == SHA256_LETTERS:
        return hashlib.sha256()
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def _parts(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while part := file.read(READ_AT_ONCE):
            yield part


def homes_of(folder: Path) -> tuple[Path, ...]:
    """Return the real folders that may hold the files of a folder: itself, and those that the user names.

    The files of a snapshot in the cache of the Hub are links to its blobs, which are allowed.
    """
    named = [Path(one) for one in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if one]
    homes, real = tuple(one.resolve() for one in (folder, *named)), folder.resolve()
    for place in (real, *real.parents):
        if place.parent.name == "snapshots" and (place.parent.parent / "blobs").is_dir():
            return (*homes, (place.parent.parent / "blobs").resolve())
    return homes


def checksum(path: Path) -> str:
    """Return the checksum of a file."""
    found = 0
    for part in _parts(path):
        found = zlib.crc32(part, found)
    return f"{found:08x}"


def sealed(values: Mapping[str, Any]) -> str:
    """Return values as JSON with a checksum of them.

    Example:
        >>> sealed({"terms": [0.5]})
        '{"terms": [0.5], "checksum": "1426be72"}'
    """
    plain = json.loads(json.dumps(values))
    return json.dumps({**plain, SEAL: _sum_of(plain)})


def unsealed(path: Path) -> dict[str, Any]:
    """Return the values of a sealed file; ValueError if they changed. Files of older versions have no checksum."""
    found = json.loads(path.read_text(encoding="utf-8"))
    values = {name: value for name, value in found.items() if name != SEAL} if isinstance(found, dict) else {}
    if not isinstance(found, dict) or found.get(SEAL) not in (None, _sum_of(values)):
        raise ValueError(f"{path} changed since it was written")
    return values


def _sum_of(values: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(values, sort_keys=True).encode()):08x}"
