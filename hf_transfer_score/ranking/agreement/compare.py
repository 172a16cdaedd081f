"""How well scores agree with measured accuracies, and how far models that were not measured could change that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.ranking.agreement.figures import (
    draw_models,
    pearsons,
    regret_at,
    top_regrets,
    weighted_kendall,
    weighted_taus,
)

Array = NDArray[np.float64]
Interval = tuple[float, float]

ENOUGH_MODELS = 8
"""Below as many models, agreement says more about which ones were measured than about the metric."""

MOST_COMPARISONS = 400_000
"""Replicates times models; larger pools get fewer replicates, which their narrower intervals can afford."""

FEWEST_REPLICATES = 50


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
        pearson: correlation of the scores themselves with the accuracies.
        rel_at_1: the accuracy of the model ranked first over the best accuracy; None where the best is not above 0.
        rel_at_3: the best accuracy among the first three over the best accuracy.
        intervals: over models, of each of `FIGURES` that is defined; `measured_agreement` gives them.
        seed_intervals: over the measurements of each model, the models staying as they are.
        seeds: the fewest measurements that a model has; 0 where that is not known.
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
    pearson: float | None = None
    rel_at_1: float | None = None
    rel_at_3: float | None = None
    intervals: Mapping[str, Interval] = field(default_factory=dict, hash=False)
    seed_intervals: Mapping[str, Interval] = field(default_factory=dict, hash=False)
    seeds: int = 0

    @property
    def warning(self) -> str | None:
        """The sentence to show where nothing can be told, else None."""
        if self.enough:
            return None
        models = "one model" if self.models == 1 else f"{self.models} models"
        return (
            f"Nothing can be told from {models}: below {ENOUGH_MODELS}, agreement says more about which ones were "
            "measured than about the metric."
        )


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
    x, y = checked(scores, truth, replicates, level)
    if not len(x):
        return Agreement(0, level=level)
    regret, top3 = regret_at(x, y, 1), regret_at(x, y, 3)
    several = x.min() < x.max() and y.min() < y.max()
    weighted = weighted_tau(x, y)
    tau, spearman = _correlations(x, y) if several else (None, None)
    found = Agreement(
        len(x),
        weighted,
        None,
        tau,
        spearman,
        regret,
        None,
        top3,
        level=level,
        pearson=_defined(pearsons(x[None], y[None], np.ones((1, len(x))))[0]),
        rel_at_1=_share(regret, y),
        rel_at_3=_share(top3, y),
    )
    if len(x) < ENOUGH_MODELS:
        return found
    draws = draw_models(len(x), replicate_count(len(x), replicates), seed)
    taus = weighted_taus(x, y, draws) if several else np.empty(0)
    return Agreement(
        **{
            **vars(found),
            "weighted_tau_interval": interval(taus, weighted, level),
            "top_regret_interval": interval(top_regrets(x, y, draws), regret, level),
            "enough": True,
            "replicates": len(draws),
        }
    )


def weighted_tau(x: Array, y: Array) -> float | None:
    """Return τ_w of values that are finite, None where there are none or either are all the same."""
    several = len(x) > 0 and x.min() < x.max() and y.min() < y.max()
    return weighted_kendall(x.tolist(), y.tolist()) if several else None


def checked(scores: Sequence[float], truth: Sequence[float], replicates: int, level: float) -> tuple[Array, Array]:
    """Return scores and accuracies as arrays; what cannot be compared is refused."""
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


def replicate_count(models: int, wanted: int) -> int:
    """Return how many replicates a pool of so many models gets."""
    return min(wanted, max(FEWEST_REPLICATES, MOST_COMPARISONS // models))


def _correlations(x: Array, y: Array) -> tuple[float, float]:
    from scipy.stats import kendalltau, rankdata

    return float(kendalltau(x, y).statistic), float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _share(regret: float, y: Array) -> float | None:
    """Return the accuracy that is left after a regret, as a share of the best one."""
    best = float(y.max())
    return 1 - regret / best if best > 0 else None


def interval(values: Array, point: float | None, level: float) -> tuple[float, float] | None:
    """Return the central share of the values that there are; the value on all models is always inside."""
    values = values[np.isfinite(values)]
    if point is None or not len(values):
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return min(float(low), point), max(float(high), point)
