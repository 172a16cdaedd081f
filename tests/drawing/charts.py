"""What a specification says when it is read, and models with plain and with hostile names."""

import itertools
import random

from hf_transfer_score.drawing.clouds import ModelPoint, accuracy_figure, collapse_figure, size_figure
from hf_transfer_score.drawing.heatmap import overlap_figure
from hf_transfer_score.drawing.look import specification
from hf_transfer_score.drawing.trust_chart import Trust, trust_figure
from hf_transfer_score.ranking.agreement.compare import Agreement

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
    "#0072b2",
)
PLAIN = tuple(f"owner/model-{place}" for place in range(10))


def size_points(count=12, names=None):
    source = random.Random(0)
    names = names or [f"owner/model-{place}" for place in range(count)]
    return [ModelPoint(name, 10 ** source.uniform(6, 9), source.gauss(0, 1)) for name in names]


def trust(name, value, interval=None, kind="score"):
    """Return how well an order agrees with the accuracies of seven models."""
    return Trust(name, kind, Agreement(7, value, interval, top_regret=0.01))


def overlaps(count):
    source = random.Random(3)
    return [source.random() * 0.7 for _ in range(count * (count - 1) // 2)]


def figures(names, width=760):
    """Return each kind of chart with some names in it."""
    source = random.Random(1)
    terms = [
        ModelPoint(name, source.uniform(0.8, 1), -source.uniform(0.5, 3), (0.7, 1), (-4, -0.4), place + 1)
        for place, name in enumerate(names)
    ]
    truths = [ModelPoint(name, place, 0.5 + source.random() / 3, None, (0.4, 0.9)) for place, name in enumerate(names)]
    rows = [
        trust(name, source.uniform(-1, 1), (-1, 1), kind)
        for name, kind in zip(names, itertools.cycle(("score", "baseline")), strict=False)
    ]
    look = {"marked": names[2], "width": width}
    return {
        "size": size_figure(size_points(names=names), score=names[0], **look),
        "terms": collapse_figure(terms, notes=names[:2], **look),
        "accuracy": accuracy_figure(truths, (0.7, (0.5, 0.8)), score=names[1], truth=names[0], **look),
        "overlap": overlap_figure(names, overlaps(len(names)), model=names[0], width=width),
        "trust": trust_figure(rows, title=names[0], width=width),
    }


def layers_of(chart, mark):
    """Return the layers of a kind with the rows that they draw."""
    told = specification(chart)
    found = []
    for layer in told["layer"]:
        if layer["mark"]["type"] == mark:
            data = layer.get("data", told.get("data"))
            found.append((layer, told["datasets"][data["name"]]))
    return found


def rows_of(chart, mark="point"):
    """Return the rows of the first layer of a kind, those that are drawn on top last."""
    return layers_of(chart, mark)[0][1]


def marks(figure):
    return {row["model"]: (row["x"], row["y"]) for row in rows_of(figure.chart)}
