"""What a record may say, beyond the types of its values: what its metric can give, and a time that is not ahead."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Protocol

from hf_transfer_score.metrics.registry import Term, all_metrics
from hf_transfer_score.records.checks import wrong

VERSION = 1
"""Changes when reading refuses what it accepted before, such as values beyond a range that became narrower."""

ROUNDING = 1e-6
"""How far a value may lie beyond the range of its metric, as a share of its end or of 1."""

AHEAD = timedelta(days=1)
"""How far the clocks of two machines may differ."""

TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[zZ]|[+-]\d\d:?\d\d)?)?", re.ASCII)
LONGEST_TIME = 40
TRUTH = Term("accuracy", "share of held-out examples that are classified rightly", bounded=True)
"""The result of fine-tuning, which is not a metric of the registry."""


class Named(Protocol):
    """A metric in a record."""

    @property
    def name(self) -> str:
        """The metric's name."""
        ...

    @property
    def kind(self) -> str:
        """Its kind: "score", "baseline" or "truth"."""
        ...

    @property
    def directions(self) -> Mapping[str, int]:
        """By term, 1 if higher is better."""
        ...


def check_metric(
    metric: Named, terms: Mapping[str, float], interval: Mapping[str, tuple[float, float]] | None = None
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
        if name in known and not _is_possible(value, known[name]):
            raise wrong(f"terms.{name}", f"a number {_range(known[name])}, as {metric.name} gives it", value)
    for name, ends in (interval or {}).items():
        if name in known and known[name].bounded and not all(_is_possible(end, known[name]) for end in ends):
            raise wrong(f"interval.{name}", f"numbers {_range(known[name])}", list(ends))


def rules() -> str:
    """Return a hash of the rules for records, so that tables that were read by other rules are read again."""
    terms = [(name, repr(metric.terms)) for name, metric in sorted(all_metrics().items())]
    return hashlib.blake2b(repr((VERSION, terms)).encode(), digest_size=16).hexdigest()


def _is_possible(value: float, term: Term) -> bool:
    low, high = term.range
    return low - ROUNDING * max(1.0, abs(low)) <= value <= high + ROUNDING * max(1.0, abs(high))


def _range(term: Term) -> str:
    low, high = term.range
    if low == float("-inf"):
        return f"up to {high:g}"
    return f"from {low:g} on" if high == float("inf") else f"from {low:g} to {high:g}"


def check_time(where: str, text: str, now: datetime | None = None) -> None:
    """Refuse a time that cannot be read, or is more than a day ahead.

    Args:
        where: the field.
        text: its value.
        now: the present time; None for that of this machine.
    """
    found = time_of(text)
    if found is None:
        raise wrong(where, "a time such as 2025-01-31T12:00:00+00:00", text)
    if found - (now or datetime.now(timezone.utc)) > AHEAD:
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
