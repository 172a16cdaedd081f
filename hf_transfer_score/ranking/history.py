"""Accuracies and scores of models on other datasets, and what models have in common."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_transfer_score.ranking.pools import rank_terms
from hf_transfer_score.ranking.settings import Setting, rules
from hf_transfer_score.records.checks import TRUTH
from hf_transfer_score.records.coded import Coded, coded, grouped
from hf_transfer_score.records.record import CANONICAL, Record, RecordedFacts
from hf_transfer_score.records.table import RecordTable, Stored

if TYPE_CHECKING:
    import pyarrow

USUAL = "full"
"""The method that a forecast is about, if there are records of it."""

REPEATED = "seed"
"""The parameter in which repetitions of a measurement differ."""


@dataclass(frozen=True)
class Relations:
    """What a model has in common with others.

    Attributes:
        family: the kind of network.
        architecture: its class.
        base_model: the checkpoint that it was fine-tuned from.
        pretrained_on: the data it was trained on.
        parameters: the number of its parameters.
    """

    family: str | None = None
    architecture: str | None = None
    base_model: str | None = None
    pretrained_on: str | None = None
    parameters: int | None = None

    @classmethod
    def of(cls, facts: RecordedFacts, parameters: int | None) -> Relations:
        """Return the relations that follow from facts about a model."""
        return cls(facts.family, facts.architecture, facts.base_model, facts.pretrained_on, parameters)

    def beside(self, other: Relations) -> Relations:
        """Return these relations, with those of another source for what is not known here."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Relations(*(theirs if mine is None else mine for mine, theirs in pairs))


@dataclass(frozen=True)
class MeasuredColumn:
    """Measurements of many models in the same way on one dataset.

    Attributes:
        dataset: its id.
        task: of the dataset.
        protocol: the method of fine-tuning, or the metric; numbers by different protocols are never compared.
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
        accuracies: a column for each dataset and way of measuring, with means over repetitions.
        scores: a column for each metric and sample.
        models: what is known about each model, by id.
    """

    accuracies: tuple[MeasuredColumn, ...] = ()
    scores: tuple[MeasuredColumn, ...] = ()
    models: Mapping[str, Relations] = field(default_factory=dict)

    @classmethod
    def of(cls, source: RecordTable | Iterable[Record]) -> History:
        """Return the history in records, or in a table of records; failures are left out."""
        if not isinstance(source, RecordTable):
            source = RecordTable.of(Stored.of(str(number), "", record) for number, record in enumerate(source))
        rows = _Columns(source.data)
        accuracies, scores = [], []
        for chosen in rows.groups():
            dataset, task, metric = (rows.at(name, chosen[0]) for name in ("dataset_id", "dataset_task", "metric_name"))
            names = [rows.at("model_id", row) for row in chosen]
            terms = json.loads(f"[{','.join([rows.terms[row] for row in chosen])}]")  # all at once is ten times faster
            parameters = json.loads(rows.at("metric_parameters", chosen[0]) or "{}")
            if metric == TRUTH.name:
                values = _means(names, terms)
                if values:
                    accuracies.append(MeasuredColumn(dataset, task, str(parameters.get("method", "")), values))
            else:
                setting = Setting(metric, rows.versions[chosen[0]], CANONICAL.encode(parameters))
                signs = json.loads(rows.at("metric_directions", chosen[0]) or "{}")
                scored = _scores(setting, dict(zip(names, terms, strict=True)), signs)
                scores.append(MeasuredColumn(dataset, task, metric, scored))
        return cls(tuple(accuracies), tuple(scores), rows.relations())

    def about(self, task: str) -> History:
        """Return the history of one task."""
        return self._chosen(lambda one: one.task == task)

    def on(self, dataset: str) -> History:
        """Return the history of one dataset."""
        return self._chosen(lambda one: one.dataset == dataset)

    def elsewhere(self, dataset: str) -> History:
        """Return the history of all other datasets."""
        return self._chosen(lambda one: one.dataset != dataset)

    def measured(self, dataset: str, method: str) -> Mapping[str, float]:
        """Return the accuracies on one dataset by a method, by model id; those of the sample with most models."""
        found = [one.values for one in self.on(dataset).accuracies if one.protocol == method]
        return max(found, key=len, default={})

    def _chosen(self, wanted: Callable[[MeasuredColumn], bool]) -> History:
        return History(tuple(filter(wanted, self.accuracies)), tuple(filter(wanted, self.scores)), self.models)


