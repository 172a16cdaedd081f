"""One stored result: what was measured, on what, by which metric, and how the run went."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from hf_transfer_score.errors import RecordError, UnreadableError
from hf_transfer_score.metrics.registry import all_metrics
from hf_transfer_score.records.checks import (
    LONGEST,
    SCHEMA_VERSION,
    TRUTH,
    Count,
    Name,
    Seconds,
    SmallCount,
    block,
    check_time,
    is_possible,
    migrated,
    plain_fields,
    range_of,
    within,
    wrong,
)
from hf_transfer_score.untrusted import Limits, only_errors, parse_json

LONGEST_PART = 80
LOCAL = "_local"
CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
"""The encoding of what identifies a record: the same text on every machine."""

LIMIT = Limits(size=1_000_000, depth=30, values=50_000, letters=LONGEST)
"""How large a record may be; those of this package take a few thousand bytes."""

Kind = Literal["score", "baseline", "truth"]
"""What a metric is: a score of transferability, a trivial baseline, or a measured accuracy."""


@dataclass(frozen=True)
class RecordedModel:
    """Which features were scored.

    Attributes:
        id: the id on the Hub, or the last part of a local folder's name.
        revision: the requested branch or tag, if no commit is known.
        commit: the full commit on the Hub, or a hash of the folder's content.
        library: the kind of backbone that read it.
        layer: the layer that the features come from.
        pooling: how many positions became one row.
        dtype: the precision of the forward pass.
        parameters: counted in the loaded model.
        width: the number of features of a row.
        details: other choices that the features depend on (preprocessing, longest text, ...).
    """

    id: Name
    revision: Name | None = None
    commit: Name | None = None
    library: Name | None = None
    layer: Name | None = None
    pooling: Name | None = None
    dtype: Name | None = None
    parameters: Count | None = None
    width: SmallCount | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedDataset:
    """The sample on which features were scored.

    Attributes:
        id: the id on the Hub, or the last part of a local name.
        task: of the dataset.
        fingerprint: of the sample; changes with its content and with the request for it.
        config: the configuration, None if there is only one.
        split: the split.
        revision: the full commit on the Hub.
        columns: the columns that were read, by role.
        examples: examples in the sample.
        rows: rows of features.
        classes: classes in the sample, None for regression, or if they are not known.
        options: the options of sampling.
    """

    id: Name
    task: Name
    fingerprint: Name
    config: Name | None = None
    split: Name | None = None
    revision: Name | None = None
    columns: dict[str, str] = field(default_factory=dict)
    examples: Count = 0
    rows: Count = 0
    classes: SmallCount | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedMetric:
    """The metric by which the sample was scored.

    Attributes:
        name: the metric's name; "accuracy" for a result of fine-tuning.
        version: of the metric; changes when the same options give other numbers.
        kind: whether it is a score, a trivial baseline, or the truth that both are judged by.
        parameters: its options; for the truth, how it was measured, such as the method and the seed.
        directions: by term, 1 if higher is better and -1 if lower is; empty for a metric that is not installed.
    """

    name: Name
    version: Annotated[int, within(0, 10**6)] = 1
    kind: Kind = "score"
    parameters: dict[str, Any] = field(default_factory=dict)
    directions: dict[str, Literal[1, -1]] = field(default_factory=dict)


def _about(title: str, hint: str, *, shown: bool = False) -> dict[str, Any]:
    """Return what pages say about a fact: its title, a hint, and whether boards have a column for it."""
    return {"title": title, "hint": hint, "shown": shown}


@dataclass(frozen=True, kw_only=True)
class RecordedFacts:
    """What the model's page and configuration said at that time; not part of a record's identity.

    Whatever is added here also shows in tables, CSV files, comparisons and on the page of a model.

    Attributes:
        license: as its card states it.
        downloads: as counted by the Hub.
        family: the kind of network, such as "vit" or "bert" (`model_type` on the Hub).
        architecture: its class, such as "ViTForImageClassification", or its name in timm.
        base_model: the checkpoint that it was fine-tuned from.
        pretrained_on: the datasets that it was trained on, as its card names them.
    """

    license: Name | None = field(default=None, metadata=_about("License", "what you may do with it", shown=True))
    downloads: Count | None = field(
        default=None, metadata=_about("Downloads", "in the last month, as counted by the Hub")
    )
    family: Name | None = field(default=None, metadata=_about("Family", "the kind of network", shown=True))
    architecture: Name | None = field(
        default=None, metadata=_about("Architecture", "its name in the library that loads it")
    )
    base_model: Name | None = field(
        default=None, metadata=_about("Base model", "the checkpoint that it was fine-tuned from", shown=True)
    )
    pretrained_on: Name | None = field(default=None, metadata=_about("Trained on", "datasets named on its model card"))


FACT_TITLES = {one.name: one.metadata["title"] for one in fields(RecordedFacts)}
FACTS = tuple(FACT_TITLES)


def facts_in(one: RecordedFacts) -> RecordedFacts:
    """Return the facts alone of something that has others beside them."""
    return RecordedFacts(**{name: getattr(one, name) for name in FACTS})


@dataclass(frozen=True)
class RecordedOverlap:
    """How much the classes overlap in the features.

    Attributes:
        classes: names of the classes that overlap most, at most 20.
        values: overlap in [0, 1] of each pair: of the first class with those after it, of the second, and so on.
    """

    classes: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class RecordedRun:
    """How the run went; not part of the identity of a record.

    Attributes:
        version: of this package.
        libraries: versions of the libraries that the numbers depend on, by name.
        device: where the forward pass ran.
        forward_seconds: time of the forward pass.
        metric_seconds: time of the metric alone.
        from_cache: whether the features were cached, perhaps from other versions.
        time: when the record was made, in UTC.
    """

    version: Name
    time: Name
    libraries: dict[str, str] = field(default_factory=dict)
    device: Name | None = None
    forward_seconds: Seconds | None = None
    metric_seconds: Seconds | None = None
    from_cache: bool = False


@dataclass(frozen=True)
class Record:
    """One metric's raw terms of one model on one sample, or why there are none.

    Attributes:
        model: which features.
        dataset: which sample.
        metric: which metric; None for a model that could not be scored at all. A failed record with a metric says that
            an accuracy could not be measured.
        run: how the run went.
        status: "ok"; "failed" for the model or its fine-tuning, or "skipped" for the metric alone, with the reason.
        kind: the kind of failure.
        reason: why there are no terms.
        terms: raw terms by name; what depends on a pool is derived on reading.
        interval: ends of the interval of a term over the bootstrap, by name.
        interval_level: the share of the bootstrap that the intervals cover.
        used: what the metric chose when an option left it open.
        warnings: what to know before trusting the terms.
        overlap: how much the classes overlap, if the metric tells.
        facts: what the model's page said.
        source: where the terms were published, for numbers that this package did not compute.
        schema_version: of this layout.
    """

    model: RecordedModel
    dataset: RecordedDataset
    metric: RecordedMetric | None
    run: RecordedRun
    status: Literal["ok", "failed", "skipped"] = "ok"
    kind: Name | None = None
    reason: str | None = None
    terms: dict[str, float] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    interval_level: float | None = None
    used: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    overlap: RecordedOverlap | None = None
    facts: RecordedFacts = field(default_factory=RecordedFacts)
    source: str | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def is_failed_measurement(self) -> bool:
        """Whether an accuracy could not be measured, which says nothing about the scores."""
        return self.status == "failed" and self.metric is not None and self.metric.kind == "truth"

    def to_json(self) -> str:
        """Return the record as JSON; RecordError if `from_json` would refuse it."""
        try:
            plain = plain_fields(self)
            checked(plain)
            text = json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
        except RecursionError:
            raise RecordError("A record is nested too deeply.") from None
        plain_record(text)
        return text

    @classmethod
    def from_json(cls, text: str | bytes) -> Record:
        """Return the record in a text; RecordError if it holds none, for whatever reason."""
        with only_errors(RecordError, "A record cannot be read"):
            return checked(migrated(plain_record(text)))


def plain_record(text: str | bytes) -> Any:
    """Return the values in a record's text, unchecked."""
    try:
        return parse_json(text, what="a record", limit=LIMIT, by_field=True)
    except UnreadableError as error:
        raise RecordError(str(error)) from None


