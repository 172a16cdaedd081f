"""Which uploads lie in the folder of an app, whose they are, and when they are removed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hf_transfer_score.errors import InputError
from hf_transfer_score.uploads import limits

LATER = "Score what is there, or come back in a few minutes."
SWEEP_SECONDS = 30.0
PREFIX = "uploads-"


@dataclass
class Upload:
    """One file that a visitor sends, or sent.

    Attributes:
        visitor: who sends it: an address.
        path: where it lies, in a folder of its own.
        time: when it began, or arrived.
        size: how many bytes of it were read.
        session: the page that holds it, "" where that is not known.
    """

    visitor: str
    path: Path
    time: float
    size: int = 0
    session: str = ""


@dataclass
class Ledger:
    """All uploads of an app. Each has a folder of its own, so that no two visitors share a file.

    Attributes:
        folder: in which they lie; gradio takes files of the folder around it only.
        clock: tells the time in seconds.
    """

    folder: Path
    clock: Callable[[], float] = time.monotonic
    _uploads: dict[Path, Upload] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, visitor: str, name: str) -> Upload:
        """Return a new upload, with an empty file; InputError where there are too many already."""
        with self._lock:
            mine = sum(one.visitor == visitor for one in self._uploads.values())
            if mine >= limits.VISITOR_FILES or len(self._uploads) >= limits.ALL_FILES:
                raise InputError(
                    f"Too many files wait here for being scored: {limits.VISITOR_FILES} of one visitor and "
                    f"{limits.ALL_FILES:,} of all may. {LATER}"
                )
            upload = Upload(visitor, self.folder / secrets.token_hex(16) / name, self.clock())
            self._uploads[upload.path] = upload
        try:
            upload.path.parent.mkdir(parents=True)
            upload.path.touch()
        except OSError:
            self.release([upload.path])
            raise
        return upload

    def grow(self, upload: Upload, count: int) -> None:
        """Count bytes of an upload before they are written; InputError where they are too many."""
        with self._lock:
            upload.size += count
            mine = sum(one.size for one in self._uploads.values() if one.visitor == upload.visitor)
            total = sum(one.size for one in self._uploads.values())
        if upload.size > limits.FILE_BYTES:
            raise InputError(f"A file may have {_megabytes(limits.FILE_BYTES)} here. Score a smaller sample.")
        if mine > limits.VISITOR_BYTES or total > limits.ALL_BYTES:
            raise InputError(
                f"The files that wait here for being scored are too large: those of one visitor may have "
                f"{_megabytes(limits.VISITOR_BYTES)} together, those of all {_megabytes(limits.ALL_BYTES)}. {LATER}"
            )

    def arrived(self, upload: Upload) -> None:
        """Note that an upload is complete: its time counts from now."""
        upload.time = self.clock()

    def belong(self, session: str, paths: Iterable[str | Path]) -> None:
        """Note which page holds files, so that they go when it is closed."""
        with self._lock:
            for path in paths:
                if (upload := self._uploads.get(Path(path))) is not None:
                    upload.session = session

    def leave(self, session: str) -> None:
        """Remove the files of a page that was closed."""
        if session:
            self._remove(lambda one: one.session == session)

    def release(self, paths: Iterable[str | Path]) -> None:
        """Remove files that were used; what is no upload stays, such as an example."""
        gone = {Path(path) for path in paths}
        self._remove(lambda one: one.path in gone)

    def sweep(self) -> None:
        """Remove what waited too long."""
        before = self.clock() - limits.KEPT_SECONDS
        self._remove(lambda one: one.time < before)

    @property
    def waiting(self) -> tuple[int, int]:
        """How many files there are, arriving ones included, and their bytes."""
        with self._lock:
            return len(self._uploads), sum(one.size for one in self._uploads.values())

    def _remove(self, is_gone: Callable[[Upload], bool]) -> None:
        with self._lock:
            gone = [one for one in self._uploads.values() if is_gone(one)]
            for upload in gone:
                del self._uploads[upload.path]
        for upload in gone:
            shutil.rmtree(upload.path.parent, ignore_errors=True)


def open_ledger(around: str | Path) -> Ledger:
    """Return a ledger with a new folder, which is removed when the program ends, and swept until then.

    What programs left that were killed is removed too.

    Args:
        around: the folder in which gradio keeps files.
    """
    Path(around).mkdir(parents=True, exist_ok=True)
    for left in Path(around).glob(f"{PREFIX}*-*"):
        if _is_left(left):
            shutil.rmtree(left, ignore_errors=True)
    folder = tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=around, ignore_cleanup_errors=True)
    ledger = Ledger(Path(folder.name).resolve())
    threading.Thread(target=_sweep, args=(ledger, folder), name="uploads", daemon=True).start()
    return ledger


def _sweep(ledger: Ledger, folder: object) -> None:
    """Sweep from time to time; holds the folder, so that it is there as long as the program runs."""
    while True:
        time.sleep(SWEEP_SECONDS)
        with contextlib.suppress(OSError):
            ledger.sweep()


def _is_left(folder: Path) -> bool:
    """Return whether the program that made a folder has ended; one that began later may have its number now."""
    import psutil

    try:
        return bool(psutil.Process(int(folder.name.split("-")[1])).create_time() > folder.stat().st_mtime)
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, OSError, ValueError, OverflowError):
        return False


def _megabytes(count: int) -> str:
    return f"{count // limits.MEGABYTE:,} MB"
