"""The chart of a race: how accurate the finalists of a choice were after each pass, and where those ended that went."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hf_transfer_score.drawing.axes import Axis, linear_axis
from hf_transfer_score.drawing.labels import Box, label_size, place_labels
from hf_transfer_score.drawing.look import COLOURS, INK, LEFT, SOFT, data_of, title_of, unchecked
from hf_transfer_score.drawing.words import MISSING, listed, shorten

WIDTH, HEIGHT = 760, 400
ROOM = 170
"""Pixels right of the last pass, for names."""

LONGEST_LABEL, LONGEST_TITLED = 34, 60
PIECES, NEAR = 16, 3.0
"""Of how many points a piece of a curve is where names are placed, and how far from each they had better stay."""

GONE, IN, WON = 0.8, 1.7, 3.2
"""Width of the curve of a finalist that went, of one that was in at the end, and of the winner."""

LOOKS = {**{f"line {place}": colour for place, colour in enumerate(COLOURS[1:])}, "soft": SOFT, "ink": INK}
"""Colours by name, for all lines, points and names: data hold no colours, which are others at night."""

LABELLED = 12
"""Finalists that have a name beside their curve at most."""

HEAD = ("learning rate", "passes", "best validation accuracy", "what became of it")
WHAT = "accuracy on the validation rows"


@dataclass(frozen=True)
class RaceCurve:
    """The curve of a finalist at its best learning rate.

    Attributes:
        name: made printable.
        accuracies: on the validation rows, after each pass.
        rate: the learning rate, None where none was raced.
        gone: why it went; None where it was in at the end.
        ended: whether nothing more was to be trained.
    """

    name: str
    accuracies: tuple[float, ...]
    rate: float | None
    gone: str | None
    ended: bool

    @property
    def best(self) -> tuple[int, float]:
        """The pass after which it was best, and how good it was."""
        value = max(self.accuracies)
        return self.accuracies.index(value) + 1, value

    @property
    def became(self) -> str:
        """What became of it, in words."""
        if self.gone is not None:
            return f"went: {self.gone}"
        return "trained to its end" if self.ended else "in when the race ended"

    @property
    def cells(self) -> tuple[str, ...]:
        """What a table has of it."""
        rate = MISSING if self.rate is None else f"{self.rate:g}"
        return rate, str(len(self.accuracies)), f"{self.best[1]:.1%}", self.became


@dataclass(frozen=True)
class Curves:
    """All that the chart of a race shows.

    Attributes:
        curves: of the finalists, at least one: those that matter most first.
        compared: the passes after which all were compared.
        won: whether the first one is the winner.
        dataset: made printable; "" where it has no name.
        proof: what the test rows say of the winner.
    """

    curves: tuple[RaceCurve, ...]
    compared: tuple[int, ...]
    won: bool
    dataset: str = ""
    proof: str = ""

    @property
    def title(self) -> str:
        """Who won, and how good it was."""
        first, on = self.curves[0], f"{self.dataset}: " if self.dataset else ""
        if not self.won:
            return f"{on}the race, which nobody has won yet"
        rate = "" if first.rate is None else f" at the learning rate {first.rate:g}"
        name = shorten(first.name, LONGEST_TITLED)
        return f"{on}{name} won{rate}, with {first.best[1]:.1%} of the validation rows right"

    @property
    def subtitle(self) -> str:
        """How to read it."""
        went = sum(one.gone is not None for one in self.curves)
        parts = ["One line per finalist, at its best learning rate"]
        parts += ["the ring is where the winner was best"] if self.won else []
        parts += ["thin grey lines end where their finalists went"] if went else []
        return f"{'; '.join(parts)}."

    @property
    def description(self) -> str:
        """The chart in words, for those who do not see it."""
        told = [f"{one.name} {one.best[1]:.1%} after pass {one.best[0]}" for one in self.curves if one.gone is None]
        went = [one.name for one in self.curves if one.gone is not None]
        return f"{self.title}. {listed(told, 6)}.{f' Went: {listed(went, 6)}.' if went else ''}"


@unchecked
def race_chart(race: Curves, width: int = WIDTH) -> Any:
    """Return the chart of a race: passes across, accuracy on the validation rows upwards, a line for each finalist."""
    import altair as alt

    inside = width - LEFT - ROOM
    axes = _axes(race)
    curves = [*enumerate(race.curves)]
    rows = [row for place, one in reversed(curves) for row in _rows(race, place, one)]  # the winner on top
    ticks = alt.Axis(values=[one for one in race.compared if one <= axes[0].high], format="d", labelOverlap=True)
    chart = alt.Chart().encode(
        x=alt.X(
            "x:Q", title="passes over the training rows; finalists are compared after those with a number", axis=ticks
        ).scale(domain=[axes[0].low, axes[0].high], nice=False, zero=False),
        y=alt.Y("y:Q", title=WHAT, axis=alt.Axis(format=".0%", tickCount=6)).scale(
            domain=[axes[1].low, axes[1].high], nice=False, zero=False
        ),
    )
    colour = alt.Color("look:N", legend=None).scale(domain=list(LOOKS), range=list(LOOKS.values()))
    told = [alt.Tooltip("model:N"), alt.Tooltip("x:Q", title="passes"), alt.Tooltip("y:Q", title=WHAT, format=".1%")]
    told += [alt.Tooltip("rate:N", title="learning rate"), alt.Tooltip("became:N", title="what became of it")]
    points = chart.mark_point(filled=True, opacity=1).encode(
        color=colour, size=alt.Size("size:Q", scale=None), tooltip=told, description=alt.Description("told:N")
    )
    return alt.layer(
        *(
            chart.transform_filter(f"datum.width == {width}")
            .mark_line(strokeJoin="round", strokeWidth=width)
            .encode(color=colour, detail="place:N", order=alt.Order("x:Q"))
            for width in (GONE, IN, WON)
        ),
        points,
        chart.transform_filter("datum.kept").mark_point(size=220, filled=False, strokeWidth=2, color=INK, aria=False),
        *_names(race, axes, inside, colour),
        data=data_of(rows),
        width=inside,
        height=HEIGHT,
        title=title_of(race.title, (race.proof, race.subtitle), width),
        description=race.description,
    )


def _axes(race: Curves) -> tuple[Axis, Axis]:
    last = max(2, *(len(one.accuracies) for one in race.curves))
    values = [value for one in race.curves for value in one.accuracies]
    return Axis("", 1.0 - 0.02 * (last - 1), float(last)), linear_axis("", values)


def _look(race: Curves, place: int) -> tuple[str, float]:
    """Return the look and the width of a line: the winner's is strong, and of those that went all are alike."""
    if race.curves[place].gone is not None:
        return "soft", GONE
    return f"line {place % (len(COLOURS) - 1)}", WON if race.won and not place else IN


