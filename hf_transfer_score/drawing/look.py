"""How all charts look: colours and shapes of groups of models, by day and by night."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLOURS = ("#4d4d4d", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""For models that stand alone, then for tie groups by turns; told apart with any kind of colour vision."""

AT_NIGHT = dict(
    zip(COLOURS, ("#c4c4c4", "#4aa3e0", "#f07f3c", "#2fc79a", "#e19cc4", "#f0b93a", "#8fd0f5"), strict=True)
)
"""The same on dark ground."""

SHAPES = ("circle", "square", "diamond", "triangle-up")
FONT = "system-ui, 'DejaVu Sans', 'Liberation Sans', sans-serif"

Look = dict[str, Any]

DAY: Look = {"ink": "#222222", "soft": "#5a5a5a", "grid": "#e4e4e4", "ground": "#ffffff"}
NIGHT: Look = {"ink": "#ececec", "soft": "#a9adb3", "grid": "#2b2f34", "ground": "#15171a"}


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
    import altair

    inline: Any = altair.Data
    return inline(values=list(rows))


def configuration(look: Look) -> dict[str, Any]:
    """Return what a chart needs of a specification to look so."""
    words = {"labelColor": look["soft"], "titleColor": look["ink"], "labelFont": FONT, "titleFont": FONT}
    return {
        "background": look["ground"],
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            **words,
            "gridColor": look["grid"],
            "domain": False,
            "ticks": False,
            "labelFontSize": 12,
            "titleFontSize": 13,
            "titleFontWeight": "normal",
            "labelPadding": 6,
        },
        "title": {
            "color": look["ink"],
            "subtitleColor": look["soft"],
            "anchor": "start",
            "font": FONT,
            "subtitleFont": FONT,
            "fontSize": 17,
            "subtitleFontSize": 12.5,
            "offset": 14,
            "limit": 900,
        },
        "legend": {**words, "orient": "bottom", "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
        "text": {"color": look["ink"], "font": FONT},
        "rule": {"color": look["soft"]},
    }
