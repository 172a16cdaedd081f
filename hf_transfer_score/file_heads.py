"""Checks the headers of .safetensors and Parquet files before a library opens the file.

Only the page headers of a Parquet file tell how many bytes it expands to: readers allocate what they say, and the sizes
in the footer may be forged. No library exposes these headers, so they are read here. Footer and page headers are
structures of Thrift's compact protocol. They are parsed strictly: anything that another reader could interpret
differently is refused, since that reader would find other pages than the ones counted here.
"""

import mmap
import struct
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import IO, Any

from hf_transfer_score.errors import UnreadableError
from hf_transfer_score.untrusted import HEADER_BYTES, HEADER_ENTRIES, LARGEST, Limits, parse_json

HEADER = Limits(size=HEADER_BYTES, depth=4, values=20 * HEADER_ENTRIES, letters=HEADER_BYTES)

ODD_WIDTHS = {"BOOL": 1, "BF16": 2, "C64": 8}
"""Bytes of a number, for kinds whose names do not end in their number of bits."""

LONGEST_SHAPE = 64


class CutShortError(UnreadableError):
    """A file does not have the length that its header says."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a header: the kind of its numbers, such as "F32", its shape, and where its bytes start and end."""

    kind: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file by name; only its header is read.

    Raises CutShortError if the file does not have the length that the header says, UnreadableError for any other
    invalid header.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = int.from_bytes(head, "little")
        if head == b"version ":
            raise UnreadableError("It is only a pointer of Git LFS: `git lfs pull` downloads the file.")
        if size < 8 or (length > HEADER_BYTES and length > size - 8):
            raise UnreadableError("It is not a safetensors file.")
        if length > HEADER_BYTES:
            raise UnreadableError(
                f"Its header would have {length:,} bytes, more than the {HEADER_BYTES:,} of any real one."
            )
        if length > size - 8:
            raise CutShortError(f"It has {size:,} bytes where its header says {8 + length:,}.")
        content = parse_json(file.read(length), what="its header", limit=HEADER, lenient=True)
    if not isinstance(content, dict):
        raise UnreadableError("Its header is damaged.")
    named = {name: about for name, about in content.items() if name != "__metadata__"}
    if len(named) > HEADER_ENTRIES:
        raise UnreadableError(f"It has {len(named):,} arrays, more than the {HEADER_ENTRIES:,} that are read.")
    found, end = {name: _tensor(name, about) for name, about in named.items()}, 0
    for one in sorted(found.values(), key=lambda tensor: (tensor.start, tensor.end)):
        if one.start != end:
            raise UnreadableError("Its header is damaged: tensors share bytes, or leave some out.")
        end = one.end
    if size != 8 + length + end:
        raise CutShortError(f"It has {size:,} bytes where its header says {8 + length + end:,}.")
    return found


def _tensor(name: str, about: Any) -> Tensor:
    try:
        kind, shape, (start, end) = about["dtype"], about["shape"], about["data_offsets"]
        numbers = (*shape, start, end)
        sound = isinstance(kind, str) and len(shape) <= LONGEST_SHAPE
        sound = sound and all(type(one) is int and 0 <= one < LARGEST for one in numbers) and start <= end
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise UnreadableError(f"Its header is damaged: {name[:100]!r} has no kind, shape and place.")
    bits = _bits(kind)
    if bits and prod(shape) * bits != 8 * (end - start):
        shown = ", ".join(f"{one:,}" if one < 10**15 else "too many" for one in shape)
        raise UnreadableError(
            f"Its header is damaged: {name[:100]!r} of shape ({shown}) in {kind} has {end - start:,} bytes."
        )
    return Tensor(kind, tuple(shape), start, end)


def _bits(kind: str) -> int:
    """Return the bits of a number of a kind such as F32, BF16, F8_E4M3 or F4; 0 for an unknown kind."""
    if kind in ODD_WIDTHS:
        return 8 * ODD_WIDTHS[kind]
    digits = kind.partition("_")[0][1:]
    return int(digits) if kind[:1] in "FIU" and digits.isdigit() and len(digits) <= 2 else 0


MAGIC = b"PAR1"
NO_PARQUET = "It is not a Parquet file, or it is damaged."
MOST_PAGES, MOST_VALUES = 1_000_000, 20_000_000
"""Pages of a file, and values in its footer; a table of ten thousand columns has some hundred thousand values."""

