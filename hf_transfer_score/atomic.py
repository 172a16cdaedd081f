"""Writing so that a file is whole or absent, whatever happens on the way."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hf_transfer_score.disk import room_for


def temporary_name(name: str) -> str:
    """Return a name of this writer's own, hidden, for what is renamed to `name` when it is whole."""
    return f".{name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"


@contextmanager
def whole(path: Path, needed: int = 0) -> Iterator[Path]:
    """Yield a path to write to, which takes the place of a file once the block is done, and is gone if it fails.

    Args:
        path: the file.
        needed: its bytes, for the message, where they are known.

    Raises:
        NoSpaceError: there is no room in its folder.
    """
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
