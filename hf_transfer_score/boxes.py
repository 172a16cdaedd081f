"""Rectangles in a picture, and where a name stands in it."""

from __future__ import annotations

from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle; y grows downwards.

    Example:
        >>> Box(0, 0, 2, 2).meets(Box(1, 1, 3, 3)), Box(0, 0, 2, 2).within(Box(1, 1, 3, 3))
        (True, False)
    """

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two have a point in common."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def within(self, other: Box) -> bool:
        """Whether this lies in the other."""
        across = other.left <= self.left and self.right <= other.right
        return across and other.top <= self.top and self.bottom <= other.bottom


class Place(NamedTuple):
    """Where a name stands, and where a line from its point ends; None where it stands beside it."""

    box: Box
    line: tuple[float, float] | None
