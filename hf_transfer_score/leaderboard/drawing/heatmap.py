"""How far the classes of a sample overlap in a model's features, pair by pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hf_transfer_score.errors import InputError
from hf_transfer_score.leaderboard.drawing.cloud import clean_name
from hf_transfer_score.leaderboard.drawing.figure import MOST_ROWS, Figure, Table, drawn, sentence_figure
from hf_transfer_score.leaderboard.drawing.svg import Markup, Size, below_heading, element, label, picture
from hf_transfer_score.leaderboard.drawing.text import in_sentence, isolated, number, shortened, text_width

MOST_CLASSES = 20
MOST_WRITTEN = 10
NAMED = 3
TINY = 1e-12
PALEST = 0.05
"""How much of the colour the lowest value has, so that its cell is seen."""

BANDS = ((0.525, "hts-low"), (0.82, "hts-middle"), (2.0, "hts-top"))
"""Up to which share of the colour numbers are written how, so that they are read by day and by night."""


class Pair(NamedTuple):
    """Two classes, by place, and how far they overlap."""

    first: int
    second: int
    value: float


@dataclass(frozen=True)
class _Grid:
    """Where the cells are."""

    left: float
    top: float
    cell: float
    high: float
    letters: float


def overlap_figure(
    classes: Sequence[str], values: Sequence[float], *, model: str = "", largest: float | None = None
) -> Figure:
    """Return the overlap of each pair of classes as a triangle of colours, numbers written in where they fit.

    Args:
        classes: their names.
        values: in [0, 1], of the first class with those after it, of the second with those after it, and so on.
        model: whose features they are.
        largest: the value with the full colour, for pictures of several models side by side; None for one above
            the largest value here.
    """
    title = f"Class overlap in the features of {clean_name(model)}" if model else "Class overlap"
    pairs = _pairs(classes, values)
    names = [clean_name(name) for name in classes][:MOST_CLASSES]
    shown = [pair for pair in pairs if pair.second < MOST_CLASSES]
    if not shown:
        return sentence_figure(title, "Nobody stored how far the classes overlap: that takes two classes or more.")
    ordered = sorted(shown, key=lambda pair: (-pair.value, pair.first, pair.second))
    full = _nice_above(max(pair.value for pair in shown)) if largest is None else largest
    caption = _caption(ordered, names, len(classes))
    description = f"Overlap from 0, apart, to 1, the same, of {len(names)} classes. {caption}"
    rows = tuple((f"{names[pair.first]} and {names[pair.second]}", number(pair.value)) for pair in ordered)
    return drawn(
        title,
        description,
        caption,
        lambda size: _draw(title, description, names, shown, full, size),
        Table(("classes", "overlap"), rows[:MOST_ROWS], len(rows), "pair"),
    )


def _pairs(classes: Sequence[str], values: Sequence[float]) -> list[Pair]:
    count = len(classes)
    if len(values) != count * (count - 1) // 2:
        raise InputError(f"{count} classes have {count * (count - 1) // 2} pairs, got {len(values)} overlaps.")
    wrong = [value for value in values if not 0 <= value <= 1]
    if wrong:
        raise InputError(f"An overlap of classes is a number from 0 to 1, got {wrong[0]}.")
    places = [(first, second) for first in range(count) for second in range(first + 1, count)]
    return [Pair(first, second, float(value)) for (first, second), value in zip(places, values, strict=True)]


def _nice_above(value: float) -> float:
    """Return a round number that is not smaller, at most 1."""
    if value <= TINY:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return float(f"{min(1.0, math.ceil(value / power * (1 - 1e-9)) * power):.1g}")


def _caption(ordered: list[Pair], names: list[str], count: int) -> str:
    said = [
        f"{in_sentence(names[pair.first], 40)} and {in_sentence(names[pair.second], 40)} {number(pair.value, 2)}"
        for pair in ordered[:NAMED]
    ]
    first = "Most overlap: " if len(said) > 1 else "Overlap: "
    cut = f" The first {MOST_CLASSES} of {count:,} classes are drawn." if count > MOST_CLASSES else ""
    return f"{first}{'; '.join(said)}.{cut}"


def _draw(title: str, description: str, names: list[str], pairs: list[Pair], full: float, size: Size) -> str:
    count = len(names)
    letters = size.letters
    room = size.label_width * 0.75
    texts = [shortened(name, room, letters) for name in names]
    top = below_heading(title, size) + letters * 2.6
    most = 52.0 if size.width > 500 else 44.0
    widest = max(text_width(text, letters) for text in texts[-2:])
    cell = min(most, (size.width - 2 * size.margin - widest - 8) / max(1, count - 1))
    grid = _Grid(size.margin, top, cell, max(cell, letters * 1.3), letters)
    cells = [_cell(pair, names, full, grid, count <= MOST_WRITTEN and cell >= letters * 2.4) for pair in pairs]
    height = grid.top + count * grid.high + size.margin
    drawn_names = [_name(place, text, grid, size) for place, text in enumerate(texts)]
    return picture(title, description, size, height, [*_scale(title, full, size), *cells, *drawn_names])


def _cell(pair: Pair, names: list[str], full: float, grid: _Grid, written: bool) -> Markup:
    """Draw a pair, in the row of its second class and the column of its first."""
    share = PALEST + (1 - PALEST) * min(1.0, pair.value / full)
    x, y = grid.left + pair.first * grid.cell, grid.top + pair.second * grid.high
    box: dict[str, str | float] = {"x": x + 0.5, "y": y + 0.5, "width": grid.cell - 1, "height": grid.high - 1}
    tooltip = f"{isolated(names[pair.first])} and {isolated(names[pair.second])}\noverlap: {number(pair.value)}"
    children = [
        element("title", None, tooltip),
        element("rect", box | {"rx": 2, "class": "hts-heat", "fill-opacity": f"{share:.3f}"}),
    ]
    if written:
        look = next(name for most, name in BANDS if share <= most)
        middle = y + grid.high / 2 + grid.letters * 0.35
        children.append(label(cell_text(pair.value), x + grid.cell / 2, middle, grid.letters, look, "middle"))
    return element("g", {"class": "hts-cell"}, *children)


def cell_text(value: float) -> str:
    """Return an overlap in as few letters as a cell has room for.

    Example:
        >>> cell_text(0.123), cell_text(1.0), cell_text(0.0004), cell_text(0.0)
        ('.12', '1', '<.01', '0')
    """
    if value in (0, 1):
        return f"{value:.0f}"
    if value < 0.01:
        return "<.01"
    return f"{value:.2f}".lstrip("0") if value < 0.995 else ">.99"


def _name(place: int, text: str, grid: _Grid, size: Size) -> Markup:
    """Write a class at the end of its row, which is the head of its column."""
    x = grid.left + place * grid.cell + (5 if place else 2)
    y = grid.top + place * grid.high + grid.high / 2 + grid.letters * 0.35
    return label(text, x, y, grid.letters, "hts-axis")


def _scale(title: str, full: float, size: Size) -> list[Markup]:
    """Explain the colours, below the heading."""
    letters, steps = size.letters, 10
    y = below_heading(title, size) + letters * 1.35
    low, high = "overlap: 0", number(full)
    start = size.margin + text_width(low, letters) + 2
    drawn_steps = [
        element(
            "rect",
            {
                "x": start + step * 9,
                "y": y - letters * 0.8,
                "width": 9,
                "height": letters * 0.9,
                "class": "hts-heat",
                "fill-opacity": f"{PALEST + (1 - PALEST) * step / (steps - 1):.3f}",
            },
        )
        for step in range(steps)
    ]
    outline: dict[str, str | float] = {
        "x": start,
        "y": y - letters * 0.8,
        "width": 9.0 * steps,
        "height": letters * 0.9,
        "class": "hts-outline",
    }
    return [
        label(low, size.margin, y, letters, "hts-tick"),
        *drawn_steps,
        element("rect", outline),
        label(high, start + 9 * steps + 6, y, letters, "hts-tick"),
    ]
