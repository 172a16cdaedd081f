"""The ranking of a dataset from stored records of it and of other datasets, without a forward pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hf_transfer_score.errors import InputError, OptionError, did_you_mean
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.history import ANOTHER, History
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.ranking.pools import HEADLINE_METRICS
from hf_transfer_score.ranking.ranking import Ranking
from hf_transfer_score.ranking.relations import Relations
from hf_transfer_score.records.checks import is_regression
from hf_transfer_score.records.record import Record
from hf_transfer_score.records.store import load_tables
from hf_transfer_score.records.table import RecordTable
from hf_transfer_score.tasks import METHODS
from hf_transfer_score.text import counted, joined

AnyRanking = TypeVar("AnyRanking", bound=Ranking)

SHOWN_DATASETS, NEAR_NAME = 5, 0.85
NOTHING = "There are no results in these places."


def board(
    dataset: str, results: str | Path | Sequence[str | Path], *, task: str | None = None, method: str | None = None
) -> Ranking:
    """Rank the models that are known on a dataset in the order in which they are expected to come out.

    Args:
        dataset: its id, as the records name it. If there are no records of it, all models are ranked by what was
            measured on other datasets.
        results: folders, or OWNER/NAME of dataset repositories on the Hub, whose records are combined.
        task: the task of the dataset; None if the records are all of one task.
        method: the fine-tuning method that the forecast is about; None for "full", or the most frequent one.

    Raises:
        OptionError: the records are of several tasks, and none is named.
        InputError: there are no records, or none of the task.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from hf_transfer_score import board, rank_features
        >>> rng, labels, results = np.random.default_rng(0), np.repeat([0, 1, 2], 20), tempfile.mkdtemp()
        >>> pool = {"owner/near": rng.normal(size=(60, 4)), "owner/far": rng.normal(size=(60, 4)) + labels[:, None]}
        >>> ranking = rank_features(pool, labels, metrics=["knn"], dataset="owner/pets", task="image-classification")
        >>> _ = ranking.publish(results)
        >>> list(board("owner/pets", results=results).ranks)
        ['owner/far', 'owner/near']
    """
    tables, notes = load_tables(results)
    found = board_of(tables, dataset, task=task, method=method)
    return replace(found, notes=(*found.notes, *notes))


def board_of(
    tables: Sequence[RecordTable], dataset: str, *, task: str | None = None, method: str | None = None
) -> Ranking:
    """Return the ranking of a dataset from tables of records, as `board` does."""
    mine = [record for table in tables for record in _records_on(table, dataset)]
    history = History.together(tables)
    task, everything = task or _only_task(mine, history, dataset), history
    history = history.about(task)
    if not (history.accuracies or history.scores):
        tasks = sorted({one.task for one in (*everything.accuracies, *everything.scores)})
        if not tasks:
            raise InputError(NOTHING)
        raise InputError(f"There are no results of {task} here.{did_you_mean(task, tasks)} Tasks: {', '.join(tasks)}.")
    mine = [record for record in mine if record.dataset.task == task]
    method = None if method is None else _known_method(method, history)
    forecaster = Forecaster(history.elsewhere(dataset), method=method, here=history.here(dataset))
    ranking = replace(_ranking(mine, history), dataset=dataset, stored=tuple(mine))
    if is_regression(task):
        known = [] if mine else [f"Nothing is stored about {dataset}.{_near_name(dataset, history)}"]
        order = [f"The order is that of {joined(ranking.headline)}: {task} has no accuracies to forecast."]
        return replace(ranking, notes=(*ranking.notes, *known, *(order if ranking.ranks else ())))
    found = ranking.with_forecast(forecaster, ranking.by_name(history.measured(dataset, forecaster.method)))
    return replace(found, notes=(*found.notes, *_notes(forecaster, len(mine), dataset)))


def informed(
    ranking: AnyRanking,
    results: str | Path | Sequence[str | Path],
    task: str | None,
    relations: Mapping[str, Relations] | None = None,
) -> AnyRanking:
    """Return a ranking in the order of a forecast from its metrics and stored results.

    Args:
        ranking: of models on a dataset.
        results: folders, or OWNER/NAME of dataset repositories on the Hub, whose records are combined; () for none.
        task: the task of the dataset; None if the results are all of one task.
        relations: what is known about the models beside their own facts, by id.

    Raises:
        OptionError: the results are of several tasks, and none is named.
    """
    tables, left_out = load_tables(results)
    history = History.together(tables)
    if results:
        history = history.about(task or _only_task((), history, ranking.dataset or "these models"))
    own = {one.model: Relations.of(one, one.parameters) for one in ranking.models.values()}
    here, known = history.here(ranking.dataset), {**own, **(relations or {})}
    forecaster = Forecaster(history.elsewhere(ranking.dataset), known, here=here)
    measured = history.measured(ranking.dataset, forecaster.method)
    found = ranking.with_forecast(forecaster, ranking.by_name(measured))
    notes = _notes(forecaster, len(found.models), ranking.dataset) if results else ()
    return replace(found, notes=(*found.notes, *notes, *left_out))


def _records_on(table: RecordTable, dataset: str) -> list[Record]:
    rows = np.flatnonzero(table.data.column("dataset_id").to_numpy() == dataset).tolist()
    return [one for one in (table.records(rows) if rows else []) if not one.is_failed_measurement]


def _only_task(mine: Sequence[Record], history: History, dataset: str) -> str:
    tasks = {record.dataset.task for record in mine}
    tasks = tasks or {one.task for one in (*history.accuracies, *history.scores)}
    if not tasks:
        raise InputError(NOTHING)
    if len(tasks) > 1:
        choose = f"{', '.join(sorted(tasks))}. Choose one with `task`."
        if not mine:
            hint = _near_name(dataset, history)
            raise OptionError(f"Nothing is stored about {dataset}.{hint} These results are of several tasks: {choose}")
        raise OptionError(f"These results are of several tasks, so the task of {dataset} is not clear: {choose}")
    return tasks.pop()


def _known_method(method: str, history: History) -> str:
    """Return a method as records spell it; OptionError if nobody knows it."""
    stored = {one.protocol for one in history.accuracies}
    known = {one.strip().casefold(): one for one in (*METHODS, *sorted(stored))}
    if method.strip().casefold() not in known:
        names = ", ".join(sorted(stored)) or "none"
        raise OptionError(f"method={method!r}: unknown.{did_you_mean(method, known)} Methods of the results: {names}.")
    return known[method.strip().casefold()]


def _near_name(dataset: str, history: History) -> str:
    """Return the hint that a dataset may be meant that is stored, or ""."""
    known = {one.dataset for one in (*history.accuracies, *history.scores)}
    last = Path(dataset).name.casefold()  # what records call a folder
    same = next((name for name in sorted(known) if name.casefold() in (dataset.casefold(), last)), None)
    return f" Did you mean {same!r}?" if same else did_you_mean(dataset, sorted(known), NEAR_NAME)


def _ranking(mine: Sequence[Record], history: History) -> Ranking:
    """Return the pool: the models of the sample that has most of them, and models that other records name."""
    scored: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    for record in mine:
        if record.metric is None or record.metric.kind != "truth":
            scored[record.dataset.split, record.dataset.fingerprint].add(record.model.id)
    ranking = Ranking({}, {}, (), {}, {})
    if scored:
        most = max(scored, key=lambda sample: (len(scored[sample]), str(sample)))
        chosen = [one for one in mine if (one.dataset.split, one.dataset.fingerprint) == most]
        ranking = Ranking.of(chosen, headline=sorted(HEADLINE_METRICS))
        if left := sorted(set().union(*scored.values()) - scored[most]):
            count = f"{counted(len(left), 'model')} {'was' if len(left) == 1 else 'were'}"
            told = f"{count} scored only on another sample, whose scores do not count: {joined(left, SHOWN_DATASETS)}."
            ranking = replace(ranking, notes=(told,))
    there = {one.model for one in ranking.models.values()}
    facts: dict[str, dict[str, Any]] = defaultdict(dict)
    for record in sorted(mine, key=lambda one: one.run.time):
        if record.status == "ok":
            known = {name: value for name, value in vars(record.facts).items() if value is not None}
            facts[record.model.id] |= known  # the newest that is known
    elsewhere = {name for one in (*history.accuracies, *history.scores) for name in one.values}
    names = (facts or sorted(history.models)) if mine else sorted(elsewhere)
    others = {}
    for name in names:
        if name not in there:
            parameters = history.models.get(name, Relations()).parameters
            others[name] = RankedModel(name, "ok", name, parameters=parameters, **facts.get(name, {}))
    return replace(ranking, models={**ranking.models, **others})


def _notes(forecaster: Forecaster, records: int, dataset: str) -> list[str]:
    """Return what to know about a forecast."""
    datasets = sorted({one.dataset for one in forecaster.columns})
    hint = _near_name(dataset, forecaster.history)
    found = [] if records else [f"Nothing is stored about {dataset}: the order comes from other datasets alone.{hint}"]
    if datasets:
        count = f"{len(datasets)} other dataset{'s' * (len(datasets) > 1)}"
        found.append(
            f"Accuracies by {forecaster.method} fine-tuning on {count} count: {joined(datasets, SHOWN_DATASETS)}."
        )
    if any(one.protocol == f"{forecaster.method} ({ANOTHER})" for one in forecaster.here):
        found.append(
            f"Accuracies by {forecaster.method} fine-tuning on {dataset} are of several sources or samples: of those "
            "of the first place, the ones with the most models count as measured, all others as hints."
        )
    if not datasets:
        others = sorted({one.protocol for one in forecaster.history.accuracies})
        instead = f"those by {joined(others)} count" if others else "only what is known of this one and of sizes counts"
        found.append(f"No accuracies by {forecaster.method} fine-tuning on other datasets are stored: {instead}.")
    return found
