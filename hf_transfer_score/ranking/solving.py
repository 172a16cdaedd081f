"""Small searches in NumPy: weights above zero, the lowest point of a function, the odds of an event."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROUNDS = 3
"""Searches for each number at most; only rounding errors could need more."""

ROUNDING = 1e-12
FIRST_STEP, FIRST_STEP_OF_ZERO = 0.05, 0.00025

NEAR, MOST_STEPS, MOST_ODDS = 1e-9, 30, 20.0
"""Of a logistic regression: the size of a step below which the search ends, how many steps it takes at most, and the
limit of the log odds."""


def not_negative(products: Floats, target: Floats) -> Floats:
    """Minimise x' products x / 2 - target' x over x >= 0, by the active-set method of Lawson and Hanson (1974).

    Args:
        products: symmetric and positive definite (K, K).
        target: (K,).

    Example:
        >>> not_negative(np.eye(2), np.array([2.0, -1.0])).tolist()
        [2.0, 0.0]
    """
    found, free = np.zeros(len(target)), np.zeros(len(target), bool)
    for _ in range(ROUNDS * len(target)):
        slopes = np.where(free, -np.inf, target - products @ found)
        if slopes.max(initial=-np.inf) <= ROUNDING * np.abs(target).max():
            break
        free[slopes.argmax()] = True
        while True:
            tried = np.zeros(len(target))
            tried[free] = np.linalg.solve(products[np.ix_(free, free)], target[free])
            falling = free & (tried <= 0)
            if not falling.any():
                break
            shares = found[falling] / (found[falling] - tried[falling])
            found = np.maximum(found + shares.min() * (tried - found), 0.0)
            free[np.flatnonzero(falling)[shares == shares.min()]] = False
            found[~free] = 0.0
        found = tried
    return found


def lowest(cost: Callable[[Floats], float], start: Floats, *, most: int, near: float) -> Floats:
    """Minimise a function by the simplex method of Nelder and Mead (1965).

    Args:
        cost: the function.
        start: where to begin.
        most: evaluations of the function at most.
        near: the search ends when the corners, and their costs, are this close together.

    Example:
        >>> lowest(lambda x: float(((x - 3) ** 2).sum()), np.ones(2), most=200, near=1e-6).round(3).tolist()
        [3.0, 3.0]
    """
    left = iter(range(most))

    def counted(point: Floats) -> float:
        next(left)
        return cost(point)

    steps = np.where(start == 0, FIRST_STEP_OF_ZERO, FIRST_STEP * start)
    corners = np.vstack([start, start + np.diag(steps)])
    costs = np.full(len(corners), np.inf)
    try:
        for place, corner in enumerate(corners):
            costs[place] = counted(corner)
        while True:
            order = np.argsort(costs)
            corners, costs = corners[order], costs[order]
            if np.abs(corners[1:] - corners[0]).max() <= near and np.abs(costs[1:] - costs[0]).max() <= near:
                break
            _step(counted, corners, costs)
    except StopIteration:  # no evaluations are left
        pass
    return np.asarray(corners[costs.argmin()])


def _step(cost: Callable[[Floats], float], corners: Floats, costs: Floats) -> None:
    """Move the worst of the corners, which are sorted by cost, or all but the best."""
    middle = corners[:-1].mean(0)

    def along(share: float) -> tuple[Floats, float]:
        point = middle + share * (middle - corners[-1])
        return point, cost(point)

    point, value = along(1.0)
    if value < costs[0]:
        further, better = along(2.0)
        corners[-1], costs[-1] = (further, better) if better < value else (point, value)
        return
    if value < costs[-2]:
        corners[-1], costs[-1] = point, value
        return
    outside = value < costs[-1]
    nearer, inner = along(0.5 if outside else -0.5)
    if inner <= value if outside else inner < costs[-1]:
        corners[-1], costs[-1] = nearer, inner
        return
    for place in range(1, len(corners)):
        corners[place] = corners[0] + 0.5 * (corners[place] - corners[0])
        costs[place] = cost(corners[place])


def log_odds(design: Floats, happened: NDArray[np.bool_], start: Floats, trust: Floats) -> Floats:
    """Return what each column of a design adds to the log odds of an event, by a logistic regression with a prior.

    Args:
        design: (n, c).
        happened: whether the event happened (n,).
        start: what each column is expected to add (c,).
        trust: the precision of that (c,).

    Example:
        >>> log_odds(np.ones((40, 1)), np.arange(40) < 10, np.zeros(1), np.full(1, 1e-6)).round(2).tolist()
        [-1.1]
    """
    point = start
    for _ in range(MOST_STEPS if len(design) else 0):
        share = chances(design @ point)
        curvature = (design.T * (share * (1 - share))) @ design + np.diag(trust)
        slope = design.T @ (happened - share) - trust * (point - start)
        step = np.clip(np.linalg.solve(curvature, slope), -1, 1)
        point = point + step
        if np.abs(step).max() < NEAR:
            break
    return point


def chances(odds: Floats) -> Floats:
    """Return the probabilities of log odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -MOST_ODDS, MOST_ODDS))))
