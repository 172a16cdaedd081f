"""What the pages of a Parquet file say that they become, page by page; its footer may say anything.

A footer is written once for all, and readers trust it. What they take in memory is said by the head of each page, in
front of a few bytes that may stand for gigabytes. No library shows these heads, so they are read here: both are values
of Thrift's compact protocol.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_transfer_score.errors import UnreadableError

MAGIC = b"PAR1"
NO_PARQUET = "It is no Parquet file, or its footer is damaged."
MOST_FOOTER, MOST_PAGES, MOST_VALUES = 64_000_000, 1_000_000, 20_000_000
"""Bytes of a footer, pages of a file, and values in a head or footer; a table of ten thousand columns has a tenth."""

NESTING = 20
WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8, 6: 16}
"""Bytes of a value in memory by its physical type; texts have their letters besides."""

TEXT, FIXED = 6, 7
DELTA_BYTE_ARRAY = 7
"""An encoding in which each text may repeat all of the one before it."""

DATA_PAGE, DATA_PAGE_2 = 0, 3
STOP, TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12


@dataclass(frozen=True)
class Chunk:
    """A part of a column.

    Attributes:
        name: of the column at the top of the schema.
        kind: the physical type.
        width: bytes of a value in memory, without the letters of texts.
        claimed: bytes that it becomes by the footer.
        start: where its pages begin.
        stop: where they end.
    """

    name: str
    kind: int
    width: int
    claimed: int
    start: int
    stop: int


def chunks_of(path: Path) -> list[Chunk]:
    """Return the parts of columns that the footer of a file names; UnreadableError where it is no Parquet file."""
    with _content(path) as content:
        return list(_chunks(content))


def expanded_bytes(path: Path, chunks: Iterable[Chunk]) -> int:
    """Return how many bytes parts of columns become, as their pages or the footer say; of texts that repeat, once.

    Raises:
        UnreadableError: the pages are not where the footer says.
    """
    with _content(path) as content:
        return sum(max(chunk.claimed, taken) for chunk, taken in _taken(content, chunks))


@contextmanager
def _content(path: Path) -> Iterator[mmap.mmap]:
    """Map a file; whatever its bytes make of reading them is one kind of error."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content
    except UnreadableError:
        raise
    except (struct.error, IndexError, KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise UnreadableError(NO_PARQUET) from error


def _taken(content: mmap.mmap, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, int]]:
    """Yield parts of columns with what their pages take."""
    count = 0
    for chunk in chunks:
        taken = 0
        for head in _heads(content, chunk):
            taken += _page_bytes(head, chunk)
            count += 1
            if count > MOST_PAGES:
                raise UnreadableError(f"It has more than {MOST_PAGES:,} pages.")
        yield chunk, taken


def _heads(content: mmap.mmap, chunk: Chunk) -> Iterator[dict[int, Any]]:
    """Yield the head of each page of a part of a column."""
    place = chunk.start
    while place < chunk.stop:
        reader = _Reader(content, place)
        head = reader.structure()
        if head[2] < 0 or head[3] < 0:
            raise UnreadableError("It has a page of less than no bytes.")
        yield head
        place = reader.place + head[3]


def _page_bytes(head: dict[int, Any], chunk: Chunk) -> int:
    size = int(head[2])
    if head[1] not in (DATA_PAGE, DATA_PAGE_2):
        return size
    about = head[5 if head[1] == DATA_PAGE else 8]
    values = int(about[1])
    encoding = about.get(4 if head[1] == DATA_PAGE_2 else 2)
    if encoding == DELTA_BYTE_ARRAY and chunk.kind in (TEXT, FIXED):
        return max(values, 1) * size
    return max(values * chunk.width, size)


def _chunks(content: mmap.mmap) -> Iterator[Chunk]:
    """Yield the parts of columns that a footer names."""
    size = len(content)
    length = struct.unpack("<I", content[-8:-4])[0] if size >= 12 else 0
    if content[-4:] != MAGIC or not 0 < length <= min(size - 8, MOST_FOOTER):
        raise UnreadableError(NO_PARQUET)
    footer = _Reader(content[-8 - length : -8]).structure()
    widths = _widths(footer[2])
    for group in footer[4]:
        for one in group[1]:
            yield _chunk(one[3], widths, size)


def _widths(schema: list[dict[int, Any]]) -> list[int]:
    """Return the widths of the values of columns, in order, as the schema has those of fixed width."""
    return [WIDTHS.get(one[1], one.get(2, 0)) for one in schema if not one.get(5)]


def _chunk(about: dict[int, Any], widths: list[int], size: int) -> Chunk:
    start = about[9] if not 0 < about.get(11, 0) < about[9] else about[11]
    stop = start + about[7]
    if not (0 <= start <= stop <= size):
        raise UnreadableError("It has pages outside the file.")
    kind = about[1]
    width = max([8, *widths]) if kind == FIXED else WIDTHS[kind]
    claimed = max(about[5] * width, about[6])
    return Chunk(about[3][0].decode("utf-8", "replace"), kind, width, claimed, start, stop)


class _Reader:
    """Reads values of Thrift's compact protocol: structures as numbered fields."""

    def __init__(self, content: bytes | mmap.mmap, place: int = 0) -> None:
        self.content, self.place, self.count = content, place, 0

    def structure(self, depth: int = 0) -> dict[int, Any]:
        """Return the fields of a structure by number."""
        found, number = {}, 0
        while (head := self._byte()) & 15 != STOP:
            number = number + (head >> 4) if head >> 4 else self._signed()
            found[number] = self._value(head & 15, depth + 1)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        self.count += 1
        if depth > NESTING or self.count > MOST_VALUES:
            raise UnreadableError("Its footer is nested too deeply, or holds too much.")
        if kind in (TRUE, FALSE):
            return kind == TRUE
        if kind in (LIST, SET):
            return self._list(depth)
        if kind == STRUCT:
            return self.structure(depth)
        if kind == BINARY:
            return self._bytes(self._unsigned())
        if kind == DOUBLE:
            return struct.unpack("<d", self._bytes(8))[0]
        if kind == BYTE:
            return self._byte()
        if kind > DOUBLE:
            raise UnreadableError(NO_PARQUET)
        return self._signed()

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        count = self._unsigned() if head >> 4 == 15 else head >> 4
        if count > len(self.content) - self.place:
            raise UnreadableError(NO_PARQUET)
        if head & 15 in (TRUE, FALSE):
            return [self._byte() == TRUE for _ in range(count)]
        return [self._value(head & 15, depth + 1) for _ in range(count)]

    def _bytes(self, count: int) -> bytes:
        found = self.content[self.place : self.place + count]
        if len(found) < count:
            raise UnreadableError("It breaks off.")
        self.place += count
        return found

    def _byte(self) -> int:
        self.place += 1
        return self.content[self.place - 1]

    def _unsigned(self) -> int:
        found = self._byte()
        if found < 128:
            return found
        found, shift = found & 127, 7
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return found
            if shift > 63:
                raise UnreadableError(NO_PARQUET)

    def _signed(self) -> int:
        found = self._unsigned()
        return (found >> 1) ^ -(found & 1)
