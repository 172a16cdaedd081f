"""Records of earlier schema versions, brought up to date one version at a time.

A migration takes the plain values of one version and returns those of the next. It never invents measurements: a field
that an earlier version did not have gets the value that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hf_transfer_score.errors import RecordError
from hf_transfer_score.records.checks import wrong

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
