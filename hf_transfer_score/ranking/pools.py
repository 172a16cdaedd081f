"""From raw terms to scores: the only place that scales over a pool of candidates.

NCTI and FaCe scale each term by its smallest and largest value in the pool, so one more candidate changes every score;
raw terms are what is kept, and pools are ranked on reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.metrics.registry import Metric, MetricResult, Term

HEADLINE_METRICS = ("face", "ncti")
"""A pool that has all of these is ordered by the mean of their ranks."""

UNINFORMATIVE_RANGE = 1e-3
"""A term whose range over the pool is smaller (relative, or absolute for terms in [0, 1]) tells nothing."""


@dataclass(frozen=True)
class PoolRanking:
    """One metric over a pool of models.

    Attributes:
        metric: the metric's name.
        scores: pool score by model, higher is better; models without a result are absent.
        ranks: rank by model, 1 for the best; equal scores share the better rank.
        scaled: each term after scaling, by model and term.
        flags: terms that carry no information in this pool, with the reason; they count as 0 for all.
    """

    metric: str
    scores: dict[str, float]
    ranks: dict[str, int]
    scaled: dict[str, dict[str, float]]
    flags: dict[str, str] = field(default_factory=dict)


def rank_pool(metric: Metric, results: Mapping[str, MetricResult]) -> PoolRanking:
    """Return the pool scores and ranks of one metric over the models that have a result for it."""
    models = [model for model, result in results.items() if result.status == "ok"]
    scaled: dict[str, dict[str, float]] = {model: {} for model in models}
    flags: dict[str, str] = {}
    for term in metric.terms:
        values = np.array([results[model].terms[term.name] for model in models], dtype=np.float64)
        flag = no_information(term, values)
        if flag:
            flags[term.name] = flag
            numbers = np.zeros(len(models))
        elif metric.pool_rule == "minmax_sum":
            numbers = (values - values.min()) / (values.max() - values.min())
        else:
            numbers = values
        for model, number in zip(models, numbers, strict=True):
            scaled[model][term.name] = float(number)
    scores = {model: sum(term.direction * scaled[model][term.name] for term in metric.terms) + 0.0 for model in models}
    return PoolRanking(metric.name, scores, _places(scores, highest_first=True), scaled, flags)


def _places(values: Mapping[str, float], *, highest_first: bool) -> dict[str, int]:
    """Return the place of each model by its value; equal values share the better place."""
    first: dict[float, int] = {}
    for place, value in enumerate(sorted(values.values(), reverse=highest_first), 1):
        first.setdefault(value, place)
    return {model: first[value] for model, value in values.items()}


def no_information(term: Term, values: NDArray[np.float64]) -> str | None:
    """Return why a term cannot tell the models of a pool apart, or None where it can."""
    if len(values) < 2:
        return "one model alone has nothing to be compared with"
    spread = float(values.max() - values.min())
    scale = 1.0 if term.bounded else float(np.abs(values).max())
    if spread < UNINFORMATIVE_RANGE * scale or spread == 0:
        return f"range over the pool {spread:.2g} is too small to tell the models apart"
    return None


@dataclass(frozen=True)
class HeadlineRanks:
    """The one order of a pool.

    Attributes:
        metrics: the metrics whose ranks decide.
        mean_ranks: mean rank over these metrics, of the models that have all of them, the best first.
        ranks: rank by model, 1 for the best, in the same order; equal mean ranks share the better rank.
    """

    metrics: tuple[str, ...]
    mean_ranks: dict[str, float]
    ranks: dict[str, int]


def headline_ranks(pools: Mapping[str, PoolRanking], names: Sequence[str] = HEADLINE_METRICS) -> HeadlineRanks:
    """Return the order of a pool: by mean rank over the named metrics where all rank it, else by the first metric.

    Args:
        pools: the pool ranked by each metric, by name; models that tie stay in the order of the first one.
        names: metrics that decide.
    """
    deciding = tuple(names) if names and all(name in pools for name in names) else tuple(pools)[:1]
    shared = [model for model in (pools[deciding[0]].ranks if deciding else ()) if _ranked(model, deciding, pools)]
    means = {model: sum(pools[metric].ranks[model] for metric in deciding) / len(deciding) for model in shared}
    ordered = {model: means[model] for model in sorted(means, key=means.__getitem__)}
    return HeadlineRanks(deciding, ordered, _places(ordered, highest_first=False))


def _ranked(model: str, metrics: Sequence[str], pools: Mapping[str, PoolRanking]) -> bool:
    return all(model in pools[metric].ranks for metric in metrics)


def shared_ranks(groups: Sequence[int]) -> list[int]:
    """Return the rank of each model in order: all of a group share the place of its first.

    Example:
        >>> shared_ranks([1, 1, 2, 3, 3])
        [1, 1, 3, 4, 4]
    """
    first: dict[int, int] = {}
    return [first.setdefault(group, place) for place, group in enumerate(groups, 1)]
