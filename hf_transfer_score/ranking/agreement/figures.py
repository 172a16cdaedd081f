"""Figures of agreement for models that are drawn with replacement: many replicates at once, as counts of draws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import InputError

Array = NDArray[np.float64]
Places = NDArray[np.intp]

LARGEST_MATRIX = 2000
"""Up to this many models, all pairs are held at once."""

FIGURES = (
    "weighted_tau",
    "tau",
    "spearman",
    "pearson",
    "top_regret",
    "top3_regret",
    "rel_at_1",
    "rel_at_3",
)
"""The fields of `Agreement` that have intervals."""


def weighted_kendall(scores: Sequence[float], truth: Sequence[float]) -> float:
    """Return Kendall's τ_w of scores with measured accuracies: agreement among the best counts most.

    Example:
        >>> weighted_kendall([3, 2, 1], [0.9, 0.8, 0.7])
        1.0
    """
    if len(scores) != len(truth) or len(scores) < 2:
        raise InputError(f"τ_w needs two lists of the same length above 1, got {len(scores)} and {len(truth)}.")
    if not np.isfinite([*scores, *truth]).all():
        raise InputError("τ_w needs finite numbers: leave out what has no score or no accuracy.")
    from scipy.stats import weightedtau

    return float(weightedtau(scores, truth).statistic)


@lru_cache(maxsize=4)
def draw_models(models: int, replicates: int, seed: int) -> Array:
    """Return how often each model is drawn in each replicate (B, M), as a read-only array."""
    generator = np.random.default_rng(seed)
    draws = generator.multinomial(models, np.full(models, 1 / models), size=replicates).astype(np.float64)
    draws.flags.writeable = False
    return draws


def varied(x: Array, y: Array) -> bool:
    """Return whether neither the scores nor the accuracies are all equal."""
    return len(x) > 0 and bool(x.min() < x.max() and y.min() < y.max())


def all_figures(x: Array, y: Array, draws: Array) -> dict[str, Array]:
    """Return each of `FIGURES` for models that are drawn so many times (B, M); NaN where it is not defined."""
    repeated = [np.repeat(np.arange(len(x)), counts.astype(np.intp)) for counts in draws]
    best = np.array([y[drawn].max() for drawn in repeated])
    regrets = [top_regrets(x, y, draws), np.array([regret_at(x[drawn], y[drawn], 3) for drawn in repeated])]
    shares = [np.where(best > 0, 1 - one / np.where(best > 0, best, 1), np.nan) for one in regrets]
    nothing = np.full(len(draws), np.nan)
    values = (
        weighted_taus(x, y, draws) if varied(x, y) else nothing,
        plain_taus(x, y, draws) if varied(x, y) else nothing,
        pearsons(_ranks(x, draws), _ranks(y, draws), draws),
        pearsons(x[None], y[None], draws),
        *regrets,
        *shares,
    )
    return dict(zip(FIGURES, values, strict=True))


def weighted_taus(x: Array, y: Array, draws: Array) -> Array:
    """Return τ_w of each replicate (B,) in which models are drawn so many times (B, M); NaN where undefined.

    Copies of a model tie with one another, so that τ_w is a form in how often each is drawn: with S the matrix of
    concordance signs, c the counts and W the sum of the weights of each model's copies, Σ (w_i + w_j) s_ij over pairs
    is W S c. That takes one matrix product for all replicates. As in scipy, weights 1 / (1 + rank) are taken of the
    order by scores and of that by accuracies, and the two results averaged.
    """
    if len(x) > LARGEST_MATRIX:
        return np.array([_one_by_one(x, y, counts) for counts in draws])
    signs = np.sign(x[:, None] - x) * np.sign(y[:, None] - y)
    drawn = draws @ signs
    total = np.zeros(len(draws))
    for order in (np.lexsort([-y, -x]), np.lexsort([-x, -y])):
        weights = _copies_weights(draws, order)
        concordant = (weights * drawn).sum(axis=1)
        size = np.sqrt(_untied(x, weights, draws) * _untied(y, weights, draws))
        total += np.divide(concordant, size, out=np.full(len(draws), np.nan), where=size > 0)
    return np.asarray(np.clip(total / 2, -1, 1))


def _copies_weights(draws: Array, order: NDArray[np.intp]) -> Array:
    """Return the sum of 1 / (1 + rank) over the copies of each model (B, M), which stand side by side in the order."""
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, draws.shape[1] + 1))])
    ends = np.cumsum(draws[:, order], axis=1).astype(np.intp)
    weights = np.empty_like(draws)
    weights[:, order] = np.diff(harmonic[ends], axis=1, prepend=0.0)
    return weights


def _untied(values: Array, weights: Array, draws: Array) -> Array:
    """Return Σ (w_i + w_j) over the pairs of each replicate whose values differ."""
    _, order, starts = _tied(values)
    tied = np.add.reduceat(weights[:, order], starts, axis=1) * np.add.reduceat(draws[:, order], starts, axis=1)
    whole = weights.sum(axis=1) * draws.sum(axis=1)
    found = whole - tied.sum(axis=1)
    return np.asarray(np.where(found > 1e-9 * whole, found, 0.0))


def _tied(values: Array) -> tuple[Places, Places, Places]:
    """Return the number of each value among the distinct ones, an order by it, and where each begins in that order."""
    _, groups = np.unique(values, return_inverse=True)
    groups = groups.reshape(-1)
    order = np.argsort(groups, kind="stable")
    return groups, order, np.flatnonzero(np.diff(groups[order], prepend=-1))


def _one_by_one(x: Array, y: Array, counts: Array) -> float:
    drawn = np.repeat(np.arange(len(x)), counts.astype(np.intp))
    a, b = x[drawn], y[drawn]
    return weighted_kendall(a.tolist(), b.tolist()) if varied(a, b) else np.nan


def plain_taus(x: Array, y: Array, draws: Array) -> Array:
    """Return τ_b of each replicate (B,): a pair counts as often as both models are drawn, and copies tie."""
    concordant, untied_x, untied_y = np.zeros((3, len(draws)))
    for start in range(0, len(x), LARGEST_MATRIX):
        part = slice(start, start + LARGEST_MATRIX)
        signs_x, signs_y = np.sign(x[:, None] - x[part]), np.sign(y[:, None] - y[part])
        for total, signs in ((concordant, signs_x * signs_y), (untied_x, signs_x**2), (untied_y, signs_y**2)):
            total += ((draws @ signs) * draws[:, part]).sum(axis=1)
    size = np.sqrt(untied_x * untied_y)
    return np.asarray(np.divide(concordant, size, out=np.full(len(draws), np.nan), where=size > 0))


def _ranks(values: Array, draws: Array) -> Array:
    """Return the mean rank of each model's copies (B, M) among all that are drawn."""
    groups, order, starts = _tied(values)
    counts = np.add.reduceat(draws[:, order], starts, axis=1)
    return np.asarray((np.cumsum(counts, axis=1) - (counts - 1) / 2)[:, groups])


