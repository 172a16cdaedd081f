"""How well scores agree with measured accuracies, and how far models that were not measured could change that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.ranking import weighted_kendall

Array = NDArray[np.float64]

ENOUGH_MODELS = 8
"""Below as many models, agreement says more about which ones were measured than about the metric."""

MOST_COMPARISONS = 400_000
"""Replicates times models; larger pools get fewer replicates, which their narrower intervals can afford."""

FEWEST_REPLICATES = 50
LARGEST_MATRIX = 2000
"""Models up to which all pairs are held at once."""


@dataclass(frozen=True)
class Agreement:
    """How well a score agrees with measured accuracies.

    Attributes:
        models: how many were compared.
        weighted_tau: Kendall's τ_w, in which agreement among the best counts most; None where the scores or the
            accuracies are all equal.
        weighted_tau_interval: ends of its interval over models; None below `ENOUGH_MODELS` of them.
        tau: Kendall's τ_b.
        spearman: Spearman's rank correlation.
        top_regret: the best accuracy minus that of the model ranked first, the mean of those that tie.
        top_regret_interval: ends of its interval over models.
        top3_regret: the best accuracy minus the best among the first three, the mean over the ways to break ties.
        enough: whether there are enough models to rely on it.
        replicates: of the bootstrap over models that counted; 0 without intervals.
        level: share of the replicates that the intervals hold.
    """

    models: int
    weighted_tau: float | None = None
    weighted_tau_interval: tuple[float, float] | None = None
    tau: float | None = None
    spearman: float | None = None
    top_regret: float | None = None
    top_regret_interval: tuple[float, float] | None = None
    top3_regret: float | None = None
    enough: bool = False
    replicates: int = 0
    level: float = 0.9


def agreement(
    scores: Sequence[float], truth: Sequence[float], *, replicates: int = 1000, seed: int = 0, level: float = 0.9
) -> Agreement:
    """Return how well scores agree with measured accuracies, with intervals from a bootstrap over the models.

    Args:
        scores: one for each model, higher is better.
        truth: the accuracies of the same models.
        replicates: of the bootstrap; large pools take fewer, and the result says how many.
        seed: of the bootstrap.
        level: share of the replicates that the intervals hold.

    Example:
        >>> agreement([3, 2, 1], [0.9, 0.7, 0.8]).top_regret
        0.0
    """
    x, y = _checked(scores, truth, replicates, level)
    if not len(x):
        return Agreement(0, level=level)
    regret, top3 = _regret(x, y, 1), _regret(x, y, 3)
    several = x.min() < x.max() and y.min() < y.max()
    weighted = weighted_kendall(x.tolist(), y.tolist()) if several else None
    tau, spearman = _correlations(x, y) if several else (None, None)
    found = Agreement(len(x), weighted, None, tau, spearman, regret, None, top3, level=level)
    if len(x) < ENOUGH_MODELS:
        return found
    draws = _draws(len(x), _replicates(len(x), replicates), seed)
    taus = weighted_taus(x, y, draws) if several else np.empty(0)
    return Agreement(
        **{
            **vars(found),
            "weighted_tau_interval": _interval(taus, weighted, level),
            "top_regret_interval": _interval(_regrets(x, y, draws), regret, level),
            "enough": True,
            "replicates": len(draws),
        }
    )


def _checked(scores: Sequence[float], truth: Sequence[float], replicates: int, level: float) -> tuple[Array, Array]:
    x, y = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError(f"agreement needs one accuracy for each score, got {x.size} scores and {y.size} accuracies.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("agreement needs finite scores and accuracies; leave out models that lack one.")
    if isinstance(level, bool) or not 0 < level < 1:
        raise OptionError(f"level must be a number between 0 and 1, such as 0.9; got {level!r}.")
    if isinstance(replicates, bool) or not isinstance(replicates, int) or replicates < 1:
        raise OptionError(f"replicates must be a whole number of at least 1, got {replicates!r}.")
    return x, y


def _replicates(models: int, wanted: int) -> int:
    return min(wanted, max(FEWEST_REPLICATES, MOST_COMPARISONS // models))


def _correlations(x: Array, y: Array) -> tuple[float, float]:
    from scipy.stats import kendalltau, rankdata

    return float(kendalltau(x, y).statistic), float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def _draws(models: int, replicates: int, seed: int) -> Array:
    """Return how often each model is drawn in each replicate (B, M)."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(models, np.full(models, 1 / models), size=replicates).astype(np.float64)


def _interval(values: Array, point: float | None, level: float) -> tuple[float, float] | None:
    """Return the central share of the values that there are; the value on all models is always inside."""
    values = values[np.isfinite(values)]
    if point is None or not len(values):
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return min(float(low), point), max(float(high), point)


def weighted_taus(x: Array, y: Array, draws: Array) -> Array:
    """Return τ_w of each replicate (B,) in which models are drawn some number of times (B, M); NaN where undefined.

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
    _, groups = np.unique(values, return_inverse=True)
    order = np.argsort(groups.reshape(-1), kind="stable")
    starts = np.flatnonzero(np.diff(groups.reshape(-1)[order], prepend=-1))
    tied = np.add.reduceat(weights[:, order], starts, axis=1) * np.add.reduceat(draws[:, order], starts, axis=1)
    whole = weights.sum(axis=1) * draws.sum(axis=1)
    found = whole - tied.sum(axis=1)
    return np.asarray(np.where(found > 1e-9 * whole, found, 0.0))


def _one_by_one(x: Array, y: Array, counts: Array) -> float:
    drawn = np.repeat(np.arange(len(x)), counts.astype(np.intp))
    a, b = x[drawn], y[drawn]
    return weighted_kendall(a.tolist(), b.tolist()) if a.min() < a.max() and b.min() < b.max() else np.nan


def _regret(x: Array, y: Array, first: int) -> float:
    """Return the best accuracy minus the best among the models ranked first, the mean over the ways to break ties."""
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


def _regrets(x: Array, y: Array, draws: Array) -> Array:
    """Return the regret of the model ranked first in each replicate (B,), the mean of those that tie."""
    _, groups = np.unique(-x, return_inverse=True)
    order = np.argsort(groups.reshape(-1), kind="stable")
    starts = np.flatnonzero(np.diff(groups.reshape(-1)[order], prepend=-1))
    counts = np.add.reduceat(draws[:, order], starts, axis=1)
    sums = np.add.reduceat((draws * y)[:, order], starts, axis=1)
    first = np.argmax(counts > 0, axis=1)
    rows = np.arange(len(draws))
    chosen = sums[rows, first] / counts[rows, first]
    best = y[np.argsort(-y)][np.argmax(draws[:, np.argsort(-y)] > 0, axis=1)]
    return np.asarray(np.maximum(best - chosen, 0.0))
