"""The ranking of a dataset from what is stored of it and of other datasets, without a forward pass."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.history import History, Relations
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.ranking.pools import HEADLINE_METRICS
from hf_transfer_score.ranking.ranking import Ranking
from hf_transfer_score.records.exchange import existing
from hf_transfer_score.records.place import open_place
from hf_transfer_score.records.record import Record
from hf_transfer_score.records.store import cache_file, load
from hf_transfer_score.records.table import RecordTable

AnyRanking = TypeVar("AnyRanking", bound=Ranking)

SHOWN_DATASETS = 5


def board(dataset: str, *, results: str | Sequence[str], task: str | None = None, method: str | None = None) -> Ranking:
    """Return the models that are known on a dataset, in the order in which they are expected to come out.

    Args:
        dataset: its id, as the records name it. Where they hold nothing of it, all their models are ranked by what
            was measured elsewhere.
        results: folders, or OWNER/NAME of dataset repositories on the Hub, whose records count together.
        task: what is asked of the dataset; None where the records leave no doubt.
        method: of fine-tuning that the forecast is about; None for "full", or what the records have most of.

    Raises:
        OptionError: the records are of several tasks, and none is named.
        InputError: there are none.

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
    return board_of(_tables(results), dataset, task=task, method=method)


def board_of(
    tables: Sequence[RecordTable], dataset: str, *, task: str | None = None, method: str | None = None
) -> Ranking:
    """Return the ranking of a dataset from tables of records, as `board` does."""
    mine = [record for table in tables for record in _records_on(table, dataset)]
    history = _joined([History.of(table) for table in tables])
    task = task or _task(mine, history, dataset)
    history = history.about(task)
    mine = [record for record in mine if record.dataset.task == task]
    forecaster = Forecaster(history.elsewhere(dataset), method=method)
    ranking = replace(_ranking(mine, history), dataset=dataset, stored=tuple(mine))
    found = ranking.with_forecast(forecaster, ranking.by_name(history.measured(dataset, forecaster.method)))
    return replace(found, notes=(*found.notes, *_notes(forecaster, len(mine), dataset)))


def informed(
    ranking: AnyRanking,
    results: str | Sequence[str],
    task: str | None,
    relations: Mapping[str, Relations] | None = None,
) -> AnyRanking:
    """Return a ranking in the order of the forecast that its metrics and stored results make of it.

    Args:
        ranking: of models on a dataset.
        results: folders, or OWNER/NAME of dataset repositories on the Hub, whose records count together; () for none.
        task: what is asked of the dataset; None where the results leave no doubt.
        relations: what is known of the models, by id, beside their size.

    Raises:
        OptionError: the results are of several tasks, and none is named.
    """
    history = _joined([History.of(table) for table in _tables(results)])
    if results:
        history = history.about(task or _task((), history, ranking.dataset or "these models"))
    sizes = {one.model: Relations(parameters=one.parameters) for one in ranking.models.values()}
    forecaster = Forecaster(history.elsewhere(ranking.dataset), {**sizes, **(relations or {})})
    measured = history.measured(ranking.dataset, forecaster.method)
    found = ranking.with_forecast(forecaster, ranking.by_name(measured))
    notes = _notes(forecaster, len(found.models), ranking.dataset) if results else ()
    return replace(found, notes=(*found.notes, *notes))


def _tables(results: str | Sequence[str]) -> list[RecordTable]:
    places = [open_place(one) for one in ([results] if isinstance(results, str) else results)]
    return [load(place, cache=cache_file(place)).table for place in places if existing(place)]


def _records_on(table: RecordTable, dataset: str) -> list[Record]:
    rows = np.flatnonzero(table.data.column("dataset_id").to_numpy() == dataset)
    return [one for one in (table.records(rows.tolist()) if len(rows) else []) if not one.is_failed_measurement]


def _joined(parts: Sequence[History]) -> History:
    """Return what several tables hold together."""
    models = {name: one for part in reversed(parts) for name, one in part.models.items()}
    return History(
        tuple(one for part in parts for one in part.accuracies),
        tuple(one for part in parts for one in part.scores),
        models,
    )


def _task(mine: Sequence[Record], history: History, dataset: str) -> str:
    tasks = Counter(record.dataset.task for record in mine)
    tasks = tasks or Counter(one.task for one in (*history.accuracies, *history.scores))
    if not tasks:
        raise InputError("There are no results at all in these places.")
    if len(tasks) > 1:
        raise OptionError(
            f"These results are of several tasks, so it is not clear which is asked of {dataset}: "
            f"{', '.join(sorted(tasks))}. Name one by `task`."
        )
    return next(iter(tasks))


def _ranking(mine: Sequence[Record], history: History) -> Ranking:
    """Return the pool: the models of the sample with most of them, and those of which other records are known."""
    scored: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    for record in mine:
        if record.metric is None or record.metric.kind != "truth":
            scored[record.dataset.split, record.dataset.fingerprint].add(record.model.id)
    ranking = Ranking({}, {}, (), {}, {})
    if scored:
        most = max(scored, key=lambda sample: (len(scored[sample]), str(sample)))
        chosen = [one for one in mine if (one.dataset.split, one.dataset.fingerprint) == most]
        ranking = Ranking.of(chosen, headline=sorted(HEADLINE_METRICS))
    there = {one.model for one in ranking.models.values()}
    newest = {record.model.id: record for record in mine if record.status == "ok"}
    names = (newest or dict.fromkeys(sorted(history.models))) if mine else _measured(history)
    others = {}
    for name in names:
        if name not in there:
            own = newest.get(name)
            known = history.models.get(name)
            others[name] = RankedModel(
                name,
                "ok",
                name,
                parameters=known.parameters if known else None,
                license=own.facts.license if own else None,
            )
    return replace(ranking, models={**ranking.models, **others})


def _measured(history: History) -> list[str]:
    """Return the models that were measured or scored for this task."""
    return sorted({name for one in (*history.accuracies, *history.scores) for name in one.values})


def _notes(forecaster: Forecaster, records: int, dataset: str) -> list[str]:
    """Return what to know about a forecast."""
    found = []
    if not records:
        found.append(f"Nothing is stored of {dataset}: the order is that of other datasets.")
    datasets = {one.dataset for one in forecaster.columns}
    if not datasets:
        found.append("No accuracy of another dataset is stored: the order rests on the metrics and on size alone.")
    else:
        named = ", ".join(sorted(datasets)[:SHOWN_DATASETS])
        more = f" and {len(datasets) - SHOWN_DATASETS} more" if len(datasets) > SHOWN_DATASETS else ""
        found.append(
            f"Accuracies by {forecaster.method} fine-tuning on {len(datasets)} other datasets count: {named}{more}."
        )
    return found
