"""What other datasets say about checkpoints: a linear model whose effects are as large as the records make them.

Within each column of measured accuracies (one dataset, one protocol) the models are compared by normal scores of their
ranks. Such a score is a sum: the column, what the model has in common with others (family, architecture, training data,
size), its own effect, and noise. Columns of another protocol add an effect of the model under that protocol, so that
they count less. The sizes of these effects are estimated from the records by the largest marginal likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.ranking.solving import lowest

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

NOISE, OWN, PROTOCOL = 0.5, 0.2, 0.2
"""Initial variances: of the noise, of a model's own effect, and of its effect under another protocol."""

GROUP = 0.15
"""Initial variance of the effects of one kind of property."""

SMALLEST, LARGEST = np.log(1e-3), np.log(3.0)
SMALLEST_NOISE = 1e-9
"""For datasets on which all models are equal."""

FLAT = 1e-4
"""Prior precision of a column's level."""

PRIOR_WIDTH = 1.0
"""Of the logarithm of a variance, around its initial value."""

STEPS = 80
"""Evaluations of the likelihood."""

USUAL_NORMAL = NormalDist()

KIN, KIN_TRUST = 0.2, 10.0
"""The share of the noise that is common to the models of a family on a dataset (in the tables of the Hub, of images and
of texts), and how many families on a dataset outweigh it."""

ROUNDS, TOGETHER = 2, 10
"""How often the noise of each column is estimated, and how many values outweigh the noise of all columns."""


def normal_scores(values: Sequence[float] | Floats) -> Floats:
    """Return the normal scores of the ranks of some values; equal values have their mean rank.

    Example:
        >>> normal_scores([0.9, 0.1, 0.5]).round(2).tolist()
        [0.97, -0.97, 0.0]
    """
    found = np.asarray(values, np.float64)
    _, places, counts = np.unique(found, return_inverse=True, return_counts=True)
    ranks = counts.cumsum() - (counts - 1) / 2
    shares = (ranks - 0.5) / max(len(found), 1)
    scores = _untied_scores(len(found)) if len(shares) == len(found) else _scores_of(shares)
    return np.asarray(scores[places.reshape(-1)])


def _scores_of(shares: Floats) -> Floats:
    return np.fromiter(map(USUAL_NORMAL.inv_cdf, shares.tolist()), np.float64, len(shares))


@lru_cache(128)
def _untied_scores(count: int) -> Floats:
    """Return the normal scores of different values in order: many columns have the same number of models."""
    return _scores_of((np.arange(1, count + 1) - 0.5) / max(count, 1))


