"""How all charts look, by day and by night; their specifications, and images made of these."""

import json
import re
import textwrap
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from hf_transfer_score.drawing.words import printable

COLOURS = ("#4d4d4d", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""The first for what stands alone, the others for groups in turn; distinct with any kind of colour vision."""

INK, SOFT = "#222222", "#767676"
ON_PALE, ON_MIDDLE, ON_FULL = "#000001", "#000002", "#fffffe"
"""Letters on a pale, a medium and the full shade of the first group colour."""

AT_NIGHT = {
    **dict(zip(COLOURS, ("#c4c4c4", "#4aa3e0", "#f07f3c", "#2fc79a", "#e19cc4", "#f0b93a", "#8fd0f5"), strict=True)),
    INK: "#ececec",
    SOFT: "#9a9a9a",
    ON_PALE: ON_FULL,
    ON_FULL: ON_PALE,
}
"""The same colours on a dark ground."""

SHAPES = ("circle", "square", "diamond", "triangle-up")
STAR = "M0-1.05.28-.35 1.02-.32.44.14.64.87 0 .47-.64.87-.44.14-1.02-.32-.28-.35z"
FONT = "system-ui, 'DejaVu Sans', 'Liberation Sans', sans-serif"
BUTTON = 40
"""Pixels kept free right of a title, for the button that saves a chart."""

LEFT = 52
"""Pixels left of the plot, for the labels of its axis."""

Given = ParamSpec("Given")
Made = TypeVar("Made")
Look = dict[str, str]
DAY: Look = {"ink": INK, "soft": "#5a5a5a", "grid": "#e4e4e4", "ground": "#ffffff"}
NIGHT: Look = {"ink": "#ececec", "soft": "#a9adb3", "grid": "#2b2f34", "ground": "#15171a"}
EMBEDDING = {
    "mode": "vega-lite",
    "renderer": "svg",
    "actions": {"export": True, "source": False, "compiled": False, "editor": False},
}
"""SVG, since its points have words for screen readers; no button sends the chart to an editor elsewhere."""


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


def unchecked(function: Callable[Given, Made]) -> Callable[Given, Made]:
    """Skip Altair's schema check of each part, which takes four fifths of the time; tests check whole charts."""

    @wraps(function)
    def made(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        from altair.utils.schemapi import debug_mode

        with debug_mode(False):
            return function(*args, **kwargs)

    return made


def title_of(title: str, width: int, *subtitles: str) -> Any:
    """Return the title of a chart, wrapped to its width."""
    import altair as alt

    below = [line for text in subtitles if text for line in textwrap.wrap(printable(text), max(20, width // 7))]
    return alt.TitleParams(textwrap.wrap(printable(title), max(16, (width - BUTTON) // 10)) or [""], subtitle=below)


@unchecked
def specification(chart: Any, *, night: bool = False, file: str = "chart") -> dict[str, Any]:
    """Return an Altair chart as a Vega-Lite specification; an image saved from a page is named after `file`."""
    found: dict[str, Any] = chart.to_dict(validate=False)
    data = found.pop("datasets", {})
    if night:  # only outside the data, which hold names of strangers and no colours
        found = json.loads(re.sub(r'"(#\w{6})"', lambda one: f'"{AT_NIGHT.get(one[1], one[1])}"', json.dumps(found)))
    embedding = {"embedOptions": {**EMBEDDING, "downloadFileName": file}}
    return {**found, "datasets": data, "config": configuration(NIGHT if night else DAY), "usermeta": embedding}


def image_of(chart: Any, ending: str, *, night: bool = False) -> bytes:
    """Return a chart as an image, "png" or "svg", made without a display, a browser or the network."""
    import vl_convert

    found, nothing = specification(chart, night=night), ["data:,"]  # the only addresses that it may load
    if ending == "svg":
        return str(vl_convert.vegalite_to_svg(found, allowed_base_urls=nothing)).encode()
    return bytes(vl_convert.vegalite_to_png(found, scale=2, allowed_base_urls=nothing))


def day_and_night(svg: str) -> str:
    """Return an SVG with colours of the day that takes those of the night on a page or system with a dark look.

    Example:
        >>> day_and_night('<svg><path fill="#222222"/></svg>')[:76]
        '<svg><style>@media(prefers-color-scheme:dark){[fill="#222222"]{fill:#ececec}'
    """
    changes = {**AT_NIGHT, **{DAY[part]: NIGHT[part] for part in DAY}}
    rules = [
        rule
        for name in ("fill", "stroke")
        for day, night in changes.items()
        for rule, used in (
            (f'[{name}="{day}"]{{{name}:{night}}}', f'{name}="{day}"'),
            (f'[style*="{name}: {day}"]{{{name}:{night}!important}}', f"{name}: {day}"),
        )
        if used in svg
    ]
    style = f"<style>@media(prefers-color-scheme:dark){{{''.join(rules)}}}</style>"
    return re.sub(r"<svg[^>]*>", lambda head: head[0] + style, svg, count=1)


def configuration(look: Look) -> dict[str, Any]:
    """Return the part of a specification that sets its look."""
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
