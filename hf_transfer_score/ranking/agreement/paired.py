"""Whether one score agrees better with measured accuracies than another, over the same models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import OptionError
from hf_transfer_score.ranking.agreement.compare import (
    ENOUGH_MODELS,
    Interval,
    agreement,
    checked,
    interval,
    replicate_count,
    weighted_tau,
)
from hf_transfer_score.ranking.agreement.figures import FIGURES, all_figures, draw_models, weighted_taus

Array = NDArray[np.float64]

KEPT = 512
"""Scores whose figures over drawn models are cached, since a few are compared with many; 8 kB each."""


@dataclass(frozen=True)
class AgreementDifference:
    """How much better one score agrees than another.

    Attributes:
        models: the number of models that were compared.
        figure: what is compared, one of `FIGURES`.
        value: of the first score minus that of the second; None if either is not defined.
        interval: ends of its interval over models, drawn alike for both; None for fewer than `ENOUGH_MODELS` models.
        level: share of the replicates that the interval covers.
    """

    models: int
    figure: str
    value: float | None
    interval: Interval | None
    level: float

    @property
    def sure(self) -> bool:
        """Whether the interval excludes 0, so that the difference does not depend on which models there are."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def difference(
    first: Sequence[float],
    second: Sequence[float],
    accuracies: Sequence[float],
    *,
    figure: str = "weighted_tau",
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.9,
) -> AgreementDifference:
    """Return how much better one score agrees with accuracies than another, with a paired interval over models.

    Two scores of the same features err together, so their own intervals can overlap although one is always ahead. Here
    every replicate compares both on the same models.

    Args:
        first: a score for each model, higher is better.
        second: another score of the same models.
        accuracies: of the same models; the mean if there are several measurements.
        figure: what to compare.
        replicates: of the bootstrap; large pools take fewer.
        seed: of the bootstrap.
        level: share of the replicates that the interval covers.

    Example:
        >>> truth = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
        >>> found = difference(truth, truth[::-1], truth)
        >>> round(found.value, 3), found.sure
        (2.0, True)
    """
    if figure not in FIGURES:
        raise OptionError(f"figure={figure!r}: expected one of {', '.join(FIGURES)}.")
    x, y = checked(first, accuracies, replicates, level)
    other, _ = checked(second, accuracies, replicates, level)
    better, worse = (_figure(one, y, figure) for one in (x, other))
    value = None if better is None or worse is None else better - worse
    if value is None or len(x) < ENOUGH_MODELS:
        return AgreementDifference(len(x), figure, value, None, level)
    count = replicate_count(len(x), replicates)
    drawn = np.subtract(*(_drawn(one.tobytes(), y.tobytes(), count, seed, figure) for one in (x, other)))
    return AgreementDifference(len(x), figure, value, interval(drawn, value, level), level)


def _figure(x: Array, y: Array, figure: str) -> float | None:
    if figure == "weighted_tau":
        return weighted_tau(x, y)
    found: float | None = getattr(agreement(x, y, replicates=1), figure)
    return found


@lru_cache(KEPT)
def _drawn(scores: bytes, accuracies: bytes, replicates: int, seed: int, figure: str) -> Array:
    """Return a figure over drawn models; scores and accuracies are bytes of doubles, which can be cached."""
    x, y = np.frombuffer(scores), np.frombuffer(accuracies)
    draws = draw_models(len(x), replicates, seed)
    if figure == "weighted_tau":  # the usual one; all together take many times as long
        return weighted_taus(x, y, draws)
    return all_figures(x, y, draws)[figure]
