"""What is known about a pool on its own dataset, and how outcomes become accuracies and places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.ranking.effects import Known, normal_scores
from hf_transfer_score.ranking.history import MeasuredColumn, failed, shares_of
from hf_transfer_score.ranking.solving import not_negative

Floats = NDArray[np.float64]
Value = TypeVar("Value")

PROBED, PROBE_SPREAD = 0.5, 0.2
"""The share of the outcomes that are spread like the accuracies of a probe, if records tell the spread too; and the
logarithm of how far the spread and the error after fine-tuning differ from those of the probe (docs/evidence.md)."""

ELSEWHERE = 1.0
"""How many probes the spread of accuracies elsewhere counts for. With it, intervals of pools of 2 to 16 of our own
backbones hold the truth in 82% to 88%; without it, those of pools of two in 71%, and equal probes promise certainty."""

SPREAD_TRUST, SPREAD_NOISE, SPREAD_LIMIT = 2.0, 0.4, 2.0
"""How many measured accuracies their spread elsewhere counts for; and the error and the limit of the logarithm of the
spread here. In the tables of the Hub, with 2, 6, 12 or half of the models measured, this lowers the interval score of
the others by 12% to 36%."""

MOST_OTHERS = 1000
"""How many models of a pool each model is compared with at most."""


@dataclass(frozen=True)
class Looks:
    """What is known about a pool on its own dataset.

    Attributes:
        ids: of the models, in the order of the pool.
        metrics: pool scores by metric and place in the pool; a model without a score is absent.
        accuracies: measured accuracies, by place in the pool.
        probes: accuracies of a cross-validated probe, by place in the pool.
        drawn: accuracies that are known in part, as draws (B,) that belong together, by place in the pool.
    """

    ids: tuple[str, ...]
    metrics: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    accuracies: Mapping[int, float] = field(default_factory=dict)
    probes: Mapping[int, float] = field(default_factory=dict)
    drawn: Mapping[int, Floats] = field(default_factory=dict)

    @property
    def known(self) -> dict[int, Floats]:
        """Accuracies on this dataset by place, as draws (B,) or as one number (1,)."""
        return {**{place: np.array([value]) for place, value in self.accuracies.items()}, **self.drawn}

    @property
    def alike(self) -> list[list[int]]:
        """The places of models with equal measured accuracies."""
        found: dict[float, list[int]] = {}
        for place, value in self.accuracies.items():
            found.setdefault(value, []).append(place)
        return [places for places in found.values() if len(places) > 1]

    def chosen(self, order: Sequence[int]) -> Looks:
        """Return the same pool in another order."""
        place = {old: new for new, old in enumerate(order)}

        def moved(values: Mapping[int, Value]) -> dict[int, Value]:
            return {place[old]: values[old] for old in sorted(values, key=place.__getitem__)}

        ids, metrics = tuple(self.ids[old] for old in order), {name: moved(one) for name, one in self.metrics.items()}
        return Looks(ids, metrics, moved(self.accuracies), moved(self.probes), moved(self.drawn))


def anchored(outcomes: Floats, looks: Looks, mean: Floats, generator: np.random.Generator) -> Floats | None:
    """Return accuracies (P, draws) at the level that was measured on this dataset; None if nothing was measured.

    If no model was fine-tuned, the errors of the probes are taken as those of the better half after fine-tuning, give
    or take.

    Args:
        outcomes: accuracies relative to the median (P, draws).
        looks: what is known about the pool on its own dataset.
        mean: expected scores (P,).
        generator: of the draws.
    """
    known = {place: np.full(outcomes.shape[1], value) for place, value in looks.accuracies.items()}
    if looks.drawn:
        which = generator.integers(len(next(iter(looks.drawn.values()))), size=outcomes.shape[1])
        known |= {place: values[which] for place, values in looks.drawn.items()}
    if known:
        places = list(known)
        levels = np.array(list(known.values()))
    elif looks.probes:
        places = sorted(looks.probes, key=lambda place: -mean[place])[: (len(looks.probes) + 1) // 2]
        factors = np.exp(PROBE_SPREAD * generator.standard_normal(outcomes.shape[1]))
        levels = 1 - np.array([1 - looks.probes[place] for place in places])[:, None] * factors
    else:
        return None
    apart = np.ascontiguousarray((levels - outcomes[places]).T)  # along rows, a median takes a fifth of the time
    found: Floats = outcomes + np.median(apart, axis=1)
    if known:
        found[places] = levels
    return found


def spread_as_measured(
    outcomes: Floats, which: NDArray[np.intp], looks: Looks, generator: np.random.Generator
) -> Floats:
    """Return outcomes (P, draws) whose spread is nearer to that of the accuracies measured on this dataset.

    Args:
        outcomes: accuracies relative to the median (P, draws).
        which: the number of the dataset like whose accuracies each draw is spread (draws,).
        looks: what is known about the pool on its own dataset.
        generator: of the draws.
    """
    values = np.array([one.mean() for one in looks.known.values()])
    learnt = ~failed(values)
    own = values[learnt]
    if len(own) < 2 or not np.ptp(own):
        return outcomes
    drawn = np.log(np.maximum(outcomes[np.array(list(looks.known))[learnt]].std(0), NARROW))
    means = np.bincount(which, drawn) / np.maximum(np.bincount(which), 1)
    steps = np.clip(np.log(own.std()) - means[which], -SPREAD_LIMIT, SPREAD_LIMIT)
    steps = steps * len(own) / (len(own) + SPREAD_TRUST) + SPREAD_NOISE * generator.standard_normal(len(which))
    return np.asarray(outcomes * np.exp(steps))


def drawn_places(orders: NDArray[np.intp], looks: Looks) -> Floats:
    """Return the mean place of each model (P,); models with equal measured accuracies share theirs.

    Args:
        orders: the places in each draw (P, draws).
        looks: what is known about the pool on its own dataset.
    """
    found: Floats = orders.mean(1)
    for places in looks.alike:
        found[places] = found[places].mean()
    return found


def ends_of_places(orders: NDArray[np.intp], final: Floats, level: float) -> list[Floats]:
    """Return the best and the worst place of each model (P,) in the central `level` of the draws.

    Models that come out at 100%, or at 0%, are equal: each may have the place of any other of them.

    Args:
        orders: the places in each draw (P, draws).
        final: the accuracies in each draw (P, draws).
        level: a share.
    """
    top, bottom, size = final >= 1, final <= 0, len(final)
    best = np.where(top, 1, np.where(bottom, size + 1 - bottom.sum(0), orders))
    worst = np.where(bottom, size, np.where(top, top.sum(0), orders))
    shares = (1 - level) / 2, (1 + level) / 2
    ends = zip((best, worst), shares, strict=True)
    return [np.quantile(one, share, axis=1, method="inverted_cdf") for one, share in ends]


def expected_places(belief: Belief, rates: Floats) -> Floats:
    """Return the mean place of each model (P,) in the limit of infinitely many draws.

    Args:
        belief: about the scores.
        rates: how often models fail to learn (P,).
    """
    size = len(rates)
    others = np.argsort(belief.mean, kind="stable")[:: -(-size // MOST_OTHERS)]
    above = belief.above(others)
    above[others, np.arange(len(others))] = 0.5
    learnt = (1 - rates)[:, None] * (1 - rates[others])
    return np.asarray(0.5 + size * (learnt * above + rates[:, None] * (1 - rates[others] / 2)).mean(1))


def interpolated(values: Floats, places: Floats, heights: Floats) -> Floats:
    """Return what `np.interp` does, in half the time: sorted numbers are found sooner."""
    order = values.argsort(None)
    found = np.empty(values.size)
    found[order] = np.interp(values.ravel()[order], places, heights)
    return np.asarray(found.reshape(values.shape))


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

    def look(self, places: Sequence[int], worth: Floats | float, pull: Floats) -> None:
        """Update the belief by a look at some models, which says nothing about a level that they share.

        Args:
            places: of the models.
            worth: precision that it adds to each.
            pull: what it adds to precision times mean (P,).
        """
        level = np.zeros((len(self.pull), 1))
        level[places, 0] = worth / np.sqrt(np.broadcast_to(worth, len(places)).sum())
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

    def spread_of(self, places: Sequence[int]) -> float:
        """Return how far apart some models are expected to be."""
        more = self._more[places]
        alone = (1 / self.diagonal[places]).mean() + ((more - more.mean(0)) ** 2).sum() / len(places)
        return float(np.sqrt(np.var(self.mean[places]) + alone))

    def above(self, others: NDArray[np.intp]) -> Floats:
        """Return the probability that each of some models comes out above each of all models (P, others)."""
        alone, more, mean = 1 / self.diagonal, self._more, self.mean
        variance = alone + (more**2).sum(1)
        apart = variance[:, None] + variance[others] - 2 * more @ more[others].T
        least = (alone[:, None] + alone[others]) / 2
        steps = (mean[others] - mean[:, None]) / np.sqrt(np.maximum(apart, least))
        return interpolated(steps, DISTANCES, SHARES)

    def drawn(self, count: int, generator: np.random.Generator) -> Floats:
        """Return draws (P, count)."""
        size, rank = self._more.shape
        alone = generator.standard_normal((size, count)) / np.sqrt(self.diagonal)[:, None]
        return self.mean[:, None] + alone + self._more @ generator.standard_normal((rank, count))


MEASURED = 5.0
"""The precision of the normal score of an accuracy that was measured on this dataset."""


def told_by_accuracies(looks: Looks, belief: Belief) -> tuple[list[int], Floats, Floats]:
    """Return what the accuracies on this dataset say of their models, and so of others like them, for `Belief.look`.

    Accuracies that are known in part count as far as they are known.
    """
    known = looks.known
    values = np.array([one.mean() for one in known.values()])
    learnt = ~failed(values)
    places, values = np.array(list(known), np.intp)[learnt].tolist(), values[learnt]
    pull = np.zeros(len(looks.ids))
    if len(values) < 2 or not np.ptp(values):
        return [], np.zeros(0), pull
    drawn = np.array(np.broadcast_arrays(*(known[place] for place in places)))
    doubt = (drawn - drawn.mean(0)).var(1) / max(values.var(), NARROW**2)
    scores, spread = normal_scores(values), belief.spread_of(places)
    worth = 1 / (1 / MEASURED + spread**2 * doubt)
    scores *= spread / scores.std()
    pull[places] = worth * (scores - np.average(scores, weights=worth))
    return places, worth, pull


WORTH = {
    **dict.fromkeys(("face", "hscore", "knn", "linear_probe", "logme", "ncti", "nleep", "parc", "reg_hscore"), 0.67),
    **dict.fromkeys(("cdnv", "gbc", "leep", "nc1"), 0.58),
    **dict.fromkeys(("sfda", "transrate"), 0.4),
    "vci": 0.1,
}
"""Correlation of the normal scores of a metric with those of fine-tuned accuracies: from docs/evidence.md. The usual
metrics count the same, because weights react much to differences that the evidence does not tell from chance: with
0.7 for the best three and 0.58 for FaCe, the probe, kNN and PARC have nearly all of the weight. Weights that are fitted
to some datasets are no better on others."""

OTHERWISE = "accuracy by "
"""How accuracies by another method on the dataset itself are named among its metrics."""

UNKNOWN_WORTH, OTHERWISE_WORTH, KIN, TRUST = 0.5, 0.75, 0.7, 2.0
"""The worth of other metrics, that of accuracies by another method (of LoRA in the tables of the Hub, of a probe for
checkpoints from packages: docs/evidence.md), the correlation of the noises of two metrics, and how many datasets of the
records outweigh these."""

FEWEST = 5
"""The models of a column that it takes to learn about a metric, or about the distribution of accuracies."""

NARROW = 1e-3
"""The smallest eigenvalue of the noise of metrics, as a share of the largest; and the smallest spread of accuracies."""


def worth_of(
    metrics: Sequence[str], accuracies: Iterable[MeasuredColumn], scored: Iterable[MeasuredColumn]
) -> tuple[Floats, Floats]:
    """Return how well each metric agrees with the truth (K,), and the covariance of the noises of metrics (K, K).

    Args:
        metrics: their names.
        accuracies: measured on other datasets.
        scored: scores by metrics on other datasets.
    """
    truths = list({(one.dataset, one.source): one for one in accuracies}.values())
    scores: dict[tuple[str, str], list[MeasuredColumn]] = {}
    for one in scored:
        scores.setdefault((one.dataset, one.protocol), []).append(one)
    others = [OTHERWISE_WORTH if name.startswith(OTHERWISE) else UNKNOWN_WORTH for name in metrics]
    before = np.array([WORTH.get(name, other) for name, other in zip(metrics, others, strict=True)])
    spreads = np.sqrt(1 - before**2)
    usual = KIN * np.outer(spreads, spreads) + (1 - KIN) * np.diag(spreads**2)
    products, squares, noise = np.zeros(len(metrics)), np.zeros(len(metrics)), TRUST * usual
    weights = np.full((len(metrics), len(metrics)), TRUST)
    found: list[tuple[Floats, Floats, list[int], float]] = []
    for truth, share in zip(truths, shares_of(truths).tolist(), strict=True):
        there = [place for place, name in enumerate(metrics) if (truth.dataset, name) in scores]
        columns = [max(scores[truth.dataset, metrics[place]], key=lambda one: len(one.values)) for place in there]
        x, y = _shared(truth, columns)
        if there and len(y):
            products[there] += share * (x @ y) / len(y)
            squares[there] += share * (y @ y) / len(y)
            found.append((x, y, there, share))
    rho = (products + TRUST * before) / (squares + TRUST)
    for x, y, there, share in found:
        rest = x - rho[there][:, None] * y
        noise[np.ix_(there, there)] += share * (rest @ rest.T) / len(y)
        weights[np.ix_(there, there)] += share
    return rho, noise / weights


def _shared(truth: MeasuredColumn, columns: Sequence[MeasuredColumn]) -> tuple[Floats, Floats]:
    """Return the normal scores of columns (K, n) and of the truth (n,), for the models in all of them that learnt."""
    shared = set(truth.values).intersection(*(one.values for one in columns))
    names = [name for name in truth.values if name in shared]
    accuracies = np.array([truth.values[name] for name in names])
    kept = np.flatnonzero(~failed(accuracies)) if names else np.array([], np.intp)
    if len(kept) < FEWEST:
        return np.zeros((len(columns), 0)), np.zeros(0)
    rows = [normal_scores([one.values[names[place]] for place in kept]) for one in columns]
    return np.array(rows), normal_scores(accuracies[kept])


def weights_of(noise: Floats, worth: Floats) -> Floats:
    """Return the best weights of the metrics, none below zero."""
    values, vectors = np.linalg.eigh(noise)
    if values[0] < NARROW * values[-1]:  # datasets with different metrics need not give a consistent covariance
        noise = (vectors * np.maximum(values, NARROW * values[-1])) @ vectors.T
    return not_negative(noise, worth)
