"""From plain values to dataclasses, checked field by field: what a file from anyone may hold.

A migration takes the plain values of a record of one schema version and returns those of the next. It never invents
measurements: a field that an earlier version did not have gets the value that says so.
"""

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta, timezone
from functools import cache, partial
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from hf_transfer_score.errors import RecordError
from hf_transfer_score.metrics.registry import Term, all_metrics
from hf_transfer_score.tasks import TASKS

SCALARS = (str, float, int, bool, NoneType)

LONGEST_WHERE = 120
"""Letters of a field's name in a message."""

SHOWN = 80
"""Letters of a wrong value in a message."""

LARGEST = 2**63 - 1
"""The largest whole number that fits into a table of columns."""

GREATEST = 1e100
"""The greatest number of any kind, so that differences and squares of numbers are finite too."""

LONGEST = 20_000
"""Letters of a text at most."""


@dataclass(frozen=True, eq=False)
class Limit:
    """Which values of its type a field may have: in words, as a test, and as keywords of JSON Schema."""

    words: str
    holds: Callable[[Any], bool]
    schema: dict[str, float]


def within(low: float, high: float) -> Limit:
    """Return the limit of a field of numbers."""
    schema = {"minimum": low, "maximum": high}
    return Limit(f"a number from {low:,} to {high:,}", lambda value: low <= value <= high, schema)


Name = Annotated[str, Limit("at most 1,000 letters", lambda text: len(text) <= 1000, {"maxLength": 1000})]
Count = Annotated[int, within(0, 10**15)]
SmallCount = Annotated[int, within(0, 10**9)]
Seconds = Annotated[float, within(0.0, 1e9)]


def wrong(where: str, expected: str, value: Any) -> RecordError:
    """Return the error for a field with a wrong value."""
    shown = _shown(value)
    shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
    return RecordError(f"A record's field {_name(where or 'itself')}: expected {expected}, got {shown}.")


def _name(where: str) -> str:
    """Return the name of a field for a message; anyone may have written it."""
    return repr(where if len(where) <= LONGEST_WHERE else f"{where[:LONGEST_WHERE]}...")


