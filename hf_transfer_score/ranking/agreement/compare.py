"""How well scores agree with measured accuracies, and how much other models and measurements could change that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.ranking.agreement.figures import (
    FIGURES,
    all_figures,
    draw_models,
    pearsons,
    regret_at,
    top_regrets,
    varied,
    weighted_kendall,
    weighted_taus,
)

Array = NDArray[np.float64]
Interval = tuple[float, float]

ENOUGH_MODELS = 8
"""With fewer models, agreement says more about which ones were measured than about the metric."""

MOST_COMPARISONS, FEWEST_REPLICATES = 400_000, 50
"""Replicates times models, and replicates: larger pools have narrower intervals and get fewer replicates."""


@dataclass(frozen=True)
class Agreement:
    """How well a score agrees with measured accuracies.

    Attributes:
        models: the number of models that were compared.
        weighted_tau: Kendall's τ_w, in which agreement among the best counts most; None if the scores or the
            accuracies are all equal.
        weighted_tau_interval: ends of its interval over models; None for fewer than `ENOUGH_MODELS` models.
        tau: Kendall's τ_b.
        spearman: Spearman's rank correlation.
        top_regret: the best accuracy minus that of the model ranked first, the mean over models that tie.
        top_regret_interval: ends of its interval over models.
        top3_regret: the best accuracy minus the best among the first three, the mean over the ways to break ties.
        enough: whether there are enough models to rely on it.
        replicates: of the bootstrap over models; 0 without intervals.
        level: share of the replicates that the intervals cover.
        pearson: correlation of the scores themselves with the accuracies.
        rel_at_1: the accuracy of the model ranked first over the best accuracy; None unless the best is above 0.
        rel_at_3: the best accuracy among the first three over the best accuracy.
        intervals: over models, of each of `FIGURES` that is defined; from `measured_agreement`.
        seed_intervals: over the measurements of each model, with the same models.
        seeds: the fewest measurements that a model has; 0 if unknown.
    """

    models: int
    weighted_tau: float | None = None
    weighted_tau_interval: Interval | None = None
    tau: float | None = None
    spearman: float | None = None
    top_regret: float | None = None
    top_regret_interval: Interval | None = None
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
        """The sentence to show if there are too few models, else None."""
        if self.enough:
            return None
        return (
            f"{self.models} model{'s' * (self.models != 1)} cannot tell how well a metric works: with fewer than "
            f"{ENOUGH_MODELS}, agreement depends mostly on which models were measured."
        )


def agreement(
    scores: Sequence[float] | Array,
    truth: Sequence[float] | Array,
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.9,
) -> Agreement:
    """Return how well scores agree with measured accuracies, with intervals from a bootstrap over the models.

    Args:
        scores: one for each model, higher is better.
        truth: the accuracies of the same models.
        replicates: of the bootstrap; large pools take fewer, and the result says how many.
        seed: of the bootstrap.
        level: share of the replicates that the intervals cover.

    Example:
        >>> agreement([3, 2, 1], [0.9, 0.7, 0.8]).top_regret
        0.0
    """
    x, y = checked(scores, truth, replicates, level)
    if not len(x):
        return Agreement(0, level=level)
    regret, top3, best = regret_at(x, y, 1), regret_at(x, y, 3), float(y.max())
    weighted, pearson = weighted_tau(x, y), float(pearsons(x[None], y[None], np.ones((1, len(x))))[0])
    tau = spearman = None
    if varied(x, y):
        from scipy.stats import kendalltau, rankdata

        tau = float(kendalltau(x, y).statistic)
        spearman = float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
    found = Agreement(
        len(x),
        weighted,
        tau=tau,
        spearman=spearman,
        top_regret=regret,
        top3_regret=top3,
        level=level,
        pearson=pearson if np.isfinite(pearson) else None,
        rel_at_1=1 - regret / best if best > 0 else None,
        rel_at_3=1 - top3 / best if best > 0 else None,
    )
    if len(x) < ENOUGH_MODELS:
        return found
    draws = draw_models(len(x), replicate_count(len(x), replicates), seed)
    taus = weighted_taus(x, y, draws) if varied(x, y) else np.empty(0)
    return replace(
        found,
        weighted_tau_interval=interval(taus, weighted, level),
        top_regret_interval=interval(top_regrets(x, y, draws), regret, level),
        enough=True,
        replicates=len(draws),
    )


def measured_agreement(
    scores: Sequence[float],
    accuracies: Sequence[Sequence[float]],
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.9,
) -> Agreement:
    """Return how well scores agree with accuracies that were measured several times, with intervals for every figure.

    A model's truth is the mean of its measurements. The intervals over models include the noise of the measurements,
    since each model brings its own; the intervals over seeds show how much of them is due to that noise.

    Args:
        scores: one for each model, higher is better.
        accuracies: one or more measurements of each model, such as one for each fine-tuning seed.
        replicates: of each bootstrap; large pools take fewer.
        seed: of the bootstraps.
        level: share of the replicates that the intervals cover.

    Example:
        >>> found = measured_agreement(range(8), [[one / 10, one / 10 + 0.01] for one in range(8)])
        >>> round(found.weighted_tau, 6), found.rel_at_1, found.seeds
        (1.0, 1.0, 2)
    """
    measured = _measurements(accuracies)
    x, y = np.asarray(scores, np.float64), np.array([mean_accuracy(one) for one in measured])
    found = agreement(x, y, replicates=replicates, seed=seed, level=level)
    found = replace(found, seeds=min(map(len, measured), default=0))
    if not found.enough:
        return found
    over_models = all_figures(x, y, draw_models(len(x), found.replicates, seed))
    over_seeds = _seed_figures(x, measured, found.replicates, seed) if max(map(len, measured)) > 1 else {}
    return replace(
        found, intervals=_intervals(over_models, found, level), seed_intervals=_intervals(over_seeds, found, level)
    )


def agreements(
    orders: Mapping[str, Mapping[str, float]], accuracies: Mapping[str, Sequence[float]]
) -> dict[str, Agreement]:
    """Return how well each of several orders agrees with measured accuracies, over the models that have both.

    Orders that share fewer than two models with the accuracies are left out.

    Args:
        orders: scores by model, higher is better, by the name of the order.
        accuracies: the measurements of each model.

    Example:
        >>> orders = {"knn": {"a": 0.5, "b": 0.7}, "leep": {"a": -1.0}}
        >>> {name: one.weighted_tau for name, one in agreements(orders, {"a": [0.8], "b": [0.9]}).items()}
        {'knn': 1.0}
    """
    shared = {name: [model for model in accuracies if model in scores] for name, scores in orders.items()}
    return {
        name: measured_agreement([orders[name][one] for one in models], [accuracies[one] for one in models])
        for name, models in shared.items()
        if len(models) > 1
    }


def noise_ceiling(
    accuracies: Sequence[Sequence[float]], *, replicates: int = 1000, seed: int = 0, level: float = 0.9
) -> Agreement | None:
    """Return how well one measurement of each model agrees with the mean of the others, averaged over measurements.

    No score can be expected to agree better with a truth that is measured once. None if a model has only one
    measurement. If some models have more measurements than others, the first ones count.

    Args:
        accuracies: the measurements of each model, in the same order of seeds.
        replicates: of the bootstrap over models.
        seed: of the bootstrap.
        level: share of the replicates that the intervals cover.

    Example:
        >>> noise_ceiling([[0.5, 0.6], [0.7, 0.7], [0.8, 0.9]]).weighted_tau
        1.0
    """
    measured = _measurements(accuracies)
    seeds = min(map(len, measured), default=0)
    if seeds < 2:
        return None
    table = np.array([one[:seeds] for one in measured])
    pairs = [(table[:, one], np.delete(table, one, axis=1).mean(axis=1)) for one in range(seeds)]
    parts = [agreement(x, y, replicates=replicates, seed=seed, level=level) for x, y in pairs]
    means: dict[str, Any] = {name: _mean([getattr(part, name) for part in parts]) for name in FIGURES}
    found = Agreement(len(table), level=level, seeds=seeds, **means)
    if not parts[0].enough:
        return found
    draws = draw_models(len(table), parts[0].replicates, seed)
    drawn = [all_figures(x, y, draws) for x, y in pairs]
    averaged = {name: np.mean([one[name] for one in drawn], axis=0) for name in FIGURES}
    intervals = _intervals(averaged, found, level)
    return replace(
        found,
        weighted_tau_interval=intervals.get("weighted_tau"),
        top_regret_interval=intervals.get("top_regret"),
        intervals=intervals,
        enough=True,
        replicates=len(draws),
    )


def weighted_tau(x: Array, y: Array) -> float | None:
    """Return τ_w of finite values; None if there are none, or all scores or accuracies are equal."""
    return weighted_kendall(x.tolist(), y.tolist()) if varied(x, y) else None


def checked(
    scores: Sequence[float] | Array, truth: Sequence[float] | Array, replicates: int, level: float
) -> tuple[Array, Array]:
    """Return scores and accuracies as arrays, or raise an error if they cannot be compared."""
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
    """Return the number of replicates for a pool."""
    return min(wanted, max(FEWEST_REPLICATES, MOST_COMPARISONS // models))


def interval(values: Array, point: float | None, level: float) -> tuple[float, float] | None:
    """Return the central interval of the finite values; the value on all models is always inside."""
    values = values[np.isfinite(values)]
    if point is None or not len(values):
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return min(float(low), point), max(float(high), point)


def mean_accuracy(measured: Sequence[float] | Array) -> float:
    """Return the mean of measurements, rounded if there are several, so that means differ only if they truly do.

    Example:
        >>> mean_accuracy([18 / 48, 20 / 48]) == mean_accuracy([19 / 48, 19 / 48])
        True
    """
    mean = float(sum(measured) / len(measured))
    return round(mean, 12) if len(measured) > 1 else mean


def _measurements(accuracies: Sequence[Sequence[float]]) -> list[Array]:
    measured = [np.asarray(one, np.float64) for one in accuracies]
    for number, one in enumerate(measured):
        if one.ndim != 1 or not len(one):
            raise InputError(
                f"each model needs a list of measured accuracies, but model {number} has {accuracies[number]!r}."
            )
    return measured


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean, None if a value is not defined."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if len(defined) == len(values) else None


def _intervals(drawn: Mapping[str, Array], found: Agreement, level: float) -> dict[str, Interval]:
    ends = {name: interval(values, getattr(found, name), level) for name, values in drawn.items()}
    return {name: one for name, one in ends.items() if one is not None}


def _seed_figures(x: Array, measured: Sequence[Array], replicates: int, seed: int) -> dict[str, Array]:
    """Return each figure (B,) for measurements that are drawn with replacement, of the same models."""
    generator = np.random.default_rng(seed)
    truth = np.stack([_means(one, replicates, generator) for one in measured], axis=1)
    whole = np.ones((1, len(x)))
    parts = [all_figures(x, y, whole) for y in truth]
    return {name: np.concatenate([part[name] for part in parts]) for name in FIGURES}


def _means(values: Array, replicates: int, generator: np.random.Generator) -> Array:
    """Return means of values that are drawn with replacement (B,).

    Their spread is widened by √(n / (n - 1)): that of draws from three measurements would be a fifth too small.
    """
    count, mean = len(values), values.mean()
    drawn = generator.choice(values, size=(replicates, count)).mean(axis=1)
    return np.asarray(mean + (drawn - mean) * np.sqrt(count / max(count - 1, 1)))
