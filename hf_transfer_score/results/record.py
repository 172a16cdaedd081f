"""One stored result: what was measured, on what, by which metric, and how the run went."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import PurePosixPath
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hf_transfer_score.errors import InputError

SCHEMA_VERSION = 1
LONGEST_PART = 80
LOCAL = "_local"


@dataclass(frozen=True)
class RecordedModel:
    """Which features were scored.

    Attributes:
        id: the id on the Hub, or the last part of a local folder's name.
        revision: the branch or tag that was asked for, where no commit is known.
        commit: the full commit on the Hub, or a hash of the folder's content.
        library: the kind of backbone that read it.
        layer: the layer the features are of.
        pooling: how a row was made of many positions.
        dtype: the precision of the forward pass.
        parameters: counted in the loaded model.
        width: features a row.
        details: what else was chosen on the way to the features (preprocessing, longest text, ...).
    """

    id: str
    revision: str | None = None
    commit: str | None = None
    library: str | None = None
    layer: str | None = None
    pooling: str | None = None
    dtype: str | None = None
    parameters: int | None = None
    width: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedDataset:
    """Which sample was scored on.

    Attributes:
        id: the id on the Hub, or the last part of a local name.
        task: what was asked.
        fingerprint: of the sample; changes with its content and with what was asked for.
        config: the configuration, None where there is one only.
        split: the split.
        revision: the full commit on the Hub.
        columns: the columns that were read, by role.
        examples: examples in the sample.
        rows: rows of features.
        classes: classes in the sample, None for regression.
        options: the options of sampling.
    """

    id: str
    task: str
    fingerprint: str
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    examples: int = 0
    rows: int = 0
    classes: int | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedMetric:
    """By what the sample was scored.

    Attributes:
        name: the metric's name.
        parameters: its options.
        directions: by term, 1 where higher is better and -1 where lower is; empty for a metric that is not installed.
    """

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    directions: dict[str, Literal[1, -1]] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedRun:
    """How the run went; no part of what a record is found by.

    Attributes:
        version: of this package.
        libraries: versions of the libraries that the numbers depend on, by name.
        device: where the forward pass ran.
        forward_seconds: time of the forward pass.
        metric_seconds: time of the metric alone.
        from_cache: whether the features were there before, maybe made with other versions.
        time: when the record was made, in UTC.
    """

    version: str
    time: str
    libraries: dict[str, str] = field(default_factory=dict)
    device: str | None = None
    forward_seconds: float | None = None
    metric_seconds: float | None = None
    from_cache: bool = False


@dataclass(frozen=True)
class Record:
    """One metric's raw terms of one model on one sample, or why there are none.

    Attributes:
        model: which features.
        dataset: which sample.
        metric: which metric; None for a model that could not be scored at all.
        run: how the run went.
        status: "ok"; "failed" for the model, or "skipped" for the metric alone, with the reason.
        kind: the kind of failure.
        reason: why there are no terms.
        terms: raw terms by name; what depends on a pool is derived on reading.
        interval: lowest and highest value of a term over the bootstrap, by name.
        used: what the metric chose where an option leaves it open.
        warnings: what to know before trusting the terms.
        schema_version: of this layout.
    """

    model: RecordedModel
    dataset: RecordedDataset
    metric: RecordedMetric | None
    run: RecordedRun
    status: Literal["ok", "failed", "skipped"] = "ok"
    kind: str | None = None
    reason: str | None = None
    terms: dict[str, float] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    used: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """Return the record as JSON; what `from_json` would refuse raises InputError here already."""
        plain = asdict(self)
        _record(plain)
        return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Return the record that a text holds; InputError names the first field that is not as it should be."""
        try:
            plain = json.loads(text, object_pairs_hook=_once)
        except ValueError as error:
            raise InputError(f"A record is not JSON: {error}.") from None
        return _record(plain)


