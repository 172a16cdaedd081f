"""How many finalists a budget is spent on: many trained briefly or few trained to the end, whichever promises more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from hf_transfer_score.choosing.evidence import Floats

EARLY, POWER, LATEST = 0.08, 2.5, 0.01
"""How far off the order by accuracy is at the start of a training; the power of what is left with which this falls; and
how far off it is at the end (`python -m benchmarks.choosing`)."""

SIMULATED = 250
"""Draws by which plans are compared."""


def worth_training(outcomes: Floats, costs: Floats, left: float, done: Sequence[float]) -> int:
    """Return how many arms, the first ones, to train in the next round.

    A plan says after which rounds the worse half goes, and so how many can begin. The plan counts by which the last one
    ends best in the draws; accuracies say the less of the final ones the earlier they are.

    Args:
        outcomes: final accuracies in each draw (arms, draws), the most promising arm first.
        costs: of training an arm in each round that is left (arms, rounds).
        left: what may be spent; the first arm is trained in any case.
        done: the share of the epochs that are done after each of these rounds.

    Example:
        >>> outcomes = np.random.default_rng(0).normal(0.6, 0.1, (4, 1000))
        >>> costs = np.array([[0.5, 0.5]] * 4)
        >>> [worth_training(outcomes, costs, left, [0.5, 1.0]) for left in (1.0, 2.5, 4.0)]
        [1, 3, 4]
    """
    some, generator = outcomes[:, :SIMULATED].T, np.random.default_rng(0)
    noise = generator.standard_normal((len(done), *some.shape))
    seen = [some + (LATEST + EARLY * (1 - share) ** POWER) * luck for share, luck in zip(done, noise, strict=True)]
    plans = dict.fromkeys(_plan(costs, left, cuts) for cuts in _cuts(len(done)))
    return max(plans, key=lambda plan: _worth(some, seen, plan))[0]


def _worth(outcomes: Floats, seen: Sequence[Floats], plan: Sequence[int]) -> float:
    """Return the expected final accuracy of the last arm of a plan, given what is seen after each round."""
    alive = np.tile(np.arange(plan[0]), (len(outcomes), 1))
    for after, count in zip(seen, [*plan[1:], 1], strict=True):
        if count < alive.shape[1]:
            order = np.argsort(-np.take_along_axis(after, alive, 1), axis=1)
            alive = np.take_along_axis(alive, order[:, :count], 1)
    return float(np.take_along_axis(outcomes, alive, 1).mean())


def _cuts(rounds: int) -> Iterator[tuple[bool, ...]]:
    """Yield after which rounds half of the arms go; after the last one only the best stays."""
    for size in range(rounds):
        for chosen in combinations(range(rounds - 1), size):
            yield tuple(number in chosen for number in range(rounds))


def _plan(costs: Floats, left: float, cuts: Sequence[bool]) -> tuple[int, ...]:
    """Return how many arms are trained in each round, as many as can be paid."""
    found = (1,) * len(cuts)
    for begin in range(2, len(costs) + 1):
        counts = [begin]
        for cut in cuts[:-1]:
            counts.append((counts[-1] + 1) // 2 if cut else counts[-1])
        if sum(costs[:count, number].sum() for number, count in enumerate(counts)) > left:
            break
        found = tuple(counts)
    return found
