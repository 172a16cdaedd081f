"""A few rows of a stream at a time, whether they come as an Arrow table or as Python values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 500
"""Rows of an Arrow chunk: slices of what the reader holds anyway."""

PYTHON_ROWS = 64
"""Rows of a chunk of Python values, which may hold whole images."""


class ArrowChunk:
    """Rows of an Arrow table; nothing is copied but what is asked for."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.table.num_rows)

    def column(self, name: str) -> list[Any]:
        """Return a whole column."""
        values: list[Any] = self.table.column(name).to_pylist()
        return values

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Return which values of a column are not there (n,); a file that is neither content nor path is not."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self.table.column(name)
        absent = np.asarray(column.is_null().combine_chunks())
        if pa.types.is_struct(column.type) and column.type.num_fields:
            fields = [np.asarray(pc.struct_field(column, [place]).is_null()) for place in range(column.type.num_fields)]
            absent = absent | np.logical_and.reduce(fields)
        return absent

    def cell(self, row: int, name: str) -> Any:
        """Return one value."""
        return self.table.column(name)[row].as_py()


class PythonChunk:
    """Rows as dictionaries; a column that is missing is None."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def column(self, name: str) -> list[Any]:
        """Return a whole column."""
        return [row.get(name) for row in self.rows]

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Return which values of a column are not there (n,)."""
        parts = [value.values() if isinstance(value, dict) else [value] for value in self.column(name)]
        return np.asarray([all(part is None for part in one) for one in parts], dtype=bool)

    def cell(self, row: int, name: str) -> Any:
        """Return one value."""
        return self.rows[row].get(name)


Chunk: TypeAlias = ArrowChunk | PythonChunk
"""Some rows; labels are read from all of them, inputs from the few that are kept."""


def python_chunks(rows: Iterable[dict[str, Any]]) -> Iterator[Chunk]:
    """Yield rows a few at a time."""
    iterator = iter(rows)
    while some := list(islice(iterator, PYTHON_ROWS)):
        yield PythonChunk(some)