def _shown(value: Any) -> str:
    """Return a value for a message, without ever writing out a long text."""
    if isinstance(value, (str, bytes)):
        return repr(value[: SHOWN + 1])
    try:
        return repr(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits
        return f"a value of type {type(value).__name__}"


def block(kind: type, value: Any, where: str) -> Any:
    """Return a dataclass of plain values, which must have exactly its fields."""
    if not isinstance(value, dict):
        raise wrong(where, "an object", value)
    hints, before = readers_of(kind), f"{where}." if where else ""
    for name in hints:
        if name not in value:
            raise RecordError(f"A record's field {_name(before + name)} is missing.")
    for name in value:
        if name not in hints:
            raise RecordError(f"A record has an unknown field {_name(before + name)}. Expected: {', '.join(hints)}.")
    return kind(**{name: read(value[name], before + name) for name, read in hints.items()})


def plain_fields(value: Any) -> Any:
    """Return a dataclass as the plain values that `block` reads, as `asdict` does, but without a copy of each.

    Example:
        >>> plain_fields((within(0, 1).schema, None))
        ({'minimum': 0, 'maximum': 1}, None)
    """
    kind = type(value)
    if kind in SCALARS:
        return value
    if kind is dict:
        return {name: plain_fields(one) for name, one in value.items()}
    if kind in (list, tuple):
        return kind(map(plain_fields, value))
    names = getattr(kind, "__dataclass_fields__", None)
    return value if names is None else {name: plain_fields(getattr(value, name)) for name in names}


Reader = Callable[[Any, str], Any]
"""From a plain value and its place to the value of the field."""


@cache
def readers_of(kind: type) -> dict[str, Reader]:
    """Return the reader of each field, by name, in order; made once, since tables have a hundred thousand rows."""
    hints = get_type_hints(kind, include_extras=True)
    return {one.name: _reader(hints[one.name]) for one in fields(kind)}


def _reader(hint: Any) -> Reader:
    """Return the reader of values of a type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if NoneType in arguments:
        inner = _reader(next(one for one in arguments if one != NoneType))
        return lambda value, where: None if value is None else inner(value, where)
    if origin is Annotated:
        return partial(_limited, _reader(arguments[0]), arguments[1])
    if is_dataclass(hint):
        return partial(block, hint)  # type: ignore[arg-type]
    if hint is Any:
        return _plain
    if origin is not None:
        return _compound(origin, arguments)
    return _finite if hint is float else partial(_exact, hint)


def _limited(read: Reader, limit: Limit, value: Any, where: str) -> Any:
    found = read(value, where)
    if not limit.holds(found):
        raise wrong(where, limit.words, found)
    return found


def _exact(kind: type, value: Any, where: str) -> Any:
    if type(value) is not kind:
        raise wrong(where, {str: "text", int: "a whole number", bool: "true or false"}[kind], value)
    return _simple(value, where)


def _compound(origin: Any, arguments: tuple[Any, ...]) -> Reader:
    if origin is Literal:
        return partial(_one_of, arguments)
    if origin is dict:
        return partial(_named, _reader(arguments[1]))
    return partial(_listed, _reader(arguments[0]), None if Ellipsis in arguments else len(arguments))


def _one_of(choices: tuple[Any, ...], value: Any, where: str) -> Any:
    if not any(type(value) is type(one) and value == one for one in choices):
        raise wrong(where, f"one of {', '.join(map(str, choices))}", value)
    return value


def _named(read: Reader, value: Any, where: str) -> dict[str, Any]:
    _check_keys(value, where)
    return {name: read(one, f"{where}.{name}") for name, one in value.items()}


def _listed(read: Reader, count: int | None, value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)) or count not in (None, len(value)):
        raise wrong(where, "a list" if count is None else f"a list of {count}", value)
    return tuple(read(one, f"{where}[{place}]") for place, one in enumerate(value))


def _simple(value: Any, where: str) -> Any:
    """Return a text, a whole number or a truth value; refuse what files and tables cannot store."""
    if type(value) is int and abs(value) > LARGEST:
        raise wrong(where, f"a whole number up to {LARGEST}", value)
    if type(value) is str:
        if not value.isascii() and not encodable(value):
            raise wrong(where, "valid UTF-8 text", ascii(value[:SHOWN]))
        if len(value) > LONGEST:
            raise wrong(where, f"at most {LONGEST:,} letters", value)
    return value


def encodable(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8, which names of files need not be."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _finite(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(_simple(value, where)):
        raise wrong(where, "a finite number", value)
    if abs(value) > GREATEST:
        raise wrong(where, f"a number up to {GREATEST:g}", value)
    return float(value)


def _plain(value: Any, where: str) -> Any:
    """Return any value that JSON can hold."""
    if value is None or type(value) in (bool, int, str):
        return _simple(value, where)
    if type(value) is float:
        return _finite(value, where)
    if isinstance(value, (list, tuple)):
        return [_plain(one, f"{where}[{place}]") for place, one in enumerate(value)]
    _check_keys(value, where)
    return {name: _plain(one, f"{where}.{name}") for name, one in value.items()}


def _check_keys(value: Any, where: str) -> None:
    if not isinstance(value, dict) or not all(type(name) is str for name in value):
        raise wrong(where, "values that JSON can hold, by name", value)
    for name in value:
        _simple(name, where)


VERSION = 2
"""Changes when reading refuses what it accepted before, such as values beyond a range that became narrower."""

AHEAD = timedelta(days=1)
"""How far the clocks of two machines may differ."""

AHEAD_OF_CLOCK = "ahead of the clock of this machine"

TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[zZ]|[+-]\d\d:?\d\d)?)?", re.ASCII)
LONGEST_TIME = 40

ROUNDING = 1e-6
"""How far a value may lie beyond the range of its metric, as a share of its end or of 1."""

TRUTH = Term("accuracy", "share of held-out examples that are classified rightly", bounded=True)
"""The result of fine-tuning, which is not a metric of the registry."""


def rules() -> str:
    """Return a hash of the rules for records, so that tables that were read by other rules are read again."""
    terms = [(name, repr(metric.terms)) for name, metric in sorted(all_metrics().items())]
    return hashlib.blake2b(repr((VERSION, terms)).encode(), digest_size=16).hexdigest()


def check_time(where: str, text: str) -> None:
    """Refuse a field with a time that cannot be read, or is more than a day ahead."""
    found = time_of(text)
    if found is None:
        raise wrong(where, "a time such as 2025-01-31T12:00:00+00:00", text)
    if found - datetime.now(timezone.utc) > AHEAD:
        raise wrong(where, f"a time at most a day {AHEAD_OF_CLOCK}", text)


def time_of(text: str) -> datetime | None:
    """Return the time in a text, which is UTC if it has no time zone; None if it is not a time.

    Example:
        >>> time_of("2025-01-01T00:00:00-01:00").isoformat(), time_of("2025-01-01").year, time_of("soon")
        ('2025-01-01T01:00:00+00:00', 2025, None)
    """
    if len(text) > LONGEST_TIME or TIME.fullmatch(text) is None:
        return None
    try:
        found = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
        return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def is_possible(value: float, term: Term) -> bool:
    """Return whether a metric can give a value."""
    low, high = term.range
    return low - ROUNDING * max(1.0, abs(low)) <= value <= high + ROUNDING * max(1.0, abs(high))


def range_of(term: Term) -> str:
    """Return the range of a term in words."""
    low, high = term.range
    if low == float("-inf"):
        return f"up to {high:g}"
    return f"from {low:g} on" if high == float("inf") else f"from {low:g} to {high:g}"


def is_regression(task: str) -> bool:
    """Return whether rows of a task have targets instead of classes; tables of others do not say how many classes.

    Example:
        >>> is_regression("text-regression"), is_regression("text-classification")
        (True, False)
    """
    return task in TASKS and TASKS[task].truth == "targets"


SCHEMA_VERSION = 3

BASELINES = ("downloads", "feature_width", "parameter_count", "random_order")
"""The trivial baselines of version 1."""


def migrated(plain: Any) -> Any:
    """Return a record's plain values in this version; those of a newer version raise RecordError."""
    version = plain.get("schema_version") if isinstance(plain, dict) else SCHEMA_VERSION
    if type(version) is int and version > SCHEMA_VERSION:
        raise RecordError(
            f"This record has schema version {version}, but this version of the package only reads up to "
            f"{SCHEMA_VERSION}. Install a newer one: pip install -U hf-transfer-score."
        )
    if version is not None and (type(version) is not int or version < 1):
        raise wrong("schema_version", f"a whole number from 1 to {SCHEMA_VERSION}", version)
    for step in range(SCHEMA_VERSION if version is None else version, SCHEMA_VERSION):
        plain = {**MIGRATIONS[step](plain), "schema_version": step + 1}
    return plain


def _from_1(plain: dict[str, Any]) -> dict[str, Any]:
    """Version 2 distinguishes scores from baselines and truth, and has overlap, interval level, facts and source."""
    found = {**dict.fromkeys(("interval_level", "overlap", "source")), "facts": {"license": None, "downloads": None}}
    found |= plain
    metric = plain.get("metric")
    if isinstance(metric, dict):
        kind = "baseline" if metric.get("name") in BASELINES else "score"
        found["metric"] = {"version": 1, "kind": kind, **metric}
    return found


def _from_2(plain: dict[str, Any]) -> dict[str, Any]:
    """Version 3 says what a model is related to."""
    facts = plain.get("facts")
    if not isinstance(facts, dict):
        return plain
    return {**plain, "facts": dict.fromkeys(("family", "architecture", "base_model", "pretrained_on")) | facts}


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1, 2: _from_2}
"""From each version to the next one."""
