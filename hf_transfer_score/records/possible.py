"""What values and times a record may have, and records of earlier schema versions, brought up to date step by step.

A migration takes the plain values of one version and returns those of the next. It never invents measurements: a field
that an earlier version did not have gets the value that says so.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from hf_transfer_score.errors import RecordError
from hf_transfer_score.metrics.registry import Term, all_metrics
from hf_transfer_score.records.checks import wrong

VERSION = 1
"""Changes when reading refuses what it accepted before, such as values beyond a range that became narrower."""

AHEAD = timedelta(days=1)
"""How far the clocks of two machines may differ."""

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
        raise wrong(where, "a time at most a day ahead of the clock of this machine", text)


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
