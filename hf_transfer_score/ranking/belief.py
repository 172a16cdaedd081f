"""What is believed of the scores of a pool: a normal distribution that takes in one look after another."""

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
"""How much of a normal distribution lies below so many of its spreads; between them it is as good as straight."""


class Belief:
    """A normal distribution over the scores of a pool, whose precision is a diagonal less something of low rank.

    Args:
        diagonal: of the precision (P,).
        less: what is taken away, times its transpose (P, k).
        pull: precision times mean (P,).
    """

    def __init__(self, diagonal: Floats, less: Floats, pull: Floats) -> None:
        self.diagonal, self.less, self.pull = diagonal, less, pull

    @classmethod
    def of(cls, known: Known) -> Belief:
        """Return what is expected before anything is seen."""
        precise = known.shared / known.alone[:, None]
        inner = np.eye(precise.shape[1]) + known.shared.T @ precise
        less = np.linalg.solve(np.linalg.cholesky(inner), precise.T).T
        start = cls(1 / known.alone, less, np.zeros(len(known.mean)))
        start.pull = start.diagonal * known.mean - less @ (less.T @ known.mean)
        return start

    def look(self, places: Sequence[int], worth: float, pull: Floats) -> None:
        """Take in a look at some models, up to a level that they share.

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
        """What the models share (P, k), so that the covariance is the inverse diagonal and this times itself."""
        narrow = self.less / self.diagonal[:, None]
        inner = np.eye(self.less.shape[1]) - self.less.T @ narrow
        root: Floats = np.linalg.cholesky(np.linalg.inv(inner))
        more: Floats = narrow @ root
        return more

    def spread(self, pull: Floats) -> Floats:
        """Return the covariance times something (P,)."""
        found: Floats = pull / self.diagonal + self._more @ (self._more.T @ pull)
        return found

    @property
    def mean(self) -> Floats:
        """Return the expected scores (P,)."""
        return self.spread(self.pull)

    def above(self, others: NDArray[np.intp]) -> Floats:
        """Return the probability of each of some models to come out above each of all (P, others)."""
        alone, more, mean = 1 / self.diagonal, self._more, self.mean
        variance = alone + (more**2).sum(1)
        apart = variance[:, None] + variance[others] - 2 * more @ more[others].T
        least = (alone[:, None] + alone[others]) / 2
        steps = (mean[others] - mean[:, None]) / np.sqrt(np.maximum(apart, least))
        found: Floats = np.interp(steps, DISTANCES, SHARES)
        return found

    def drawn(self, count: int, generator: np.random.Generator) -> Floats:
        """Return draws (P, count)."""
        size, rank = self._more.shape
        alone = generator.standard_normal((size, count)) / np.sqrt(self.diagonal)[:, None]
        found: Floats = self.mean[:, None] + alone + self._more @ generator.standard_normal((rank, count))
        return found
