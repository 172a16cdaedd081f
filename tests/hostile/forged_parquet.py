"""Parquet files whose pages hold more than their footers say."""

import io
import struct
from collections.abc import Mapping

import pyarrow as pa
from pyarrow import parquet

MEGABYTE = 1024 * 1024
BOMB = 1100  # megabytes of an expanded page


def varint(number: int) -> bytes:
    """Encode a number as in a Parquet file."""
    number, parts = number << 1, []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def with_footer(content: bytes, numbers: Mapping[int, int]) -> bytes:
    """Return a file with numbers in its footer replaced."""
    length = struct.unpack("<I", content[-8:-4])[0]
    footer = content[-8 - length : -8]
    for old, new in numbers.items():
        footer = footer.replace(varint(old), varint(new))
    return content[: -8 - length] + footer + struct.pack("<I", len(footer)) + content[-4:]


def page_bomb(table: pa.Table, megabytes: int = BOMB) -> bytes:
    """Return a file of at most 60 rows whose last column, of integers, has a page that expands to many megabytes."""
    buffer, last = io.BytesIO(), table.column_names[-1]
    parquet.write_table(table, buffer, compression="zstd", use_dictionary=False, write_statistics=False)
    content, about = buffer.getvalue(), parquet.read_metadata(buffer).row_group(0).column(table.num_columns - 1)
    assert about.path_in_schema == last and about.physical_type == "INT64"
    squeezed = _squeezed(_levels(table) + table.column(last).to_numpy().tobytes(), megabytes)
    page = _head(megabytes * MEGABYTE, len(squeezed), len(table)) + squeezed
    end = about.data_page_offset + about.total_compressed_size
    content = content[: about.data_page_offset] + page + content[end:]
    return with_footer(content, {about.total_compressed_size: len(page)})


def _levels(table: pa.Table) -> bytes:
    """Return definition levels without missing values."""
    return struct.pack("<I", 2) + bytes([len(table) << 1, 1])


def _squeezed(start: bytes, megabytes: int) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(start)
        stream.write(bytes(MEGABYTE - len(start)))
        for _ in range(megabytes - 1):
            stream.write(bytes(MEGABYTE))
    return bytes(sink.getvalue())


def _head(size: int, compressed: int, rows: int) -> bytes:
    """Return the header of a page of plain values."""
    about = b"\x15" + varint(rows) + b"\x15" + varint(0) + b"\x15" + varint(3) + b"\x15" + varint(3) + b"\0"
    return b"\x15" + varint(0) + b"\x15" + varint(size) + b"\x15" + varint(compressed) + b"\x2c" + about + b"\0"
