"""The README's badges, drawn from pyproject.toml so that no other site is asked for them."""

from __future__ import annotations

import re
from pathlib import Path

import hf_transfer_score
from hf_transfer_score.drawing.look import COLOURS, DAY, FONT, INK, day_and_night

PROJECT = Path(hf_transfer_score.__file__).parent.parent / "pyproject.toml"
LETTER, SIDE, HEIGHT = 6, 8, 20
"""Pixels: a letter at most, the space on each side of a word, and the badge."""


def badges() -> dict[str, str]:
    """Return each badge by name."""
    project = PROJECT.read_text(encoding="utf-8")
    versions = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    licences = re.findall(r'^license = "(.+)"$', project, re.MULTILINE)
    return {"python": badge("python", " | ".join(versions)), "licence": badge("licence", *licences)}


def badge(name: str, value: str) -> str:
    """Return a badge: a name, and its value in a frame of the same colour."""
    left, right = (LETTER * len(text) + 2 * SIDE for text in (name, value))
    width = left + right
    size, inside = (f'width="{width - less}" height="{HEIGHT - less}"' for less in (0, 1))
    return day_and_night(
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{name}: {value}">'
        f'<rect fill="{DAY["ground"]}" stroke="{COLOURS[1]}" x=".5" y=".5" {inside} rx="3"/>'
        f'<rect fill="{COLOURS[1]}" width="{left}" height="{HEIGHT}" rx="3"/>'
        f'<g text-anchor="middle" font-size="11" font-family="{FONT}">'
        f'<text fill="{DAY["ground"]}" x="{left / 2:g}" y="14">{name}</text>'
        f'<text fill="{INK}" x="{left + right / 2:g}" y="14">{value}</text></g></svg>\n'
    )
