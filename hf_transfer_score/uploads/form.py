"""A form of files, written to the ledger's folder while it arrives: its size counts before it is kept anywhere."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import IO, Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from hf_transfer_score.uploads.ledger import Ledger, Upload

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
        """Take the next bytes.

        Raises:
            FormError: the form is broken, or holds something else than files.
            InputError: there are too many files or bytes.
        """
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
