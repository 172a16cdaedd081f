"""Whether content is what the Hub says it is: sha256 for large files, git's own hash for small ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

READ_AT_ONCE = 1 << 20
SHA256_LETTERS = 64


def is_named(content: bytes | Path, name: str) -> bool:
    """Whether content has the hash that the Hub names it by: 64 letters for sha256, 40 for git's hash of a blob.

    Example:
        >>> is_named(b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
        True
    """
    large = len(name) == SHA256_LETTERS
    digest = hashlib.sha256() if large else hashlib.sha1(b"blob %d\0" % _size(content), usedforsecurity=False)
    for part in _parts(content):
        digest.update(part)
    return digest.hexdigest() == name.lower()


def _size(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _parts(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while part := file.read(READ_AT_ONCE):
            yield part
