"""Which uploads lie in the folder of an app, whose they are, when they are removed, and how a form of them arrives."""

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
from pathlib import Path, PurePosixPath
from typing import IO, Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

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

    Gradio takes files of the folder around that of the ledger only.
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
    """Return a ledger with a new folder in the one where gradio keeps files; it is swept until the program ends.

    Then it is removed, and so is now what programs left that were killed.
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


MOST_HEADER_BYTES = 8192
LONGEST_NAME, LONGEST_ENDING = 50, 13
FIELD = "files"


class FormError(Exception):
    """A form is broken, or holds something else than files."""


class Form:
    """One form of a visitor; in a `with` block, its files go where it does not come to its end.

    Attributes:
        uploads: its files as far as they have arrived.
    """

    def __init__(self, content_type: str, ledger: Ledger, visitor: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= 200:
            raise FormError("Expected a form with files.")
        self.ledger, self.visitor = ledger, visitor
        self.uploads: list[Upload] = []
        self._file: IO[bytes] | None = None
        self._begin()
        self._is_complete = self._is_kept = False
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._read_header(data[start:end], name=True),
            "on_header_value": lambda data, start, end: self._read_header(data[start:end], name=False),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": lambda data, start, end: self._write(data[start:end]),
            "on_part_end": self._close,
            "on_end": self._end,
        }
        self._parser = MultipartParser(boundary, callbacks)

    def write(self, data: bytes) -> None:
        """Take the next bytes: FormError for what is no form of files, InputError for too many files or bytes."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise FormError(f"The form cannot be read ({error}).") from None

    def finish(self) -> list[Path]:
        """Return the paths of the files once all has been written."""
        if not self._is_complete or not self.uploads:
            raise FormError("The form is cut short.")
        for upload in self.uploads:
            self.ledger.arrived(upload)
        self._is_kept = True
        return [upload.path for upload in self.uploads]

    def __enter__(self) -> Form:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what has arrived of a form that did not come to its end."""
        try:
            self._close()
        finally:
            if not self._is_kept:
                self.ledger.release([upload.path for upload in self.uploads])

    def _begin(self) -> None:
        self._header = self._value = self._disposition = b""
        self._header_bytes = 0

    def _read_header(self, data: bytes, *, name: bool) -> None:
        self._header_bytes += len(data)
        if self._header_bytes > MOST_HEADER_BYTES:
            raise FormError("The form has headers that are too long.")
        if name:
            self._header += data
        else:
            self._value += data

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"filename" not in options or options.get(b"name") != FIELD.encode():
            raise FormError("Only files are taken here.")
        upload = self.ledger.begin(self.visitor, safe_name(options[b"filename"].decode("utf-8", "replace")))
        self.uploads.append(upload)
        self._file = upload.path.open("wb")

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        self.ledger.grow(self.uploads[-1], len(data))
        self._file.write(data)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _end(self) -> None:
        self._is_complete = True


def safe_name(name: str) -> str:
    r"""Return a file's own name, without what a file system or a terminal takes for something else.

    Example:
        >>> [safe_name(name) for name in ("a b.npz", "../../etc/passwd", "c:\\x\\y.npz", "..", "\x00.npz")]
        ['a b.npz', 'passwd', 'y.npz', 'file', 'file.npz']
    """
    own = PurePosixPath(name.replace("\\", "/")).name
    plain = "".join(one for one in own if one.isprintable() and one not in '<>:"|?*').strip(" ")
    stem, ending = PurePosixPath(f"_{plain}").stem[1:], PurePosixPath(f"_{plain}").suffix
    return f"{stem.strip('. ')[:LONGEST_NAME] or 'file'}{ending[:LONGEST_ENDING]}"
