"""Stored records of one sample as a pool of models."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import cast

from hf_transfer_score.errors import FAILURE_KINDS, FailureKind, InputError
from hf_transfer_score.metrics.registry import Metric, MetricResult
from hf_transfer_score.metrics.scores import FeatureScores
from hf_transfer_score.ranking.intervals import LEVEL
from hf_transfer_score.ranking.models import RankedModel, is_baseline
from hf_transfer_score.ranking.pools import HEADLINE_METRICS
from hf_transfer_score.ranking.settings import Setting, canonical, labels, row_labels, rules
from hf_transfer_score.records.checks import is_regression
from hf_transfer_score.records.record import Record, RecordedDataset
from hf_transfer_score.text import joined

SHOWN_SAMPLES = 3


@dataclass(frozen=True)
class PoolOfRecords:
    """What records say about the models of one sample.

    Attributes:
        models: by a name that is unique in the pool.
        metrics: the rules by which each metric ranks; one with several settings has a name for each.
        intervals: of the raw terms, by model, metric and term.
        levels: share of the replicates that the intervals of a model hold.
        sample: of which they are.
        measured: whether an accuracy was measured on its dataset.
    """

    models: dict[str, RankedModel]
    metrics: tuple[Metric, ...]
    intervals: dict[str, dict[str, dict[str, tuple[float, float]]]]
    levels: dict[str, float]
    sample: RecordedDataset
    measured: bool = False

    @property
    def size(self) -> str:
        """The size of the sample in words, as far as it is known."""
        one = self.sample
        told = [f"{one.examples:,} examples"] if one.examples else []
        if one.classes is not None or is_regression(one.task):
            told.append("regression" if one.classes is None else f"{one.classes:,} classes")
        return ", ".join(told)


def pool_of_records(records: Iterable[Record]) -> PoolOfRecords:
    """Return the pool of records: the models with scores, those that were measured alone, and those that failed.

    Raises:
        InputError: the scores and failures are of several samples, or there are no records.
    """
    records = sorted(records, key=lambda one: one.run.time)
    truths = [one for one in records if _is_truth(one) and one.terms]
    records = [one for one in records if not _is_truth(one)]
    _check_one_sample(records or list({one.dataset.id: one for one in truths}.values()))
    sample = (records or truths)[-1].dataset
    scored = [one for one in records if one.terms]
    metrics = _metrics(scored)
    same = (sample.id, sample.task)
    measured = {one.model.id: one for one in truths if (one.dataset.id, one.dataset.task) == same}
    ids = {one.model.id for one in scored} | measured.keys()
    blocks = dict.fromkeys(_block(one) for one in records if one.terms or one.model.id not in ids)
    names = dict(zip(blocks, row_labels([json.loads(block) for block in blocks]), strict=True))
    results: dict[str, dict[str, MetricResult]] = defaultdict(dict)
    intervals: dict[str, dict[str, dict[str, tuple[float, float]]]] = defaultdict(dict)
    levels: dict[str, float] = {}
    newest: dict[str, Record] = {}
    for record in records:
        name = names.get(_block(record))
        if name is None:
            continue
        newest[name] = record
        metric = None if record.metric is None else metrics.get(_setting(record))
        if metric is None or (record.terms and record.terms.keys() != {term.name for term in metric.terms}):
            continue
        results[name][metric.name] = _result(record, metric.name)
        if record.interval:
            intervals[name][metric.name] = dict(record.interval)
            levels[name] = record.interval_level or LEVEL
    models = {name: _model(name, record, results[name]) for name, record in newest.items()}
    there = {one.model for one in models.values()} | models.keys()
    models |= {name: _measured(record) for name, record in measured.items() if name not in there}
    ordered = tuple(sorted(metrics.values(), key=_board_order))
    return PoolOfRecords(models, ordered, intervals, levels, sample, bool(measured))


def _measured(record: Record) -> RankedModel:
    """Return a model of which only accuracies are known."""
    name = record.model.id
    return RankedModel(name, "ok", name, parameters=record.model.parameters, **asdict(record.facts))


def _is_truth(record: Record) -> bool:
    return record.metric is not None and record.metric.kind == "truth"


def _board_order(metric: Metric) -> tuple[bool, bool, str]:
    """Return a key that sorts metrics as on a board: those that decide first, baselines last."""
    name = metric.name.partition(" ")[0]
    return is_baseline(name), name not in HEADLINE_METRICS, metric.name


def _result(record: Record, name: str) -> MetricResult:
    assert record.metric is not None
    return MetricResult(
        name,
        "ok" if record.status == "ok" else "skipped",
        terms=dict(record.terms),
        parameters=record.metric.parameters | record.used,
        warnings=record.warnings,
        seconds=record.run.metric_seconds or 0.0,
        reason=record.reason,
    )


def _check_one_sample(records: Sequence[Record]) -> None:
    if not records:
        raise InputError("There are no records to rank.")
    samples = dict.fromkeys((one.dataset.id, one.dataset.split, one.dataset.fingerprint) for one in records)
    if len(samples) > 1:
        shown = [f"{name} ({split or 'no split'}, {mark[:8]})" for name, split, mark in samples]
        raise InputError(
            f"Scores of different samples cannot be compared, and these records are of {len(samples)} samples: "
            f"{joined(shown, SHOWN_SAMPLES)}. Choose the records of one dataset and fingerprint."
        )


def _block(record: Record) -> str:
    """Return what distinguishes the features that were scored from those of other models, as text."""
    block = asdict(record.model) | {"details": json.dumps(record.model.details, sort_keys=True)}
    return json.dumps({name: value for name, value in block.items() if name != "parameters"}, sort_keys=True)


def _setting(record: Record) -> Setting:
    assert record.metric is not None
    parameters = canonical(json.dumps(record.metric.parameters))
    return Setting(record.metric.name, record.metric.version, parameters)


def _metrics(records: Sequence[Record]) -> dict[Setting, Metric]:
    """Return the rules of each setting, named by its label."""
    settings: dict[Setting, list[Record]] = defaultdict(list)
    for record in records:
        settings[_setting(record)].append(record)
    names, found = labels({setting: len(some) for setting, some in settings.items()}), {}
    for setting, some in settings.items():
        directions = [one.metric.directions for one in some if one.metric is not None]
        metric = rules(setting, [frozenset(one.terms) for one in some], directions)
        found[setting] = replace(metric, name=names[setting])
    return found


def _model(name: str, record: Record, results: dict[str, MetricResult]) -> RankedModel:
    ok = any(result.terms for result in results.values())
    scores = FeatureScores(
        "ok",
        results=results,
        rows=record.dataset.rows,
        width=record.model.width or 0,
        classes=record.dataset.classes,
    )
    return RankedModel(
        name,
        "ok" if ok else "failed",
        record.model.id,
        commit=record.model.commit,
        library=record.model.library,
        layer=record.model.layer,
        parameters=record.model.parameters,
        **asdict(record.facts),
        scores=scores if ok else None,
        extraction={
            "device": record.run.device,
            "dtype": record.model.dtype,
            "seconds": record.run.forward_seconds,
            "examples": record.dataset.examples,
            "details": record.model.details | ({"pooling": record.model.pooling} if record.model.pooling else {}),
        },
        from_cache=record.run.from_cache,
        kind=None if ok else cast("FailureKind", record.kind if record.kind in FAILURE_KINDS else "error"),
        reason=None if ok else record.reason,
    )
