"""Points between two axes, drawn."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.boxes import Box
from hf_transfer_score.leaderboard.drawing.axes import Axis
from hf_transfer_score.leaderboard.drawing.cloud import Cloud, Entry, Mark
from hf_transfer_score.leaderboard.drawing.labels import Wanted, place_labels
from hf_transfer_score.leaderboard.drawing.shapes import Shape, shape
from hf_transfer_score.leaderboard.drawing.svg import Markup, Size, below_heading, element, label, line, picture
from hf_transfer_score.leaderboard.drawing.text import shortened, text_width

LOOKS: dict[str, tuple[Shape, str, float]] = {
    "plain": ("circle", "hts-main", 4.6),
    "front": ("diamond", "hts-front", 4.8),
    "best": ("star", "hts-best", 4.9),
    "truth": ("triangle", "hts-front", 5.6),
}
"""Shape, colour and size of the parts of a picture."""

FIRST = ("best", "truth")
MANY = 150
SMALLER = 0.65
LINE_HEIGHT = 1.25


class Area(NamedTuple):
    """Where points are drawn, with the axes that say where."""

    box: Box
    x: Axis
    y: Axis

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a pair of values lies in the picture."""
        left, top, right, bottom = self.box
        return left + self.x.place(x) * (right - left), bottom - self.y.place(y) * (bottom - top)


def scatter(cloud: Cloud, description: str, size: Size) -> str:
    """Return the picture."""
    keys, top = legend(cloud.legend, below_heading(cloud.heading, size), size)
    area = _area(cloud, size, top + size.letters * 1.7)
    children = [*keys, *_axes(cloud, area, size)]
    many = len(cloud.marks) > MANY
    children += [] if many else _path(cloud, area)
    if cloud.whiskered:
        children += [whisker for mark in reversed(cloud.marks) for whisker in _whiskers(mark, area)]
    points = [_point(mark, area, len(cloud.marks)) for mark in reversed(cloud.marks)]
    children.append(element("g", {"class": "hts-many"} if many else None, *points))
    children += _path(cloud, area) if many else []
    children += _labels(cloud, area, size)
    return picture(cloud.heading, description, size, size.height, children)


def legend(entries: Sequence[Entry], top: float, size: Size) -> tuple[list[Markup], float]:
    """Return what explains the parts, in as many lines as it needs, and where it ends."""
    x, y = size.margin, top + size.letters * 1.35
    drawn: list[Markup] = []
    for entry in entries:
        key = 26.0 if entry.part in ("steps", "trend") else 16.0
        words = shortened(entry.words, size.width - 2 * size.margin - key, size.letters)
        width = key + text_width(words, size.letters)
        if x > size.margin and x + width > size.width - size.margin:
            x, y = size.margin, y + size.letters * 1.6
        drawn.append(_key(entry, x, y - size.letters * 0.35))
        drawn.append(label(words, x + key, y, size.letters, "hts-tick"))
        x += width + size.letters
    return drawn, y if entries else top


def _key(entry: Entry, x: float, y: float) -> Markup:
    if entry.part in ("steps", "trend"):
        return line(x, y, x + 20, y, f"hts-{entry.part}")
    kind, colour, radius = LOOKS[entry.part]
    place = {"transform": f"translate({x + 6:g} {y:g})", "class": colour}
    return element("g", place, shape(kind, radius))


def _area(cloud: Cloud, size: Size, above: float) -> Area:
    y = cloud.y(6)
    widest = max(text_width(text, size.letters) for _, text in y.ticks) if y.ticks else 0.0
    left = size.margin + widest + 6
    box = Box(left, above + size.letters, size.width - size.margin - 4, size.height - size.margin - size.letters * 2.9)
    return Area(box, cloud.x(7 if size.width > 500 else 4), y)


def _axes(cloud: Cloud, area: Area, size: Size) -> list[Markup]:
    left, top, right, bottom = area.box
    letters = size.letters
    drawn = [line(left, bottom, right, bottom, "hts-base")]
    for value, text in area.y.ticks:
        y = bottom - area.y.place(value) * (bottom - top)
        drawn.append(line(left, y, right, y, "hts-grid"))
        drawn.append(label(text, left - 6, y + letters * 0.35, letters, "hts-tick", "end"))
    drawn += _ticks_across(area, size)
    room = size.width - 2 * size.margin
    drawn.append(label(shortened(cloud.upwards, room, letters), size.margin, top - letters * 0.75, letters, "hts-axis"))
    across = shortened(cloud.across, room, letters)
    drawn.append(label(across, right, bottom + letters * 3.1, letters, "hts-axis", "end"))
    return drawn