@dataclass(frozen=True)
class Observations:
    """Normal scores of models in columns.

    Attributes:
        values: (n,).
        models: number of the model (n,).
        columns: number of the column (n,).
        protocols: number of the protocol (n,), 0 for the one of the forecast.
        properties: of all models (M, q).
        groups: the kind of each property (q,), from 0.
        weights: the relative precision of each value (n,).
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
    """What the records say about some models, on the scale of normal scores.

    Attributes:
        mean: expected score on a new dataset (P,).
        by_group: the part of each kind of property (G, P).
        own: the part of the models' own records (P,).
        shared: weights of independent standard normal numbers that move several models together (P, k).
        alone: the remaining variance of each model, including noise (P,).
    """

    mean: Floats
    by_group: Floats
    own: Floats
    shared: Floats
    alone: Floats

    def with_kin(self, kin: Floats, variance: float) -> Known:
        """Return the same for a dataset where what kin have in common differs from elsewhere.

        Args:
            kin: which models are of which family (P, k), 0 or 1.
            variance: of what a family has in common; it is part of what remains of each of its models.
        """
        part = min(variance, float(self.alone.min(initial=np.inf)) / 2)
        return replace(self, shared=np.hstack([self.shared, part**0.5 * kin]), alone=self.alone - part * kin.sum(1))

    @property
    def covariance(self) -> Floats:
        """Of the scores on a new dataset (P, P)."""
        return np.asarray(self.shared @ self.shared.T + np.diag(self.alone))


class _Solution(NamedTuple):
    """The effects of some variances.

    Attributes:
        effects: of columns and properties (c,).
        precision: of these (c, c).
        weighted: sum of the designs of each model's cells, by their weights on its own effect (M, c).
        sums: sum of its values by these weights (M,).
        left: variance that is left of its own effect (M,).
        cost: minus the log likelihood.
    """

    effects: Floats
    precision: Floats
    weighted: Floats
    sums: Floats
    left: Floats
    cost: float


class Effects:
    """The fitted model.

    Args:
        observations: the normal scores to fit.
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
        """Add up what the likelihood needs: over all, by model and protocol, and by model.

        A value's design has a 1 for its column, then its model's properties. It is never written out for all values.
        """
        seen, weights = self.seen, self.seen.weights
        protocols = int(seen.protocols.max(initial=0)) + 1
        cells, inverse = np.unique(seen.models * protocols + seen.protocols, return_inverse=True)
        self.cell_model, self.foreign = cells // protocols, (cells % protocols > 0).astype(float)
        self.counts = np.bincount(inverse, weights=weights, minlength=len(cells))
        shape, places = (len(cells), self.columns), inverse * self.columns + seen.columns
        by_column = np.bincount(places, weights=weights, minlength=len(cells) * self.columns).reshape(shape)
        properties = seen.properties[self.cell_model]
        self.cell_design = np.hstack([by_column, self.counts[:, None] * properties])
        self.by_column, self.starts = by_column, np.flatnonzero(np.diff(self.cell_model, prepend=-1))
        self.abroad = self.cell_design[self.foreign > 0]
        self.cell_values = np.bincount(inverse, weights=seen.values * weights, minlength=len(cells))
        self.gram = np.zeros((self.columns + seen.properties.shape[1],) * 2)
        self.gram[self.columns :] = properties.T @ self.cell_design
        self.gram[: self.columns, self.columns :] = self.gram[self.columns :, : self.columns].T
        np.fill_diagonal(self.gram[: self.columns, : self.columns], by_column.sum(0))
        own = np.bincount(seen.columns, weights=weights * seen.values, minlength=self.columns)
        self.cross = np.concatenate([own, properties.T @ self.cell_values])
        self.square = float(seen.values @ (weights * seen.values))

    def _fit(self) -> Floats:
        start = np.log(np.array([NOISE, OWN, PROTOCOL, *[GROUP] * self.kinds]))

        def cost(point: Floats) -> float:
            value = self._solve(np.exp(np.clip(point, SMALLEST, LARGEST))).cost
            return float(value + 0.5 * (((point - start) / PRIOR_WIDTH) ** 2).sum())

        found = lowest(cost, start, most=STEPS, near=0.05)
        return np.exp(np.clip(found, SMALLEST, LARGEST))

    def _by_model(self, values: Floats) -> Floats:
        """Return the sum of the cells of each model (M,)."""
        return np.bincount(self.cell_model, values, len(self.seen.properties)).astype(np.float64)

    def _designs(self, weights: Floats) -> Floats:
        """Return the weighted sum of the designs of the cells of each model (M, c); cells are sorted by model."""
        found = np.zeros((len(self.seen.properties), self.gram.shape[1]))
        cells = self.by_column * weights[:, None]
        if len(self.starts) < len(cells):
            cells = np.add.reduceat(cells, self.starts)
        found[self.cell_model[self.starts], : self.columns] = cells
        found[:, self.columns :] = self._by_model(self.counts * weights)[:, None] * self.seen.properties
        return found

    def _solve(self, variances: Floats) -> _Solution:
        noise, own, protocol = variances[:3]
        spread = noise + self.counts * protocol * self.foreign
        inner, taken = 1 / spread, protocol * self.foreign / (noise * spread)
        total = self._by_model(self.counts / spread)
        left = own / (1 + own * total)
        weighted, sums = self._designs(inner), self._by_model(self.cell_values * inner)
        precision = self.gram / noise
        if len(self.abroad):
            precision -= (self.abroad.T * taken[self.foreign > 0]) @ self.abroad
        precision -= (weighted.T * left) @ weighted
        target = self.cross / noise - self.cell_design.T @ (taken * self.cell_values) - weighted.T @ (left * sums)
        prior = np.concatenate([np.full(self.columns, FLAT), 1 / variances[3:][self.seen.groups]])
        precision[np.diag_indices_from(precision)] += prior
        root = np.linalg.cholesky(precision)
        effects = np.linalg.solve(precision, target)
        quadratic = self.square / noise - (taken * self.cell_values**2).sum() - (left * sums**2).sum()
        logdet = len(self.seen.values) * np.log(noise) - np.log(inner * noise).sum() + np.log1p(own * total).sum()
        logdet += 2 * np.log(np.diag(root)).sum() - np.log(prior).sum()
        return _Solution(effects, precision, weighted, sums, left, 0.5 * float(quadratic - target @ effects + logdet))

    @cached_property
    def _solution(self) -> _Solution:
        return self._solve(self.variances)

    @cached_property
    def _covariance_root(self) -> Floats:
        return np.linalg.cholesky(np.linalg.inv(self._solution.precision).astype(np.float64))

    def with_columns_weighed(self) -> Effects:
        """Return the model with each column weighted by its estimated noise."""
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
        """Return what the fit does not explain of each value (n,)."""
        fit = self._solution
        own = fit.left * (fit.sums - fit.weighted @ fit.effects)
        of_model = own + self.seen.properties @ fit.effects[self.columns :]
        return np.asarray(self.seen.values - fit.effects[self.seen.columns] - of_model[self.seen.models])

    def deviations(self) -> Floats:
        """Return what the fit does not explain of each model in each column (M, columns), 0 for one without a value."""
        found = np.zeros((len(self.seen.properties), self.columns))
        found[self.seen.models, self.seen.columns] = self.residuals()
        return found

    def of_kin(self, kin: Places) -> float:
        """Return the variance of what the models of a family have in common on a dataset, beside their effects.

        That is the mean product of what is not explained of two models of a family on the same dataset.

        Args:
            kin: the number of each model's family (M,), -1 for none.
        """
        there = kin[self.seen.models] >= 0
        rest, columns = self.residuals()[there], self.seen.columns[there]
        cells = columns * (kin.max(initial=0) + 1) + kin[self.seen.models][there]
        sums, squares, counts = (np.bincount(cells, one) for one in (rest, rest**2, np.ones(len(rest))))
        pairs = counts * (counts - 1)
        mean = float((sums**2 - squares).sum() / max(pairs.sum(), 1))
        groups, families = int((pairs > 0).sum()), len(set(kin.tolist()) - {-1})
        trust = max(groups - families, 0) + KIN_TRUST  # the mean of each family is one of its effects
        return max(0.0, (groups * mean + KIN_TRUST * KIN * float(self.variances[0])) / trust)

    def known(self, properties: Floats, models: Places) -> Known:
        """Return what is known about models on a new dataset.

        Args:
            properties: of each model (P, q).
            models: the number of each model among the records (P,), -1 for one without records.
        """
        fit, (noise, own) = self._solution, self.variances[:2]
        slopes = fit.effects[self.columns :]
        chosen = [self.seen.groups == kind for kind in range(self.kinds)]
        by_group = np.array([properties[:, one] @ slopes[one] for one in chosen])
        there = models >= 0
        share = np.where(there, fit.left[models], 0.0)
        deviation = np.where(there, share * (fit.sums[models] - fit.weighted[models] @ fit.effects), 0.0)
        design = np.zeros((len(models), len(fit.effects)))
        design[:, self.columns :] = properties
        design -= share[:, None] * fit.weighted[models]
        alone = np.where(there, share, own) + noise
        alone += self.variances[2] * self.foreign.all()  # a new dataset is measured in another way than all of these
        return Known(by_group.sum(0) + deviation, by_group, deviation, design @ self._covariance_root, alone)
