"""Stored records of one sample as a pool of models."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import cast

from hf_transfer_score.errors import FAILURE_KINDS, FailureKind, InputError
from hf_transfer_score.metrics.registry import Metric, MetricResult
from hf_transfer_score.metrics.scores import FeatureScores
from hf_transfer_score.ranking.intervals import LEVEL
from hf_transfer_score.ranking.models import RankedModel, is_baseline
from hf_transfer_score.ranking.naming import row_labels
from hf_transfer_score.ranking.pools import HEADLINE_METRICS
from hf_transfer_score.ranking.settings import Setting, canonical, labels, rules
from hf_transfer_score.records.record import Record

SHOWN_SAMPLES = 3


@dataclass(frozen=True)
class PoolOfRecords:
    """What records say of the models of one sample.

    Attributes:
        models: by a name that is unique in the pool.
        metrics: the rules by which each metric ranks; one with several settings has a name for each.
        intervals: of the raw terms, by model, metric and term.
        levels: share of the replicates that the intervals of a model hold.
        dataset: id of the dataset.
        task: what is asked of it.
        classes: how many it has; None for regression.
        size: how much of it was drawn.
    """

    models: dict[str, RankedModel]
    metrics: tuple[Metric, ...]
    intervals: dict[str, dict[str, dict[str, tuple[float, float]]]] = field(default_factory=dict)
    levels: dict[str, float] = field(default_factory=dict)
    dataset: str = ""
    task: str = ""
    classes: int | None = None
    size: str = ""


def pool_of_records(records: Iterable[Record]) -> PoolOfRecords:
    """Return the pool; InputError where the records are of several samples, or there are none."""
    records = sorted((one for one in records if _is_score(one)), key=lambda one: one.run.time)
    _check_one_sample(records)
    scored = [one for one in records if one.terms]
    metrics = _metrics(scored)
    ids = {one.model.id for one in scored}
    blocks = dict.fromkeys(_block(one) for one in records if one.terms or one.model.id not in ids)
    names = dict(zip(blocks, row_labels([json.loads(block) for block in blocks]), strict=True))
    drawn = records[-1].dataset
    classes = "regression" if drawn.classes is None else f"{drawn.classes:,} classes"
    size = f"{drawn.examples:,} examples, {classes}"
    pool = PoolOfRecords(
        {},
        tuple(sorted(metrics.values(), key=_place)),
        dataset=drawn.id,
        task=drawn.task,
        classes=drawn.classes,
        size=size,
    )
    results: dict[str, dict[str, MetricResult]] = defaultdict(dict)
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
            pool.intervals.setdefault(name, {})[metric.name] = dict(record.interval)
            pool.levels[name] = record.interval_level or LEVEL
    pool.models.update({name: _model(name, record, results[name]) for name, record in newest.items()})
    return pool


def _is_score(record: Record) -> bool:
    return record.metric is None or record.metric.kind != "truth"


def _place(metric: Metric) -> tuple[bool, bool, str]:
    """Return what puts metrics in the order of a board: those that decide first, baselines last."""
    name = metric.name.partition(" ")[0]
    return is_baseline(name), name not in HEADLINE_METRICS, metric.name


def _result(record: Record, called: str) -> MetricResult:
    assert record.metric is not None
    return MetricResult(
        called,
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
    samples = Counter((one.dataset.id, one.dataset.split, one.dataset.fingerprint) for one in records)
    if len(samples) > 1:
        shown = [f"{name} ({split or 'no split'}, {mark[:8]})" for name, split, mark in list(samples)[:SHOWN_SAMPLES]]
        more = f" and {len(samples) - SHOWN_SAMPLES} more" if len(samples) > SHOWN_SAMPLES else ""
        raise InputError(
            f"Scores of different samples cannot be compared, and these records are of {len(samples)}: "
            f"{', '.join(shown)}{more}. Choose those of one dataset and fingerprint."
        )


def _block(record: Record) -> str:
    """Return what tells a model from others, as text: which features were scored, without what is counted of it."""
    block = asdict(record.model) | {"details": json.dumps(record.model.details, sort_keys=True)}
    return json.dumps({name: value for name, value in block.items() if name != "parameters"}, sort_keys=True)


def _setting(record: Record) -> Setting:
    assert record.metric is not None
    parameters = canonical(json.dumps(record.metric.parameters))
    return Setting(record.metric.name, record.metric.version, parameters)


def _metrics(records: Sequence[Record]) -> dict[Setting, Metric]:
    """Return the rules of each setting, called by its label."""
    settings: dict[Setting, list[Record]] = defaultdict(list)
    for record in records:
        settings[_setting(record)].append(record)
    called = labels({setting: len(found) for setting, found in settings.items()})
    return {
        setting: replace(
            rules(
                setting,
                [frozenset(one.terms) for one in found],
                [one.metric.directions for one in found if one.metric is not None],
            ),
            name=called[setting],
        )
        for setting, found in settings.items()
    }


def _model(name: str, record: Record, results: dict[str, MetricResult]) -> RankedModel:
    """Return a model from its newest record and its results."""
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
        downloads=record.facts.downloads,
        license=record.facts.license,
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
