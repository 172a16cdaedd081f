"""The chart of a race: how accurate the finalists of a choice were after each pass, and when they dropped out."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hf_transfer_score.drawing.axes import Axis, Box, Ground, label_layers, label_rows, linear_axis
from hf_transfer_score.drawing.look import COLOURS, INK, LEFT, SOFT, title_of, unchecked
from hf_transfer_score.drawing.words import MISSING, shorten
from hf_transfer_score.text import joined

WIDTH, HEIGHT = 760, 400
ROOM = 170
"""Pixels right of the last pass, for names."""

LONGEST_LABEL, LONGEST_TITLED = 34, 60
PIECES, NEAR = 16, 3.0
"""Points along each piece of a curve that names should keep away from, and by how many pixels."""

GONE, IN, WON = 0.8, 1.7, 3.2
"""Widths of the curves: of finalists that dropped out, of those that stayed, and of the winner."""

LOOKS = {**{f"line {place}": colour for place, colour in enumerate(COLOURS[1:])}, "soft": SOFT, "ink": INK}
"""Colours by name, for lines, points and names: the data hold no colours, since these change at night."""

LABELLED = 12
"""Finalists with a name beside their curve at most."""

HEAD = ("learning rate", "epochs", "best validation accuracy", "outcome")
WHAT = "accuracy on the validation rows"


@dataclass(frozen=True)
class RaceCurve:
    """The curve of a finalist at its best learning rate, None where none was raced, and why it dropped out."""

    name: str
    accuracies: tuple[float, ...]
    rate: float | None
    gone: str | None
    ended: bool

    @property
    def best(self) -> tuple[int, float]:
        """The pass after which it was best, and its accuracy then."""
        value = max(self.accuracies)
        return self.accuracies.index(value) + 1, value

    @property
    def became(self) -> str:
        """What happened to it, in words."""
        if self.gone is not None:
            return f"dropped out: {self.gone}"
        return "trained to its end" if self.ended else "still in when the race ended"

    @property
    def cells(self) -> tuple[str, ...]:
        """Its row in a table."""
        rate = MISSING if self.rate is None else f"{self.rate:g}"
        return rate, str(len(self.accuracies)), f"{self.best[1]:.1%}", self.became


@dataclass(frozen=True)
class Curves:
    """All that the chart of a race shows.

    Attributes:
        curves: of the finalists, at least one, those that matter most first.
        compared: the passes after which all were compared.
        won: whether the first one is the winner.
        proof: how the winner did on the test rows.
    """

    curves: tuple[RaceCurve, ...]
    compared: tuple[int, ...]
    won: bool
    dataset: str = ""
    proof: str = ""

    @property
    def title(self) -> str:
        """The winner and its accuracy."""
        first, on = self.curves[0], f"{self.dataset}: " if self.dataset else ""
        if not self.won:
            return f"{on}the race, not won yet"
        rate = "" if first.rate is None else f" at the learning rate {first.rate:g}"
        name = shorten(first.name, LONGEST_TITLED)
        return f"{on}{name} won{rate}, with {first.best[1]:.1%} of the validation rows right"

    @property
    def subtitle(self) -> str:
        """How to read it."""
        went = sum(one.gone is not None for one in self.curves)
        parts = ["One line per finalist, at its best learning rate"]
        parts += ["the ring is where the winner was best"] if self.won else []
        parts += ["thin grey lines end where a finalist dropped out"] if went else []
        return f"{'; '.join(parts)}."

    @property
    def description(self) -> str:
        """The chart in words, for screen readers."""
        told = [f"{one.name} {one.best[1]:.1%} after pass {one.best[0]}" for one in self.curves if one.gone is None]
        went = [one.name for one in self.curves if one.gone is not None]
        return f"{self.title}. {joined(told, 6)}.{f' Dropped out: {joined(went, 6)}.' if went else ''}"


@unchecked
def race_chart(race: Curves) -> Any:
    """Return the chart of a race: passes across, accuracy on the validation rows upwards, one line per finalist."""
    import altair as alt

    last = max(2, *(len(one.accuracies) for one in race.curves))
    values = [value for one in race.curves for value in one.accuracies]
    x, y, inside = Axis("", 1.0 - 0.02 * (last - 1), float(last)), linear_axis("", values), WIDTH - LEFT - ROOM
    curves = [*enumerate(race.curves)]
    rows = [row for place, one in reversed(curves) for row in _rows(race, place, one)]  # the winner on top
    ticks = alt.Axis(values=[one for one in race.compared if one <= x.high], format="d", labelOverlap=True)
    chart = alt.Chart().encode(
        x=alt.X("x:Q", title="epochs; finalists are compared after the numbered ones", axis=ticks).scale(
            domain=[x.low, x.high], nice=False, zero=False
        ),
        y=alt.Y("y:Q", title=WHAT, axis=alt.Axis(format=".0%", tickCount=6)).scale(
            domain=[y.low, y.high], nice=False, zero=False
        ),
    )
    colour = alt.Color("look:N", legend=None).scale(domain=list(LOOKS), range=list(LOOKS.values()))
    told = [alt.Tooltip("model:N"), alt.Tooltip("x:Q", title="epochs"), alt.Tooltip("y:Q", title=WHAT, format=".1%")]
    told += [alt.Tooltip("rate:N", title="learning rate"), alt.Tooltip("became:N", title="outcome")]
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
        *_names(race, Ground(x, y, inside, HEIGHT), colour),
        data={"values": rows},
        width=inside,
        height=HEIGHT,
        title=title_of(race.title, WIDTH, race.proof, race.subtitle),
        description=race.description,
    )


def _rows(race: Curves, place: int, one: RaceCurve) -> list[dict[str, Any]]:
    """Return one row per pass of a finalist; the winner's curve is strong, and all that dropped out look alike."""
    won = race.won and not place
    kept, rate = one.best[0] if won else 0, MISSING if one.rate is None else f"{one.rate:g}"
    look, width = ("soft", GONE) if one.gone is not None else (f"line {place % (len(COLOURS) - 1)}", WON if won else IN)
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


