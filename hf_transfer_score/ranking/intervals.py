"""Replicates of mean ranks from stored intervals, for pools of any size.

A record keeps the interval of a term, not the replicates that it came from. So new replicates are drawn: each term from
a normal distribution around its value, with the spread that its interval implies. Models are drawn independently, while
a bootstrap draws the same rows for all of them. What they share then counts as uncertainty, so these ranges are too
wide rather than too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.metrics.registry import Metric
from hf_transfer_score.ranking import kernel

Array = NDArray[np.float64]

LEVEL = 0.9
LEVELS = (0.01, 0.9999)
"""Levels of intervals are clipped to these, so that no spread is infinite."""
MOST_REPLICATES = 400
"""For pools of up to a thousand models; larger ones get half as many."""
LARGEST_BLOCK = 100_000
"""Numbers that are drawn at once, unless one replicate needs more."""


class Interval(NamedTuple):
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float


def accuracy_interval(accuracy: float, rows: int, level: float = 0.95) -> Interval:
    """Return an accuracy on some rows with its Wilson (1927) interval.

    Example:
        >>> [round(one, 3) for one in accuracy_interval(0.9, 100)]
        [0.9, 0.826, 0.945]
    """
    size = NormalDist().inv_cdf((1 + level) / 2)
    middle = (accuracy + size**2 / (2 * rows)) / (1 + size**2 / rows)
    half = size * (accuracy * (1 - accuracy) / rows + size**2 / (4 * rows**2)) ** 0.5 / (1 + size**2 / rows)
    return Interval(accuracy, max(middle - half, 0.0), min(middle + half, 1.0))


@dataclass(frozen=True)
class DrawnPool:
    """One metric that decides, over the models that have it.

    Attributes:
        metric: how it ranks.
        values: raw terms (T, M).
        spreads: their standard deviations (T, M); 0 for an exact value.
        chosen: places (R,) of the models to rank among these.
    """

    metric: Metric
    values: Array
    spreads: Array
    chosen: NDArray[np.intp]


def spreads(low: Array, high: Array, level: Array) -> Array:
    """Return standard deviations from the ends and levels of intervals; NaN where there is no interval."""
    level = np.clip(level, *LEVELS)
    sizes = {share: 2 * NormalDist().inv_cdf((1 + share) / 2) for share in np.unique(level).tolist()}
    return np.asarray((high - low) / np.vectorize(sizes.__getitem__, otypes=[float])(level))


def mean_ranks(pools: Sequence[DrawnPool], seed: int) -> NDArray[np.float32]:
    """Return the mean rank of each model in each replicate (B, R), each replicate scaled and ranked on its own.

    Every second replicate has the noise of the previous one with the opposite sign, so that their mean is the sample.
    """
    generator, models = np.random.default_rng(seed), len(pools[0].chosen)
    replicates = MOST_REPLICATES if models <= 1000 else MOST_REPLICATES // 2
    found = np.zeros((replicates, models), np.float32)
    ends = np.cumsum([pool.values.size for pool in pools])
    block = 2 * max(1, LARGEST_BLOCK // int(ends[-1]))
    for start in range(0, replicates, block):
        plus, minus = found[start : start + block : 2], found[start + 1 : start + block : 2]
        drawn = np.split(generator.standard_normal((len(plus), int(ends[-1]))), ends[:-1], axis=1)
        for pool, one in zip(pools, drawn, strict=True):
            noise = pool.spreads * one.reshape(-1, *pool.values.shape)
            for sum_of, values in ((plus, pool.values + noise), (minus, pool.values - noise)):
                sum_of += kernel.pool_ranks(pool.metric, values.swapaxes(0, 1))[:, pool.chosen]
    return np.asarray(found / np.float32(len(pools)))
