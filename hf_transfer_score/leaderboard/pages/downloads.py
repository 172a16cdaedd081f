"""Files for visitors to download, which do not pile up."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from functools import cache
from pathlib import Path

KEPT_SECONDS = 600.0


def download_file(name: str, text: str) -> Path:
    """Return a file with a text; it is removed when it is ten minutes old and others are made.

    Args:
        name: of the file, as it is saved.
        text: its content.
    """
    root = Path(_folder().name)
    for folder in root.iterdir():
        if time.time() - folder.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
    folder = root / hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    folder.mkdir(exist_ok=True)
    aside = folder / f".{time.time_ns()}"
    aside.write_text(text, encoding="utf-8", newline="")
    aside.replace(folder / name)
    return folder / name


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed when the program ends."""
    return tempfile.TemporaryDirectory(prefix="board-downloads-")
