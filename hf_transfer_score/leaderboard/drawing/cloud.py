"""Points between two axes: what is shown, apart from how large it is drawn."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from hf_transfer_score.leaderboard.drawing.axes import Axis
from hf_transfer_score.leaderboard.drawing.text import isolated, number, printable, short_count

MOST_POINTS = 1000
SURELY = 50
"""As many of the best points are always kept."""

SEED = 20240
MOST_WHISKERS = 60
"""With more points, the lines of their intervals would hide them."""

Ends = tuple[float, float]
Part = Literal["plain", "front", "best", "truth"]


class Entry(NamedTuple):
    """A line of the legend: the parts of the picture that it explains, and the words."""

    part: Part | Literal["steps", "trend"]
    words: str


class Fact(NamedTuple):
    """A number of a model, with its name and its interval.

    Attributes:
        name: what it is.
        value: the number.
        ends: of its interval.
        counted: whether it is a count that is said in a few letters.
    """

    name: str
    value: float
    ends: Ends | None = None
    counted: bool = False

    @property
    def text(self) -> str:
        """The number with its interval."""
        return short_count(self.value) if self.counted else interval_text(self.value, self.ends)


@dataclass(frozen=True)
class Mark:
    """A point.

    Attributes:
        name: of the model.
        x: its value across.
        y: its value upwards.
        across: ends of the interval of x.
        upwards: ends of the interval of y.
        facts: what else the tooltip says.
        part: what it is in the picture.
    """

    name: str
    x: float
    y: float
    across: Ends | None = None
    upwards: Ends | None = None
    facts: tuple[Fact, ...] = ()
    part: Part = "plain"

    @property
    def clean(self) -> str:
        """The name without characters that show nothing."""
        return clean_name(self.name)

    @property
    def tooltip(self) -> str:
        """The name and the facts."""
        return "\n".join((isolated(self.clean), *(f"{fact.name}: {fact.text}" for fact in self.facts)))


@dataclass(frozen=True)
class Cloud:
    """All that a picture of points shows.

    Attributes:
        heading: above it.
        across: name of the horizontal axis.
        upwards: name of the vertical axis.
        x: makes the horizontal axis, for a number of ticks.
        y: makes the vertical axis, for a number of ticks.
        marks: the points, those that matter most first.
        legend: what the parts are.
        path: values that a line joins.
        stepped: whether that line is the steps of a front, from left to right, or a trend.
    """

    heading: str
    across: str
    upwards: str
    x: Callable[[int], Axis]
    y: Callable[[int], Axis]
    marks: tuple[Mark, ...]
    legend: tuple[Entry, ...] = ()
    path: tuple[tuple[float, float], ...] = ()
    stepped: bool = False

    @property
    def whiskered(self) -> bool:
        """Whether intervals are drawn."""
        return len(self.marks) <= MOST_WHISKERS


def clean_name(name: str) -> str:
    """Return a name without characters that show nothing."""
    return " ".join(printable(name).split()) or "(no name)"


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the places of points that no other beats: less of the first and more of the second, from left to right.

    Example:
        >>> front([(1, 0.5), (2, 0.4), (3, 0.9), (3, 0.8)])
        [0, 2]
    """
    order = sorted(range(len(points)), key=lambda place: (points[place][0], -points[place][1], place))
    found: list[int] = []
    for place in order:
        if not found or points[place][1] > points[found[-1]][1] or points[place] == points[found[-1]]:
            found.append(place)
    return found


def sampled(count: int, kept: Sequence[int], most: int = MOST_POINTS) -> list[int]:
    """Return places of points to draw, in order: all of a few; of many the first, those to keep, and a sample.

    Args:
        count: how many points there are, those that matter most first.
        kept: places that are drawn in any case.
        most: how many are drawn, unless there are more to keep.
    """
    if count <= most:
        return list(range(count))
    sure = {*range(SURELY), *kept}
    others = [place for place in range(count) if place not in sure]
    drawn = random.Random(SEED).sample(others, max(0, min(len(others), most - len(sure))))  # noqa: S311
    return sorted({*sure, *drawn})


def shown_marks(
    marks: Sequence[Mark], *, best: int | None = None, front: Sequence[int] = (), truth: int | None = None
) -> tuple[Mark, ...]:
    """Return the points to draw, in order, with what they are in the picture.

    Args:
        marks: all points, those that matter most first.
        best: place of the best one.
        front: places of those on the front.
        truth: place of the one with the best accuracy.
    """
    parts: dict[int, Part] = dict.fromkeys(front, "front")
    if truth is not None:
        parts[truth] = "truth"
    if best is not None:
        parts[best] = "best"
    places = sampled(len(marks), list(parts))
    return tuple(replace(marks[place], part=parts.get(place, "plain")) for place in places)


def with_ends(values: Sequence[float], ends: Sequence[Ends | None], shown: bool) -> list[float]:
    """Return values together with the ends of their intervals, where these are shown."""
    if not shown:
        return list(values)
    return [*values, *(end for pair in ends if pair is not None for end in pair)]


def interval_text(value: float, ends: Ends | None) -> str:
    """Return a value with its interval.

    Example:
        >>> interval_text(0.5, (0.4, 0.6)), interval_text(3, None)
        ('0.5 (0.4 to 0.6)', '3')
    """
    return number(value) if ends is None else f"{number(value)} ({number(ends[0])} to {number(ends[1])})"