def _ticks_across(area: Area, size: Size) -> list[Markup]:
    """Draw a line at each tick, and as many of the texts as have room beside each other."""
    left, top, right, bottom = area.box
    drawn: list[Markup] = []
    written: list[tuple[float, float]] = []
    for value, text in area.x.ticks:
        x = left + area.x.place(value) * (right - left)
        half = text_width(text, size.letters) / 2
        drawn.append(line(x, top, x, bottom, "hts-grid"))
        middle = min(x, size.width - 4 - half)
        if all(middle + half + 4 < start or end + 4 < middle - half for start, end in written):
            written.append((middle - half, middle + half))
            drawn.append(label(text, middle, bottom + size.letters * 1.4, size.letters, "hts-tick", "middle"))
    return drawn


def corners(cloud: Cloud, area: Area) -> list[tuple[float, float]]:
    """Return where the drawn line bends."""
    places = [area.at(x, y) for x, y in cloud.path]
    if not cloud.stepped or not places:
        return places
    bends = [places[0]]
    for before, after in itertools.pairwise(places):
        bends += [(after[0], before[1]), after]
    return [*bends, (area.box.right, places[-1][1])]


def _path(cloud: Cloud, area: Area) -> list[Markup]:
    bends = corners(cloud, area)
    if len(bends) < 2:
        return []
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in bends)
    return [element("polyline", {"points": points, "class": "hts-steps" if cloud.stepped else "hts-trend"})]


def _whiskers(mark: Mark, area: Area) -> list[Markup]:
    colour = LOOKS[mark.part][1]
    drawn = []
    if mark.upwards is not None:
        (x, low), (_, high) = area.at(mark.x, mark.upwards[0]), area.at(mark.x, mark.upwards[1])
        drawn.append(line(x, low, x, high, f"hts-whisker {colour}"))
    if mark.across is not None:
        (low, y), (high, _) = area.at(mark.across[0], mark.y), area.at(mark.across[1], mark.y)
        drawn.append(line(low, y, high, y, f"hts-whisker {colour}"))
    return drawn


def _point(mark: Mark, area: Area, count: int) -> Markup:
    kind, colour, radius = LOOKS[mark.part]
    x, y = area.at(mark.x, mark.y)
    scale = SMALLER if count > MANY and mark.part == "plain" else 1.0
    attributes = {"class": f"hts-mark {colour}", "transform": f"translate({x:.1f} {y:.1f})"}
    return element("g", attributes, element("title", None, mark.tooltip), shape(kind, radius * scale))


def _labels(cloud: Cloud, area: Area, size: Size) -> list[Markup]:
    named = _named(cloud.marks, size.labels)
    texts = [shortened(mark.clean, size.label_width, size.letters) for mark in named]
    wanted = [
        Wanted(*area.at(mark.x, mark.y), text_width(text, size.letters), size.letters * LINE_HEIGHT, firm)
        for mark, text, firm in zip(named, texts, (mark.part in FIRST for mark in named), strict=True)
    ]
    points = np.array([area.at(mark.x, mark.y) for mark in cloud.marks], dtype=np.float64)
    left, top, _, bottom = area.box
    frame = Box(left + 2, top - size.letters * 0.3, size.width - size.margin / 2, bottom - 2)
    drawn: list[Markup] = []
    for one, text, place in zip(wanted, texts, place_labels(wanted, points, _dotted(cloud, area), frame), strict=True):
        if place is None:
            continue
        if place.line is not None:
            drawn.append(line(one.x, one.y, *place.line, "hts-pointer"))
        baseline = place.box.bottom - size.letters * 0.36
        drawn.append(label(text, place.box.left, baseline, size.letters, "hts-label"))
    return drawn


def _named(marks: Sequence[Mark], most: int) -> list[Mark]:
    """Return the points that get a name: those with a part of their own, then the first others."""
    first = [mark for mark in marks if mark.part in FIRST]
    front = [mark for mark in marks if mark.part == "front"]
    plain = [mark for mark in marks[: 2 * most] if mark.part == "plain"]
    return [*first, *front, *plain][:most]


def _dotted(cloud: Cloud, area: Area) -> NDArray[np.float64]:
    """Return places along the drawn line and the whiskers, a few units apart."""
    bends = corners(cloud, area)
    spans = list(itertools.pairwise(bends))
    if cloud.whiskered:
        for mark in cloud.marks:
            spans += [(area.at(mark.x, low), area.at(mark.x, high)) for low, high in [mark.upwards or (mark.y, mark.y)]]
            spans += [(area.at(low, mark.y), area.at(high, mark.y)) for low, high in [mark.across or (mark.x, mark.x)]]
    dots = [
        np.linspace(start, end, max(2, int(np.hypot(end[0] - start[0], end[1] - start[1]) / 3)))
        for start, end in spans
        if start != end
    ]
    return np.concatenate(dots) if dots else np.empty((0, 2))
