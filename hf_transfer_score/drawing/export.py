"""Charts as images, made without a display, a browser or the network."""

from __future__ import annotations

from typing import Any

from hf_transfer_score.drawing.look import specification

SCALE = 2
"""Pixels of an image for each of the chart."""

NOBODY = ["data:,"]
"""The only address that a specification may name: none of a file, and none of a network."""


def image_of(chart: Any, ending: str) -> bytes:
    """Return the bytes of an image of a chart of Altair.

    Args:
        chart: what to draw.
        ending: "png" or "svg".
    """
    import vl_convert

    found = specification(chart)
    if ending == "svg":
        return str(vl_convert.vegalite_to_svg(found, allowed_base_urls=NOBODY)).encode()
    return bytes(vl_convert.vegalite_to_png(found, scale=SCALE, allowed_base_urls=NOBODY))
