"""What is known of checkpoints from other datasets: a linear model whose effects are as large as the records make them.

Within each column of measured accuracies (one dataset, one protocol) the models are compared by normal scores of their
ranks. A model's score there is a sum: its column, what its kind has in common (family, architecture, what it was
trained on, size), its own effect, and noise. Columns of another protocol add an effect of the model under that
protocol, so that they count less. How large each kind of effect is, the records say themselves: by the largest marginal
likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.ranking.solving import lowest

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

NOISE, OWN, PROTOCOL = 0.5, 0.2, 0.2
"""Variances to begin with: of the noise, of a model's own effect, and of its effect under another protocol."""

GROUP = 0.15
"""Variance to begin with of the effects of one kind of property."""

SMALLEST, LARGEST = np.log(1e-3), np.log(3.0)
SMALLEST_NOISE = 1e-9
"""Where all models are equal on every dataset, there is none."""

FLAT = 1e-4
"""Prior precision of a column's level."""

PRIOR_WIDTH = 1.0
"""Of the logarithm of a variance, around what it begins with."""

STEPS = 80
"""Evaluations of the likelihood."""

USUAL_NORMAL = NormalDist()

ROUNDS, TOGETHER = 2, 10
"""Times that the noise of each column is looked at anew, and how many values it takes to differ from the others."""


