"""The chart of a ranking: rank against size, with rank ranges, tie groups and the best rank up to each size."""

from __future__ import annotations

import unicodedata
from typing import Any

from hf_transfer_score.boxes import Box
from hf_transfer_score.drawing.labels import place_labels
from hf_transfer_score.drawing.look import DAY, data_of, group_look
from hf_transfer_score.drawing.points import SIDE_START, Picture, Point

WIDTH, ROW, LEAST_HEIGHT, MOST_HEIGHT = 900, 19, 360, 1200
LETTER, WIDE_LETTER, LINE = 6.6, 13.0, 15.0
"""Pixels of a letter in a label, rather too many, of one of East Asian scripts, and of its height."""

GROUPS = "Models of one colour and shape cannot be told apart from the best of them on this sample"
FRONT = "dashed: the best rank up to this size"
MOST_GROUPS = 8
"""Tie groups that the legend names."""


def rank_chart(picture: Picture) -> Any:
    """Return the chart of a ranking, for a notebook, a page or a file.

    Pointing at a model shows what is known of it; the wheel and dragging zoom and move.
    """
    import altair as alt

    chart = _layers(picture) if picture.points else _sentence("No model could be ranked.")
    title = alt.TitleParams(picture.title, subtitle=[one for one in (picture.subtitle, picture.remark) if one])
    return chart.properties(width=WIDTH, height=_height(picture), title=title)


def _sentence(text: str) -> Any:
    import altair as alt

    return alt.layer(alt.Chart(data_of([{"text": text}])).mark_text(size=17, color=DAY["soft"]).encode(text="text:N"))


def _layers(picture: Picture) -> Any:
    import altair as alt

    axes = {"x": _across(picture), "y": _down(picture)}
    return alt.layer(
        *([_side(picture, axes)] if picture.side else []),
        *([_front(picture, axes)] if len(picture.front) > 1 else []),
        *_models(picture, axes),
        *_names(picture, axes),
    )


def _height(picture: Picture) -> int:
    return min(MOST_HEIGHT, max(LEAST_HEIGHT, ROW * picture.worst))


def _across(picture: Picture) -> Any:
    """Return the axis of sizes, logarithmic; models whose size is not known stand at its end."""
    import altair as alt

    value = picture.scale.value
    ticks = [(value(share), text) for share, text in picture.ticks]
    chosen = "".join(f"abs(datum.value / {at} - 1) < 1e-6 ? '{text}' : " for at, text in ticks)
    return alt.X(
        "size:Q",
        scale=alt.Scale(type="log", domain=[value(0), value(1)], nice=False),
        axis=alt.Axis(values=[at for at, _ in ticks], labelExpr=f"{chosen}''"),
        title=[picture.axis, *([FRONT] if len(picture.front) > 1 else [])],
    )


def _down(picture: Picture) -> Any:
    """Return the axis of ranks, the first on top."""
    import altair as alt

    scale = alt.Scale(domain=[0.4, picture.worst + 0.6], reverse=True, nice=False)
    return alt.Y("rank:Q", scale=scale, axis=alt.Axis(values=picture.rank_ticks, format="d"), title="rank")


def _side(picture: Picture, axes: dict[str, Any]) -> Any:
    import altair as alt

    value = picture.scale.value
    ground = alt.Chart(data_of([{"size": value(SIDE_START), "end": value(1)}])).mark_rect(opacity=0.4, fill="#9a9a9a33")
    return ground.encode(x=axes["x"], x2="end:Q")


def _front(picture: Picture, axes: dict[str, Any]) -> Any:
    import altair as alt

    rows = [{"size": picture.scale.value(x), "rank": rank} for x, rank in picture.front]
    line = alt.Chart(data_of(rows)).mark_line(
        interpolate="step-after", strokeDash=[5, 4], strokeWidth=1.5, color="#9a9a9a", description=FRONT
    )
    return line.encode(**axes, order="size:Q")


