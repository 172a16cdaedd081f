"""The picture of each metric: toy sets of two features, with what the metric says about each.

The SVG is written here rather than by Altair: a line per class instead of a mark per point makes a tenth of the bytes.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score import ModelFacts, RankedModel, Ranking, all_metrics, rank_features
from hf_transfer_score.cli.metrics import ARROWS
from hf_transfer_score.drawing.look import COLOURS, DAY, FONT, INK, day_and_night

CLASSES, ROWS = 3, 30
PANEL, WORDS, LINE, UNIT = 150, 160, 22, 30
"""Pixels: side of a panel, width of the words left of it, height of a line, and one unit of a feature."""

REGRESSION = "logme_regression"
Points = NDArray[np.float64]


def class_sets() -> dict[str, Points]:
    """Return features (N, 2) of three classes: better and worse arranged."""
    labels, noise = np.repeat(np.arange(CLASSES), ROWS), np.random.default_rng(0).normal(size=(CLASSES * ROWS, 2))
    far = np.array([(-1.3, -0.7), (1.3, -0.7), (0.1, 1.0)])[labels]
    mixed = np.array([(-1.3, -0.7), (0.7, 0.5), (0.6, 0.7)])[labels]
    spokes = np.array([(1.3, 0.1), (0.5, 0.95), (-0.6, 0.9)])[labels]
    sides = np.where(np.arange(len(labels)) % 5 < 3, 1, -1)[:, None]
    return {
        "compact": far + 0.16 * noise,
        "wide": far + 0.45 * noise,
        "two mixed": mixed + 0.16 * noise,
        "in two parts": sides * spokes + 0.16 * noise,
    }


def regression_sets() -> tuple[dict[str, Points], Points]:
    """Return features (N, 2) that follow a target more and less closely, and the target (N,)."""
    target = np.linspace(-1.5, 1.5, CLASSES * ROWS)
    noise = np.random.default_rng(0).normal(size=(len(target), 2))
    line, circle = np.outer(target, (1.0, 0.5)), np.stack([np.cos(2 * target), np.sin(2 * target)], axis=1)
    return {
        "on a line": line + 0.1 * noise,
        "scattered": line + 0.4 * noise,
        "on a circle": 1.3 * circle + 0.1 * noise,
        "unrelated": 0.7 * noise,
    }, target


@cache
def rankings() -> tuple[Ranking, Ranking]:
    """Return all metrics of the sets with classes, and those of the sets with a target.

    The probabilities that leep needs come from the distances to nine fixed points, as if these were source classes.
    """
    sets, spots = class_sets(), np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), axis=-1).reshape(-1, 2)
    near = {name: np.exp(-10 * ((one[:, None] - spots) ** 2).sum(axis=2)) for name, one in sets.items()}
    probs = {name: one / one.sum(axis=1, keepdims=True) for name, one in near.items()}
    facts = {name: ModelFacts(name, parameters=25_000_000, downloads=1000) for name in sets}
    labels, names = np.repeat(np.arange(CLASSES), ROWS), [name for name in all_metrics() if name != REGRESSION]
    classes = rank_features(sets, labels, metrics=names, source_probs=probs, facts=facts)
    numbers, target = regression_sets()
    return classes, rank_features(numbers, targets=target, metrics=[REGRESSION])


def lines(metric: str) -> list[tuple[str, ...]]:
    """Return the lines below the picture of a metric: the words at the left, then a cell for each set."""
    ranking = rankings()[metric == REGRESSION]
    models: list[RankedModel] = list(ranking.models.values())
    found = [
        (f"{term.name} {ARROWS[term.direction]}", *(number(one.results[metric].terms[term.name]) for one in models))
        for term in all_metrics()[metric].terms
    ]
    ranks = ranking.pools[metric].ranks
    return [("", *ranking.models), *found, ("rank", *(str(ranks[name]) for name in ranking.models))]


def number(value: float) -> str:
    """Return a value with three digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{round(value, 3) + 0.0:.3g}"


def words(metric: str) -> str:
    """Return the picture of a metric in words."""
    names, *rows = (line[1:] for line in lines(metric))
    told = (f"{name} {', '.join(cells)}" for name, *cells in zip(names, *rows, strict=True))
    return f"{metric} of four toy sets of features, with the rank last: {'; '.join(told)}"


def picture(metric: str) -> str:
    """Return the picture of a metric, light or dark as the page around it."""
    sets = regression_sets()[0] if metric == REGRESSION else class_sets()
    rows = lines(metric)
    width, height = WORDS + len(sets) * PANEL, PANEL + LINE * len(rows) + LINE // 2
    points = (
        f'<path stroke="{COLOURS[group + 1]}" d="{dots(part, WORDS + PANEL * place)}"/>'
        for place, one in enumerate(sets.values())
        for group, part in enumerate(np.split(one, CLASSES))
    )
    cells = (
        f'<text x="{8 if place == 0 else WORDS + PANEL * (place - 0.5):g}" y="{PANEL + LINE * (row + 0.7):g}"'
        f' class="{"left" if place == 0 else "cell"}">{cell}</text>'
        for row, line in enumerate(rows)
        for place, cell in enumerate(line)
    )
    shape = f"text{{font:14px {FONT};text-anchor:middle}}.left{{text-anchor:start}}"
    shape += "path{stroke-width:4.5;stroke-linecap:round;stroke-opacity:.7}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    ground = f'<rect fill="{DAY["ground"]}" width="{width}" height="{height}"/>'
    parts = [f"<title>{words(metric)}</title>", f"<style>{shape}</style>", ground, *points, f'<g fill="{INK}">', *cells]
    return day_and_night("\n".join([head, *parts, "</g>", "</svg>\n"]))


def dots(points: Points, left: int) -> str:
    """Return a path with a dot for each point of a panel."""
    placed = np.array([left + PANEL / 2, PANEL / 2]) + UNIT * points * np.array([1, -1])
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in placed)