def normal_scores(values: Sequence[float] | Floats) -> Floats:
    """Return the normal scores of the ranks of some values, the mean rank for equal ones.

    Example:
        >>> normal_scores([0.9, 0.1, 0.5]).round(2).tolist()
        [0.97, -0.97, 0.0]
    """
    found = np.asarray(values, np.float64)
    _, places, counts = np.unique(found, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[places.reshape(-1)]
    shares = (ranks - 0.5) / max(len(found), 1)
    return np.fromiter(map(USUAL_NORMAL.inv_cdf, shares.tolist()), np.float64, len(found))


@dataclass(frozen=True)
class Observations:
    """Normal scores of models in columns.

    Attributes:
        values: (n,).
        models: number of the model (n,).
        columns: number of the column (n,).
        protocols: number of the protocol (n,), 0 for the one that is asked about.
        properties: of all models (M, q).
        groups: the kind of each property (q,), from 0.
        weights: how precise each value is beside the others (n,).
    """

    values: Floats
    models: Places
    columns: Places
    protocols: Places
    properties: Floats
    groups: Places
    weights: Floats


@dataclass(frozen=True)
class Known:
    """What the records say of some models, on the scale of normal scores.

    Attributes:
        mean: expected score on a new dataset (P,).
        by_group: the part of each kind of property (G, P).
        own: the part of the models' own records (P,).
        shared: what moves several of them together (P, k), as independent standard normal numbers.
        alone: variance of each beside that, noise included (P,).
    """

    mean: Floats
    by_group: Floats
    own: Floats
    shared: Floats
    alone: Floats

    @property
    def covariance(self) -> Floats:
        """Of the scores on a new dataset (P, P)."""
        found: Floats = self.shared @ self.shared.T + np.diag(self.alone)
        return found


class Effects:
    """The fitted model.

    Args:
        observations: what was seen.
        variances: of the noise, of models, of models under another protocol, and of each kind of property; None for
            those of the largest likelihood.
    """

    def __init__(self, observations: Observations, variances: Floats | None = None) -> None:
        self.seen = observations
        self.kinds = int(observations.groups.max(initial=-1)) + 1
        self.columns = int(observations.columns.max(initial=-1)) + 1
        self._sums()
        self.variances = self._fit() if variances is None else variances

    def _sums(self) -> None:
        """Add up what the likelihood needs: over all, by model and protocol, and by model."""
        seen, rows, weights = self.seen, len(self.seen.values), self.seen.weights
        self.protocols = int(seen.protocols.max(initial=0)) + 1
        design = np.zeros((rows, self.columns + seen.properties.shape[1]))
        design[np.arange(rows), seen.columns] = 1
        design[:, self.columns :] = seen.properties[seen.models]
        cell = seen.models * self.protocols + seen.protocols
        self.cells, inverse = np.unique(cell, return_inverse=True)
        self.cell_model = self.cells // self.protocols
        self.foreign = (self.cells % self.protocols > 0).astype(float)
        self.counts = np.bincount(inverse, weights=weights, minlength=len(self.cells))
        order = np.argsort(inverse, kind="stable")
        starts = np.flatnonzero(np.diff(inverse[order], prepend=-1))
        self.cell_design = np.add.reduceat((design * weights[:, None])[order], starts)
        self.cell_values = np.bincount(inverse, weights=seen.values * weights, minlength=len(self.cells))
        self.gram, self.cross = (design.T * weights) @ design, design.T @ (weights * seen.values)
        self.square = float(seen.values @ (weights * seen.values))
        self.rows, self.inverse, self.design = rows, inverse, design

    def _fit(self) -> Floats:
        start = np.log(np.array([NOISE, OWN, PROTOCOL, *[GROUP] * self.kinds]))

        def cost(point: Floats) -> float:
            value = self._solve(np.exp(np.clip(point, SMALLEST, LARGEST)))[2]
            return float(value + 0.5 * (((point - start) / PRIOR_WIDTH) ** 2).sum())

        found = lowest(cost, start, most=STEPS, near=0.05)
        variances: Floats = np.exp(np.clip(found, SMALLEST, LARGEST))
        return variances

    def _weights(self, variances: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return what the variances make of each cell and of each model.

        Of each cell its weight on its model's effect, and what its own effect takes away; of each model the weight of
        all its cells, and the variance that is left of its effect.
        """
        noise, own, protocol = variances[:3]
        inner = noise + self.counts * protocol * self.foreign
        taken = protocol * self.foreign / (noise * inner)
        total = self._by_model(self.counts / inner)
        return 1 / inner, taken, total, own / (1 + own * total)

    def _by_model(self, values: Floats) -> Floats:
        """Return the sum of the cells of each model (M,)."""
        found: Floats = np.bincount(self.cell_model, values, len(self.seen.properties)).astype(np.float64)
        return found

    def _designs(self, weights: Floats) -> Floats:
        """Return the weighted sum of the designs of the cells of each model (M, c); cells are sorted by model."""
        found = np.zeros((len(self.seen.properties), self.gram.shape[1]))
        starts = np.flatnonzero(np.diff(self.cell_model, prepend=-1))
        if len(starts):
            found[self.cell_model[starts]] = np.add.reduceat(self.cell_design * weights[:, None], starts)
        return found

    def _solve(self, variances: Floats) -> tuple[Floats, Floats, float]:
        """Return the effects of columns and properties, their covariance, and minus the log likelihood."""
        noise, own = variances[:2]
        inner, taken, total, shrunk = self._weights(variances)
        weighted = self._designs(inner)
        sums = self._by_model(self.cell_values * inner)
        precision = self.gram / noise
        if self.foreign.any():
            precision -= (self.cell_design.T * taken) @ self.cell_design
        precision -= (weighted.T * shrunk) @ weighted
        target = self.cross / noise - self.cell_design.T @ (taken * self.cell_values) - weighted.T @ (shrunk * sums)
        prior = np.concatenate([np.full(self.columns, FLAT), 1 / variances[3:][self.seen.groups]])
        precision[np.diag_indices_from(precision)] += prior
        root = np.linalg.cholesky(precision)
        effects = np.linalg.solve(precision, target)
        quadratic = self.square / noise - (taken * self.cell_values**2).sum() - (shrunk * sums**2).sum()
        logdet = self.rows * np.log(noise) - np.log(inner * noise).sum() + np.log1p(own * total).sum()
        logdet += 2 * np.log(np.diag(root)).sum() - np.log(prior).sum()
        return effects, precision, 0.5 * float(quadratic - target @ effects + logdet)

    @cached_property
    def _fitted(self) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        effects, precision, _ = self._solve(self.variances)
        covariance: Floats = np.linalg.inv(precision).astype(np.float64)
        inner, _, total, _ = self._weights(self.variances)
        weighted = self._designs(inner)
        sums = self._by_model(self.cell_values * inner)
        return effects, covariance, weighted, sums, total

    def with_columns_weighed(self) -> Effects:
        """Return the model with each column as precise as it turns out to be."""
        found = self
        for _ in range(ROUNDS):
            squares = np.bincount(self.seen.columns, weights=found.residuals() ** 2, minlength=self.columns)
            counts = np.bincount(self.seen.columns, minlength=self.columns)
            usual = max(squares.sum() / max(counts.sum(), 1), SMALLEST_NOISE)
            noise = (squares + TOGETHER * usual) / (counts + TOGETHER) / usual
            weighed = replace(self.seen, weights=(1 / noise)[self.seen.columns])
            found = Effects(weighed, found.variances)
        return found

    def residuals(self) -> Floats:
        """Return what the fit leaves of each value (n,)."""
        effects, _, weighted, sums, total = self._fitted
        share = self.variances[1] / (1 + self.variances[1] * total)
        own = share * (sums - weighted @ effects)
        left: Floats = self.seen.values - self.design @ effects - own[self.seen.models]
        return left

    def known(self, properties: Floats, models: Places) -> Known:
        """Return what is known of models on a new dataset.

        Args:
            properties: of each (P, q).
            models: the number of each among the records (P,), -1 for one without any.
        """
        effects, covariance, weighted, sums, total = self._fitted
        noise, own = self.variances[:2]
        slopes = effects[self.columns :]
        chosen = [self.seen.groups == kind for kind in range(self.kinds)]
        by_group = np.array([properties[:, one] @ slopes[one] for one in chosen])
        there = models >= 0
        share = np.where(there, own / (1 + own * total[models]), 0.0)
        deviation = np.where(there, share * (sums[models] - weighted[models] @ effects), 0.0)
        design = np.zeros((len(models), len(effects)))
        design[:, self.columns :] = properties
        design -= share[:, None] * weighted[models]
        left = np.where(there, share, own)
        shared = design @ np.linalg.cholesky(covariance)
        return Known(by_group.sum(0) + deviation, by_group, deviation, shared, left + noise)