def identity(record: Record) -> str:
    """Return 32 hexadecimal digits that change with the model, the dataset and the metric, not with the outcome."""
    found = {name: value for name, value in asdict(record).items() if name in ("model", "dataset", "metric")}
    text = json.dumps(found, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def record_path(record: Record) -> PurePosixPath:
    """Return where a record lies below a folder of results: records/<owner>/<name>/<identity>.json.

    A model without an owner, such as a local folder, lies below `_local`. No name leads out of the folder.

    Example:
        >>> run = RecordedRun("0.1.0", "2025-01-01T00:00:00+00:00")
        >>> dataset = RecordedDataset("owner/pets", "image-classification", "0" * 32)
        >>> record_path(Record(RecordedModel("timm/resnet18"), dataset, None, run)).parent
        PurePosixPath('records/timm/resnet18')
    """
    owner, slash, name = record.model.id.partition("/")
    folder = (
        PurePosixPath(_part(owner).lstrip("_") or "x", _part(name)) if slash else PurePosixPath(LOCAL, _part(owner))
    )
    return PurePosixPath("records") / folder / f"{identity(record)}.json"


def _part(name: str) -> str:
    """Return a name as one part of a path on every system; what was lost, the identity still tells apart."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:LONGEST_PART].strip(".- ") or "x"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it names {next(name for name in names if names.count(name) > 1)!r} twice")
    return found


def _record(plain: Any) -> Record:
    """Return the record of plain values, checked in full."""
    version = plain.get("schema_version") if isinstance(plain, dict) else None
    if type(version) is int and version > SCHEMA_VERSION:
        raise InputError(
            f"This record has schema version {version}, and this version of the package knows up to {SCHEMA_VERSION}. "
            "Install a newer one: pip install -U hf-transfer-score."
        )
    record: Record = _block(Record, plain, "")
    if record.schema_version < 1:
        raise _wrong("schema_version", f"a whole number from 1 to {SCHEMA_VERSION}", record.schema_version)
    _check_outcome(record)
    return record


def _check_outcome(record: Record) -> None:
    """Refuse a record whose fields contradict each other."""
    ok, failed = record.status == "ok", record.status == "failed"
    if failed is not (record.metric is None):
        raise _wrong("metric", "none" if failed else f"a metric, since the status is {record.status!r}", record.metric)
    if ok is not bool(record.terms):
        raise _wrong("terms", "at least one" if ok else f"none, since the status is {record.status!r}", record.terms)
    if ok is not (record.reason is None):
        raise _wrong("reason", "none, since the status is 'ok'" if ok else "why there are no terms", record.reason)
    if failed is not (record.kind is not None):
        raise _wrong("kind", "the kind of failure" if failed else "none, since no model failed", record.kind)
    if ok and record.metric is not None and record.metric.directions.keys() not in (record.terms.keys(), set()):
        raise _wrong("metric.directions", f"one for each of {', '.join(record.terms)}", record.metric.directions)
    for term, (low, high) in record.interval.items():
        if term not in record.terms or low > high:
            raise _wrong(f"interval.{term}", "the lower and the upper end for a term of the record", [low, high])


def _wrong(where: str, expected: str, value: Any) -> InputError:
    shown = repr(value)
    shown = shown if len(shown) <= LONGEST_PART else f"{shown[:LONGEST_PART]}..."
    return InputError(f"A record's field {where or 'itself'!r}: expected {expected}, got {shown}.")


def _block(kind: type, value: Any, where: str) -> Any:
    """Return a dataclass of plain values; every field has to be there, and none besides."""
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    names, before = [one.name for one in fields(kind)], f"{where}." if where else ""
    for name in names:
        if name not in value:
            raise InputError(f"A record's field '{before}{name}' is missing.")
    for name in value:
        if name not in names:
            raise InputError(f"A record has a field '{before}{name}', which is not known there: {', '.join(names)}.")
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], value[name], before + name) for name in names})


def _value(hint: Any, value: Any, where: str) -> Any:
    """Return a value as its field's type says."""
    if NoneType in get_args(hint):
        return None if value is None else _value(next(one for one in get_args(hint) if one != NoneType), value, where)
    if is_dataclass(hint):
        return _block(hint, value, where)  # type: ignore[arg-type]
    if hint is Any:
        return _plain(value, where)
    if get_origin(hint) is not None:
        return _compound(get_origin(hint), get_args(hint), value, where)
    if hint is float:
        return _finite(value, where)
    if type(value) is not hint:
        raise _wrong(where, {str: "text", int: "a whole number", bool: "true or false"}[hint], value)
    return value


def _compound(origin: Any, arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if origin is Literal:
        if not any(type(value) is type(one) and value == one for one in arguments):
            raise _wrong(where, f"one of {', '.join(map(str, arguments))}", value)
        return value
    if origin is dict:
        _check_keys(value, where)
        return {name: _value(arguments[1], one, f"{where}.{name}") for name, one in value.items()}
    if not isinstance(value, (list, tuple)) or (Ellipsis not in arguments and len(value) != len(arguments)):
        raise _wrong(where, "a list" if Ellipsis in arguments else f"a list of {len(arguments)}", value)
    return tuple(_value(arguments[0], one, f"{where}[{place}]") for place, one in enumerate(value))


def _finite(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _wrong(where, "a finite number", value)
    return float(value)


def _plain(value: Any, where: str) -> Any:
    """Return a value of any kind that JSON can hold."""
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return _finite(value, where)
    if isinstance(value, (list, tuple)):
        return [_plain(one, f"{where}[{place}]") for place, one in enumerate(value)]
    _check_keys(value, where)
    return {name: _plain(one, f"{where}.{name}") for name, one in value.items()}


def _check_keys(value: Any, where: str) -> None:
    if not isinstance(value, dict) or not all(type(name) is str for name in value):
        raise _wrong(where, "values that JSON can hold, by name", value)
