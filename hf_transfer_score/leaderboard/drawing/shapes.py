"""Shapes that tell kinds of points apart without their colours."""

from __future__ import annotations

from typing import Literal

from hf_transfer_score.leaderboard.drawing.svg import Markup, element

Shape = Literal["circle", "diamond", "star", "triangle", "square", "hollow diamond"]

PATHS = {
    "diamond": "M0-1.3 1.3 0 0 1.3-1.3 0z",
    "star": "M0-1.75 .46-.58 1.71-.54 .74.24 1.06 1.45 0 .78-1.06 1.45-.74.24-1.71-.54-.46-.58z",
    "triangle": "M0-1.3 1.3 1H-1.3z",
    "square": "M-1-1H1V1H-1z",
    "hollow diamond": "M0-1.15 1.15 0 0 1.15-1.15 0z",
}
"""Outlines around 0, about as large as a circle of radius 1."""


def shape(kind: Shape, radius: float) -> Markup:
    """Return a shape around (0, 0)."""
    look = "hts-hollow" if kind == "hollow diamond" else "hts-shape"
    if kind == "circle":
        return element("circle", {"r": radius, "class": look})
    attributes: dict[str, str | float] = {"d": PATHS[kind], "transform": f"scale({radius:g})", "class": look}
    return element("path", attributes | {"vector-effect": "non-scaling-stroke"})