FOOTER_BYTES, FOOTER_SHARE = 8_000_000, 64
"""The footer may have this many bytes, or this fraction of the file if that is more: readers turn one byte into up to a
hundred in memory. A table of ten thousand columns has a quarter."""

HEAD_FIELDS = 100  # fields of a page header, nested ones included; with statistics there are some thirty

WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 16}
"""Bytes of a value in memory by its physical type; the characters of texts come on top."""

DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_2 = 0, 2, 3
DETAILS = {DATA_PAGE: 5, DICTIONARY_PAGE: 7, DATA_PAGE_2: 8}
"""Kinds of pages that hold values, with the header field that gives their number and encoding."""

DELTA_BYTE_ARRAY = 7  # an encoding in which each text may repeat all of the previous one

STOP, TRUE, FALSE, BYTE, INT16, INT32, INT64, DOUBLE, BINARY, LIST, STRUCT = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12
"""Kinds of fields."""

BITS = {INT16: 16, INT32: 32, INT64: 64}
GROUPS, COLUMNS = (4,), (4, 1)
ELEMENTS: dict[tuple[int, ...], int] = {
    **dict.fromkeys([(2,), GROUPS, (5,), (7,), COLUMNS, (4, 4), (4, 1, 3, 8), (4, 1, 3, 13)], STRUCT),
    **dict.fromkeys([(4, 1, 3, 2), (4, 1, 3, 17, 2)], INT32),
    **dict.fromkeys([(4, 1, 3, 16, 2), (4, 1, 3, 16, 3)], INT64),
    (4, 1, 3, 3): BINARY,
}
"""The element kind of each list of a footer, by the numbers of its enclosing fields; readers do not check it."""

NESTING = 20

Fields = dict[tuple[int, int], Any]
"""Fields of a structure by number and kind, so that one of an unexpected kind counts as missing."""


@dataclass(frozen=True)
class Chunk:
    """A column chunk: its path, the width and number of its values, and where its pages begin and end.

    Byte values, such as texts, have this width on top of their characters. The number of values is the one in the
    footer: readers stop there.
    """

    path: str
    width: int
    is_bytes: bool
    values: int
    start: int
    stop: int

    def is_in(self, columns: Set[str]) -> bool:
        """Return whether reading these columns reads it."""
        return not columns.isdisjoint(accumulate(self.path.split("."), "{}.{}".format))


def chunks_of(source: Path | IO[bytes]) -> list[Chunk]:
    """Return the column chunks in the footer of a file; raises UnreadableError if it is not a Parquet file.

    Call it before another reader opens the file: a small footer may expand to gigabytes, too.
    """
    from pyarrow import parquet

    with _one_error(), source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
        groups = [group[1, LIST] for group in _Reader(_footer(file), 0, MOST_VALUES).structure()[4, LIST]]
        with parquet.ParquetFile(file) as known:
            leaves = [known.schema.column(place) for place in range(known.metadata.num_columns)]
        # readers use the name and type in the schema, not those that a chunk states itself
        kinds = [
            (one.path, WIDTHS.get(one.physical_type) or max(8, one.length), one.physical_type.endswith("BYTE_ARRAY"))
            for one in leaves
        ]
        return [Chunk(*kind, *pages) for group in groups for pages, kind in zip(group, kinds, strict=True)]


