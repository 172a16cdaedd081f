"""Rank ranges and groups from stored intervals, for boards of any size.

A record keeps the interval of a term, not the replicates it came from. So replicates are drawn anew: each term normal
around its value with the spread that its interval implies. Models are drawn independently of one another, while a
bootstrap draws the same rows for all of them; what they share then counts as uncertainty, so these ranges are rather
too wide than too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.metrics.registry import Metric, Term
from hf_transfer_score.ranking.pools import UNINFORMATIVE_RANGE, shared_ranks

Array = NDArray[np.float64]

LEVEL = 0.9
LEVELS = (0.01, 0.9999)
"""Levels of intervals are taken as these at the most, so that none implies a spread without bounds."""
MOST_REPLICATES = 400
"""Draws for boards of up to a thousand models; larger ones get half of them."""


@dataclass(frozen=True)
class DrawnPool:
    """One metric that decides, over the models that have it.

    Attributes:
        metric: the rules.
        values: raw terms (T, M).
        spreads: standard deviations (T, M); 0 for a term that is taken as exact.
        chosen: places (R,) of the models to rank among these.
    """

    metric: Metric
    values: Array
    spreads: Array
    chosen: NDArray[np.intp]


@dataclass(frozen=True)
class Ranges:
    """How sure the order of some models is.

    Attributes:
        ranks: rank of each model (R,); those of a group share the place of its best model.
        low: best place of each model (R,).
        high: worst place of each model (R,).
        groups: number of its group (R,); 1 holds the best.
    """

    ranks: list[int]
    low: NDArray[np.intp]
    high: NDArray[np.intp]
    groups: list[int]


def spreads(low: Array, high: Array, level: Array) -> Array:
    """Return standard deviations from the ends of intervals and the share that they hold; NaN where there is none."""
    level = np.clip(level, *LEVELS)
    sizes = {share: 2 * NormalDist().inv_cdf((1 + share) / 2) for share in np.unique(level).tolist()}
    return np.asarray((high - low) / np.vectorize(sizes.__getitem__, otypes=[float])(level))


def replicate_count(models: int) -> int:
    """Return how many replicates a board of that size gets."""
    return MOST_REPLICATES if models <= 1000 else MOST_REPLICATES // 2


def rank_ranges(
    pools: Sequence[DrawnPool], ranks: Sequence[int], *, level: float = LEVEL, seed: int = 0, known: Sequence[bool] = ()
) -> Ranges:
    """Return rank ranges and groups of models in order, the best first, by the rules of `rank_confidence`.

    Args:
        pools: the metrics that decide.
        ranks: the place of each model by its values as they are.
        level: share of the replicates that ranges cover.
        seed: of the draws.
        known: whether a model has intervals; the others lead no group. All have where it is empty.
    """
    drawn = mean_ranks(pools, replicate_count(len(ranks)), seed)
    best, worst = np.empty_like(drawn), np.empty_like(drawn)
    for place, column in enumerate(drawn):
        ordered = np.sort(column)
        best[place] = np.searchsorted(ordered, column, "left") + 1
        worst[place] = np.searchsorted(ordered, column, "right")
    low = np.quantile(best, (1 - level) / 2, axis=0, method="lower").astype(np.intp)
    high = np.quantile(worst, (1 + level) / 2, axis=0, method="higher").astype(np.intp)
    groups = _groups(drawn, level, known)
    shared = shared_ranks(groups)
    return Ranges(shared, np.minimum(low, shared), np.maximum(high, np.asarray(ranks, np.intp)), groups)


def mean_ranks(pools: Sequence[DrawnPool], replicates: int, seed: int) -> NDArray[np.float32]:
    """Return the mean rank of each model in each replicate (B, R), each replicate scaled and ranked on its own.

    Every second replicate has the noise of the one before with the other sign, so that their mean is the sample.
    """
    generator = np.random.default_rng(seed)
    found = np.zeros((replicates, len(pools[0].chosen)), np.float32)
    for pair in range(0, replicates, 2):
        for pool in pools:
            noise = pool.spreads * generator.standard_normal(pool.values.shape)
            for place, values in ((pair, pool.values + noise), (pair + 1, pool.values - noise)):
                found[place] += _pool_ranks(pool, values)
    return np.asarray(found / np.float32(len(pools)))


def _pool_ranks(pool: DrawnPool, values: Array) -> NDArray[np.float32]:
    """Return the ranks of the chosen models from terms (T, M), by the rules of `rank_pool`."""
    scores = np.zeros(values.shape[1])
    for term, numbers in zip(pool.metric.terms, values, strict=True):
        scores += term.direction * _scaled(term, numbers, pool.metric.pool_rule == "minmax_sum")
    ordered = np.sort(-scores)
    return (np.searchsorted(ordered, -scores[pool.chosen], "left") + 1).astype(np.float32)


def _scaled(term: Term, values: Array, minmax: bool) -> Array:
    low, high = float(values.min()), float(values.max())
    size = 1.0 if term.bounded else max(abs(low), abs(high))
    if high - low < UNINFORMATIVE_RANGE * size or high == low:
        return np.zeros_like(values)
    return (values - low) / (high - low) if minmax else values


def _groups(drawn: NDArray[np.float32], level: float, known: Sequence[bool]) -> list[int]:
    """Return the group of each model: a new one starts where the leader of the last can be told apart.

    Only the leader is compared, so the work grows with the number of models, not of pairs.
    """
    groups: list[int] = []
    leader, number = next((place for place, has in enumerate(known) if has), 0), 1
    columns = np.ascontiguousarray(drawn.T)
    for place in range(len(columns)):
        if known and not known[place]:
            groups.append(number)
            continue
        ahead = (np.sign(columns[place] - columns[leader]).mean(dtype=np.float64) + 1) / 2
        if ahead >= (1 + level) / 2:
            leader, number = place, number + 1
        groups.append(number)
    return groups
