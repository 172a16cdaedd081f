"""Accuracies and scores of models on other datasets, and what models have in common."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.ranking.effects import NOISE, PROTOCOL, normal_scores
from hf_transfer_score.ranking.pools import rank_terms
from hf_transfer_score.ranking.relations import Relations
from hf_transfer_score.ranking.settings import Setting, rules
from hf_transfer_score.records.checks import TRUTH
from hf_transfer_score.records.coded import Coded, Codes, coded, grouped
from hf_transfer_score.records.importing import SOURCE
from hf_transfer_score.records.record import CANONICAL, Record
from hf_transfer_score.records.table import RecordTable, Stored

if TYPE_CHECKING:
    import pyarrow

Floats = NDArray[np.float64]

USUAL = "full"
"""The method that a forecast is about, if there are records of it."""

ANOTHER = "another sample"
"""How the method is called by which accuracies on a smaller sample of the same dataset were measured."""

MOST_COLUMNS = 100
"""Columns of accuracies, and datasets with scores, that a forecast learns from at most."""

REPEATED = "seed"
"""The parameter in which repetitions of a measurement differ."""

FAILED_SPREADS, FAILED_POINTS = 3.0, 0.05
"""A network failed to learn if it is this many interquartile ranges, and this much, below the lower quartile."""

JUNK, JUNK_STEP = 2.0, 0.5
"""A score this many interquartile ranges below the lower quartile is junk, and is put this far below the others."""


@dataclass(frozen=True)
class MeasuredColumn:
    """Measurements of many models in the same way on one dataset.

    Attributes:
        dataset: its id.
        task: of the dataset.
        protocol: the method of fine-tuning, or the metric; numbers by different protocols are never compared.
        values: accuracy or score by the id of the model, higher is better.
        source: who published the accuracies; "" for those that this package measured.
        place: the number of the first place with a record of it, in the order in which places were named.
    """

    dataset: str
    task: str
    protocol: str
    values: Mapping[str, float]
    source: str = ""
    place: int = 0

    @cached_property
    def numbers(self) -> Floats:
        """The values in the order of the models (P,)."""
        return np.fromiter(self.values.values(), np.float64, len(self.values))

    @cached_property
    def failed(self) -> NDArray[np.bool_]:
        """Which of the accuracies are of networks that failed to learn (P,)."""
        return failed(self.numbers)

    @cached_property
    def normal(self) -> dict[str, float]:
        """The normal scores of the models, as by `beside_junk`."""
        return dict(zip(self.values, beside_junk(self.numbers).tolist(), strict=True))


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
    def of(
        cls,
        source: RecordTable | Iterable[Record],
        made: dict[bytes, MeasuredColumn] | None = None,
        numbers: Codes | None = None,
        places: Codes | None = None,
    ) -> History:
        """Return the history in records, or in a table of records; failures are left out.

        Args:
            source: the records.
            made: columns made before, which are used again and added to, by the numbers of their rows.
            numbers: of the rows of the table (R,), by which `made` knows them; None for their order.
            places: the number of the place of each row (R,); None if all are of one.
        """
        if not isinstance(source, RecordTable):
            source = RecordTable.of(Stored.of(str(number), "", record) for number, record in enumerate(source))
        rows, made, found = _Columns(source.data), {} if made is None else made, []
        numbers = np.arange(len(source)) if numbers is None else numbers
        for chosen in rows.groups():
            key = numbers[chosen].tobytes()
            column = made.get(key) or rows.column(chosen)
            column = column if places is None else replace(column, place=int(places[chosen].min()))
            found.append((rows.at("metric_name", chosen[0]) == TRUTH.name, made.setdefault(key, column)))
        accuracies = tuple(one for is_truth, one in found if is_truth and one.values)
        return cls(accuracies, tuple(one for is_truth, one in found if not is_truth), rows.relations())

    @classmethod
    def together(cls, tables: Sequence[RecordTable]) -> History:
        """Return the history in the records of several places; what the first says about a model counts most."""
        if not tables:
            return cls()
        places = [np.full(len(table), place) for place, table in enumerate(tables)]
        return cls.of(reduce(RecordTable.merged, reversed(tables)), places=np.concatenate(places[::-1]))

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
        """Return the accuracies on one dataset by a method, by model id; those that come first in `here`."""
        return next((one.values for one in self.here(dataset) if one.protocol == method), {})

    def here(self, dataset: str) -> tuple[MeasuredColumn, ...]:
        """Return the accuracies on one dataset; of each method, all but the first count as another method's.

        Those of the first place come first, and of one place those of the sample with the most models.
        """
        found, largest = [], set[str]()
        for one in sorted(self.on(dataset).accuracies, key=lambda one: (one.place, -len(one.values))):
            found.append(replace(one, protocol=f"{one.protocol} ({ANOTHER})") if one.protocol in largest else one)
            largest.add(one.protocol)
        return tuple(found)

    def bounded(self) -> History:
        """Return the part that a forecast learns from: anyone may publish results of thousands of datasets."""
        largest = sorted(self.scores, key=lambda one: (-len(one.values), one.dataset))
        datasets = dict.fromkeys(one.dataset for one in (*self.accuracies, *largest))
        if len(datasets) <= MOST_COLUMNS >= len(self.accuracies):
            return self
        accuracies = in_fair_order(self.accuracies)[:MOST_COLUMNS]
        kept = set([*dict.fromkeys(one.dataset for one in (*accuracies, *largest))][:MOST_COLUMNS])
        return History(tuple(accuracies), tuple(one for one in self.scores if one.dataset in kept), self.models)

    def _chosen(self, wanted: Callable[[MeasuredColumn], bool]) -> History:
        return History(tuple(filter(wanted, self.accuracies)), tuple(filter(wanted, self.scores)), self.models)


def usual_method(elsewhere: Sequence[MeasuredColumn], here: Iterable[MeasuredColumn] = ()) -> str:
    """Return the method that a forecast is about: full, if accuracies by it are known, else the most frequent one.

    Args:
        elsewhere: accuracies on other datasets.
        here: those on the dataset itself, which count if there are no others.
    """
    tuned = [one for one in here if one.protocol not in ("", "probe")]  # a probe trains no network
    counts = Counter(one.protocol for one in elsewhere or tuned for _ in one.values)
    return USUAL if USUAL in counts or not counts else counts.most_common(1)[0][0]


def in_fair_order(columns: Iterable[MeasuredColumn]) -> list[MeasuredColumn]:
    """Return columns, those with the most models first; the n-th one of a source counts as one of an n-th of its size.

    Example:
        >>> sizes = {"a": 6, "b": 5, "c": 4}
        >>> one = [MeasuredColumn(name, "", "full", dict.fromkeys(range(size))) for name, size in sizes.items()]
        >>> [column.dataset for column in in_fair_order([*one, MeasuredColumn("d", "", "full", {1: 0, 2: 0}, "them")])]
        ['a', 'b', 'd', 'c']
    """
    turns, shares = Counter[str](), {}
    ordered = sorted(columns, key=lambda one: (-len(one.values), one.dataset, one.protocol, sorted(one.values.items())))
    for place, one in enumerate(ordered):
        turns[one.source] += 1
        shares[place] = len(one.values) / turns[one.source]
    return [ordered[place] for place in sorted(shares, key=lambda place: -shares[place])]


SAME_SOURCE = PROTOCOL / (PROTOCOL + NOISE)
"""How much columns of one source agree for reasons of their own, such as the same recipe, or the same hand."""


def shares_of(columns: Sequence[MeasuredColumn]) -> Floats:
    """Return how much each column counts (C,), 1 on average: a thousand of one source count like less than four.

    Example:
        >>> one, other = (MeasuredColumn("a", "", "full", {}, source) for source in ("us", "them"))
        >>> shares_of([one, one]).tolist(), shares_of([one] * 98 + [other]).round(2)[[0, -1]].tolist()
        ([1.0, 1.0], [0.78, 22.43])
    """
    counts = Counter(one.source for one in columns)
    if len(counts) < 2:
        return np.ones(len(columns))
    found = np.array([1 / (1 + SAME_SOURCE * (counts[one.source] - 1)) for one in columns])
    return np.asarray(found * len(found) / found.sum())


def in_shares(columns: Sequence[MeasuredColumn]) -> list[MeasuredColumn]:
    """Return as many columns, of each source as many as it counts for: some are left out, or there several times."""
    places = np.searchsorted(shares_of(columns).cumsum(), np.arange(len(columns)) + 0.5)
    return [columns[place] for place in places.tolist()]


def failed(accuracies: Floats) -> NDArray[np.bool_]:
    """Return which of the accuracies on a dataset are of networks that failed to learn."""
    if not len(accuracies):
        return np.zeros(0, bool)
    low, high = np.quantile(accuracies, [0.25, 0.75])
    return np.asarray(accuracies < low - max(FAILED_SPREADS * (high - low), FAILED_POINTS))


def beside_junk(values: Sequence[float] | Floats) -> Floats:
    """Return normal scores among the values that are not far below the others; those come just below the lowest.

    So networks that know nothing do not change the order of the others.

    Example:
        >>> beside_junk([3.0, 2.0, 1.0, 2.5, -50.0]).round(2).tolist()
        [1.15, -0.32, -1.15, 0.32, -1.65]
    """
    found = np.asarray(values, np.float64)
    low, high = np.quantile(found, [0.25, 0.75])
    far = found < low - JUNK * (high - low)
    scores = np.zeros(len(found))
    scores[~far] = normal_scores(found[~far])
    scores[far] = scores[~far].min() - JUNK_STEP
    return scores


class _Columns:
    """The columns of a table of records that a history is made of."""

    SAME = ("dataset_id", "dataset_task", "dataset_fingerprint", "metric_name", "way", "metric_directions")
    """What the rows of one column of the history have in common."""

    RELATIONS = ("family", "architecture", "base_model", "pretrained_on")

    def __init__(self, data: pyarrow.Table) -> None:
        names = {*self.SAME, "model_id", "metric_parameters", "run_time", *self.RELATIONS} - {"way"}
        self.coded = {name: coded(data.column(name)) for name in names}
        self.coded["way"], self.sources = self._ways()
        self.terms = data.column("terms").to_pylist()
        self.versions = [1 if version is None else version for version in data.column("metric_version").to_pylist()]
        self.sizes = coded(data.column("model_parameters"))

    def at(self, name: str, row: int) -> str:
        """Return a value, "" for none."""
        return self.coded[name].at(row) or ""

    def _ways(self) -> tuple[Coded, Codes]:
        """Return how each row was measured (its parameters except for those of repetitions), and by which source."""
        column = self.coded["metric_parameters"]
        ways: dict[str, int] = {}
        sources: dict[str, int] = {"": 0}
        places = []
        for text in column.values:
            way = {name: value for name, value in json.loads(text).items() if name != REPEATED}
            source = sources.setdefault(str(way.get(SOURCE, "")), len(sources))
            places.append((ways.setdefault(CANONICAL.encode(way), len(ways)), source))
        codes, who = np.array([*places, (-1, 0)], np.int64)[column.codes].T
        return Coded(codes, list(ways)), who

    def groups(self) -> list[list[int]]:
        """Return the rows that have terms, in order, for each column of the history."""
        whole = self._counting(np.flatnonzero([bool(text) and text != "{}" for text in self.terms]))
        columns = (np.asarray(self.versions), *(self.coded[name].codes for name in self.SAME))
        key = grouped((codes[whole] for codes in columns), len(whole))
        order = np.argsort(key, kind="stable")
        cuts = np.flatnonzero(np.diff(key[order])) + 1
        return [part.tolist() for part in np.split(whole[order], cuts)] if len(whole) else []

    def _counting(self, rows: Codes) -> Codes:
        """Return rows without those of imported numbers that were imported again later, with other facts."""
        imported = self.coded["metric_parameters"].where(lambda text: f'"{SOURCE}"' in text)[rows]
        told = ("dataset_id", "dataset_task", "dataset_fingerprint", "metric_name", "metric_parameters", "model_id")
        same = np.where(imported, grouped((self.coded[name].codes[rows] for name in told), len(rows)), -1 - rows)
        time = self.coded["run_time"]
        newest: dict[int, tuple[str, str, int]] = {}
        again = np.isin(same, np.flatnonzero(np.bincount(same[imported]) > 1))
        for one, row in zip(same[again].tolist(), rows[again].tolist(), strict=True):
            key = time.at(row) or "", self.terms[row], row
            newest[one] = max(newest.get(one, key), key)
        again[np.isin(rows, [row for *_, row in newest.values()])] = False
        return np.asarray(rows[~again])

    def column(self, chosen: Sequence[int]) -> MeasuredColumn:
        """Return what some of these rows, which belong together, tell about their models."""
        dataset, task, metric = (self.at(name, chosen[0]) for name in ("dataset_id", "dataset_task", "metric_name"))
        names = [self.at("model_id", row) for row in chosen]
        terms = json.loads(f"[{','.join([self.terms[row] for row in chosen])}]")  # all at once is ten times faster
        parameters = json.loads(self.at("metric_parameters", chosen[0]) or "{}")
        if metric == TRUTH.name:
            method, source = (str(parameters.get(name, "")) for name in ("method", SOURCE))
            return MeasuredColumn(dataset, task, method, _means(names, terms), source)
        setting = Setting(metric, self.versions[chosen[0]], CANONICAL.encode(parameters))
        signs = json.loads(self.at("metric_directions", chosen[0]) or "{}")
        return MeasuredColumn(dataset, task, metric, _scores(setting, dict(zip(names, terms, strict=True)), signs))

    def relations(self) -> dict[str, Relations]:
        """Return what is known about each model: what most sources state, in a tie that of the last record."""
        names, models = self.coded["model_id"].values, self.coded["model_id"].codes
        columns = [*(self.coded[name] for name in self.RELATIONS), self.sizes]
        found: dict[str, list[Any]] = {name: [None] * len(columns) for name in names}
        many = int(self.sources.max(initial=0)) + 1
        for place, column in enumerate(columns):
            rows = np.flatnonzero(column.codes >= 0)
            pairs = grouped((models[rows], column.codes[rows]), len(rows))
            votes = np.bincount(np.unique(pairs * many + self.sources[rows]) // many)
            last = np.zeros(len(votes), np.int64)
            np.maximum.at(last, pairs, rows)
            for row in last[np.lexsort([last, votes])].tolist():
                found[names[models[row]]][place] = column.at(row)
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
