"""How much the classes of a sample overlap in a model's features, pair by pair."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

from hf_transfer_score.drawing.figure import MOST_ROWS, WIDTH, Figure, Table
from hf_transfer_score.drawing.look import COLOURS, ON_FULL, ON_MIDDLE, ON_PALE, title_of, unchecked
from hf_transfer_score.drawing.words import in_sentence, named, number, shorten

MOST_CLASSES = 20
MOST_WRITTEN = 10
NAMED = 3
TINY = 1e-12
PALEST = 0.05
"""Share of the full colour for the lowest value, so that its cell can be seen."""

BANDS = ((0.715, "pale", ON_PALE), (0.935, "middle", ON_MIDDLE), (2.0, "full", ON_FULL))
"""Ink of the numbers by shade of the cell (up to a share of the full colour), readable by day and by night."""

ROOM = 110
"""Pixels for the names of classes."""


class Pair(NamedTuple):
    """Two classes, by place, and how much they overlap."""

    first: int
    second: int
    value: float


@unchecked
def overlap_figure(
    classes: Sequence[str],
    values: Sequence[float],
    *,
    model: str = "",
    largest: float | None = None,
    width: int = WIDTH,
) -> Figure:
    """Return the overlap of each pair of classes as a triangle of coloured cells, with numbers where they fit.

    Values are in [0, 1], of the first class with those after it, of the second with those after it, and so on. The
    value `largest` has the full colour, for charts of several models side by side; None takes a round number above the
    largest value here.
    """
    title = f"Class overlap in the features of {named(model)}" if model else "Class overlap"
    places = combinations(range(len(classes)), 2)
    pairs = [Pair(*place, float(value)) for place, value in zip(places, values, strict=True)]
    names = [named(name) for name in classes][:MOST_CLASSES]
    shown = [pair for pair in pairs if pair.second < MOST_CLASSES]
    if not shown:
        return Figure(title, "No class overlap is recorded; it comes with FaCe, for two classes or more.")
    ordered = sorted(shown, key=lambda pair: (-pair.value, pair.first, pair.second))
    full = _nice_above(ordered[0].value) if largest is None else largest
    caption = _caption(ordered, names, len(classes))
    words = f"Overlap of {len(names)} classes, from 0 (apart) to 1 (the same). {caption}"
    rows = tuple((f"{names[pair.first]} and {names[pair.second]}", number(pair.value)) for pair in ordered)
    told = {"title": title_of(title, width), "description": f"{title}. {words}"}
    chart = _chart(names, shown, full, width, told)
    return Figure(title, words, caption, chart, Table(("classes", "overlap"), rows[:MOST_ROWS], len(rows), "pair"))


def _nice_above(value: float) -> float:
    """Return a round number at least as large, at most 1."""
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


def _chart(names: list[str], pairs: list[Pair], full: float, width: int, told: dict[str, Any]) -> Any:
    """Return the cells, each in the row of its second class and the column of its first, with names at the row ends."""
    import altair as alt

    count = len(names)
    cell = min(46, (width - ROOM) // max(1, count - 1))
    place = {"scale": alt.Scale(domain=list(range(count))), "axis": None}
    base = alt.Chart().encode(x=alt.X("first:O", **place), y=alt.Y("second:O", **place))
    scale = alt.Scale(domain=[0, full], range=[PALEST, 1], clamp=True)
    legend = alt.Legend(
        title="overlap", orient="top", values=[0, full], format="~r", symbolType="square", symbolSize=200
    )
    facts = [alt.Tooltip("both:N", title="classes"), alt.Tooltip("overlap:N")]
    cells = base.mark_rect(fill=COLOURS[1], cornerRadius=2).encode(
        opacity=alt.Opacity("value:Q", scale=scale, legend=legend), tooltip=facts, description=alt.Description("told:N")
    )
    ends = [{"first": place, "second": place, "name": shorten(name, 16)} for place, name in enumerate(names)]
    written = base.properties(data={"values": ends}).mark_text(align="left", dx=4 - cell / 2, fontSize=12, aria=False)
    layers = [cells, written.encode(text=alt.Text("name:N"))]
    if count <= MOST_WRITTEN and cell >= 28:
        colours = alt.Scale(domain=[name for _, name, _ in BANDS], range=[colour for _, _, colour in BANDS])
        numbers = base.mark_text(fontSize=12, aria=False, tooltip=None)
        layers.append(numbers.encode(text=alt.Text("text:N"), color=alt.Color("band:N", scale=colours, legend=None)))
    rows, size = {"values": [_row(pair, names, full) for pair in pairs]}, (cell * count, max(15, min(cell, 30)) * count)
    return alt.layer(*layers, data=rows, width=size[0], height=size[1], **told)


def _row(pair: Pair, names: list[str], full: float) -> dict[str, Any]:
    both = f"{names[pair.first]} and {names[pair.second]}"
    share = PALEST + (1 - PALEST) * min(1.0, pair.value / full)
    band = next(name for most, name, _ in BANDS if share <= most)
    told = {"both": both, "overlap": number(pair.value), "told": f"{both}: overlap {number(pair.value)}"}
    return {**pair._asdict(), "band": band, **told, "text": cell_text(pair.value)}


def cell_text(value: float) -> str:
    """Return an overlap in the few characters that fit a cell.

    Example:
        >>> cell_text(0.123), cell_text(1.0), cell_text(0.0004), cell_text(0.0)
        ('.12', '1', '<.01', '0')
    """
    if value in (0, 1):
        return f"{value:.0f}"
    if value < 0.01:
        return "<.01"
    return f"{value:.2f}".lstrip("0") if value < 0.995 else ">.99"