def _models(picture: Picture, axes: dict[str, Any]) -> list[Any]:
    """Return the ranges and the points; the best are drawn last, on top."""
    import altair as alt

    looks = _looks(picture)
    rows = [_row(picture, point) for point in reversed(picture.points)]
    facts = dict.fromkeys(name for point in picture.points for name, _ in point.facts)
    told = [alt.Tooltip("model:N"), *(alt.Tooltip(_fact(name), type="nominal", title=name) for name in facts)]
    pointed = alt.selection_point(name="pointed", fields=["model"], on="pointerover", clear="pointerout", empty=False)
    size = alt.condition(pointed, alt.value(160), alt.value(70))
    chart = alt.Chart(data_of(rows)).encode(x=axes["x"], color=looks["color"], tooltip=told)
    bars = chart.transform_filter("datum.high > datum.low").mark_rule(strokeWidth=3, opacity=0.4)
    points = chart.mark_point(filled=True, opacity=1).encode(
        y=axes["y"], shape=looks["shape"], size=size, description="told:N"
    )
    view = alt.selection_interval(name="view", bind="scales")
    return [bars.encode(y="low:Q", y2="high:Q"), points.add_params(pointed, view)]


def _looks(picture: Picture) -> dict[str, Any]:
    """Return the channels of colour and shape, by tie group, with one legend."""
    import altair as alt

    groups = {_group(picture, point): group_look(point.tie) for point in picture.points}
    legend = (
        alt.Legend(title=GROUPS, titleLimit=WIDTH, columns=4, symbolLimit=MOST_GROUPS, symbolOpacity=1)
        if picture.ties
        else None
    )
    scales = [alt.Scale(domain=list(groups), range=list(one)) for one in zip(*groups.values(), strict=True)]
    return {
        "color": alt.Color("group:N", scale=scales[0], legend=legend),
        "shape": alt.Shape("group:N", scale=scales[1], legend=legend),
    }


def _row(picture: Picture, point: Point) -> dict[str, Any]:
    return {
        "model": point.name,
        "size": picture.scale.value(point.x),
        "rank": point.rank,
        "low": point.low,
        "high": point.high,
        "group": _group(picture, point),
        "told": point.told.replace("\n", ", "),
        **{_fact(name): value for name, value in point.facts},
    }


def _fact(name: str) -> str:
    """Return the field of a fact, by a name that no other field has and that is read as no path."""
    return "fact_" + "".join(letter if letter.isalnum() else "_" for letter in name)


def _group(picture: Picture, point: Point) -> str:
    """Return what the legend says of a model's group."""
    if not point.tie:
        return f"not tied: {picture.alone}"
    return f"{point.tie}: {picture.ties[point.tie]} models"


def _names(picture: Picture, axes: dict[str, Any]) -> list[Any]:
    """Return names beside points, none over another, with lines to those that stand further away."""
    import altair as alt

    height, value = _height(picture), picture.scale.value
    rows = []
    for point, place in zip(picture.points, _places(picture), strict=True):
        if place is None:
            continue
        box = place.box
        row = {"name": point.label, "size": value((box.left + box.right) / 2 / WIDTH)}
        row |= {"rank": picture.rank_at((box.top + box.bottom) / 2 / height), "of": value(point.x), "at": point.rank}
        if place.line is not None:
            row |= {"to": value(place.line[0] / WIDTH), "end": picture.rank_at(place.line[1] / height)}
        rows.append(row)
    chart = alt.Chart(data_of(rows))
    lines = chart.transform_filter("isValid(datum.to)").mark_rule(strokeWidth=0.7)
    ends = {"x": alt.X("of:Q"), "y": alt.Y("at:Q"), "x2": "to", "y2": "end"}
    return [lines.encode(**ends), chart.mark_text(fontSize=12).encode(**axes, text="name:N")]


def _places(picture: Picture) -> list[Any]:
    """Return where names stand, in pixels."""
    height, points = _height(picture), picture.points
    spots = [(point.x * WIDTH, picture.down(point.rank) * height) for point in points]
    spans = [(point.x, point.x, point.low, point.high) for point in points] + picture.front_lines
    bars = [
        Box(x * WIDTH - 2, picture.down(low) * height - 2, end * WIDTH + 2, picture.down(high) * height + 2)
        for x, end, low, high in spans
    ]
    sizes = [label_size(point.label) if number < picture.labelled else None for number, point in enumerate(points)]
    return place_labels(spots, sizes, bars, Box(-10, -10, WIDTH, height))


def label_size(text: str) -> tuple[float, float]:
    """Return a guess, rather too large, of the space that a label takes."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return LETTER * (len(text) - wide) + WIDE_LETTER * wide + 4, LINE
