"""The records of a ranking: one for each model and metric, written beside the ranking itself."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hf_transfer_score.home import check_folder, write_text
from hf_transfer_score.metrics.registry import ClassOverlap, MetricResult, all_metrics
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.ranking.ranking import Ranking
from hf_transfer_score.records.record import (
    FACTS,
    Record,
    RecordedDataset,
    RecordedFacts,
    RecordedMetric,
    RecordedModel,
    RecordedOverlap,
    RecordedRun,
    record_path,
)
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.version import VERSION

RANKING = "ranking.json"
LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "transformers", "timm", "datasets", "huggingface_hub")
"""The libraries whose versions a record names."""

QUOTED_PATH = re.compile(r"""(['"])(?:~|[A-Za-z]:)?[\\/][^'"\n]*[\\/]([^'"\\/\n]+)\1""")
BARE_PATH = re.compile(r"(?<![\w:/\\.])(?:~|[A-Za-z]:)?[\\/](?:[^\s'\"\\/]+[\\/])+")
TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}")

HINT = re.compile(r"\.? Did you mean (['\"]).*?\1\?")
"""Names the nearest file or folder, which only its owner should read."""


def records_of(ranking: Ranking, sample: LabelledSample) -> list[Record]:
    """Return a record for each metric of each model that was scored, and one for each model that failed.

    Candidates that an interrupted run did not reach, or that were too slow on this computer, have no record.
    """
    return records_on(ranking, _dataset(sample), sample.label_names)


def records_on(ranking: Ranking, dataset: RecordedDataset, label_names: Sequence[str] | None = None) -> list[Record]:
    """Return the records of a ranking on a described sample, which need not be on this computer."""
    now, records = datetime.now(timezone.utc).isoformat(timespec="seconds"), []
    for name, one in ranking.models.items():
        if one.status == "interrupted" or one.kind == "too_slow":
            continue
        model, run = _model(one), _run(one, now)
        if one.scores is None or one.scores.status == "failed":
            records.append(_failure(one, model, dataset, run))
            continue
        for result in one.results.values():
            record = _result(result, model, dataset, run)
            record = replace(record, facts=_facts(one), overlap=_overlap(result.overlap, label_names))
            interval = ranking.intervals.get(name, {}).get(result.metric, {})
            records.append(_with_interval(record, interval, ranking.level))
    return records


def save_records(records: Sequence[Record], ranking: Mapping[str, Any], folder: Path) -> int:
    """Write records, and the ranking itself as plain values, and return the number of records."""
    check_folder(folder)
    texts = {folder / record_path(record): record.to_json() for record in records}
    for path, text in texts.items():
        write_text(path, text)
    text = json.dumps(plain_values(ranking), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(folder / RANKING, _encodable(text) + "\n")
    return len(texts)


def _failure(one: RankedModel, model: RecordedModel, dataset: RecordedDataset, run: RecordedRun) -> Record:
    reason = one.reason or (one.scores.reason if one.scores else None) or "no reason is known"
    reason = without_places(HINT.sub("", reason))
    kind, facts = one.kind or "error", _facts(one)
    return Record(model, dataset, None, run, status="failed", kind=kind, reason=reason, facts=facts)


def _facts(one: RankedModel) -> RecordedFacts:
    known: dict[str, Any] = {name: getattr(one, name) for name in FACTS}
    known |= {name: _encodable(value) for name, value in known.items() if isinstance(value, str)}
    return RecordedFacts(**known)


def _result(result: MetricResult, model: RecordedModel, dataset: RecordedDataset, run: RecordedRun) -> Record:
    metric, used = _metric(result)
    ok = result.status == "ok"
    return Record(
        model,
        dataset,
        metric,
        replace(run, metric_seconds=result.seconds) if ok else run,
        status=result.status,
        reason=None if ok else without_places(result.reason or "no reason is known"),
        terms=dict(result.terms),
        used=used,
        warnings=tuple(without_places(one) for one in result.warnings),
    )


def _with_interval(record: Record, interval: Mapping[str, tuple[float, float]], level: float | None) -> Record:
    """Return a record with the finite intervals of its terms."""
    ends = {term: (float(low), float(high)) for term, (low, high) in interval.items() if term in record.terms}
    known = {term: pair for term, pair in ends.items() if all(map(math.isfinite, pair))}
    return replace(record, interval=known, interval_level=level if known else None)


def _overlap(overlap: ClassOverlap | None, names: Sequence[str] | None) -> RecordedOverlap | None:
    """Return the overlaps with the names of the classes, or their numbers where they have no name."""
    if overlap is None:
        return None
    named = names or ()
    classes = (named[code] if 0 <= code < len(named) else f"{code}" for code in overlap.classes)
    return RecordedOverlap(tuple(_encodable(one) for one in classes), overlap.values)


def _metric(result: MetricResult) -> tuple[RecordedMetric, dict[str, Any]]:
    """Return a metric with its options, and separately the values that followed from the features."""
    known = all_metrics().get(result.metric)
    values = _described(result.parameters)
    if known is None:
        return RecordedMetric(result.metric, parameters=values), {}
    options = {one.name for one in fields(known.options)}
    metric = RecordedMetric(
        name=result.metric,
        version=known.version,
        kind="baseline" if known.baseline else "score",
        parameters={name: value for name, value in values.items() if name in options},
        directions={term.name: term.direction for term in known.terms},
    )
    return metric, {name: value for name, value in values.items() if name not in options}


def _model(one: RankedModel) -> RecordedModel:
    details = dict(one.extraction.get("details") or {})
    pooling, name, revision = details.pop("pooling", None), *name_and_revision(one)
    return RecordedModel(
        id=name,
        revision=revision if one.commit is None else None,
        commit=one.commit,
        library=one.library,
        layer=one.layer,
        pooling=None if pooling is None else str(pooling),
        dtype=one.extraction.get("dtype"),
        parameters=one.parameters,
        width=one.width,
        details=_described(details),
    )


def name_and_revision(one: RankedModel) -> tuple[str, str | None]:
    """Return the id on the Hub and its revision; for a folder the last part of its name."""
    text = _encodable(one.model)
    if one.local:
        return last_part(text), None
    name, _, revision = text.partition("@")
    return name, revision or None


def last_part(text: str) -> str:
    """Return the last part of a path of any operating system, or the text itself if it has none."""
    parts = [part for part in re.split(r"[\\/]", text) if part not in ("", ".", "..", "~")]
    return parts[-1] if parts else text


def dataset_id(sample: LabelledSample) -> str:
    """Return the name of a dataset: its id on the Hub, an address without secrets, or the last part of a path."""
    name = _encodable(sample.source.dataset)
    if "://" in name:
        parts = urlsplit(name)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return name if sample.source.revision is not None else last_part(name)


def _dataset(sample: LabelledSample) -> RecordedDataset:
    labels = sample.labels
    return RecordedDataset(
        id=dataset_id(sample),
        task=sample.task.name,
        fingerprint=sample.fingerprint,
        config=sample.source.config,
        split=sample.source.split,
        revision=sample.source.revision,
        columns=dict(sample.source.columns),
        examples=len(sample),
        rows=sample.rows,
        classes=None if labels is None else len(set(labels.tolist())),
        options=_described(sample.source.options),
    )


def _run(one: RankedModel, now: str) -> RecordedRun:
    return RecordedRun(
        version=VERSION,
        time=now,
        libraries=dict(_versions()),
        device=one.extraction.get("device"),
        forward_seconds=one.extraction.get("seconds"),
        from_cache=one.from_cache,
    )


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    """Return the versions of the installed libraries, without importing them."""
    found = []
    for name in LIBRARIES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return tuple(found)


def without_places(text: str) -> str:
    """Return a text without tokens, and with only the last part of each path.

    Example:
        >>> without_places("cannot read '/home/me/models/a b/config.json', nor /tmp/x/y.bin")
        "cannot read 'config.json', nor y.bin"
    """
    text = QUOTED_PATH.sub(r"\1\2\1", _encodable(text)).replace(f"{Path.home()}", "~")
    return TOKEN.sub("hf_...", BARE_PATH.sub("", text))


def _encodable(text: str) -> str:
    """Return a text that UTF-8 can encode: file names may hold bytes that it cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _described(values: Any) -> dict[str, Any]:
    """Return named values without paths and tokens."""
    found: dict[str, Any] = plain_values(values, hide=True)
    return found


def plain_values(value: Any, *, hide: bool = False) -> Any:
    """Return values that JSON can hold: NumPy values as Python's, non-finite ones as None, the rest as text."""
    if isinstance(value, dict):
        return {str(name): plain_values(one, hide=hide) for name, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain_values(one, hide=hide) for one in value]
    if hasattr(value, "tolist"):
        return plain_values(value.tolist(), hide=hide)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    return without_places(str(value)) if hide else str(value)
