"""The one place where a pool is scaled and ranked: pure functions on arrays whose last axis is the models.

A pool is an array of raw terms (T, ..., M): a value of each term for each model, with axes for replicates in between.
All numbers are finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.metrics.registry import Metric

Array = NDArray[np.float64]
Numbers = NDArray[Any]

UNINFORMATIVE_RANGE = 1e-3
"""A term whose range over the pool is smaller (relative, or absolute for terms in [0, 1]) has no information."""


def uninformative(metric: Metric, values: Array) -> NDArray[np.bool_]:
    """Return which terms of a pool (T, ..., M) cannot distinguish its models (T, ...)."""
    if values.shape[-1] < 2:
        return np.ones(values.shape[:-1], bool)
    low, high = values.min(axis=-1), values.max(axis=-1)
    bounded = np.array([term.bounded for term in metric.terms]).reshape(-1, *[1] * (values.ndim - 2))
    size = np.where(bounded, 1.0, np.maximum(np.abs(low), np.abs(high)))
    return np.asarray((high - low < UNINFORMATIVE_RANGE * size) | (high == low))


def scaled(metric: Metric, values: Array) -> Array:
    """Return the terms of a pool (T, ..., M) as they enter its scores; zero for a term without information."""
    useless = uninformative(metric, values)[..., None]
    if values.shape[-1] and metric.pool_rule == "minmax_sum":
        low = values.min(axis=-1, keepdims=True)
        values = (values - low) / np.where(useless, 1.0, values.max(axis=-1, keepdims=True) - low)
    return np.asarray(np.where(useless, 0.0, values))


def pool_scores(metric: Metric, terms: Array) -> Array:
    """Return the scores of a pool (..., M), higher is better, from its scaled terms (T, ..., M)."""
    scores = np.zeros(terms.shape[1:])
    for term, numbers in zip(metric.terms, terms, strict=True):
        scores += term.direction * numbers
    return scores


def pool_ranks(metric: Metric, values: Array) -> NDArray[np.int32]:
    """Return the ranks of a pool (..., M) from its raw terms (T, ..., M), 1 for the best; equal scores share a rank."""
    return places(-pool_scores(metric, scaled(metric, values)))


def places(values: Numbers) -> NDArray[np.int32]:
    """Return the place of each value (..., M) along the last axis, 1 for the smallest; ties share the better place.

    Example:
        >>> places(np.array([0.5, 0.1, 0.5])).tolist()
        [2, 1, 2]
    """
    found = np.empty((prod(values.shape[:-1]), values.shape[-1]), np.int32)
    for place, row in zip(found, values.reshape(found.shape), strict=True):
        place[:] = np.searchsorted(np.sort(row), row, "left") + 1
    return found.reshape(values.shape)


def both_places(values: Numbers) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the better and the worse place that equal values share, both (..., M)."""
    best, worst = np.empty((2, prod(values.shape[:-1]), values.shape[-1]), np.int32)
    for place, row in enumerate(values.reshape(best.shape)):
        ordered = np.sort(row)
        best[place] = np.searchsorted(ordered, row, "left") + 1
        worst[place] = np.searchsorted(ordered, row, "right")
    return best.reshape(values.shape), worst.reshape(values.shape)


def mean_ranks(ranks: Numbers) -> Array:
    """Return the mean rank of each model (..., M) over the metrics that decide (C, ..., M)."""
    return np.asarray(ranks.sum(axis=0) / len(ranks))


def ranges_of(
    drawn: Numbers, ranks: Sequence[int], level: float, known: Sequence[bool] = ()
) -> tuple[list[int], list[tuple[int, int]], list[int]]:
    """Return ranks, ranges and groups of models in order, the best first, from their mean ranks in replicates (B, M).

    The models of a group share the place of its best; group 1 holds the best of all.

    Args:
        drawn: the mean ranks; a tie counts as both places.
        ranks: the place of each model on the sample itself; it and the rank of its group are always in the range.
        level: share of the replicates that ranges cover.
        known: whether a model has a spread; the others lead no group. Empty if all have.
    """
    best, worst = both_places(drawn)
    low = np.quantile(best, (1 - level) / 2, axis=0, method="lower").astype(np.intp)
    high = np.quantile(worst, (1 + level) / 2, axis=0, method="higher").astype(np.intp)
    groups = tie_groups(drawn, level, known)
    first: dict[int, int] = {}
    shared = [first.setdefault(group, place) for place, group in enumerate(groups, 1)]
    ends = zip(np.minimum(low, shared).tolist(), np.maximum(high, ranks).tolist(), strict=True)
    return shared, list(ends), groups


def tie_groups(drawn: Numbers, level: float, known: Sequence[bool] = ()) -> list[int]:
    """Return the group of each model: a new group starts where the leader of the last one is surely ahead.

    Only the leader is compared, so the work grows with the number of models, not of pairs.
    """
    groups: list[int] = []
    leader, number = next((place for place, has in enumerate(known) if has), 0), 1
    columns = np.ascontiguousarray(drawn.T)
    for place, column in enumerate(columns):
        if (not known or known[place]) and _ahead(columns[leader], column, level):
            leader, number = place, number + 1
        groups.append(number)
    return groups


def separated(drawn: Numbers, level: float) -> list[tuple[int, int]]:
    """Return the pairs of models in order, the better first, of which one is surely ahead."""
    columns = np.ascontiguousarray(drawn.T)
    return [
        (first, first + 1 + int(after))
        for first, column in enumerate(columns)
        for after in np.flatnonzero(_ahead(column, columns[first + 1 :], level))
    ]


def _ahead(first: Numbers, others: Numbers, level: float) -> NDArray[np.bool_]:
    """Return whether one model (B,) is ahead of others (..., B) in enough replicates, a tie counting half."""
    share = (np.sign(others - first).mean(axis=-1, dtype=np.float64) + 1) / 2
    return np.asarray(share >= (1 + level) / 2)


def first_shares(drawn: Numbers) -> Array:
    """Return the share of the replicates (B, M) in which each model is first (M,); ties share it."""
    leading = places(drawn) == 1
    return np.asarray(np.ascontiguousarray((leading / leading.sum(axis=1, keepdims=True)).T).mean(axis=1))
