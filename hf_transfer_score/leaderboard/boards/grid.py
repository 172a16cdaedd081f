"""Numbers of many models side by side in one array; a row of it reads like a dictionary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True)
class Grid:
    """One number for each model and name, NaN where there is none.

    Attributes:
        names: of the columns.
        values: (M, C).
    """

    names: Mapping[str, int]
    values: Array

    def row(self, place: int) -> GridRow:
        """Return the numbers of one model by name."""
        return GridRow(self, place)


class _Reading(Mapping[str, T]):
    """A read-only mapping that shows like a dictionary."""

    __slots__ = ()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


class GridRow(_Reading[float]):
    """The numbers of one model; names without a number are absent."""

    __slots__ = ("_grid", "_place")

    def __init__(self, grid: Grid, place: int) -> None:
        self._grid, self._place = grid, place

    def __getitem__(self, name: str) -> float:
        """Return a number; KeyError where there is none."""
        value = float(self._grid.values[self._place, self._grid.names[name]])
        if value != value:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names that are there."""
        for name, there in zip(self._grid.names, ~np.isnan(self._grid.values[self._place]), strict=True):
            if there:
                yield name


class WholeRow(_Reading[int]):
    """The numbers of one model where they are whole ones."""

    __slots__ = ("_row",)

    def __init__(self, row: GridRow) -> None:
        self._row = row

    def __getitem__(self, name: str) -> int:
        """Return a number; KeyError where there is none."""
        return int(self._row[name])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names that are there."""
        return iter(self._row)


class EndsRow(_Reading[tuple[float, float]]):
    """The ends of the intervals of one model's terms by name; terms without an interval are absent."""

    __slots__ = ("_high", "_low")

    def __init__(self, low: GridRow, high: GridRow) -> None:
        self._low, self._high = low, high

    def __getitem__(self, name: str) -> tuple[float, float]:
        """Return the lower and the upper end."""
        return self._low[name], self._high[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names that are there."""
        return iter(self._low)


class TermsRow(_Reading[Mapping[str, float]]):
    """The raw terms of one model by column and name."""

    __slots__ = ("_grids", "_place")

    def __init__(self, grids: Mapping[str, Grid], place: int) -> None:
        self._grids, self._place = grids, place

    def __getitem__(self, label: str) -> Mapping[str, float]:
        """Return the terms of a column; KeyError where the model has none."""
        found = self._grids[label].row(self._place)
        if not found:
            raise KeyError(label)
        return found

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names that are there."""
        return (label for label, grid in self._grids.items() if not np.isnan(grid.values[self._place]).all())


class IntervalsRow(_Reading[Mapping[str, tuple[float, float]]]):
    """The intervals of one model by column and term."""

    __slots__ = ("_high", "_low")

    def __init__(self, low: TermsRow, high: TermsRow) -> None:
        self._low, self._high = low, high

    def __getitem__(self, label: str) -> Mapping[str, tuple[float, float]]:
        """Return the intervals of a column; KeyError where the model has none."""
        low, high = self._low[label], self._high[label]
        assert isinstance(low, GridRow)
        assert isinstance(high, GridRow)
        return EndsRow(low, high)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names that are there."""
        return iter(self._low)