def identity(record: Record) -> str:
    """Return 32 hexadecimal digits that change with the model, the dataset and the metric, not with the outcome."""
    return plain_identity(plain_fields(record))


def plain_identity(plain: Any) -> str:
    """Return the identity of a record's values in any schema version, by which that version named its file."""
    found = {name: plain[name] for name in ("model", "dataset", "metric")}
    return hashlib.blake2b(CANONICAL.encode(found).encode(), digest_size=16).hexdigest()


def record_path(record: Record) -> PurePosixPath:
    """Return the path of a record below a folder of results: records/<owner>/<name>/<identity>.json.

    The owner of a model without one, such as a local folder, is `_local`. No name leads out of the folder.

    Example:
        >>> run = RecordedRun("0.1.0", "2025-01-01T00:00:00+00:00")
        >>> dataset = RecordedDataset("owner/pets", "image-classification", "0" * 32)
        >>> record_path(Record(RecordedModel("timm/resnet18"), dataset, None, run)).parent
        PurePosixPath('records/timm/resnet18')
    """
    return PurePosixPath(folder_of(record.model.id), f"{identity(record)}.json")


@lru_cache(maxsize=4096)
def folder_of(model: str) -> str:
    """Return the only folder where records of a model count: whoever writes elsewhere says nothing about it."""
    owner, slash, name = model.partition("/")
    parts = (_part(owner).lstrip("_") or "x", _part(name)) if slash else (LOCAL, _part(owner))
    return "/".join(("records", *parts))


