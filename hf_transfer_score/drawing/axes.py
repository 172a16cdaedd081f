"""Where things lie on a chart: axes with ticks, and names beside points, of which none covers another."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hf_transfer_score.drawing.words import number
from hf_transfer_score.text import short_count

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


PADDING = 0.06
"""Share of an axis that is left free at each end."""

FAR_APART = 100.0
"""Negative values that differ by a larger factor get a logarithmic axis."""

FACTORS = ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10)), tuple(one / 4 for one in range(4, 40)))
MOST_TICKS = 8


@dataclass(frozen=True)
class Axis:
    """One direction of a chart: if logarithmic, all values have one sign; if turned, low values are right or on top.

    The title may have several lines; ticks are values with their texts, and None lets the library choose them.
    """

    title: str
    low: float
    high: float
    log: bool = False
    turned: bool = False
    ticks: tuple[tuple[float, str], ...] | None = None

    def share(self, value: float) -> float:
        """Return where a value lies, from 0, at the left or bottom, to 1."""
        low, high, at = (self._spread(one) for one in (self.low, self.high, value))
        share = (at - low) / (high - low)
        return 1 - share if self.turned else share

    def value(self, share: float) -> float:
        """Return the value that lies at a share."""
        low, high = self._spread(self.low), self._spread(self.high)
        at, sign = low + (1 - share if self.turned else share) * (high - low), math.copysign(1, self.low)
        return sign * 10 ** (sign * at) if self.log else at

    def _spread(self, value: float) -> float:
        sign = math.copysign(1, self.low)
        return sign * math.log10(sign * value) if self.log else value

    def channel(self, kind: Any, field: str) -> Any:
        """Return the channel, `altair.X` or `altair.Y`, of a field of the data."""
        import altair as alt

        scale = alt.Scale(
            type="log" if self.log else "linear",
            domain=[self.low, self.high],
            reverse=self.turned,
            nice=False,
            zero=alt.Undefined if self.log else False,
        )
        drawn: dict[str, Any] = {"tickCount": 6}
        if self.ticks is not None:
            texts = "".join(f"abs(datum.value - {at!r}) <= {abs(at) * 1e-6!r} ? '{text}' : " for at, text in self.ticks)
            drawn = {"values": [at for at, _ in self.ticks], "labelExpr": f"{texts}''"}
        return kind(f"{field}:Q", scale=scale, axis=alt.Axis(**drawn, labelOverlap=True), title=self.title.split("\n"))


def linear_axis(title: str, values: Sequence[float], *, turned: bool = False) -> Axis:
    """Return a linear axis around some values."""
    low, high = min(values), max(values)
    equal = high - low <= 1e-12 * max(abs(low), abs(high))
    room = (abs(low) * 0.1 or 1.0) if equal else (high - low) * PADDING
    return Axis(title, low - room, high + room, turned=turned)


def rank_axis(title: str, ranks: Sequence[float]) -> Axis:
    """Return an axis of ranks from 1, at the top or right, to the worst."""
    worst = max(ranks)
    step = next(step * 10**power for power in range(300) for step in (1, 2, 5) if worst <= 14 * step * 10**power)
    ticks = [1, *range(step, int(worst) + 1, step)]
    return Axis(title, 0.4, worst + 0.6, turned=True, ticks=tuple((one, f"{one:,}") for one in dict.fromkeys(ticks)))


def log_axis(title: str, values: Sequence[float], text: Callable[[float], str] = short_count) -> Axis:
    """Return a logarithmic axis around some values, all above 0."""
    low, high = math.log10(min(values)), math.log10(max(values))
    room = max((high - low) * PADDING, 0.1)
    low, high = low - room, high + room
    powers = range(math.floor(low), math.ceil(high) + 1)
    choices = [[factor * 10.0**power for power in powers for factor in factors] for factors in FACTORS]
    inside = [[one for one in choice if low <= math.log10(one) <= high] for choice in choices]
    chosen = next((choice for choice in inside if len(choice) >= 3), inside[-1])
    chosen = chosen[:: math.ceil(len(chosen) / MOST_TICKS)]
    return Axis(title, 10.0**low, 10.0**high, log=True, ticks=tuple((one, text(one)) for one in chosen))


def fitting_axis(title: str, values: Sequence[float]) -> Axis:
    """Return a linear axis, or a logarithmic one for negative values of very different sizes."""
    sizes = [-value for value in values]
    if min(sizes) <= 0 or max(sizes) < FAR_APART * min(sizes):
        return linear_axis(title, values)
    axis = log_axis(title, sizes, number)
    ticks = tuple((-value, f"−{text}") for value, text in reversed(axis.ticks or ()))
    return Axis(title, -axis.high, -axis.low, log=True, ticks=ticks)
