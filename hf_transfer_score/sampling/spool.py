"""Rows that may still be drawn, in a file of their own: only their places are in memory."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import IO, Any, NamedTuple

LEAST_GARBAGE = 64 * 1024 * 1024
"""Bytes of dropped rows below which the file is not written anew."""


class Slot(NamedTuple):
    """Where a row lies in the file."""

    offset: int
    length: int


class Spool:
    """Rows of plain values and bytes, kept outside memory until they are dropped.

    Example:
        >>> with Spool() as spool:
        ...     row = spool.put([b"bytes", "text", ["some", "words"]])
        ...     spool.get(row)
        [b'bytes', 'text', ['some', 'words']]
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._slots: dict[int, Slot] = {}
        self._file = self._new_file()
        self._end = self._live = self._next = 0

    def _new_file(self) -> IO[bytes]:
        return tempfile.TemporaryFile(dir=self.folder)

    def __enter__(self) -> Spool:
        """Return the spool."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the file."""
        self._file.close()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._end

    def put(self, values: list[Any]) -> int:
        """Keep a row, and return its number."""
        content = _pack(values)
        self._slots[self._next] = Slot(self._end, len(content))
        self._append(self._file, content)
        self._next += 1
        return self._next - 1

    def _append(self, file: IO[bytes], content: bytes) -> None:
        file.seek(self._end)
        file.write(content)
        self._end += len(content)
        self._live += len(content)

    def get(self, number: int) -> list[Any]:
        """Return a row."""
        return _unpack(self._read(self._file, self._slots[number]))

    def _read(self, file: IO[bytes], slot: Slot) -> bytes:
        file.seek(slot.offset)
        return file.read(slot.length)

    def drop(self, number: int) -> None:
        """Forget a row; its room is won back once half of the file is garbage."""
        self._live -= self._slots.pop(number).length
        if self._end - self._live > max(LEAST_GARBAGE, self._live):
            self._compact()

    def _compact(self) -> None:
        old, self._file = self._file, self._new_file()
        self._end = self._live = 0
        with old:
            for number, slot in list(self._slots.items()):
                self._slots[number] = Slot(self._end, slot.length)
                self._append(self._file, self._read(old, slot))


def _pack(values: list[Any]) -> bytes:
    blobs = [value for value in values if isinstance(value, bytes)]
    plain = [{"bytes": len(value)} if isinstance(value, bytes) else value for value in values]
    head = json.dumps(plain).encode()
    return len(head).to_bytes(8, "little") + head + b"".join(blobs)


def _unpack(content: bytes) -> list[Any]:
    start = 8 + int.from_bytes(content[:8], "little")
    values: list[Any] = []
    for value in json.loads(content[8:start]):
        if isinstance(value, dict) and "bytes" in value:
            values.append(content[start : start + value["bytes"]])
            start += value["bytes"]
        else:
            values.append(value)
    return values
