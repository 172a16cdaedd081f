"""A pool of models in order, and how sure that order is: the source of every table, chart, card and file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.metrics.registry import Metric, all_metrics
from hf_transfer_score.metrics.scores import FeatureScores, plain
from hf_transfer_score.ranking.agreement import Agreement, agreements
from hf_transfer_score.ranking.answer import answer_of
from hf_transfer_score.ranking.confidence import (
    RankConfidence,
    ReplicateTerms,
    central_intervals,
    replicate_confidence,
    results_of,
    stored_confidence,
)
from hf_transfer_score.ranking.forecast import LEVEL as FORECAST_LEVEL
from hf_transfer_score.ranking.forecast import Forecaster, ModelForecast
from hf_transfer_score.ranking.history import History
from hf_transfer_score.ranking.intervals import LEVEL, DrawnPool, Interval, accuracy_interval, spreads
from hf_transfer_score.ranking.looks import Looks
from hf_transfer_score.ranking.models import RankedModel, is_baseline
from hf_transfer_score.ranking.pools import HeadlineRanks, PoolRanking, headline_ranks, rank_pool
from hf_transfer_score.ranking.showing import FORECAST_COLUMNS, Shown, check_model, forecast_cells, forecast_rows
from hf_transfer_score.ranking.stored import pool_of_records
from hf_transfer_score.records.checks import is_regression
from hf_transfer_score.records.record import Record, facts_in

if TYPE_CHECKING:
    from typing_extensions import Self

    from hf_transfer_score.drawing.words import Across

Intervals = Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]]
"""Ends of the interval of each raw term, by model, metric and term."""

PROBE = "linear_probe"
"""The metric that is an accuracy."""

MEAN_RANK, FORECAST = "mean rank", "forecast"
"""Names of the orders that combine several metrics."""

Value = TypeVar("Value")


@dataclass(frozen=True, repr=False)
class Ranking(Shown):
    """A pool of models on one sample, in order, and how sure that order is.

    Attributes:
        models: all models by name: the best first, then those without a rank, and those that failed last.
        pools: pool scores and ranks of each metric.
        headline: the metrics whose mean rank decides.
        mean_ranks: mean rank over these metrics, of the models that have all of them, the best first.
        ranks: final rank by name, in order; models that cannot be distinguished, or have equal mean ranks, share the
            better one.
        confidence: rank ranges and tie groups; None where neither replicates nor intervals are known.
        intervals: central interval of each raw term around its value, by model, metric and term.
        level: the share of the replicates that intervals and rank ranges cover; None where there are none.
        dataset: what the models were ranked on; "" where that is not known.
        size: the size of the sample, such as "500 examples, 10 classes".
        forecasts: how the models are expected to come out after fine-tuning, by name; empty without a forecast.
        notes: what to know about the ranking.
        stored: the records that it was made of, if any.
    """

    models: dict[str, RankedModel]
    pools: dict[str, PoolRanking]
    headline: tuple[str, ...]
    mean_ranks: dict[str, float]
    ranks: dict[str, int]
    confidence: RankConfidence | None = None
    intervals: Intervals = field(default_factory=dict)
    level: float | None = None
    dataset: str = ""
    size: str = ""
    forecasts: Mapping[str, ModelForecast] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stored: tuple[Record, ...] = ()

    @classmethod
    def of(
        cls,
        records: Iterable[Record],
        *,
        headline: Sequence[str] | None = None,
        history: History | Iterable[Record] = (),
    ) -> Ranking:
        """Rank the models of stored records of one sample, in the order of a forecast.

        Of two records of the same model and metric the newer counts. Measured accuracies among the records order their
        models, also those without scores.

        Args:
            records: of one sample of one dataset.
            headline: order by the mean rank over these metrics instead, or by the first metric where not all models
                have them; the intervals in the records tell how sure that order is.
            history: records of other datasets, from which the forecast learns; those of this dataset are ignored.

        Raises:
            InputError: the records are of several samples, whose scores cannot be compared.
        """
        records = list(records)
        if wrong := [type(one).__name__ for one in records if not isinstance(one, Record)]:
            raise InputError(f"Expected records, such as those of `read_records(folder)`; got {wrong[0]}.")
        pool = pool_of_records(records)
        found = ranked(pool.models, pool.metrics, headline)
        sample = pool.sample
        found = replace(found, dataset=sample.id, size=pool.size, stored=tuple(records))
        if headline is not None or is_regression(sample.task) or not (found.can_be_forecast or pool.measured):
            return found._with_stored(pool.intervals, pool.levels, pool.metrics)
        own, known = History.of(records), history if isinstance(history, History) else History.of(history)
        own = own.about(sample.task)
        learnt = known.about(sample.task).elsewhere(sample.id)
        forecaster = Forecaster(learnt, {**known.models, **own.models}, here=own.here(sample.id))
        return found.with_forecast(forecaster, found.by_name(own.measured(sample.id, forecaster.method)))

    def with_replicates(self, terms: ReplicateTerms, metrics: Sequence[Metric], level: float) -> Ranking:
        """Return the same pool with the ranges, groups and intervals that the replicates of its terms give.

        Args:
            terms: over the replicates (B,), by model, metric and term; without any the ranking stays as it is.
            metrics: the configured metrics of the pool.
            level: share of the replicates that ranges and intervals cover.
        """
        if not terms:
            return self
        results = {name: one.results for name, one in self.models.items() if one.scores}
        sure = replicate_confidence(terms, results, metrics, self._order, level=level)
        found = central_intervals(terms, results, metrics, level)
        return replace(self, ranks=sure.ranks, confidence=sure, intervals=found, level=level)

    def _with_stored(self, intervals: Intervals, levels: Mapping[str, float], metrics: Sequence[Metric]) -> Ranking:
        """Return the same pool with the ranges and groups that stored intervals of raw terms give.

        `levels` are the shares of the replicates that the intervals of each model hold.
        """
        known = [all(intervals.get(name, {}).get(one) for one in self.headline) for name in self.ranks]
        if not any(known):
            return self
        pools = []
        for metric in (one for one in metrics if one.name in self.headline):
            names, terms = list(self.pools[metric.name].scores), [term.name for term in metric.terms]
            values = [[self.models[name][metric.name].terms[term] for name in names] for term in terms]
            own, nothing = [intervals.get(name, {}).get(metric.name, {}) for name in names], (np.nan, np.nan)
            low, high = np.moveaxis(np.array([[one.get(term, nothing) for one in own] for term in terms]), -1, 0)
            level = np.array([[levels.get(name, LEVEL) for name in names]])
            place = {name: number for number, name in enumerate(names)}
            chosen = np.array([place[name] for name in self.ranks], np.intp)
            pools.append(DrawnPool(metric, np.array(values), np.nan_to_num(spreads(low, high, level)), chosen))
        sure = stored_confidence(pools, self._order, known=known).only(known)
        return replace(self, ranks=sure.ranks, confidence=sure, intervals=intervals, level=sure.level)

    @property
    def _order(self) -> HeadlineRanks:
        return HeadlineRanks(self.headline, self.mean_ranks, self.ranks)

    def looks(
        self, accuracies: Mapping[str, float] | None = None, drawn: Mapping[str, Any] | None = None
    ) -> tuple[list[str], Looks]:
        """Return the names of the models that can be forecast, and what is known of them on their own dataset.

        Args:
            accuracies: measured on this dataset, by name.
            drawn: accuracies that are known in part, as draws (B,) that belong together, by name.
        """
        names = [name for name, one in self.models.items() if one.status == "ok"]
        number = {name: place for place, name in enumerate(names)}

        def placed(values: Mapping[str, Value]) -> dict[int, Value]:
            return {number[name]: value for name, value in values.items() if name in number}

        return names, Looks(
            tuple(self.models[name].model for name in names),
            {metric: placed(pool.scores) for metric, pool in self.pools.items() if not is_baseline(metric)},
            placed(accuracies or {}),
            placed({name: one.value for name, one in self.probes.items()}),
            placed(drawn or {}),
        )

    def with_forecast(
        self,
        forecaster: Forecaster,
        accuracies: Mapping[str, float] | None = None,
        drawn: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return the same pool in the order in which its models are expected to come out after fine-tuning.

        Args:
            forecaster: what is known from other datasets.
            accuracies: measured on this dataset, by name.
            drawn: as for `looks`.
        """
        names, looks = self.looks(accuracies, drawn)
        if not names:
            return self
        found = dict(zip(names, forecaster.forecast(looks), strict=True))
        measured, probes = {*(accuracies or {}), *(drawn or {})}, self._probes(FORECAST_LEVEL)
        for name in found.keys() & probes.keys() - measured:  # draws do not know how few rows were probed
            found[name] = found[name].spread_like(probes[name])
        order = sorted(names, key=lambda name: -found[name].score)
        scores = [found[name].score for name in order]
        ranks = {name: scores.index(found[name].score) + 1 for name in order}
        models = {name: self.models[name] for name in (*ranks, *(name for name in self.models if name not in ranks))}
        return replace(self, models=models, ranks=ranks, forecasts=found, confidence=None)

    def by_name(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return values that are given by model id, by the names of the models in the pool."""
        return {name: values[one.model] for name, one in self.models.items() if one.model in values}

    @property
    def can_be_forecast(self) -> bool:
        """Whether any metric that looks at labels ranks the pool; regression has no accuracies to forecast."""
        on_targets = {name for name, one in all_metrics().items() if "targets" in one.needs}
        return any(not is_baseline(name) for name in self.pools.keys() - on_targets)

    def __repr__(self) -> str:
        """Return one line, however large the pool is."""
        return f"<{type(self).__name__} of {len(self.models)} model{'s' * (len(self.models) != 1)}. {self.answer}>"

    @property
    def shown_ranking(self) -> Ranking:
        """Itself."""
        return self

    def records(self) -> list[Record]:
        """Return the records that it was made of; a ranking of features has some if its dataset was named."""
        return list(self.stored)

    @property
    def best(self) -> RankedModel | None:
        """The first of the ranking, None where nothing could be ranked."""
        return next((self.models[name] for name in self.ranks), None)

    @property
    def answer(self) -> str:
        """What to do, and how sure that is, in a few sentences."""
        return answer_of(self)

    @property
    def chance(self) -> float | None:
        """The accuracy of always naming the most frequent class; None where no model was probed."""
        told = [one.results[PROBE].parameters.get("chance") for one in self.models.values() if PROBE in one.results]
        return next((one for one in told if one is not None), None)

    @property
    def probes(self) -> dict[str, Interval]:
        """The cross-validated accuracy of a probe on each model's features, with its 95% interval."""
        return self._probes(0.95)

    def _probes(self, level: float) -> dict[str, Interval]:
        return {name: one for name in self.models if (one := self.probe_of(name, level)) is not None}

    def probe_of(self, name: str, level: float = 0.95) -> Interval | None:
        """Return the accuracy of a probe on one model's features, None where it was not probed."""
        one = self.models[name].results.get(PROBE)
        if one is None or one.status != "ok" or "rows" not in one.parameters:
            return None
        return accuracy_interval(one.terms[PROBE], one.parameters["rows"], level)

    @property
    def all_notes(self) -> tuple[str, ...]:
        """What to know about the ranking and its sample."""
        return self.notes

    def range_of(self, name: str) -> tuple[int, int]:
        """Return the best and the worst place of a ranked model, both its rank where nothing else is known."""
        check_model(name, self.models)
        if name not in self.ranks:
            raise OptionError(f"{name} has no rank: {self.models[name].reason or 'it was not scored'}")
        rank = self.ranks[name]
        if name in self.forecasts:
            low, high = self.forecasts[name].places
            return min(low, rank), max(high, rank)
        return self.confidence.ranges.get(name, (rank, rank)) if self.confidence else (rank, rank)

    @property
    def tie_letters(self) -> dict[str, str]:
        """The letter of each ranked model's tie group, "" for a model without ties."""
        groups = self.confidence.groups if self.confidence else {}
        numbers = [groups[name] for name in self.ranks if name in groups]
        shared = sorted(number for number, count in Counter(numbers).items() if count > 1)
        letters = {number: chr(ord("a") + place) if place < 26 else str(place) for place, number in enumerate(shared)}
        return {name: letters.get(groups.get(name, -1), "") for name in self.ranks}

    @property
    def orders(self) -> dict[str, dict[str, float]]:
        """Scores by model for each order of the pool, higher is better: forecast, mean rank, metrics, baselines."""
        scores = {name: dict(pool.scores) for name, pool in self.pools.items()}
        if len(self.headline) > 1:
            scores = {MEAN_RANK: {name: -mean for name, mean in self.mean_ranks.items()}, **scores}
        if self.forecasts:
            scores = {FORECAST: {name: one.score for name, one in self.forecasts.items()}, **scores}
        return {name: scores[name] for name in sorted(scores, key=is_baseline)}

    def agreements(self, accuracies: Mapping[str, Sequence[float]]) -> dict[str, Agreement]:
        """Return how well the order, each metric and each baseline agree with measured accuracies.

        Args:
            accuracies: the measurements of each model, one for each seed, by name.
        """
        return agreements(self.orders, accuracies)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        found: dict[str, Any] = plain(
            {
                "answer": self.answer,
                "models": forecast_rows(self),
                "order": list(self.models),
                "headline": self.headline,
                "mean_ranks": self.mean_ranks,
                "ranks": self.ranks,
                "pool": {
                    name: asdict(one.scores or FeatureScores("ok" if one.status == "ok" else "failed", reason=one.why))
                    for name, one in self.models.items()
                },
                "pools": {name: asdict(pool) for name, pool in self.pools.items()},
            }
        )
        return found

    def plot(self, path: str | Path | None = None, across: Across = "parameters") -> Any:
        """Return the chart of ranks, ranges and tie groups against size or speed, and write it to a file.

        Args:
            path: a .png, .svg or .html file; the page needs no other file and no network.
            across: the other axis: parameters, or throughput in examples per second.

        Returns:
            An `altair.Chart`, which a notebook shows.
        """
        from hf_transfer_score.drawing.files import save_plot
        from hf_transfer_score.drawing.rank_chart import picture_of, rank_chart

        if across not in ("parameters", "throughput"):
            raise OptionError(f"across={across!r}: expected parameters or throughput.")
        if path is not None:
            save_plot(self, Path(path), across)
        return rank_chart(picture_of(self, across))

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`, one row per model: rank, forecast, facts, and the score of each metric."""
        import pandas

        letters = self.tie_letters
        rows = []
        for name, one in self.models.items():
            low, high = self.range_of(name) if name in self.ranks else (None, None)
            row = {
                "model": name,
                "status": one.status,
                "rank": self.ranks.get(name),
                "rank_low": low,
                "rank_high": high,
                "tie": letters.get(name, ""),
                **dict(zip(FORECAST_COLUMNS, forecast_cells(self, name), strict=True)),
                "mean_rank": self.mean_ranks.get(name),
                "parameters": one.parameters,
                "width": one.width,
                "examples_per_second": one.throughput,
                "example_milliseconds": one.milliseconds,
                **asdict(facts_in(one)),
                "reason": one.why,
            }
            rows.append(row | {metric: pool.scores.get(name) for metric, pool in self.pools.items()})
        whole = ("rank", "rank_low", "rank_high", "parameters", "width", "downloads")
        return pandas.DataFrame(rows).astype(dict.fromkeys(whole, "Int64") | dict.fromkeys(FORECAST_COLUMNS, "float"))


def ranked(
    models: Mapping[str, RankedModel], metrics: Sequence[Metric], headline: Sequence[str] | None = None
) -> Ranking:
    """Rank models that were scored one by one; a metric without any result is left out.

    Args:
        models: of one sample, by name.
        metrics: the configured metrics that every model was scored by.
        headline: names of those whose mean rank decides, as for `headline_ranks`.
    """
    scored = {name: one.results for name, one in models.items() if one.why is None}
    pools = {metric.name: rank_pool(metric, results_of(metric, scored)) for metric in metrics}
    pools = {name: pool for name, pool in pools.items() if pool.scores}
    order = headline_ranks(pools, headline)
    places = {name: place for place, name in enumerate(order.ranks)}
    names = sorted(models, key=lambda name: (models[name].why is not None, places.get(name, len(places))))
    return Ranking({name: models[name] for name in names}, pools, order.metrics, order.mean_ranks, order.ranks)
