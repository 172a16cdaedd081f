"""The belief about the scores of a pool: a normal distribution that is updated by one look after another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.ranking.effects import Known

Floats = NDArray[np.float64]

DISTANCES = np.linspace(-6, 6, 1201)
SHARES = np.array([NormalDist().cdf(one) for one in DISTANCES])
"""The normal distribution function at these distances, close enough for linear interpolation."""


class Belief:
    """A normal distribution over the scores of a pool, whose precision is a diagonal minus a matrix of low rank.

    Args:
        diagonal: of the precision (P,).
        less: a root (P, k) of the matrix that is subtracted.
        pull: precision times mean (P,).
    """

    def __init__(self, diagonal: Floats, less: Floats, pull: Floats) -> None:
        self.diagonal, self.less, self.pull = diagonal, less, pull

    @classmethod
    def of(cls, known: Known) -> Belief:
        """Return the belief before any look."""
        precise = known.shared / known.alone[:, None]
        inner = np.eye(precise.shape[1]) + known.shared.T @ precise
        less = np.linalg.solve(np.linalg.cholesky(inner), precise.T).T
        start = cls(1 / known.alone, less, np.zeros(len(known.mean)))
        start.pull = start.diagonal * known.mean - less @ (less.T @ known.mean)
        return start

    def look(self, places: Sequence[int], worth: float, pull: Floats) -> None:
        """Update the belief by a look at some models, which says nothing about a level that they share.

        Args:
            places: of the models.
            worth: precision that it adds to each.
            pull: what it adds to precision times mean (P,).
        """
        level = np.zeros((len(self.pull), 1))
        level[places] = np.sqrt(worth / len(places))
        self.diagonal = self.diagonal.copy()
        self.diagonal[places] += worth
        self.less, self.pull = np.hstack([self.less, level]), self.pull + pull
        self.__dict__.pop("_more", None)

    @cached_property
    def _more(self) -> Floats:
        """What the models share (P, k): the covariance is the inverse diagonal plus this times its transpose."""
        narrow = self.less / self.diagonal[:, None]
        inner = np.eye(self.less.shape[1]) - self.less.T @ narrow
        root: Floats = np.linalg.cholesky(np.linalg.inv(inner))
        return narrow @ root

    def spread(self, pull: Floats) -> Floats:
        """Return the covariance times a vector (P,)."""
        return np.asarray(pull / self.diagonal + self._more @ (self._more.T @ pull))

    @property
    def mean(self) -> Floats:
        """Return the expected scores (P,)."""
        return self.spread(self.pull)

    def above(self, others: NDArray[np.intp]) -> Floats:
        """Return the probability that each of some models comes out above each of all models (P, others)."""
        alone, more, mean = 1 / self.diagonal, self._more, self.mean
        variance = alone + (more**2).sum(1)
        apart = variance[:, None] + variance[others] - 2 * more @ more[others].T
        least = (alone[:, None] + alone[others]) / 2
        steps = (mean[others] - mean[:, None]) / np.sqrt(np.maximum(apart, least))
        return np.asarray(np.interp(steps, DISTANCES, SHARES))

    def drawn(self, count: int, generator: np.random.Generator) -> Floats:
        """Return draws (P, count)."""
        size, rank = self._more.shape
        alone = generator.standard_normal((size, count)) / np.sqrt(self.diagonal)[:, None]
        return self.mean[:, None] + alone + self._more @ generator.standard_normal((rank, count))
