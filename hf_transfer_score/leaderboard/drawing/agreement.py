"""Which metric can be trusted: how far the order of each agrees with measured accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hf_transfer_score.boxes import Box
from hf_transfer_score.leaderboard.drawing.axes import Axis, linear_axis
from hf_transfer_score.leaderboard.drawing.cloud import Ends, clean_name
from hf_transfer_score.leaderboard.drawing.figure import MOST_ROWS, Figure, Table, drawn, sentence_figure
from hf_transfer_score.leaderboard.drawing.shapes import shape
from hf_transfer_score.leaderboard.drawing.svg import Markup, Size, below_heading, element, label, line, picture
from hf_transfer_score.leaderboard.drawing.text import (
    counted,
    finite,
    in_sentence,
    isolated,
    listed,
    number,
    shortened,
    text_width,
)
from hf_transfer_score.leaderboard.drawing.words import ends, joined

MOST_DRAWN = 40
TITLE = "Which metric can be trusted: τ_w with measured accuracy"


@dataclass(frozen=True)
class TrustRow:
    """How far a metric agrees with measured accuracy.

    Attributes:
        name: of the metric.
        value: τ_w, from -1 to 1; None where it is not known.
        interval: its ends.
        kind: a score, or a trivial baseline.
        regret: accuracy lost by taking the metric's best model, None where it is not known.
        models: how many models were compared.
    """

    name: str
    value: float | None
    interval: Ends | None = None
    kind: Literal["score", "baseline"] = "score"
    regret: float | None = None
    models: int | None = None


@dataclass(frozen=True)
class _Line:
    name: str
    value: float
    interval: Ends | None
    baseline: bool
    tooltip: str


def trust_figure(rows: Sequence[TrustRow], *, title: str = TITLE, notes: Sequence[str] = ()) -> Figure:
    """Return τ_w of each metric with its interval, the best on top; baselines have a shape of their own.

    Args:
        rows: the metrics and baselines, in any order.
        title: above the picture.
        notes: what to know of the comparison.
    """
    lines = sorted((found for row in rows if (found := _line(row)) is not None), key=lambda one: -one.value)
    without = len(rows) - len(lines)
    left_out = f"{counted(without, 'metric')} without a comparison left out." if without else ""
    if not lines:
        return sentence_figure(title, joined("No metric was compared with measured accuracy yet.", left_out))
    shown = lines[:MOST_DRAWN]
    cut = f"The best {MOST_DRAWN} of {len(lines)} are drawn." if len(lines) > len(shown) else ""
    caption = joined(_words(lines), cut, left_out, *notes)
    description = (
        f"{counted(len(lines), 'metric')} by τ_w, where 1 is the order of measured accuracy and 0 is chance. {caption}"
    )
    return drawn(title, description, caption, lambda size: _draw(title, description, shown, size), _table(rows))


def _line(row: TrustRow) -> _Line | None:
    value = finite(row.value)
    if value is None:
        return None
    name, interval, kind = clean_name(row.name), ends(row.interval), row.kind
    facts = [isolated(name), "trivial baseline" if kind == "baseline" else "", f"τ_w: {_with_ends(value, interval)}"]
    regret = finite(row.regret)
    facts.append("" if regret is None else f"accuracy lost by its first choice: {number(regret, 3)}")
    facts.append("" if row.models is None else counted(row.models, "model"))
    return _Line(name, value, interval, kind == "baseline", "\n".join(fact for fact in facts if fact))


def _with_ends(value: float, interval: Ends | None) -> str:
    text = f"{value:.2f}" if interval is None else f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"
    return text.replace("-", "−")


def _words(lines: Sequence[_Line]) -> str:
    """Say which metric is best, and what it has ahead of the best baseline."""
    scores = [one for one in lines if not one.baseline]
    baselines = [one for one in lines if one.baseline]
    words = [
        f"Best metric: {_said(scores[0])}." if scores else "",
        f"Best baseline: {_said(baselines[0])}." if baselines else "",
    ]
    if scores and baselines and any(one.interval is not None for one in lines):
        beaten = [in_sentence(one.name) for one in scores if one.value > baselines[0].value]
        words.append(
            f"{len(beaten):,} of {counted(len(scores), 'metric')} above every baseline by its value"
            + (f": {listed(beaten, 5)}." if beaten else ".")
        )
    unsure = sum(one.interval is not None and one.interval[0] <= 0 <= one.interval[1] for one in lines)
    words.append(f"{unsure:,} cannot be told from chance, as their intervals hold 0." if unsure else "")
    return joined(*words)


def _said(one: _Line) -> str:
    return f"{in_sentence(one.name)}, τ_w {_with_ends(one.value, one.interval)}"


def _table(rows: Sequence[TrustRow]) -> Table:
    ordered = sorted(rows, key=lambda row: -(found if (found := finite(row.value)) is not None else -1e9))
    cells = []
    for row in ordered:
        value, regret = finite(row.value), finite(row.regret)
        cells.append(
            (
                clean_name(row.name),
                "baseline" if row.kind == "baseline" else "metric",
                "" if value is None else _with_ends(value, ends(row.interval)),
                "" if regret is None else number(regret, 3),
                "" if row.models is None else f"{row.models:,}",
            )
        )
    columns = ("name", "kind", "τ_w", "accuracy lost by its first choice", "models")
    return Table(columns, tuple(cells[:MOST_ROWS]), len(cells), "metric")


def _draw(title: str, description: str, lines: Sequence[_Line], size: Size) -> str:
    letters, high = size.letters, size.letters * 2.0
    texts = [shortened(one.name, size.label_width * 0.85, letters) for one in lines]
    left = size.margin + max(text_width(text, letters) for text in texts) + 10
    top = below_heading(title, size) + letters * 2.8
    right = size.width - size.margin - text_width("−0.00", letters) - 8
    box = Box(left, top, right, top + high * len(lines))
    axis = linear_axis([0.0, *(end for one in lines for end in (one.value, *(one.interval or ())))], ticks=6)
    rows = [_row(one, text, axis, box, place, size) for place, (one, text) in enumerate(zip(lines, texts, strict=True))]
    height = box.bottom + letters * 3.4 + size.margin
    return picture(title, description, size, height, [*_keys(title, lines, size), *_axis(axis, box, size), *rows])


def _row(one: _Line, text: str, axis: Axis, box: Box, place: int, size: Size) -> Markup:
    y = box.top + (place + 0.5) * size.letters * 2.0
    base = y + size.letters * 0.35
    colour = "hts-front" if one.baseline else "hts-main"
    children = [element("title", None, one.tooltip), label(text, box.left - 10, base, size.letters, "hts-axis", "end")]
    if one.interval is not None:
        low, high = (_across(axis, box, end) for end in one.interval)
        children.append(line(low, y, high, y, "hts-range"))
    kind, radius = ("hollow diamond", 5.2) if one.baseline else ("circle", 5.2)
    where = {"transform": f"translate({_across(axis, box, one.value):.1f} {y:.1f})"}
    children.append(element("g", where, shape("hollow diamond" if kind != "circle" else "circle", radius)))
    value = f"{one.value:.2f}".replace("-", "−")
    children.append(label(value, size.width - size.margin, base, size.letters, "hts-axis", "end"))
    return element("g", {"class": f"hts-mark {colour}"}, *children)


def _across(axis: Axis, box: Box, value: float) -> float:
    return box.left + axis.place(value) * (box.right - box.left)


def _axis(axis: Axis, box: Box, size: Size) -> list[Markup]:
    drawn_lines: list[Markup] = []
    for value, text in axis.ticks:
        x = _across(axis, box, value)
        drawn_lines.append(line(x, box.top, x, box.bottom, "hts-zero" if text == "0" or value == 0 else "hts-grid"))
        drawn_lines.append(label(text, x, box.bottom + size.letters * 1.4, size.letters, "hts-tick", "middle"))
    words = "0 is chance, 1 the order of accuracy →"
    short = shortened(words, size.width - 2 * size.margin, size.letters)
    drawn_lines.append(
        label(short, size.width - size.margin, box.bottom + size.letters * 3.1, size.letters, "hts-axis", "end")
    )
    return drawn_lines


def _keys(title: str, lines: Sequence[_Line], size: Size) -> list[Markup]:
    x, y = size.margin, below_heading(title, size) + size.letters * 1.35
    found: list[Markup] = []
    for baseline, words in ((False, "metric"), (True, "trivial baseline")):
        if not any(one.baseline is baseline for one in lines):
            continue
        place = {"transform": f"translate({x + 6:g} {y - size.letters * 0.35:g})"}
        kind = shape("hollow diamond" if baseline else "circle", 5)
        found.append(element("g", place | {"class": "hts-front" if baseline else "hts-main"}, kind))
        found.append(label(words, x + 16, y, size.letters, "hts-tick"))
        x += 16 + text_width(words, size.letters) + size.letters
    return found
