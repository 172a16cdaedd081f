"""Points with plain and with hostile names, and what a picture says when it is parsed."""

import itertools
import random
import re
import xml.etree.ElementTree as ElementTree

from hf_transfer_score.boxes import Box
from hf_transfer_score.leaderboard.drawing import (
    AccuracyPoint,
    Agreement,
    SizePoint,
    TermPoint,
    TrustRow,
    accuracy_figure,
    collapse_figure,
    overlap_figure,
    size_figure,
    trust_figure,
)
from hf_transfer_score.leaderboard.drawing.text import text_width

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "a & b ]]> <!-- c --> --",
    "x" * 300,
    "\u202eevil\u202c/rtl\u200f\u2066\u2068",
    "نموذج/عربي",
    "模型/视觉",
    "\x00\x01bell\x07\x1b[31m\ud800\ufffe",
    "Z" + "\u0301" * 60,
    "javascript:alert(3) onload=' `{{x}} ${y}",
)


def size_points(count=12, names=None, seed=0):
    source = random.Random(seed)
    names = names or [f"owner/model-{place}" for place in range(count)]
    return [SizePoint(name, source.gauss(0, 1), 10 ** source.uniform(6, 9)) for name in names]


def term_points(names):
    source = random.Random(1)
    return [
        TermPoint(name, -source.uniform(0.5, 3), source.uniform(0.8, 1), place + 1, (-4, -0.4), (0.7, 1))
        for place, name in enumerate(names)
    ]


def accuracy_points(names):
    source = random.Random(2)
    return [AccuracyPoint(name, place, 0.5 + source.random() / 3, None, (0.4, 0.9)) for place, name in enumerate(names)]


def overlaps(count):
    source = random.Random(3)
    return [source.random() * 0.7 for _ in range(count * (count - 1) // 2)]


def figures(names):
    """Return each kind of picture with some names in it."""
    kinds = ("score", "baseline")
    source = random.Random(4)
    rows = [
        TrustRow(name, source.uniform(-1, 1), (-1, 1), kind, 0.01, 7)
        for name, kind in zip(names, itertools.cycle(kinds), strict=False)
    ]
    return {
        "size": size_figure(size_points(names=names), score=names[0]),
        "terms": collapse_figure(term_points(names), notes=names[:2]),
        "accuracy": accuracy_figure(accuracy_points(names), Agreement(0.7, 0.5, 0.8), score=names[1], truth=names[0]),
        "overlap": overlap_figure(names, overlaps(len(names)), model=names[0]),
        "trust": trust_figure(rows, title=names[0]),
    }


def parsed(svg):
    return ElementTree.fromstring(svg.encode("utf-8"))


def marks(svg):
    """Return the places of the points by the first line of their tooltips."""
    found = {}
    for group in parsed(svg).iter(f"{SVG}g"):
        if "hts-mark" in group.get("class", "") and group.get("transform"):
            places = re.findall(r"-?[\d.]+", group.get("transform"))
            found[group.find(f"{SVG}title").text.splitlines()[0]] = tuple(map(float, places))
    return found


def texts(svg, kind=None):
    return [node for node in parsed(svg).iter(f"{SVG}text") if kind is None or kind in node.get("class").split()]


def box(node):
    size, width = float(node.get("font-size")), text_width(node.text or "", float(node.get("font-size")))
    left = float(node.get("x")) - {"middle": width / 2, "end": width}.get(node.get("text-anchor"), 0)
    return Box(left, float(node.get("y")) - 0.75 * size, left + width, float(node.get("y")) + 0.2 * size)
