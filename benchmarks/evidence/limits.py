"""How much order is left to find in the tables of the Hub: what the forecast could reach at most."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict

from benchmarks.evidence.forecasts import HUB, Pool, Trial, compared, hub_history, pool_of
from hf_transfer_score.ranking.effects import normal_scores
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.history import History, beside_junk

Floats = NDArray[np.float64]

TREES, TOLD = "boosted trees", "boosted trees that know 90% of these accuracies"
FACTORS, AGAIN = "three factors that know 25% of these accuracies", "the accuracies, measured again"
RANK, REPEATS = 3, 20

FEWEST_ROWS, MOST_ROWS, ROUNDED = 100, 30_000, 5e-6
"""Of a test set, and how far its published accuracies are rounded."""


def limit_trials(folder: Path) -> dict[str, list[Trial]]:
    """Return the results of orders that know as much as the forecast, or more, by kind."""
    found = {}
    for kind, (prefix, task) in HUB.items():
        history = hub_history(folder, prefix, task)
        datasets = sorted({one.dataset for one in history.scores})
        found[f"{kind}, limits"] = [trial for dataset in datasets for trial in _trials(history, dataset, datasets)]
    return found


def _trials(history: History, dataset: str, datasets: list[str]) -> Iterator[Trial]:
    pool, elsewhere = pool_of(history, dataset), history.elsewhere(dataset)
    features, scores = _known(elsewhere, pool), normal_scores(pool.truth)
    others = [(pool_of(history, name), elsewhere.elsewhere(name)) for name in datasets if name != dataset]
    trees = _trees().fit(
        np.vstack([_known(beside, other) for other, beside in others]),
        np.concatenate([normal_scores(other.truth) for other, _ in others]),
    )
    yield compared(dataset, TREES, trees.predict(features), pool.truth)
    folds = KFold(10, shuffle=True, random_state=0)
    yield compared(dataset, TOLD, cross_val_predict(_trees(), features, scores, cv=folds), pool.truth)
    factors, truth = _factors(elsewhere, pool), np.array(pool.truth)
    for rest, told in KFold(4, shuffle=True, random_state=0).split(factors):
        predicted = Ridge().fit(factors[told], scores[told]).predict(factors[rest])
        yield compared(dataset, FACTORS, predicted, truth[rest])
    rows, generator = _rows(pool), np.random.default_rng(0)
    for _ in range(REPEATS):
        yield compared(dataset, AGAIN, generator.binomial(rows, truth) / rows, pool.truth)


def _trees() -> GradientBoostingRegressor:
    return GradientBoostingRegressor(
        n_estimators=150, learning_rate=0.05, subsample=0.6, min_samples_leaf=10, random_state=0
    )


def _known(elsewhere: History, pool: Pool) -> Floats:
    """Return all that the forecast knows about the models of a pool (P, F)."""
    forecaster = Forecaster(elsewhere)
    known = forecaster.expected(pool.models)
    found = [known.mean, known.own, *known.by_group, forecaster.failing(pool.models), *_metrics(pool)]
    return np.column_stack([*found, forecaster.relations.properties(pool.models)[0]])


def _metrics(pool: Pool) -> Floats:
    found = np.zeros((len(pool.metrics), len(pool.models)))
    for row, (_, values) in zip(found, sorted(pool.metrics.items()), strict=True):
        row[list(values)] = beside_junk(list(values.values()))
    return found


def _factors(elsewhere: History, pool: Pool) -> Floats:
    """Return the leading principal components of the accuracies on other datasets and the metrics here (P, RANK)."""
    expected = Forecaster(elsewhere).expected(pool.models).mean
    columns = list(_metrics(pool))
    for one in elsewhere.accuracies:
        scores = dict(zip(one.values, normal_scores(list(one.values.values())).tolist(), strict=True))
        columns.append(np.array([scores.get(name, expected[place]) for place, name in enumerate(pool.models)]))
    return PCA(RANK, whiten=True).fit_transform(np.column_stack(columns))


def _rows(pool: Pool) -> int:
    """Return the rows of the test set: the fewest of which almost all accuracies are whole shares."""
    accuracies = np.array(pool.truth)
    for rows in range(FEWEST_ROWS, MOST_ROWS):
        right = accuracies * rows
        if np.mean(np.abs(right - right.round()) <= ROUNDED * rows + 1e-6) > 0.95 and ROUNDED * rows < 0.25:
            return rows
    raise ValueError(f"The accuracies on {pool.dataset} are not shares of a test set of up to {MOST_ROWS:,} rows.")