def _footer(file: IO[bytes]) -> bytes:
    size = file.seek(0, 2)
    file.seek(max(0, size - 8))
    length, magic = struct.unpack("<I4s", file.read(8).rjust(8))
    most = max(FOOTER_BYTES, size // FOOTER_SHARE)
    if magic != MAGIC or length > size - 8:
        raise UnreadableError(NO_PARQUET)
    if length > most:
        raise UnreadableError(f"Its footer has {length:,} bytes; at most {most:,} are read of such a file.")
    file.seek(-8 - length, 2)
    return file.read(length)


def expanded_bytes(path: Path, chunks: Iterable[Chunk]) -> int:
    """Return how many bytes column chunks expand to, according to their pages; dictionary values count once."""
    total = count = 0
    with _one_error(), path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for chunk in chunks:
            for taken in _page_bytes(content, chunk):
                total, count = total + taken, count + 1
                if count > MOST_PAGES:
                    raise UnreadableError(f"It has more than {MOST_PAGES:,} pages.")
    return total


@contextmanager
def _one_error() -> Iterator[None]:
    """Turn every error of parsing a file into UnreadableError."""
    try:
        yield
    except UnreadableError:
        raise
    except (OSError, ValueError, LookupError, TypeError, NotImplementedError, AttributeError) as error:
        raise UnreadableError(NO_PARQUET) from error


def _pages(about: Fields) -> tuple[int, int, int]:
    """Return how many values a column chunk holds, and where its pages begin and end."""
    start = about[9, INT64]
    if 0 < about.get((11, INT64), 0) < start:
        start = about[11, INT64]
    return about[5, INT64], start, start + about[7, INT64]


def _page_bytes(content: mmap.mmap, chunk: Chunk) -> Iterator[int]:
    """Yield the expanded size of each page of a column chunk."""
    place, values = chunk.start, 0
    if not 0 <= place <= chunk.stop <= len(content):
        raise UnreadableError("It has pages outside the file.")
    if chunk.values <= 0:  # readers skip it, so its pages may begin anywhere
        return
    while place < chunk.stop:
        reader = _Reader(content, place, HEAD_FIELDS)
        head = reader.structure()
        kind, size, packed = head[1, INT32], head[2, INT32], head[3, INT32]
        about = head[DETAILS[kind], STRUCT] if kind in DETAILS else {(1, INT32): 0}
        count = about[1, INT32]
        if min(size, packed, count) < 0:
            raise UnreadableError("It has a page of negative size.")
        repeats = chunk.is_bytes and about.get((4 if kind == DATA_PAGE_2 else 2, INT32)) == DELTA_BYTE_ARRAY
        yield max(count, 1) * size if repeats else max(count * chunk.width, size)
        values += 0 if kind == DICTIONARY_PAGE else count
        place = reader.place + packed
    if values < chunk.values:
        raise UnreadableError("Its pages hold fewer values than its footer says.")


class _Reader:
    """Reads structures of Thrift's compact protocol, keeping the lists that lead to pages and skipping texts.

    Duplicate fields and numbers too long for their kind are refused, since readers disagree on them.
    """

    def __init__(self, content: bytes | mmap.mmap, place: int, most: int) -> None:
        self.content, self.place, self.left = content, place, most

    def structure(self, within: tuple[int, ...] = ()) -> Fields:
        """Return the fields of a structure; `within` holds the numbers of its enclosing fields."""
        found: Fields = {}
        number = 0
        while (kind := (head := self._byte()) & 15) != STOP:
            before, number = number, number + (head >> 4) if head >> 4 else self._signed(16)
            if number <= before or len(within) > NESTING:
                raise UnreadableError(NO_PARQUET)
            found[number, kind] = self._value(kind, (*within, number) if kind in (LIST, STRUCT) else ())
        return found

    def _value(self, kind: int, within: tuple[int, ...]) -> Any:
        self.left -= 1
        if self.left < 0:
            raise UnreadableError("Its footer, or the header of a page, holds too much.")
        if kind in BITS:
            return self._signed(BITS[kind])
        if kind == BINARY:
            length = self._unsigned(32)
            self.place += length
        elif kind == STRUCT:
            return self.structure(within)
        elif kind == LIST:
            return self._list(within)
        elif kind in (BYTE, DOUBLE):
            self.place += 1 if kind == BYTE else 8
        elif kind not in (TRUE, FALSE):
            raise UnreadableError(NO_PARQUET)
        return None

    def _list(self, within: tuple[int, ...]) -> list[Any]:
        head = self._byte()
        count = self._unsigned(32) if head >> 4 == 15 else head >> 4
        if head & 15 != ELEMENTS.get(within):
            raise UnreadableError(NO_PARQUET)
        found = []
        for _ in range(count):
            value = self._value(head & 15, within)
            if within == COLUMNS:
                found.append(_pages(value[3, STRUCT]))  # at once: the dictionaries take far more memory than the bytes
            elif within == GROUPS:
                found.append(value)
        return found

    def _byte(self) -> int:
        self.place += 1
        return self.content[self.place - 1]

    def _unsigned(self, bits: int) -> int:
        found = shift = 0
        while (byte := self._byte()) > 127 and shift < 63:
            found |= (byte & 127) << shift
            shift += 7
        found |= byte << shift
        if found >> bits:
            raise UnreadableError(NO_PARQUET)
        return found

    def _signed(self, bits: int) -> int:
        found = self._unsigned(bits)
        return (found >> 1) ^ -(found & 1)
