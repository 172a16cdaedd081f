"""How a pool would come out after fine-tuning, from the metrics on this dataset and accuracies on other datasets.

Everything is on one scale: the normal scores of a model among all models of a dataset. What other datasets say about a
model (`effects`), above all those that resemble this one (`resemblance`), is the prior. Each metric on this dataset is
a noisy look at the truth, weighted by its worth on other datasets. Together they give a normal distribution over the
pool, from which outcomes are drawn: how often each model is the best, and how many points the others are behind. The
distributions of accuracies on other datasets turn a normal score into an accuracy. Large networks sometimes fail to
learn; the rate is estimated from records, starting from what is known about such networks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.ranking.effects import KIN, Effects, Known, Observations, normal_scores
from hf_transfer_score.ranking.history import History, MeasuredColumn, beside_junk, in_shares, usual_method
from hf_transfer_score.ranking.intervals import Interval
from hf_transfer_score.ranking.looks import (
    ELSEWHERE,
    FEWEST,
    OTHERWISE,
    PROBE_SPREAD,
    PROBED,
    Belief,
    Looks,
    anchored,
    drawn_places,
    ends_of_places,
    expected_places,
    interpolated,
    spread_as_measured,
    told_by_accuracies,
    weights_of,
    worth_of,
)
from hf_transfer_score.ranking.reasons import reasons_of
from hf_transfer_score.ranking.relations import PROPERTIES, UNKNOWN, Related, Relations
from hf_transfer_score.ranking.resemblance import Resemblance
from hf_transfer_score.ranking.solving import chances, log_odds

Floats = NDArray[np.float64]

SIZE_WORTH = 0.25
"""What one unit of size is worth without records."""

RARE, STEEP, RARE_TRUST, STEEP_TRUST, OWN_TRUST = -3.5, 2.0, 0.1, 30.0, 3.0
"""Log odds that a network fails to learn, what a unit of size adds to them, the precision of both, and how many
measurements of a model outweigh them. A quarter of the runs of BERT-large fail on small datasets (Dodge et al. 2020,
arXiv:2002.06305)."""

FALL = (0.10, 0.15, 0.20, 0.30)
"""How far networks that failed to learn fall below the median, beside what records say."""

LEARNT = 0.75
"""If this share of the networks has the lowest accuracy on a dataset, hardly any learnt, and it tells no distances."""

CURVE = ((-2.0, -0.25), (-1.0, -0.05), (0.0, 0.0), (1.0, 0.015), (2.0, 0.04))
"""Accuracy relative to the median by normal score without records: rounded from public tables of fine-tuned checkpoints
on the Hub."""

DRAWS, FEWEST_DRAWS, MOST_NUMBERS, SEED = 2000, 400, 1_000_000, 0
LEVEL = 0.8
"""The share of the outcomes that intervals cover."""

HERE = "accuracies on this dataset"
"""How what these say of others is named among the metrics."""

TIE = 1e-9  # accuracies in a draw that are nearer than this have their places by chance


@dataclass(frozen=True)
class ModelForecast:
    """How one model is expected to come out.

    Attributes:
        best_probability: the chance to be the best of the pool.
        points_below_best: how far it is behind the best, in points of accuracy.
        expected_accuracy: None without measured accuracies or probes on this dataset, which tell the level.
        score: what models are ordered by, higher is better.
        places: the best and the worst place in the central `LEVEL` of the outcomes.
        near_best: the chance to be within one point of the best.
        why: the reasons, the largest part first.
        measured: whether the accuracy is one that was measured on this dataset.
    """

    best_probability: float
    points_below_best: Interval
    expected_accuracy: Interval | None
    score: float
    places: tuple[int, int]
    near_best: float
    why: tuple[str, ...] = ()
    measured: bool = False

    def spread_like(self, probe: Interval) -> ModelForecast:
        """Return the same with the interval of a probe too, if that of the expected accuracy is narrower."""
        level = self.expected_accuracy
        if level is None or level.high - level.low >= probe.high - probe.low:
            return self
        ends = min(level.low, probe.low), max(level.high, probe.high)
        return replace(self, expected_accuracy=Interval(level.value, *ends))


class _Imagined(NamedTuple):
    """The belief about a pool, and how it comes out in each draw (P, draws)."""

    known: Known
    alike: Floats
    belief: Belief
    pulls: dict[str, Floats]
    rates: Floats
    outcomes: Floats
    absolute: bool


class Forecaster:
    """What can be learnt from records, once for all pools.

    Args:
        history: what was measured on other datasets.
        extra: relations of models that the history does not know, by id.
        method: of fine-tuning; None for the usual one, or the most frequent, elsewhere or else here.
        here: accuracies on the dataset itself; those by other methods count like the scores of a metric.
        most_numbers: how many numbers are drawn for a pool at most; a larger pool gets fewer outcomes.
    """

    def __init__(
        self,
        history: History,
        extra: Mapping[str, Relations] | None = None,
        *,
        method: str | None = None,
        here: Sequence[MeasuredColumn] = (),
        most_numbers: int = MOST_NUMBERS,
    ) -> None:
        self.history, self.here, self.most_numbers = history.bounded(), here, most_numbers
        own = extra or {}
        both = {name: own.get(name, UNKNOWN).beside(one) for name, one in history.models.items()}
        self.relations = Related({**own, **both})
        self.method = method or usual_method(self.history.accuracies, here)

    @cached_property
    def columns(self) -> list[MeasuredColumn]:
        """Accuracies by the method of the forecast."""
        return [one for one in self.history.accuracies if one.protocol == self.method]

    @cached_property
    def scores(self) -> list[MeasuredColumn]:
        """Scores on other datasets, with the accuracies by other methods."""
        return [*self.history.scores, *self._otherwise(self.history.accuracies)]

    def _otherwise(self, columns: Iterable[MeasuredColumn]) -> list[MeasuredColumn]:
        """Return the accuracies by other methods as scores of a metric."""
        return [replace(one, protocol=f"{OTHERWISE}{one.protocol}") for one in columns if one.protocol != self.method]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each model that was measured on another dataset."""
        names = dict.fromkeys(name for one in self.history.accuracies for name in one.values)
        return {name: number for number, name in enumerate(names)}

    @cached_property
    def effects(self) -> Effects | None:
        """What the models' own records and their relations are worth; None without records."""
        if not self.columns:
            return None
        counts = Counter((one.protocol, one.source) for one in self.history.accuracies)
        sources = Counter(protocol for protocol, _ in counts)
        protocols: dict[tuple[str, str | None], int] = {(self.method, None): 0}
        scores, places = [], []
        for number, column in enumerate(self.history.accuracies):
            accuracies, learnt = column.numbers, ~column.failed
            way = column.protocol, column.source
            alone = counts[way] == 1 or sources[column.protocol] == 1  # what it has of its own is noise, or of all
            protocol = protocols.setdefault((column.protocol, None) if alone else way, len(protocols))
            models = np.array([self.numbers[name] for name in column.values], np.intp)[learnt]
            scores.append(normal_scores(accuracies[learnt]))
            places.append([models, np.full(len(models), number), np.full(len(models), protocol)])
        values = np.concatenate(scores)
        properties, groups = self.relations.properties(list(self.numbers))
        models, columns, ways = np.hstack(places)
        seen = Observations(values, models, columns, ways, properties, groups, np.ones(len(values)))
        return Effects(seen).with_columns_weighed()

    @cached_property
    def resemblance(self) -> Resemblance | None:
        """Which other datasets resemble one; None without records."""
        return None if self.effects is None else Resemblance(self.effects, self.numbers, self.scores)

    @cached_property
    def in_common(self) -> float:
        """The variance of what the models of a family have in common on one dataset, beside that on all."""
        return KIN if self.effects is None else self.effects.of_kin(self.relations.kin(list(self.numbers)))

    def expected(self, ids: Sequence[str]) -> Known:
        """Return what other datasets say about models; without records their size says a little."""
        kin = self.relations.kin(ids)
        families = kin[:, None] == np.arange(kin.max(initial=-1) + 1)
        return self._known(ids).with_kin(families.astype(np.float64), self.in_common)

    def _known(self, ids: Sequence[str]) -> Known:
        """Return the same as if what a family has in common were the same on all datasets."""
        properties, _ = self.relations.properties(ids)
        if self.effects is not None:
            return self.effects.known(properties, np.array([self.numbers.get(name, -1) for name in ids], np.intp))
        by_group = np.zeros((len(PROPERTIES) + 1, len(ids)))
        by_group[-1] = SIZE_WORTH * properties[:, -1]
        nothing = np.zeros((len(ids), 0))
        return Known(by_group[-1], by_group, np.zeros(len(ids)), nothing, np.full(len(ids), 1 - SIZE_WORTH**2))

    def failing(self, ids: Sequence[str]) -> Floats:
        """Return how often models fail to learn (P,), by a logistic regression on their size."""
        columns = in_shares(self.columns)
        names = [name for one in columns for name in one.values]
        bad = np.concatenate([np.zeros(0, bool), *(one.failed for one in columns)])
        design = np.column_stack([np.ones(len(names)), self.relations.sizes(names)])
        usual, steep = log_odds(design, bad, np.array([RARE, STEEP]), np.array([RARE_TRUST, STEEP_TRUST]))
        rates = chances(usual + steep * self.relations.sizes(ids))
        tried, lost = Counter(names), Counter(name for name, one in zip(names, bad, strict=True) if one)
        counts = np.array([[lost[name], tried[name]] for name in ids], float).reshape(-1, 2)
        return np.asarray((OWN_TRUST * rates + counts[:, 0]) / (OWN_TRUST + counts[:, 1]))

    @cached_property
    def curves(self) -> list[tuple[Floats, Floats]]:
        """Normal scores and accuracies relative to the median, of each dataset."""
        found = []
        for column in in_shares(self.columns):
            accuracies = np.sort(column.numbers[~column.failed])
            if len(accuracies) >= FEWEST and np.quantile(accuracies, LEARNT) > accuracies[0]:
                places = normal_scores(np.arange(len(accuracies), dtype=np.float64))
                found.append((places, accuracies - np.median(accuracies)))
        return found or [(np.array([z for z, _ in CURVE]), np.array([points for _, points in CURVE]))]

    @cached_property
    def falls(self) -> Floats:
        """How far networks that failed to learn fell below the median."""
        fallen = ((np.median(one.numbers) - one.numbers)[one.failed] for one in in_shares(self.columns))
        return np.concatenate([np.array(FALL), *fallen])

    def forecast(self, looks: Looks) -> list[ModelForecast]:
        """Return how the models of a pool are expected to come out; their order makes no difference."""
        order = sorted(range(len(looks.ids)), key=looks.ids.__getitem__)
        found = dict(zip(order, self._forecasts(looks.chosen(order)), strict=True))
        return [found[place] for place in range(len(order))]

    def outcomes(self, looks: Looks) -> Floats:
        """Return the accuracies of the models of a pool in each draw (P, draws).

        They are relative to their median if there are no measured accuracies or probes, which tell the level.
        """
        order = sorted(range(len(looks.ids)), key=looks.ids.__getitem__)
        drawn = self._imagined(looks.chosen(order)).outcomes
        return drawn[np.argsort(order)]

    def _with_here(self, looks: Looks) -> Looks:
        """Return a pool with what other methods than that of the forecast gave on its dataset."""
        found = dict(looks.metrics)
        for one in sorted(self._otherwise(self.here), key=lambda one: len(one.values)):
            found[one.protocol] = {n: one.values[name] for n, name in enumerate(looks.ids) if name in one.values}
        return replace(looks, metrics=found)

    def _imagined(self, looks: Looks) -> _Imagined:
        looks = self._with_here(looks)
        known = self.expected(looks.ids)
        alike = np.zeros(len(looks.ids)) if self.resemblance is None else self.resemblance.expected(looks)
        known = replace(known, mean=known.mean + alike)
        middle = known.shared - known.shared.mean(0)
        unit = float(np.sqrt(np.var(known.mean) + known.alone.mean() + (middle**2).sum() / len(looks.ids)))
        belief = Belief.of(known)
        pulls: dict[str, Floats] = {}
        for names, pull, places, worth in self._pulls(looks, max(unit, 1e-3)):
            belief.look(places, worth, pull.sum(0))
            pulls |= dict(zip(names, pull, strict=True))
        places, precision, pull = told_by_accuracies(looks, belief)
        if places:
            belief.look(places, precision, pull)
            pulls[HERE] = pull
        rates = self.failing(looks.ids)
        for place in (*looks.accuracies, *looks.drawn):
            rates[place] = 0.0  # it is known
        generator = np.random.default_rng(SEED)
        outcomes = self._outcomes(belief, rates, looks, generator)
        accuracies = anchored(outcomes, looks, belief.mean, generator)
        final = outcomes if accuracies is None else accuracies
        return _Imagined(known, alike, belief, pulls, rates, final, absolute=accuracies is not None)

    def _forecasts(self, looks: Looks) -> list[ModelForecast]:
        """Return the forecasts of models that are sorted by id."""
        known, alike, belief, pulls, rates, final, absolute = self._imagined(looks)
        measured = bool(looks.accuracies or looks.drawn)
        orders = np.empty(final.shape, np.intp)
        apart = np.random.default_rng(SEED).uniform(0, TIE, final.shape)
        np.put_along_axis(orders, (apart - final).argsort(0), np.arange(1, len(final) + 1)[:, None], 0)
        final = np.clip(final, 0, 1, out=final) if absolute else final
        behind = 100 * (final.max(0) - final)
        first = behind <= 0
        middle, near = np.median(behind, axis=1), (behind <= 1).mean(1)
        tails = np.quantile(behind, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
        levels = _intervals(final) if absolute else [None] * len(final)
        score = -(drawn_places(orders, looks) if measured else expected_places(belief, rates))
        low, high = ends_of_places(orders, final if absolute else np.full_like(final, 0.5), LEVEL)
        for tied in looks.alike:
            low[tied], high[tied] = low[tied].min(), high[tied].max()
        shares = (first / first.sum(0)).mean(1)
        counts = Counter(name for one in self.columns for name in one.values)
        parts = {name: belief.spread(one) for name, one in pulls.items()}
        others = parts.pop(HERE, np.zeros(len(final)))
        return [
            ModelForecast(
                float(shares[place]),
                Interval(float(middle[place]), float(tails[0, place]), float(tails[1, place])),
                levels[place],
                float(score[place]),
                (int(low[place]), int(high[place])),
                float(near[place]),
                reasons_of(
                    place,
                    known,
                    self.relations.of(name),
                    {metric: float(part[place]) for metric, part in parts.items() if pulls[metric][place]},
                    measured=counts[name],
                    alike=float(alike[place]),
                    kin=float(others[place]),
                    rate=float(rates[place]),
                    accuracy=looks.accuracies.get(place),
                ),
                place in looks.accuracies,
            )
            for place, name in enumerate(looks.ids)
        ]

    def _pulls(self, looks: Looks, unit: float) -> Iterator[tuple[list[str], Floats, list[int], float]]:
        """Yield the names, pulls, models and worth of a look of the metrics that look at the same models."""
        groups: dict[frozenset[int], list[str]] = {}
        for name, values in looks.metrics.items():
            if len(set(values.values())) > 1:
                groups.setdefault(frozenset(values), []).append(name)
        for places, names in groups.items():
            there = sorted(places)
            rho, noise = worth_of(names, self.columns, self.scores)
            x = np.array([beside_junk([looks.metrics[name][place] for place in there]) for name in names])
            weights = weights_of(noise, rho / unit)
            pulls = np.zeros((len(names), len(looks.ids)))
            pulls[:, there] = (x - x.mean(1, keepdims=True)) * weights[:, None]
            yield names, pulls, there, float(rho @ weights / unit)

    def _outcomes(self, belief: Belief, rates: Floats, looks: Looks, generator: np.random.Generator) -> Floats:
        """Return accuracies relative to the median in each draw (P, draws)."""
        scores = belief.drawn(max(FEWEST_DRAWS, min(DRAWS, self.most_numbers // len(rates))), generator)
        outcomes, drawn = np.empty_like(scores), scores.shape[1]
        which = np.asarray(generator.integers(len(self.curves), size=drawn))
        for number, curve in enumerate(self.curves):
            outcomes[:, which == number] = interpolated(scores[:, which == number], *curve)
        outcomes = spread_as_measured(outcomes, which, looks, generator)
        probes = np.sort(np.fromiter(looks.probes.values(), np.float64, len(looks.probes)))
        if len(probes) > 1:
            share = (PROBED if self.columns else 1) * len(probes) / (len(probes) + ELSEWHERE)
            chosen = generator.random(drawn) < share
            factors = np.exp(PROBE_SPREAD * generator.standard_normal(drawn))[chosen]
            curve = normal_scores(np.arange(len(probes), dtype=np.float64)), probes - np.median(probes)
            beside = scores[:, chosen] - belief.mean.mean()  # probes are spread like this pool, not like all models
            outcomes[:, chosen] = interpolated(beside, *curve) * factors
        lost = generator.random(scores.shape) < rates[:, None]
        fallen = -self.falls[generator.integers(len(self.falls), size=scores.shape)]
        return np.where(lost, np.minimum(outcomes, fallen), outcomes)


def _intervals(values: Floats) -> list[Interval]:
    """Return the median and the interval of each model, from draws (P, draws)."""
    found = np.quantile(values, [0.5, (1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    return [Interval(*one) for one in found.T.tolist()]