def _names(race: Curves, ground: Ground, colour: Any) -> list[Any]:
    """Return the names of finalists beside the ends of their curves; the winner's is bold."""
    import altair as alt

    named = race.curves[:LABELLED]
    ends = [(float(len(one.accuracies)), one.accuracies[-1]) for one in named]
    texts = [shorten(one.name, LONGEST_LABEL) for one in named]
    rows = []
    frame = Box(0, 0, ground.width + ROOM, ground.height)
    for place, box, row in label_rows(ground, ends, texts, _in_the_way(race, ground), frame):
        end, _ = ground.pixels(*ends[place])
        align, at = ("left", box.left) if box.left >= end else ("center", end)
        align, at = ("right", box.right) if box.right <= end else (align, at)
        row |= {"at": ground.x.value(at / ground.width), "align": align}
        row |= {"weight": "bold" if race.won and not place else "normal"}
        rows.append(row | {"look": "ink" if named[place].gone is None else "soft"})
    look = {"align": alt.ExprRef("datum.align"), "fontWeight": alt.ExprRef("datum.weight"), "baseline": "middle"}
    lines, texts_drawn = label_layers(rows, clip=False, **look)
    return [lines, texts_drawn.encode(color=colour)]


def _in_the_way(race: Curves, ground: Ground) -> list[Box]:
    """Return what names should not cover: the curves, in short pieces."""
    boxes = []
    for one in race.curves:
        spots = [ground.pixels(step, value) for step, value in enumerate(one.accuracies, 1)]
        for (x, y), (next_x, next_y) in pairwise(spots):
            pieces = [(x + (next_x - x) * step / PIECES, y + (next_y - y) * step / PIECES) for step in range(PIECES)]
            boxes += [Box(left, top, left, top).wider(NEAR) for left, top in pieces]
    return boxes
