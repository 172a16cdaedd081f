"""Keeps account of the uploads of an app and removes them; parses upload forms."""

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
    """One file of a visitor."""

    visitor: str  # the visitor's address
    path: Path  # its path, in a folder of its own
    time: float  # when it started, or arrived
    size: int = 0  # bytes that were read so far
    session: str = ""  # the page that holds it, "" if unknown


@dataclass
class Ledger:
    """All uploads of an app. Each has a folder of its own, so that no two visitors share a file.

    Gradio only accepts files within the parent of the ledger's folder.
    """

    folder: Path
    clock: Callable[[], float] = time.monotonic
    _uploads: dict[Path, Upload] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, visitor: str, name: str) -> Upload:
        """Return a new upload with an empty file; raises InputError if there are too many."""
        with self._lock:
            mine = sum(one.visitor == visitor for one in self._uploads.values())
            if mine >= limits.VISITOR_FILES or len(self._uploads) >= limits.ALL_FILES:
                raise InputError(
                    f"Too many files wait here to be scored: at most {limits.VISITOR_FILES} of one visitor and "
                    f"{limits.ALL_FILES:,} of all visitors. {LATER}"
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
        """Count bytes of an upload before they are written; raises InputError if they are too many."""
        with self._lock:
            upload.size += count
            mine = sum(one.size for one in self._uploads.values() if one.visitor == upload.visitor)
            total = sum(one.size for one in self._uploads.values())
        if upload.size > limits.FILE_BYTES:
            raise InputError(f"A file may have at most {_megabytes(limits.FILE_BYTES)}. Score a smaller sample.")
        if mine > limits.VISITOR_BYTES or total > limits.ALL_BYTES:
            raise InputError(
                f"The files that wait here to be scored are too large: those of one visitor may have "
                f"{_megabytes(limits.VISITOR_BYTES)} together, those of all {_megabytes(limits.ALL_BYTES)}. {LATER}"
            )

    def arrived(self, upload: Upload) -> None:
        """Note that an upload is complete: its time counts from now."""
        upload.time = self.clock()

    def belong(self, session: str, paths: Iterable[str | Path]) -> None:
        """Note which page holds files, so that they are removed when it is closed."""
        with self._lock:
            for path in paths:
                if (upload := self._uploads.get(Path(path))) is not None:
                    upload.session = session

    def leave(self, session: str) -> None:
        """Remove the files of a page that was closed."""
        if session:
            self._remove(lambda one: one.session == session)

    def release(self, paths: Iterable[str | Path]) -> None:
        """Remove used files; files that are not uploads, such as examples, stay."""
        gone = {Path(path) for path in paths}
        self._remove(lambda one: one.path in gone)

    def sweep(self) -> None:
        """Remove uploads that waited too long."""
        before = self.clock() - limits.KEPT_SECONDS
        self._remove(lambda one: one.time < before)

    @property
    def waiting(self) -> tuple[int, int]:
        """Number of files, including arriving ones, and their bytes."""
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
    """Return a ledger with a new folder below gradio's, which is swept until the program ends, and then removed.

    Folders of killed programs are removed first.
    """
    Path(around).mkdir(parents=True, exist_ok=True)
    for other in Path(around).glob(f"{PREFIX}*-*"):
        if _is_abandoned(other):
            shutil.rmtree(other, ignore_errors=True)
    folder = tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=around, ignore_cleanup_errors=True)
    ledger = Ledger(Path(folder.name).resolve())
    threading.Thread(target=_sweep, args=(ledger, folder), name="uploads", daemon=True).start()
    return ledger


def _sweep(ledger: Ledger, folder: object) -> None:
    """Sweep regularly; the reference to the temporary folder keeps it alive."""
    while True:
        time.sleep(SWEEP_SECONDS)
        with contextlib.suppress(OSError):
            ledger.sweep()


def _is_abandoned(folder: Path) -> bool:
    """Return whether the program that made a folder has ended; a later one may have its process id now."""
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
    """A form is invalid, or holds something other than files."""


class Form:
    """The parser of one upload form; at the end of its `with` block, the files of an incomplete form are removed."""

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
        """Parse the next bytes; raises FormError for an invalid form, InputError for too many files or bytes."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise FormError(f"The form cannot be read ({error}).") from None

    def finish(self) -> list[Path]:
        """Return the paths of the files after the last bytes."""
        if not self._is_complete or not self.uploads:
            raise FormError("The form is incomplete.")
        for upload in self.uploads:
            self.ledger.arrived(upload)
        self._is_kept = True
        return [upload.path for upload in self.uploads]

    def __enter__(self) -> Form:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the files of an incomplete form."""
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
    r"""Return the name of an uploaded file without folders and special characters.

    Example:
        >>> [safe_name(name) for name in ("a b.npz", "../../etc/passwd", "c:\\x\\y.npz", "..", "\x00.npz")]
        ['a b.npz', 'passwd', 'y.npz', 'file', 'file.npz']
    """
    own = PurePosixPath(name.replace("\\", "/")).name
    plain = "".join(one for one in own if one.isprintable() and one not in '<>:"|?*').strip(" ")
    stem, ending = PurePosixPath(f"_{plain}").stem[1:], PurePosixPath(f"_{plain}").suffix
    return f"{stem.strip('. ')[:LONGEST_NAME] or 'file'}{ending[:LONGEST_ENDING]}"
