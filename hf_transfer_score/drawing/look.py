"""How all charts look, by day and by night, and the specification from which every form of them is made."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from hf_transfer_score.drawing.words import printable

COLOURS = ("#4d4d4d", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""For what stands alone, then for groups by turns; told apart with any kind of colour vision."""

INK, SOFT = "#222222", "#767676"
ON_PALE, ON_MIDDLE, ON_FULL = "#000001", "#000002", "#fffffe"
"""Letters on little, some and much of the first colour of groups."""

AT_NIGHT = {
    **dict(zip(COLOURS, ("#c4c4c4", "#4aa3e0", "#f07f3c", "#2fc79a", "#e19cc4", "#f0b93a", "#8fd0f5"), strict=True)),
    INK: "#ececec",
    SOFT: "#9a9a9a",
    ON_PALE: ON_FULL,
    ON_FULL: ON_PALE,
}
"""The same on dark ground."""

SHAPES = ("circle", "square", "diamond", "triangle-up")
STAR = "M0-1.05.28-.35 1.02-.32.44.14.64.87 0 .47-.64.87-.44.14-1.02-.32-.28-.35z"
FONT = "system-ui, 'DejaVu Sans', 'Liberation Sans', sans-serif"
BUTTON = 40
"""Pixels right of a title, for the button that saves a chart."""

LEFT = 52
"""Pixels left of the ground of a chart, for the texts of its axis."""

Look = dict[str, str]
DAY: Look = {"ink": INK, "soft": "#5a5a5a", "grid": "#e4e4e4", "ground": "#ffffff"}
NIGHT: Look = {"ink": "#ececec", "soft": "#a9adb3", "grid": "#2b2f34", "ground": "#15171a"}
EMBEDDING = {
    "mode": "vega-lite",
    "renderer": "svg",
    "actions": {"export": True, "source": False, "compiled": False, "editor": False},
}
"""Points have words for those who listen, and nothing is sent to an editor elsewhere."""


def group_look(letter: str) -> tuple[str, str]:
    """Return the colour and the shape of a tie group; a model that stands alone has no letter.

    Example:
        >>> group_look(""), group_look("a")
        (('#4d4d4d', 'circle'), ('#0072b2', 'circle'))
    """
    if not letter:
        return COLOURS[0], SHAPES[0]
    place = int(letter) if letter.isdigit() else ord(letter) - ord("a")
    return COLOURS[1 + place % (len(COLOURS) - 1)], SHAPES[place % len(SHAPES)]


def data_of(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return rows as the data of a chart, which go with its specification."""
    return {"values": list(rows)}


def title_of(title: str, subtitles: Sequence[str], width: int) -> Any:
    """Return the title of a chart in as many lines as its width needs."""
    import altair as alt

    below = [line for text in subtitles if text for line in textwrap.wrap(printable(text), max(20, width // 7))]
    return alt.TitleParams(textwrap.wrap(printable(title), max(16, (width - BUTTON) // 10)) or [""], subtitle=below)


def specification(chart: Any, *, night: bool = False, file: str = "chart") -> dict[str, Any]:
    """Return a chart of Altair as a specification of Vega-Lite with its data and its look.

    Args:
        chart: what to draw.
        night: for dark ground.
        file: name of an image that is saved from a page, without its ending.
    """
    found: dict[str, Any] = chart.to_dict(validate=False)
    data = found.pop("datasets", {})
    if night:  # data hold names of strangers, and no colours
        found = json.loads(re.sub(r'"(#\w{6})"', lambda one: f'"{AT_NIGHT.get(one[1], one[1])}"', json.dumps(found)))
    embedding = {"embedOptions": {**EMBEDDING, "downloadFileName": file}}
    return {**found, "datasets": data, "config": configuration(NIGHT if night else DAY), "usermeta": embedding}


def configuration(look: Look) -> dict[str, Any]:
    """Return what a chart needs of a specification to look so."""
    words = {"labelColor": look["soft"], "titleColor": look["ink"], "labelFont": FONT, "titleFont": FONT}
    plain = {"titleFontWeight": "normal", "labelFontSize": 12, "titleFontSize": 13}
    axis = {**words, **plain, "gridColor": look["grid"], "domain": False, "ticks": False, "labelPadding": 6}
    above = {"titleAngle": 0, "titleAlign": "left", "titleAnchor": "end", "titleBaseline": "bottom", "titleY": -10}
    title = {"color": look["ink"], "subtitleColor": look["soft"], "font": FONT, "subtitleFont": FONT}
    sizes = {"fontSize": 16, "subtitleFontSize": 12.5, "subtitlePadding": 6, "lineHeight": 20}
    return {
        "background": look["ground"],
        "font": FONT,
        "padding": 8,
        "view": {"stroke": None},
        "axis": axis,
        "axisY": {**above, "titleX": -LEFT + 8, "minExtent": LEFT - 8, "maxExtent": LEFT - 8},
        "title": {**title, **sizes, "anchor": "start", "frame": "bounds", "offset": 10},
        "legend": {**words, **plain, "titleFontSize": 12, "orient": "bottom", "symbolSize": 80, "labelLimit": 320},
        "text": {"color": look["ink"], "font": FONT},
        "rule": {"color": look["soft"]},
    }
