"""Points between two axes: what a cloud of models shows, and its chart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hf_transfer_score.drawing.axes import Axis, Box, Ground, label_layers, label_rows
from hf_transfer_score.drawing.look import INK, LEFT, SOFT, unchecked
from hf_transfer_score.drawing.words import MISSING, Ends, capital, shorten

NARROW = 480
"""Charts up to this width, in pixels, have few and short names."""

MOST_GROUPS = 8
"""Kinds in the legend at most."""

LONGEST_LABEL, LONGEST_NARROW = 40, 22
OBEYED = ("title", "image")
"""A tooltip does not list facts with these names but acts on them: it would load the image."""

MANY = 150
"""Above this number, points are smaller and translucent."""


@dataclass(frozen=True)
class Kind:
    """A kind of point, with its words in the legend; the shape is a name or an outline."""

    words: str
    colour: str
    shape: str = "circle"


@dataclass(frozen=True)
class Mark:
    """A point: a model with the ends of its intervals across and upwards, and the names and values of other facts."""

    name: str
    x: float
    y: float
    across: Ends | None = None
    upwards: Ends | None = None
    facts: tuple[tuple[str, str], ...] = ()
    kind: str = ""

    @property
    def told(self) -> str:
        """The name and all facts in one text, for screen readers."""
        return ", ".join([self.name, *(f"{key}: {value}" for key, value in self.facts)])


@dataclass(frozen=True)
class Cloud:
    """All that a chart of points shows.

    Attributes:
        marks: the points, those that matter most first.
        kinds: by key; a single kind has no legend.
        legend: title of the legend.
        path: points that a line joins in this order: the steps of a front, or a trend.
        stepped: whether the path is a front.
        named: places of the points with their name beside them, those that matter most first.
        marked: name of the model with a ring.
        whiskers: whether intervals are drawn.
        side: start of the area for points whose x is not known.
    """

    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    kinds: Mapping[str, Kind]
    legend: str = ""
    path: tuple[tuple[float, float], ...] = ()
    stepped: bool = False
    named: tuple[int, ...] = ()
    marked: str | None = None
    whiskers: bool = True
    side: float | None = None


@unchecked
def scatter(cloud: Cloud, width: int, height: int, *, title: Any, description: str) -> Any:
    """Return the chart of a cloud, with tooltips; dragging moves it and the wheel with Ctrl zooms.

    The width is that of the whole, the height that of the area between the axes; the title is one of `title_of`, and
    screen readers read the description.
    """
    import altair as alt

    inside = width - LEFT - 24
    looks = _looks(cloud, inside)
    facts = list(dict.fromkeys(name for mark in cloud.marks for name, _ in mark.facts))
    rows = [_row(cloud, mark, facts) for mark in reversed(cloud.marks)]  # the best are drawn last, on top
    layers = [
        *([_side(cloud, cloud.side)] if cloud.side is not None else []),
        *([_path(cloud)] if len(cloud.path) > 1 else []),
        *(_whiskers(cloud, looks[0]) if cloud.whiskers else []),
        *_points(cloud, looks, facts),
        *_names(cloud, Ground(cloud.x, cloud.y, inside, height)),
    ]
    return alt.layer(*layers, data={"values": rows}, width=inside, height=height, title=title, description=description)


def _row(cloud: Cloud, mark: Mark, facts: Sequence[str]) -> dict[str, Any]:
    found = {"model": mark.name, "x": mark.x, "y": mark.y, "kind": cloud.kinds[mark.kind].words, "told": mark.told}
    for name, interval in (("x", mark.across), ("y", mark.upwards)):
        if interval is not None and interval[1] > interval[0]:
            found |= {f"{name}_low": interval[0], f"{name}_high": interval[1]}
    if mark.name == cloud.marked:
        found["marked"] = 1
    known = dict(mark.facts)
    return found | {f"fact_{place}": known.get(name, MISSING) for place, name in enumerate(facts)}


def _side(cloud: Cloud, start: float) -> Any:
    import altair as alt

    ground = alt.Chart({"values": [{"x": start, "end": cloud.x.value(1)}]})
    return ground.mark_rect(fill="#9a9a9a", opacity=0.12, clip=True).encode(x=alt.X("x:Q"), x2=alt.X2(field="end"))


def _path(cloud: Cloud) -> Any:
    import altair as alt

    line = alt.Chart({"values": [{"x": x, "y": y, "place": place} for place, (x, y) in enumerate(cloud.path)]})
    line = line.encode(x=alt.X("x:Q"), y=alt.Y("y:Q"), order=alt.Order("place:Q"))
    if cloud.stepped:
        return line.mark_line(interpolate="step-after", strokeDash=[5, 4], strokeWidth=1.5, color=SOFT, clip=True)
    return line.mark_line(strokeDash=[2, 4], strokeWidth=2, strokeCap="round", color=INK, clip=True)


def _whiskers(cloud: Cloud, colour: Any) -> list[Any]:
    import altair as alt

    bar = alt.Chart().mark_rule(strokeWidth=3, opacity=0.4, clip=True).encode(color=colour)
    layers = []
    if any(mark.upwards for mark in cloud.marks):
        ends = {"y": alt.Y("y_low:Q"), "y2": alt.Y2(field="y_high")}
        layers.append(bar.transform_filter("isValid(datum.y_low)").encode(x=alt.X("x:Q"), **ends))
    if any(mark.across for mark in cloud.marks):
        ends = {"x": alt.X("x_low:Q"), "x2": alt.X2(field="x_high")}
        layers.append(bar.transform_filter("isValid(datum.x_low)").encode(y=alt.Y("y:Q"), **ends))
    return layers


def _looks(cloud: Cloud, inside: int) -> tuple[Any, Any]:
    """Return the channels of colour and shape, by kind, with one legend where there are several."""
    import altair as alt

    kinds, legend = list(cloud.kinds.values()), None
    words = [kind.words for kind in kinds]
    if len(kinds) > 1:
        columns = max(1, inside // (80 + 4 * max(map(len, words))))
        shown = {"title": cloud.legend or None, "titleLimit": inside, "columns": columns, "symbolLimit": MOST_GROUPS}
        legend = alt.Legend(**shown, symbolOpacity=1)
    colours = alt.Scale(domain=words, range=[kind.colour for kind in kinds])
    shapes = alt.Scale(domain=words, range=[kind.shape for kind in kinds])
    return alt.Color("kind:N", scale=colours, legend=legend), alt.Shape("kind:N", scale=shapes, legend=legend)


def _points(cloud: Cloud, looks: tuple[Any, Any], facts: Sequence[str]) -> list[Any]:
    """Return the points, with a ring around the marked one."""
    import altair as alt

    many = len(cloud.marks) > MANY
    titles = [capital(name) if name in OBEYED else name for name in facts]
    told = [alt.Tooltip(f"fact_{place}:N", title=name) for place, name in enumerate(titles)]
    pointed = alt.selection_point(name="pointed", fields=["model"], on="pointerover", clear="pointerout", empty=False)
    view = alt.selection_interval(name="view", bind="scales", zoom="wheel![event.ctrlKey || event.metaKey]")
    chart = alt.Chart().encode(x=cloud.x.channel(alt.X, "x"), y=cloud.y.channel(alt.Y, "y"))
    points = chart.mark_point(filled=True, opacity=0.6 if many else 1, clip=True).encode(
        color=looks[0],
        shape=looks[1],
        size=alt.SizeValue(40 if many else 75, condition={"param": "pointed", "empty": False, "value": 180}),
        tooltip=[alt.Tooltip("model:N"), *told],
        description=alt.Description("told:N"),
    )
    ring = chart.transform_filter("datum.marked").mark_point(
        size=260, filled=False, strokeWidth=2, color=INK, clip=True, aria=False
    )
    return [points.add_params(pointed, view), *([ring] if cloud.marked else [])]


def _names(cloud: Cloud, ground: Ground) -> Sequence[Any]:
    """Return names beside points."""
    first = [cloud.marks[place] for place in cloud.named]
    texts = [shorten(mark.name, LONGEST_LABEL if ground.width > NARROW else LONGEST_NARROW) for mark in first]
    frame = Box(0, 0, ground.width, ground.height)
    found = label_rows(ground, [(mark.x, mark.y) for mark in first], texts, _in_the_way(cloud, ground), frame)
    rows = [row for _, _, row in found]
    return label_layers(rows, clip=True) if rows else ()


def _in_the_way(cloud: Cloud, ground: Ground) -> list[Box]:
    """Return what names should not cover: intervals, the path, and points without a name."""
    named = set(cloud.named)
    spans: list[tuple[float, float, float, float]] = []
    for place, mark in enumerate(cloud.marks):
        if place not in named:
            spans.append((mark.x, mark.x, mark.y, mark.y))
        if cloud.whiskers:
            spans += [(mark.x, mark.x, *mark.upwards)] if mark.upwards else []
            spans += [(*mark.across, mark.y, mark.y)] if mark.across else []
    for (x, y), (next_x, next_y) in pairwise(cloud.path):
        if cloud.stepped:
            spans += [(x, next_x, y, y), (next_x, next_x, y, next_y)]
        else:
            steps = [(x + (next_x - x) * step / 8, y + (next_y - y) * step / 8) for step in range(9)]
            spans += [(one, one, other, other) for one, other in steps]
    boxes = []
    for x, end_x, y, end_y in spans:
        (left, top), (right, bottom) = ground.pixels(x, y), ground.pixels(end_x, end_y)
        boxes.append(Box(min(left, right), min(top, bottom), max(left, right), max(top, bottom)).wider(2))
    return boxes
