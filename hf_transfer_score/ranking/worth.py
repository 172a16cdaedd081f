"""The worth of metrics on other datasets: how well they agree with accuracies, and how to weigh several of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.ranking.effects import normal_scores, not_negative
from hf_transfer_score.ranking.history import MeasuredColumn
from hf_transfer_score.ranking.looks import failed

Floats = NDArray[np.float64]

WORTH = {
    **dict.fromkeys(("knn", "linear_probe", "parc"), 0.7),
    **dict.fromkeys(("hscore", "logme", "ncti", "nleep", "reg_hscore"), 0.67),
    **dict.fromkeys(("cdnv", "face", "gbc", "leep", "nc1"), 0.58),
    **dict.fromkeys(("sfda", "transrate"), 0.4),
    "vci": 0.1,
}
"""Correlation of the normal scores of a metric with those of fine-tuned accuracies: from docs/evidence.md, rounded so
that no metric outweighs another by chance."""

UNKNOWN_WORTH, KIN, TRUST = 0.5, 0.7, 2.0
"""The worth of other metrics, the correlation of the noises of two metrics, and how many datasets of the records
outweigh these."""

FEWEST = 5
"""The models of a column that it takes to learn about a metric, or about the distribution of accuracies."""

NARROW = 1e-3
"""The smallest eigenvalue of the noise of metrics, as a share of the largest."""


def worth_of(
    metrics: Sequence[str], accuracies: Iterable[MeasuredColumn], scored: Iterable[MeasuredColumn]
) -> tuple[Floats, Floats]:
    """Return how well each metric agrees with the truth (K,), and the covariance of the noises of metrics (K, K).

    Args:
        metrics: their names.
        accuracies: measured on other datasets.
        scored: scores by metrics on other datasets.
    """
    truths = {one.dataset: one for one in accuracies}
    scores: dict[tuple[str, str], list[MeasuredColumn]] = {}
    for one in scored:
        scores.setdefault((one.dataset, one.protocol), []).append(one)
    before = np.array([WORTH.get(name, UNKNOWN_WORTH) for name in metrics])
    spreads = np.sqrt(1 - before**2)
    usual = KIN * np.outer(spreads, spreads) + (1 - KIN) * np.diag(spreads**2)
    products, squares, noise = np.zeros(len(metrics)), np.zeros(len(metrics)), TRUST * usual
    weights = np.full((len(metrics), len(metrics)), TRUST)
    found: list[tuple[Floats, Floats, list[int]]] = []
    for dataset, truth in truths.items():
        there = [place for place, name in enumerate(metrics) if (dataset, name) in scores]
        columns = [max(scores[dataset, metrics[place]], key=lambda one: len(one.values)) for place in there]
        x, y = _shared(truth, columns)
        if there and len(y):
            products[there] += x @ y / len(y)
            squares[there] += y @ y / len(y)
            found.append((x, y, there))
    rho = (products + TRUST * before) / (squares + TRUST)
    for x, y, there in found:
        rest = x - rho[there][:, None] * y
        noise[np.ix_(there, there)] += rest @ rest.T / len(y)
        weights[np.ix_(there, there)] += 1
    return rho, noise / weights


def _shared(truth: MeasuredColumn, columns: Sequence[MeasuredColumn]) -> tuple[Floats, Floats]:
    """Return the normal scores of columns (K, n) and of the truth (n,), for the models in all of them that learnt."""
    names = [name for name in truth.values if all(name in one.values for one in columns)]
    accuracies = np.array([truth.values[name] for name in names])
    kept = np.flatnonzero(~failed(accuracies)) if names else np.array([], np.intp)
    if len(kept) < FEWEST:
        return np.zeros((len(columns), 0)), np.zeros(0)
    rows = [normal_scores([one.values[names[place]] for place in kept]) for one in columns]
    return np.array(rows), normal_scores(accuracies[kept])


def weights_of(noise: Floats, worth: Floats) -> Floats:
    """Return the best weights of the metrics, none below zero."""
    values, vectors = np.linalg.eigh(noise)
    if values[0] < NARROW * values[-1]:  # datasets with different metrics need not give a consistent covariance
        noise = (vectors * np.maximum(values, NARROW * values[-1])) @ vectors.T
    return not_negative(noise, worth)