def _part(name: str) -> str:
    """Return a name as one part of a path on every system; records stay distinct by their identity."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:LONGEST_PART].strip(".- ") or "x"


def checked(plain: Any) -> Record:
    """Return the fully checked record of plain values of this schema version."""
    try:
        record: Record = block(Record, plain, "")
    except RecursionError:
        raise RecordError("A record is nested too deeply.") from None
    return consistent(record)


def consistent(record: Record) -> Record:
    """Return a record whose fields were checked one by one; RecordError if they contradict each other or its metric."""
    if record.schema_version != SCHEMA_VERSION:
        raise wrong("schema_version", f"{SCHEMA_VERSION}", record.schema_version)
    _check_outcome(record)
    check_time("run.time", record.run.time)
    if record.metric is not None:
        _check_metric(record.metric, record.terms, record.interval)
    return record


def _check_outcome(record: Record) -> None:
    """Refuse a record whose fields contradict each other."""
    ok, failed = record.status == "ok", record.status == "failed"
    if failed is not (record.metric is None) and not record.is_failed_measurement:
        expected = "none, or the accuracy that could not be measured" if failed else "a metric"
        raise wrong("metric", f"{expected}, because the status is {record.status!r}", record.metric)
    if ok is not bool(record.terms):
        raise wrong("terms", "at least one" if ok else f"none, because the status is {record.status!r}", record.terms)
    if ok is not (record.reason is None):
        raise wrong("reason", "none, because the status is 'ok'" if ok else "why there are no terms", record.reason)
    if failed is not (record.kind is not None):
        raise wrong("kind", "the kind of failure" if failed else "none, because no model failed", record.kind)
    if ok and record.metric is not None and record.metric.directions.keys() not in (record.terms.keys(), set()):
        raise wrong("metric.directions", f"one for each of {', '.join(record.terms)}", record.metric.directions)
    for term, (low, high) in record.interval.items():
        if term not in record.terms or low > high:
            raise wrong(f"interval.{term}", "the lower and the upper end for a term of the record", [low, high])
    if record.interval_level is not None and not 0 < record.interval_level < 1:
        raise wrong("interval_level", "a share between 0 and 1", record.interval_level)
    if record.overlap is not None:
        _check_overlap(record.overlap)


def _check_overlap(overlap: RecordedOverlap) -> None:
    values, classes = list(overlap.values), len(overlap.classes)
    if len(values) != classes * (classes - 1) // 2:
        raise wrong("overlap.values", f"one for each pair of {classes} classes", values)
    if not all(0 <= value <= 1 for value in values):
        raise wrong("overlap.values", "numbers from 0 to 1", values)


def _check_metric(
    metric: RecordedMetric, terms: Mapping[str, float], interval: Mapping[str, tuple[float, float]]
) -> None:
    """Refuse what an installed metric cannot give: another direction, or a value out of its range.

    Metrics that are not installed, and terms that this version does not know, are accepted unchecked.
    """
    if metric.name == TRUTH.name:
        kind, known = "truth", {TRUTH.name: TRUTH}
    else:
        found = all_metrics().get(metric.name)
        if found is None:
            return
        kind, known = "baseline" if found.baseline else "score", {term.name: term for term in found.terms}
    if metric.kind != kind:
        raise wrong("metric.kind", f"{kind!r}, as {metric.name} is", metric.kind)
    for name, direction in metric.directions.items():
        if name in known and direction != known[name].direction:
            raise wrong(f"metric.directions.{name}", f"{known[name].direction}, as {metric.name} has it", direction)
    for name, value in terms.items():
        if name in known and not is_possible(value, known[name]):
            raise wrong(f"terms.{name}", f"a number {range_of(known[name])}, as {metric.name} gives it", value)
    for name, ends in interval.items():
        if name in known and known[name].bounded and not all(is_possible(end, known[name]) for end in ends):
            raise wrong(f"interval.{name}", f"numbers {range_of(known[name])}", list(ends))
