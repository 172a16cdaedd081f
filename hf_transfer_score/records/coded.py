"""Columns of a table as numbers of their distinct values, so that repeated values are processed once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow

Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Coded:
    """A column as numbers of its distinct values, -1 where the value is missing."""

    codes: Codes
    values: list[Any]

    def at(self, row: int) -> Any:
        """Return the value of a row."""
        code = self.codes[row]
        return None if code < 0 else self.values[code]

    def where(self, test: Callable[[Any], bool]) -> Mask:
        """Return the rows whose value passes a test; missing ones do not."""
        passed = np.array([*map(test, self.values), False], bool)
        return np.asarray(passed[self.codes])


def coded(column: pyarrow.ChunkedArray) -> Coded:
    """Return a column of words or whole numbers as codes; equal values have equal codes."""
    import pyarrow

    if not pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    whole = whole.combine_chunks() if isinstance(whole, pyarrow.ChunkedArray) else whole
    indices = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    values: dict[Any, int] = {}
    given = whole.dictionary.to_pylist()
    renamed = [-1 if value is None else values.setdefault(value, len(values)) for value in given]
    return Coded(np.array([*renamed, -1], np.int64)[indices], list(values))


def grouped(columns: Iterable[Codes], rows: int) -> Codes:
    """Return a number for each of some rows, equal for those that agree in all the columns.

    Example:
        >>> grouped([np.array([0, 0, 1]), np.array([5, 5, -1])], 3).tolist()
        [0, 0, 1]
    """
    found = np.zeros(rows, np.int64)
    for codes in columns if rows else ():
        found = found * (int(codes.max()) + 2) + codes + 1
        found = np.unique(found, return_inverse=True)[1].reshape(-1)
    return found