class _Columns:
    """The columns of a table of records that a history is made of."""

    SAME = ("dataset_id", "dataset_task", "dataset_fingerprint", "metric_name", "way", "metric_directions")
    """What the rows of one column of the history have in common."""

    RELATIONS = ("family", "architecture", "base_model", "pretrained_on")

    def __init__(self, data: pyarrow.Table) -> None:
        names = {*self.SAME, "model_id", "metric_parameters", *self.RELATIONS} - {"way"}
        self.coded = {name: coded(data.column(name)) for name in names}
        self.coded["way"] = self._ways()
        self.terms = data.column("terms").to_pylist()
        self.versions = [1 if version is None else version for version in data.column("metric_version").to_pylist()]
        self.sizes = data.column("model_parameters").to_pylist()

    def at(self, name: str, row: int) -> str:
        """Return a value, "" for none."""
        return self.coded[name].at(row) or ""

    def _ways(self) -> Coded:
        """Return how each row was measured: its parameters except for those of repetitions."""
        column = self.coded["metric_parameters"]
        ways: dict[str, int] = {}
        places = []
        for text in column.values:
            way = {name: value for name, value in json.loads(text).items() if name != REPEATED}
            places.append(ways.setdefault(CANONICAL.encode(way), len(ways)))
        return Coded(np.array([*places, -1])[column.codes], list(ways))

    def groups(self) -> list[list[int]]:
        """Return the rows that have terms, in order, for each column of the history."""
        whole = np.flatnonzero([bool(text) and text != "{}" for text in self.terms])
        columns = (np.asarray(self.versions), *(self.coded[name].codes for name in self.SAME))
        key = grouped((codes[whole] for codes in columns), len(whole))
        order = np.argsort(key, kind="stable")
        cuts = np.flatnonzero(np.diff(key[order])) + 1
        return [part.tolist() for part in np.split(whole[order], cuts)] if len(whole) else []

    def relations(self) -> dict[str, Relations]:
        """Return what is known about each model: all that its records state, preferring later records."""
        names, models = self.coded["model_id"].values, self.coded["model_id"].codes
        found: dict[str, list[Any]] = {name: [None] * (len(self.RELATIONS) + 1) for name in names}
        for place, column in enumerate(self.coded[name] for name in self.RELATIONS):
            there = column.codes >= 0
            for model, code in dict(zip(models[there].tolist(), column.codes[there].tolist(), strict=True)).items():
                found[names[model]][place] = column.values[code]
        for model, size in zip(models.tolist(), self.sizes, strict=True):
            if size is not None:
                found[names[model]][-1] = size
        return {name: Relations(*one) for name, one in found.items()}


def _means(names: Sequence[str], terms: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean accuracy of each model over repetitions."""
    found: dict[str, list[float]] = defaultdict(list)
    for name, one in zip(names, terms, strict=True):
        if TRUTH.name in one:  # anyone may call any numbers an accuracy
            found[name].append(one[TRUTH.name])
    return {name: sum(values) / len(values) for name, values in found.items()}


def _scores(setting: Setting, found: Mapping[str, Mapping[str, float]], signs: Mapping[str, int]) -> dict[str, float]:
    """Return the pool scores of the models of one sample by one metric."""
    rule = rules(setting, [frozenset(one) for one in found.values()], [signs])
    names = {term.name for term in rule.terms}
    whole = {name: one for name, one in found.items() if one.keys() == names}
    if len(rule.terms) == 1 and rule.pool_rule == "value":
        term = rule.terms[0]
        return {name: term.direction * one[term.name] for name, one in whole.items()}
    values = np.array([[one[term.name] for one in whole.values()] for term in rule.terms], np.float64)
    return rank_terms(rule, list(whole), values).scores if whole else {}
