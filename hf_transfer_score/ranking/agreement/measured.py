"""Agreement with accuracies that were measured several times, and the ceiling set by noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import InputError
from hf_transfer_score.ranking.agreement.compare import Agreement, Interval, agreement, interval
from hf_transfer_score.ranking.agreement.figures import FIGURES, all_figures, draw_models

Array = NDArray[np.float64]


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
    x, y = np.asarray(scores, np.float64), np.array([one.mean() for one in measured])
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
