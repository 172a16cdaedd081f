"""What rows and learning curves say: who is surely behind, and where a curve that is not at its end will end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.ranking.intervals import Interval

Floats = NDArray[np.float64]
Rights = NDArray[np.bool_]

BETS = np.linspace(0.02, 0.98, 25)
"""Shares of the largest stake that cannot lose everything, over which a bet is spread."""

ENDS, POWERS = np.linspace(0, 1, 26), np.array([0.25, 0.5, 1.0, 1.5, 2.5])
"""Where a curve may end, as a share of the error now, and how fast it may come there."""

UNSTEADY = 0.01
"""How far accuracies of passes lie from a smooth curve, beside what the draw of the rows makes."""

LATE, DOUBTED, LEAST_DOUBT = 0.5, 0.7, 0.015
"""A falling learning rate adds to what a curve promises, by so much of it at the start; of an expected gain, what it is
uncertain by beside the curve; and what any gain is uncertain by at the start (`python -m benchmarks.choosing`)."""


MISLED = 0.15
"""The probability that what features say of a pool has nothing to do with how it fine-tunes (`python -m
benchmarks.choosing`)."""


class Gain(NamedTuple):
    """How much more accurate a training will be at its end than at its best so far."""

    mean: float
    spread: float


def expected_gain(accuracies: Sequence[float], passes: int, rows: int) -> Gain:
    """Return where a learning curve leads by its last pass.

    Errors are taken to fall as a power of the passes towards an end that is anywhere from 0 to the error now; what the
    curve has shown so far tells which ends and powers are likely. After one pass it has shown nothing yet, so that slow
    starters may still become anything.

    Args:
        accuracies: after each pass.
        passes: altogether.
        rows: that they were measured on.

    Example:
        >>> early, late = expected_gain([0.5], 10, 200), expected_gain([0.5, 0.7, 0.75, 0.77, 0.77, 0.78], 10, 200)
        >>> early.spread > 3 * late.spread
        True
    """
    errors, steps = 1 - np.asarray(accuracies, np.float64), np.arange(1, len(accuracies) + 1)
    now = float(errors.min())
    if len(errors) >= passes or now <= 0:
        return Gain(0.0, 0.0)
    ends, powers = (grid.ravel() for grid in np.meshgrid(ENDS * now, POWERS, indexing="ij"))
    shapes = steps ** -powers[:, None]
    heights = ((errors - ends[:, None]) * shapes).sum(1) / (shapes**2).sum(1)
    misses = errors - ends[:, None] - heights[:, None] * shapes
    noise = errors * (1 - errors) / rows + UNSTEADY**2
    weights = np.exp(-0.5 * ((misses**2 / noise).sum(1) - (misses**2 / noise).sum(1).min()))
    gains = np.clip(now - ends - heights * float(passes) ** -powers, 0, now)
    ahead = 1 - len(errors) / passes
    mean = float(weights @ gains / weights.sum())
    variance = float(weights @ (gains - mean) ** 2 / weights.sum())
    spread = np.sqrt(variance + (DOUBTED * mean) ** 2 + LEAST_DOUBT**2 * ahead)
    return Gain(min((1 + LATE * ahead) * mean, now), float(spread))


def bet(first: Rights, second: Rights, margin: float) -> float:
    """Return what a bet comes to that the first is right more often than the second by more than a margin.

    Both were asked about the same rows. Where that is not so, the bet is expected to keep its worth of 1 at most, so
    that it reaches 20 with probability 1/20 at most: evidence against "not ahead by more than the margin", however
    many rows there are. Bets on several rounds share what may go wrong.

    Args:
        first: rows that the one is right on (N,).
        second: rows that the other is right on (N,).
        margin: from -1 to 1.

    Example:
        >>> rows = np.arange(200)
        >>> bet(rows % 10 > 0, rows % 10 > 3, 0.0) > 1000, bet(rows % 10 > 0, rows % 10 > 3, 0.35) < 1
        (True, True)
    """
    if margin >= 1:
        return 0.0
    ahead, behind = int((first & ~second).sum()), int((second & ~first).sum())
    alike = len(first) - ahead - behind
    stakes = BETS / (1 + margin) if margin > -1 else BETS * 50
    worth = ahead * np.log1p(stakes * (1 - margin)) + alike * np.log1p(-stakes * margin)
    worth += behind * np.log1p(-stakes * (1 + margin)) if behind else 0.0
    top = float(worth.max())
    return float(np.exp(min(top, 700.0)) * np.exp(worth - top).mean())


def largest_gain(ahead: Gain, behind: Gain, doubt: float) -> float:
    """Return how much the second may catch up with the first by the end, but for a probability."""
    spread = float(np.hypot(ahead.spread, behind.spread))
    return behind.mean - ahead.mean + NormalDist().inv_cdf(1 - doubt) * spread


def chance_within(outcomes: Floats, place: int, points: float) -> float:
    """Return the probability that none of a pool is better than one of it by more than some points.

    Args:
        outcomes: accuracies in each draw (P, draws).
        place: of the one.
        points: of accuracy in percent.
    """
    return float((outcomes.max(0) <= outcomes[place] + points / 100 + 1e-12).mean())


def dispensable(
    outcomes: Floats, among: Sequence[int], points: float, doubt: float, pool: int = 0
) -> tuple[list[int], float]:
    """Return which of a pool can go, and the probability that one of them is better than all others by some points.

    Those with the smallest chance go first, as long as that probability stays below the doubt that is allowed. Where
    features say nothing of fine-tuning after all, any of the pool may be the best.

    Args:
        outcomes: accuracies in each draw (P, draws).
        among: places that are still in, of which one stays at least.
        points: of accuracy in percent that do not matter.
        doubt: the probability that is allowed.
        pool: how many there were at first; those that are still in where that is more.
    """
    inside = outcomes[list(among)]
    best = inside >= inside.max(0) - points / 100
    order = np.lexsort((inside.mean(1), best.mean(1)))
    found: list[int] = []
    lost = 0.0
    for count in range(1, len(among)):
        out, kept = order[:count], order[count:]
        chance = float((inside[out].max(0) > inside[kept].max(0) + points / 100).mean())
        chance = (1 - MISLED) * chance + MISLED * count / max(pool, len(among))
        if chance > doubt:
            break
        found, lost = [among[place] for place in out.tolist()], chance
    return found, lost


def know_nothing(probes: Mapping[str, Interval], chance: float | None) -> list[str]:
    """Return the candidates whose features say nothing of the labels, while those of another surely say more.

    Args:
        probes: accuracies of a probe with their intervals, by name.
        chance: what always naming the most frequent class gives; None where that is not known.

    Example:
        >>> know_nothing({"noise": Interval(0.2, 0.17, 0.24), "good": Interval(0.6, 0.55, 0.65)}, 0.2)
        ['noise']
    """
    best = max((one.low for one in probes.values()), default=0.0)
    return [name for name, one in probes.items() if chance is not None and one.low <= chance and one.high < best]