def _rows(race: Curves, place: int, one: RaceCurve) -> list[dict[str, Any]]:
    """Return a row for each pass of a finalist; those after which all were compared have a larger point."""
    kept, rate = one.best[0] if race.won and not place else 0, MISSING if one.rate is None else f"{one.rate:g}"
    look, width = _look(race, place)
    about = {"model": one.name, "place": place, "look": look, "width": width, "rate": rate, "became": one.became}
    return [
        {
            **about,
            "x": step,
            "y": value,
            "size": 12 if one.gone is not None and step < len(one.accuracies) else 36,
            "told": f"{one.name}, pass {step}: {value:.1%}",
        }
        | ({"kept": 1} if step == kept else {})
        for step, value in enumerate(one.accuracies, 1)
    ]


def _names(race: Curves, axes: tuple[Axis, Axis], inside: int, colour: Any) -> list[Any]:
    """Return the names of finalists beside the ends of their curves, none over another; the winner's is bold."""
    import altair as alt

    named, (across, upwards) = race.curves[:LABELLED], axes
    ends = [(float(len(one.accuracies)), one.accuracies[-1]) for one in named]
    texts = [shorten(one.name, LONGEST_LABEL) for one in named]
    spots = [_pixels(axes, inside, *end) for end in ends]
    frame = Box(0, 0, inside + ROOM, HEIGHT)
    found = place_labels(spots, [label_size(text) for text in texts], _in_the_way(race, axes, inside), frame)
    rows = []
    for place, (text, end, spot, label) in enumerate(zip(texts, ends, spots, found, strict=True)):
        if label is None:
            continue
        left, top, right, bottom = label.box
        align, at = ("left", left) if left >= spot[0] else ("right", right) if right <= spot[0] else ("center", spot[0])
        row = {"name": text, "x": end[0], "y": end[1], "at": across.value(at / inside), "align": align}
        row |= {"high": upwards.value(1 - (top + bottom) / 2 / HEIGHT)}
        row |= {"weight": "bold" if race.won and not place else "normal"}
        row |= {"look": "ink" if named[place].gone is None else "soft"}
        if label.line is not None:
            row |= {"to": across.value(label.line[0] / inside), "end": upwards.value(1 - label.line[1] / HEIGHT)}
        rows.append(row)
    chart = alt.Chart(data_of(rows))
    lines = chart.transform_filter("isValid(datum.to)").mark_rule(strokeWidth=0.7, aria=False)
    lines = lines.encode(x=alt.X("x:Q"), y=alt.Y("y:Q"), x2=alt.X2(field="to"), y2=alt.Y2(field="end"))
    look = {"align": alt.ExprRef("datum.align"), "fontWeight": alt.ExprRef("datum.weight")}
    written = chart.mark_text(fontSize=12, baseline="middle", aria=False, **look)
    return [lines, written.encode(x=alt.X("at:Q"), y=alt.Y("high:Q"), text=alt.Text("name:N"), color=colour)]


def _pixels(axes: tuple[Axis, Axis], inside: int, x: float, y: float) -> tuple[float, float]:
    return axes[0].share(x) * inside, (1 - axes[1].share(y)) * HEIGHT


def _in_the_way(race: Curves, axes: tuple[Axis, Axis], inside: int) -> list[Box]:
    """Return what names had better not cover: the curves, in short pieces."""
    boxes = []
    for one in race.curves:
        spots = [_pixels(axes, inside, step, value) for step, value in enumerate(one.accuracies, 1)]
        for (x, y), (next_x, next_y) in pairwise(spots):
            pieces = [(x + (next_x - x) * step / PIECES, y + (next_y - y) * step / PIECES) for step in range(PIECES)]
            boxes += [Box(left, top, left, top).wider(NEAR) for left, top in pieces]
    return boxes
