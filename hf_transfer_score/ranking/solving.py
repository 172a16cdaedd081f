"""Two small searches for the best numbers, in NumPy.

SciPy has both, and is not asked: importing it takes 50 MB and half a second, which a leaderboard that forecasts its
boards would pay on every start. The tests compare them with SciPy's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROUNDS = 3
"""As many searches for each number as it takes at most, unless rounding goes round in circles."""

ROUNDING = 1e-12
FIRST_STEP, FIRST_STEP_OF_ZERO = 0.05, 0.00025


def not_negative(products: Floats, target: Floats) -> Floats:
    """Return the numbers x, none below zero, for which x' products x / 2 - target' x is lowest.

    The active-set method of Lawson and Hanson (1974).

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
    """Return where a function is lowest, by the simplex method of Nelder and Mead (1965).

    Args:
        cost: the function.
        start: where to begin.
        most: times that the function is evaluated at most.
        near: how near all corners, and their costs, have to be to end before.

    Example:
        >>> lowest(lambda x: float(((x - 3) ** 2).sum()), np.ones(2), most=200, near=1e-6).round(3).tolist()
        [3.0, 3.0]
    """
    size, left = len(start), iter(range(most))

    def asked(point: Floats) -> float:
        next(left)
        return cost(point)

    steps = np.where(start == 0, FIRST_STEP_OF_ZERO, FIRST_STEP * start)
    corners = np.vstack([start, start + np.diag(steps)])
    costs = np.full(size + 1, np.inf)
    try:
        for place, corner in enumerate(corners):
            costs[place] = asked(corner)
        while True:
            order = np.argsort(costs)
            corners, costs = corners[order], costs[order]
            if np.abs(corners[1:] - corners[0]).max() <= near and np.abs(costs[1:] - costs[0]).max() <= near:
                break
            _step(asked, corners, costs)
    except StopIteration:  # it was asked often enough
        pass
    best: Floats = corners[costs.argmin()]
    return best


def _step(asked: Callable[[Floats], float], corners: Floats, costs: Floats) -> None:
    """Move the worst of the corners, which are sorted by cost, or all but the best."""
    middle = corners[:-1].mean(0)

    def along(share: float) -> tuple[Floats, float]:
        point = middle + share * (middle - corners[-1])
        return point, asked(point)

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
        costs[place] = asked(corners[place])
