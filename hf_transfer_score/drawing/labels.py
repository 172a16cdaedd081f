"""Names beside points, placed in order, so that no name covers another or leaves the chart."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from hf_transfer_score.drawing.axes import Axis

GAPS = (9.0, 20.0, 34.0, 50.0)
"""Pixels between a point and its name; from the second on, a line joins them."""

DIRECTIONS = ((1, 0), (-1, 0), (1, -1), (1, 1), (-1, -1), (-1, 1), (0, -1), (0, 1))
FURTHER = 0.8
"""The cost of each step away from the point; a bar that is covered costs 1."""

POINT_RADIUS = 6.0
MARGIN = 1.5
LETTER, WIDE_LETTER, LINE = 6.6, 13.0, 15.0
"""Pixels: the width of a letter (a generous guess), that of an East Asian letter, and the height of a line."""


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


class Spot(NamedTuple):
    """Where a name stands, and where the line from its point ends; None for a name right beside its point."""

    box: Box
    line: tuple[float, float] | None


def label_size(text: str) -> tuple[float, float]:
    """Return a generous guess of the width and height of a name."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return LETTER * (len(text) - wide) + WIDE_LETTER * wide + 4, LINE


def place_labels(
    points: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]], bars: Sequence[Box], frame: Box
) -> list[Spot | None]:
    """Return a place for each name, None where no place is left; points that matter most come first.

    Names stay in the frame and never cover a point or another name. They cover bars, such as lines, only where
    nothing else is free.
    """
    taken = [Box(x, y, x, y).wider(POINT_RADIUS) for x, y in points]
    places: list[Spot | None] = []
    for (x, y), size in zip(points, sizes, strict=True):
        place = _best(x, y, size, taken, bars, frame)
        places.append(place)
        if place is not None:
            taken.append(place.box.wider(MARGIN))
    return places


def _best(
    x: float, y: float, size: tuple[float, float], taken: Sequence[Box], bars: Sequence[Box], frame: Box
) -> Spot | None:
    reach = Box(x - size[0], y - size[1], x + size[0], y + size[1]).wider(GAPS[-1])
    taken, bars = [one for one in taken if one.meets(reach)], [one for one in bars if one.meets(reach)]
    best: Spot | None = None
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
            best, least = Spot(box, line), cost
    return best


def _places(x: float, y: float, size: tuple[float, float]) -> Iterator[tuple[Box, float]]:
    width, height = size
    for gap in GAPS:
        for across, down in DIRECTIONS if gap == GAPS[0] else DIRECTIONS[:6]:  # a vertical line would lie on the bar
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


class Ground(NamedTuple):
    """The area between two axes, in pixels from its upper left corner."""

    x: Axis
    y: Axis
    width: float
    height: float

    def pixels(self, x: float, y: float) -> tuple[float, float]:
        """Return where a pair of values lies."""
        return self.x.share(x) * self.width, (1 - self.y.share(y)) * self.height

    def values(self, left: float, top: float) -> tuple[float, float]:
        """Return the values that lie there."""
        return self.x.value(left / self.width), self.y.value(1 - top / self.height)


def label_rows(
    ground: Ground, points: Sequence[tuple[float, float]], texts: Sequence[str], bars: Sequence[Box], frame: Box
) -> Iterator[tuple[int, Box, dict[str, Any]]]:
    """Yield the names that have a place: which point it is of, its box, and its row in the data of a chart."""
    spots = place_labels([ground.pixels(*one) for one in points], [label_size(text) for text in texts], bars, frame)
    for place, ((x, y), text, spot) in enumerate(zip(points, texts, spots, strict=True)):
        if spot is not None:
            left, top, right, bottom = spot.box
            at, high = ground.values((left + right) / 2, (top + bottom) / 2)
            row = {"name": text, "x": x, "y": y, "at": at, "high": high}
            if spot.line is not None:
                row["to"], row["end"] = ground.values(*spot.line)
            yield place, spot.box, row


def label_layers(rows: Sequence[dict[str, Any]], *, clip: bool, **text: Any) -> tuple[Any, Any]:
    """Return the lines to names that stand further away, and the names; `text` holds further settings of the latter."""
    import altair as alt

    chart = alt.Chart({"values": rows})
    lines = chart.transform_filter("isValid(datum.to)").mark_rule(strokeWidth=0.7, clip=clip, aria=False)
    lines = lines.encode(x=alt.X("x:Q"), y=alt.Y("y:Q"), x2=alt.X2(field="to"), y2=alt.Y2(field="end"))
    names = chart.mark_text(fontSize=12, clip=clip, aria=False, **text)
    return lines, names.encode(x=alt.X("at:Q"), y=alt.Y("high:Q"), text=alt.Text("name:N"))
