"""Writing so that a file is whole or absent, whatever happens on the way."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def temporary_name(name: str) -> str:
    """Return a name of this writer's own, hidden, for what is renamed to `name` when it is whole."""
    return f".{name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which takes the place of a file once the block is done, and is gone if it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(temporary_name(path.name))
    try:
        yield aside
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old or the new content, never a part."""
    with whole(path) as aside:
        aside.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file so that readers see the old or the new text, never a part."""
    with whole(path) as aside:
        aside.write_text(text, encoding="utf-8")
