"""Names beside points, the first ones first, so that none covers another or leaves the chart."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

GAPS = (9.0, 20.0, 34.0, 50.0)
"""How far a name may stand from its point; the further ones have a line to it."""

DIRECTIONS = ((1, 0), (-1, 0), (1, -1), (1, 1), (-1, -1), (-1, 1), (0, -1), (0, 1))
FURTHER = 0.8
"""What a step further away costs, where a bar that is covered costs 1."""

POINT_RADIUS = 6.0
MARGIN = 1.5
LETTER, WIDE_LETTER, LINE = 6.6, 13.0, 15.0
"""Pixels of a letter in a name, rather too many, of one of East Asian scripts, and of its height."""


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

    def wider(self, room: float) -> Box:
        """Return it with room on all sides."""
        return Box(self.left - room, self.top - room, self.right + room, self.bottom + room)


class Place(NamedTuple):
    """Where a name stands, and where a line from its point ends; None where it stands beside it."""

    box: Box
    line: tuple[float, float] | None


def label_size(text: str) -> tuple[float, float]:
    """Return a guess, rather too large, of the space that a name takes."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return LETTER * (len(text) - wide) + WIDE_LETTER * wide + 4, LINE


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float] | None],
    bars: Sequence[Box],
    frame: Box,
) -> list[Place | None]:
    """Return a place for each name, None where it has none left.

    Names never cover a point or another name; bars they cover only where nothing else is free.

    Args:
        points: where the points are, those that matter most first.
        sizes: width and height of each name; None for no name.
        bars: what had better stay free, such as lines, or points that matter less.
        frame: what names have to stay in.
    """
    taken = [Box(x, y, x, y).wider(POINT_RADIUS) for x, y in points]
    places: list[Place | None] = []
    for (x, y), size in zip(points, sizes, strict=True):
        place = None if size is None else _best(x, y, size, taken, bars, frame)
        places.append(place)
        if place is not None:
            taken.append(place.box.wider(MARGIN))
    return places


def _best(
    x: float, y: float, size: tuple[float, float], taken: Sequence[Box], bars: Sequence[Box], frame: Box
) -> Place | None:
    reach = Box(x - size[0], y - size[1], x + size[0], y + size[1]).wider(GAPS[-1])
    taken, bars = [one for one in taken if one.meets(reach)], [one for one in bars if one.meets(reach)]
    best: Place | None = None
    least = math.inf
    for box, gap in _places(x, y, size):
        if not box.within(frame) or any(box.meets(other) for other in taken):
            continue
        end = (min(max(x, box.left), box.right), min(max(y, box.top), box.bottom))
        line = end if gap > GAPS[0] else None
        if line is not None and any(_crosses(x, y, line, other) for other in taken):
            continue
        cost = sum(box.meets(bar) for bar in bars) + FURTHER * GAPS.index(gap)
        if cost < least:
            best, least = Place(box, line), cost
    return best


def _places(x: float, y: float, size: tuple[float, float]) -> Iterator[tuple[Box, float]]:
    width, height = size
    for gap in GAPS:
        for across, down in DIRECTIONS if gap == GAPS[0] else DIRECTIONS[:6]:  # a line up or down would be on its bar
            reach = gap if across == 0 or down == 0 else gap * 0.75
            left = x + across * (reach + width / 2) - width / 2
            top = y + down * (reach + height / 2) * (1 if across == 0 else 0.8) - height / 2
            yield Box(left, top, left + width, top + height), gap


def _crosses(x: float, y: float, end: tuple[float, float], other: Box) -> bool:
    """Whether a line from a point runs through a box that does not hold the point itself."""
    if other.left <= x <= other.right and other.top <= y <= other.bottom:
        return False
    steps = [number / 12 for number in range(13)]
    spots = [(x + (end[0] - x) * step, y + (end[1] - y) * step) for step in steps]
    return any(other.left < across < other.right and other.top < down < other.bottom for across, down in spots)
