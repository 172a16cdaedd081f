"""What was measured elsewhere: accuracies and scores of models on other datasets, and what models have in common."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field

import numpy as np

from hf_transfer_score.metrics.registry import Metric, MetricResult
from hf_transfer_score.ranking.pools import rank_pool
from hf_transfer_score.ranking.settings import Setting, canonical, rules
from hf_transfer_score.records.possible import TRUTH
from hf_transfer_score.records.record import Record
from hf_transfer_score.records.table import RecordTable

USUAL = "full"
"""The method that a forecast is about where the records do not leave only others."""

REPEATED = "seed"
"""The parameter of a measurement that tells repetitions apart, and not what was measured."""


@dataclass(frozen=True)
class Relations:
    """What a model has in common with others.

    Attributes:
        family: the kind of network.
        architecture: its class.
        base_model: the checkpoint that it was fine-tuned from.
        pretrained_on: what it was trained on.
        parameters: how many it has.
    """

    family: str | None = None
    architecture: str | None = None
    base_model: str | None = None
    pretrained_on: str | None = None
    parameters: int | None = None


@dataclass(frozen=True)
class MeasuredColumn:
    """What was measured of many models in the same way on one dataset.

    Attributes:
        dataset: its id.
        task: what was asked.
        protocol: the method of fine-tuning, or the metric; numbers of different ones are never compared.
        values: accuracy or score by the id of the model, higher is better.
    """

    dataset: str
    task: str
    protocol: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class History:
    """Everything that is stored, as columns.

    Attributes:
        accuracies: one column for each dataset and way of measuring; the mean over repetitions.
        scores: one column for each metric and sample.
        models: what is known of each model, by id.
    """

    accuracies: tuple[MeasuredColumn, ...] = ()
    scores: tuple[MeasuredColumn, ...] = ()
    models: Mapping[str, Relations] = field(default_factory=dict)

    @classmethod
    def of(cls, source: RecordTable | Iterable[Record]) -> History:
        """Return what records or a table of them hold; failures say nothing of other datasets."""
        rows = _rows_of_table(source) if isinstance(source, RecordTable) else map(_row_of, source)
        accuracies: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        terms: dict[tuple[str, ...], dict[str, dict[str, float]]] = defaultdict(dict)
        signs: dict[tuple[str, ...], dict[str, int]] = {}
        models: dict[str, Relations] = {}
        for row in rows:
            known = models.get(row.model)
            models[row.model] = row.relations if known is None else _both(row.relations, known)
            if row.metric == TRUTH.name:
                way = (row.dataset, row.task, row.method, row.sample, row.parameters)
                accuracies[way][row.model].append(row.terms.get(TRUTH.name, float("nan")))
            elif row.terms:
                place = (row.dataset, row.task, row.metric, row.sample, str(row.version), row.parameters)
                terms[place][row.model] = row.terms
                signs[place] = row.directions
        return cls(
            tuple(
                MeasuredColumn(way[0], way[1], way[2], {name: float(np.mean(some)) for name, some in found.items()})
                for way, found in accuracies.items()
            ),
            tuple(
                MeasuredColumn(place[0], place[1], place[2], _scores(place, found, signs[place]))
                for place, found in terms.items()
            ),
            models,
        )

    def about(self, task: str) -> History:
        """Return what is known of one task."""
        return History(
            tuple(one for one in self.accuracies if one.task == task),
            tuple(one for one in self.scores if one.task == task),
            self.models,
        )

    def on(self, dataset: str) -> History:
        """Return what was measured on one dataset."""
        return self._chosen(dataset, inside=True)

    def elsewhere(self, dataset: str) -> History:
        """Return what was measured on all other datasets."""
        return self._chosen(dataset, inside=False)

    def _chosen(self, dataset: str, *, inside: bool) -> History:
        return History(
            tuple(one for one in self.accuracies if (one.dataset == dataset) is inside),
            tuple(one for one in self.scores if (one.dataset == dataset) is inside),
            self.models,
        )


@dataclass(frozen=True)
class _Row:
    """What a record says, as far as other datasets are concerned."""

    model: str
    dataset: str
    task: str
    sample: str
    metric: str
    version: int
    method: str
    parameters: str
    terms: dict[str, float]
    directions: dict[str, int]
    relations: Relations


def _row_of(record: Record) -> _Row:
    metric, facts = record.metric, record.facts
    parameters = {} if metric is None else metric.parameters
    return _Row(
        record.model.id,
        record.dataset.id,
        record.dataset.task,
        record.dataset.fingerprint,
        "" if metric is None else metric.name,
        1 if metric is None else metric.version,
        str(parameters.get("method", "")),
        _way(json.dumps(parameters)),
        dict(record.terms),
        {} if metric is None else dict(metric.directions),
        Relations(facts.family, facts.architecture, facts.base_model, facts.pretrained_on, record.model.parameters),
    )


def _rows_of_table(table: RecordTable) -> Iterable[_Row]:
    """Yield the rows of a table; what repeats is read once."""
    names = (
        *("model_id", "dataset_id", "dataset_task", "dataset_fingerprint", "metric_name", "metric_version"),
        *("metric_parameters", "terms", "metric_directions"),
        *("family", "architecture", "base_model", "pretrained_on", "model_parameters"),
    )
    ways: dict[str | None, tuple[str, str]] = {}
    signs: dict[str | None, dict[str, int]] = {}
    related: dict[tuple[object, ...], Relations] = {}
    for batch in table.data.select(list(names)).to_batches(max_chunksize=8192):
        columns = [batch.column(name).to_pylist() for name in names]
        for model, dataset, task, sample, metric, version, told, terms, directions, *facts in zip(
            *columns, strict=True
        ):
            if told not in ways:
                parameters = json.loads(told) if told else {}
                ways[told] = str(parameters.get("method", "")), _way(told or "{}")
            if directions not in signs:
                signs[directions] = json.loads(directions) if directions else {}
            key = tuple(facts)
            if key not in related:
                related[key] = Relations(*facts)
            yield _Row(
                model,
                dataset,
                task,
                sample,
                metric or "",
                version or 1,
                *ways[told],
                json.loads(terms) if terms else {},
                signs[directions],
                related[key],
            )


def _way(parameters: str) -> str:
    """Return how something was measured as text that is equal for its repetitions."""
    return canonical(json.dumps({name: value for name, value in json.loads(parameters).items() if name != REPEATED}))


def _both(new: Relations, old: Relations) -> Relations:
    """Return all that two records know of a model; the later one counts."""
    if new == old:
        return old
    pairs = zip(astuple(new), astuple(old), strict=True)
    return Relations(*(theirs if mine is None else mine for mine, theirs in pairs))


def _scores(
    place: tuple[str, ...], found: Mapping[str, Mapping[str, float]], signs: Mapping[str, int]
) -> dict[str, float]:
    """Return the pool scores of the models of one sample by one metric."""
    setting = Setting(place[2], int(place[4]), place[5])
    rule: Metric = rules(setting, [frozenset(one) for one in found.values()], [signs])
    names = {term.name for term in rule.terms}
    results = {
        name: MetricResult(rule.name, "ok", terms=dict(one)) for name, one in found.items() if one.keys() == names
    }
    return rank_pool(rule, results).scores if results else {}
