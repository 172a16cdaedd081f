"""Elements of a picture as text, with everything in them escaped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from hf_transfer_score.leaderboard.drawing.style import PLOT_STYLE
from hf_transfer_score.leaderboard.drawing.text import is_measured, markup, shortened, text_width


@dataclass(frozen=True)
class Size:
    """How large a picture is drawn, in its own units.

    Attributes:
        name: tells the two sizes apart.
        width: of the whole.
        height: of the whole, where the data do not decide it.
        heading: size of the heading's letters.
        letters: size of all other letters.
        labels: names written beside points, at most.
        label_width: of one name, at most.
        margin: around everything.
    """

    name: str
    width: float
    height: float
    heading: float
    letters: float
    labels: int
    label_width: float
    margin: float


WIDE = Size("wide", 640, 420, 16, 12.5, 10, 190, 16)
COMPACT = Size("compact", 330, 370, 14, 11.6, 6, 125, 10)
"""For a phone: in 270 pixels, what a page leaves of 360, its letters are still 9 pixels high."""

BOLDER = 1.1
"""How much wider a heading is than other text."""


@dataclass(frozen=True)
class Markup:
    """Text that is markup already."""

    text: str


SHAPES = ("rect", "line", "path", "circle", "polyline")
"""Elements that hold nothing; others need an end of their own, as a page reads them otherwise than XML does."""

Attributes = Mapping[str, "str | float"]


def element(name: str, attributes: Attributes | None = None, *children: Markup | str) -> Markup:
    """Return an element; children that are plain text are escaped.

    Example:
        >>> element("text", {"x": 1.0}, "a < b").text
        '<text x="1">a &lt; b</text>'
    """
    written = "".join(f' {key}="{_value(value)}"' for key, value in (attributes or {}).items())
    inside = "".join(child.text if isinstance(child, Markup) else markup(child) for child in children)
    return Markup(f"<{name}{written}/>" if name in SHAPES else f"<{name}{written}>{inside}</{name}>")


def _value(value: str | float) -> str:
    return markup(value) if isinstance(value, str) else coordinate(value)


def coordinate(value: float) -> str:
    """Return a number as attributes have it, to a hundredth."""
    return f"{value:.2f}".rstrip("0").rstrip(".").replace("-0", "0" if abs(value) < 0.005 else "-0")


def label(text: str, x: float, y: float, size: float, kind: str, anchor: str = "start") -> Markup:
    """Return a text; one in a script whose letters have any width is pressed into the width it was given.

    Args:
        text: what to write, as short as it has to be.
        x: of its anchor.
        y: of its baseline.
        size: of the letters.
        kind: the class of its looks.
        anchor: "start", "middle" or "end".
    """
    attributes: dict[str, str | float] = {"x": x, "y": y, "font-size": size, "class": kind}
    if anchor != "start":
        attributes["text-anchor"] = anchor
    if not is_measured(text):
        attributes |= {"textLength": text_width(text, size), "lengthAdjust": "spacingAndGlyphs"}
    return element("text", attributes, text)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """Return a straight line."""
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": kind})


def picture(title: str, description: str, size: Size, height: float, children: list[Markup]) -> str:
    """Return the whole picture, which fits the width of what it is in.

    Args:
        title: its name for those who do not see it.
        description: what it shows, in words.
        size: how large it is.
        height: of this one.
        children: what is drawn, without the ground and the heading.
    """
    drawn = "".join(child.text for child in children)
    key = hashlib.blake2b(f"{title}\0{description}\0{drawn}".encode(), digest_size=5).hexdigest()
    attributes: dict[str, str | float] = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {coordinate(size.width)} {coordinate(height)}",
        "width": "100%",
        "role": "img",
        "class": "hts-plot",
        "aria-labelledby": f"hts-{key}-t",
        "aria-describedby": f"hts-{key}-d",
    }
    whole = element(
        "svg",
        attributes,
        element("title", {"id": f"hts-{key}-t"}, title),
        element("desc", {"id": f"hts-{key}-d"}, description),
        element("style", None, Markup(PLOT_STYLE)),
        element("rect", {"width": size.width, "height": height, "rx": 8, "class": "hts-ground"}),
        *_heading(title, size),
        Markup(drawn),
    )
    return whole.text


def _heading(title: str, size: Size) -> list[Markup]:
    first = size.margin + size.heading * 0.85
    return [
        label(text, size.margin, first + place * size.heading * 1.25, size.heading, "hts-heading")
        for place, text in enumerate(heading_lines(title, size))
    ]


def heading_lines(title: str, size: Size) -> list[str]:
    """Return a heading in lines, at most three."""
    room, letters = size.width - 2 * size.margin, size.heading * BOLDER
    lines = wrapped(title, room, letters)
    return lines if len(lines) < 3 else [*lines[:2], shortened(" ".join(lines[2:]), room, letters)]


def below_heading(title: str, size: Size) -> float:
    """Return where the heading ends."""
    return size.margin + size.heading * (1 + 1.25 * (len(heading_lines(title, size)) - 1))


def sentence_picture(title: str, sentence: str, size: Size) -> str:
    """Return a picture that says why there is nothing to draw."""
    lines = wrapped(sentence, size.width - 2 * size.margin, size.letters)[:6]
    top = below_heading(title, size) + size.letters * 2
    height = top + len(lines) * size.letters * 1.5 + size.margin
    texts = [
        label(text, size.margin, top + place * size.letters * 1.5, size.letters, "hts-axis")
        for place, text in enumerate(lines)
    ]
    return picture(title, sentence, size, height, texts)


def wrapped(text: str, most: float, size: float) -> list[str]:
    """Return a text in lines that are no wider than they may be."""
    lines: list[str] = []
    for word in text.split():
        short = shortened(word, most, size)
        if lines and text_width(f"{lines[-1]} {short}", size) <= most:
            lines[-1] = f"{lines[-1]} {short}"
        else:
            lines.append(short)
    return lines