def pearsons(x: Array, y: Array, draws: Array) -> Array:
    """Return the correlation of each replicate (B,) of values (B or 1, M), which count as often as they are drawn."""
    count = draws.sum(axis=1, keepdims=True)
    about_x, about_y = (one - (draws * one).sum(axis=1, keepdims=True) / count for one in (x, y))
    product = (draws * about_x * about_y).sum(axis=1)
    size = _spread(about_x, x, draws) * _spread(about_y, y, draws)
    return np.asarray(np.clip(np.divide(product, size, out=np.full(len(draws), np.nan), where=size > 0), -1, 1))


def _spread(about: Array, values: Array, draws: Array) -> Array:
    """Return the root of the sum of squares about the mean (B,), 0 if it is no more than rounding."""
    found = np.sqrt((draws * about**2).sum(axis=1))
    dust = 1e-14 * np.abs(values).max() * np.sqrt(draws.sum(axis=1))
    return np.where(found > dust, found, 0.0)


def regret_at(x: Array, y: Array, first: int) -> float:
    """Return the best accuracy minus the best of the first models, the mean over the ways to break ties."""
    first = min(first, len(x))
    boundary = np.sort(x)[-first]
    sure, tied = y[x > boundary], np.sort(y[x == boundary])[::-1]
    left, best = first - len(sure), sure.max() if len(sure) else -np.inf
    ways = comb(len(tied), left)
    expected = sum(
        max(float(value), float(best)) * (comb(len(tied) - 1 - place, left - 1) / ways)
        for place, value in enumerate(tied.tolist())
    )
    return max(float(y.max()) - expected, 0.0)


def top_regrets(x: Array, y: Array, draws: Array) -> Array:
    """Return the regret of the model ranked first in each replicate (B,), the mean over models that tie."""
    _, order, starts = _tied(-x)
    counts = np.add.reduceat(draws[:, order], starts, axis=1)
    sums = np.add.reduceat((draws * y)[:, order], starts, axis=1)
    first, rows, falling = np.argmax(counts > 0, axis=1), np.arange(len(draws)), np.argsort(-y)
    chosen = sums[rows, first] / counts[rows, first]
    best = y[falling][np.argmax(draws[:, falling] > 0, axis=1)]
    return np.asarray(np.maximum(best - chosen, 0.0))
