"""The rows of a table of records as numbers: checked, grouped and counted without a loop over them.

A table may come from anybody. Invalid rows are left out and counted; the others stay.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import RecordError
from hf_transfer_score.ranking.history import MeasuredColumn
from hf_transfer_score.records.checks import time_of
from hf_transfer_score.records.coded import Coded, Codes, Mask, coded, grouped
from hf_transfer_score.records.record import plain_record
from hf_transfer_score.records.table import RecordTable

MODEL = ("id", "revision", "commit", "library", "layer", "pooling", "dtype", "width", "details")
"""What distinguishes models. The number of parameters follows from it, however it was counted."""
METRIC = ("name", "version", "kind", "parameters", "directions")
KEY = ("task", "id", "config", "split", "fingerprint")
STATUSES = ("ok", "failed", "skipped")
KINDS = ("score", "baseline", "truth")
LARGEST = 1e150
"""Terms are smaller than this, so that their sums and differences are finite too."""
OLDEST = -math.inf
"""The time of rows whose time cannot be read."""

_NUMBER = r"-?(?:0|[1-9]\d{0,30})(?:\.\d+)?(?:[eE][+-]?\d{1,2})?"
_NAME = r'"[^"\\\x00-\x1f]*"'
_TERM, _ENDS = f"{_NAME}:{_NUMBER}", rf"{_NAME}:\[{_NUMBER},{_NUMBER}\]"
PLAIN_TERMS = rf"^\{{{_TERM}(?:,{_TERM})*\}}$"
PLAIN_INTERVALS = rf"^\{{(?:{_ENDS}(?:,{_ENDS})*)?\}}$"
"""Texts as the package writes them, which need no closer look; all others are parsed one by one."""


@dataclass
class RecordRows:
    """Columns of a table as they are needed, its sound rows, why the others are bad, and what forecasts learn from."""

    table: RecordTable
    bad: dict[int, str] = field(default_factory=dict)
    columns: dict[bytes, MeasuredColumn] = field(default_factory=dict)
    _coded: dict[str, Coded] = field(default_factory=dict)
    _numbers: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sound = np.ones(len(self.table), bool)
        for reason, passed in _checks(self):
            self.refuse(np.flatnonzero(self.sound & ~passed), reason)

    def refuse(self, rows: Iterable[int], reason: str) -> None:
        """Leave rows out from now on, for a reason."""
        for row in rows:
            self.bad.setdefault(int(row), reason)
            self.sound[row] = False

    def coded(self, name: str) -> Coded:
        """Return a column as codes."""
        if name not in self._coded:
            self._coded[name] = coded(self.table.data.column(name))
        return self._coded[name]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column of numbers, NaN where one is missing."""
        import pyarrow

        if name not in self._numbers:
            found = self.table.data.column(name).cast(pyarrow.float64(), safe=False).fill_null(math.nan)
            self._numbers[name] = np.asarray(found.to_numpy(), np.float64)
        return self._numbers[name]

    def texts(self, name: str, rows: Codes) -> list[str | None]:
        """Return some rows of a text column."""
        found: list[str | None] = self.table.data.column(name).take(rows).to_pylist()
        return found

    def contents(self, name: str, rows: Codes) -> list[Any]:
        """Return the contents of some checked rows of a JSON column; parsing them all at once is far faster."""
        found: list[Any] = json.loads(f"[{','.join(text or 'null' for text in self.texts(name, rows))}]")
        return found

    def grouped(self, names: Iterable[str]) -> Codes:
        """Return a number for each row, equal for rows that agree in all the columns."""
        return grouped((self.coded(name).codes for name in names), len(self.table))


def seconds(text: str) -> float:
    """Return a time in seconds; an unreadable one is before all others."""
    found = time_of(text)
    return OLDEST if found is None else found.timestamp()


def finite(value: Any) -> bool:
    """Whether a value is a finite number of a sensible size."""
    return type(value) in (int, float) and abs(value) < LARGEST


def parsed(text: str | None) -> Any:
    """Return what a JSON text holds, None if it is not valid."""
    try:
        return None if text is None else plain_record(text)
    except RecordError:
        return None


def holds(kind: type[dict[str, Any] | list[Any]], test: Callable[[Any], bool] = lambda _: True) -> Callable[..., bool]:
    """Return a test for JSON texts: is it an object or a list, all of whose values pass another test?"""

    def passes(text: str | None) -> bool:
        found = parsed(text)
        return isinstance(found, kind) and all(map(test, found.values() if isinstance(found, dict) else found))

    return passes


def _checks(rows: RecordRows) -> Iterable[tuple[str, Mask]]:
    """Yield reasons for leaving a row out, each with the rows that pass."""
    for name in ("model_id", "dataset_id", "dataset_task", "dataset_fingerprint", "run_time"):
        yield f"{name} is missing", rows.coded(name).where(bool)
    yield "the number of examples is missing", rows.numbers("dataset_examples") >= 0
    status = rows.coded("status")
    ok, failed = status.where(lambda value: value == "ok"), status.where(lambda value: value == "failed")
    yield "the status is not known", status.where(lambda value: value in STATUSES)
    named = rows.coded("metric_name").where(bool)
    unmeasured = failed & rows.coded("metric_kind").where(lambda value: value == "truth")
    yield "a failed model has a metric, or a metric has no name", (named != failed) | (named & unmeasured)
    yield "it does not say why there are no terms", ok | rows.coded("reason").where(bool)
    yield "a failure has no kind", ~failed | rows.coded("kind").where(bool)
    version = rows.coded("metric_version").where(lambda value: value >= 0)
    known = rows.coded("metric_kind").where(lambda value: value in KINDS)
    yield "the metric's version or kind is not known", failed | (version & known)
    signs = holds(dict, lambda one: type(one) is int and one in (1, -1))
    for name, test in (("metric_parameters", holds(dict)), ("metric_directions", signs)):
        yield f"{name} are not as they should be", failed | rows.coded(name).where(test)
    yield "model_details are no JSON object", rows.coded("model_details").where(holds(dict))
    yield "the warnings are no list of texts", rows.coded("warnings").where(holds(list, lambda one: type(one) is str))
    terms = _matching(rows, "terms", PLAIN_TERMS, lambda text: holds(dict, finite)(text) and parsed(text) != {})
    yield "the terms are no finite numbers", ~ok | terms
    ends = holds(
        dict, lambda one: isinstance(one, list) and len(one) == 2 and all(map(finite, one)) and one[0] <= one[1]
    )
    intervals = _matching(rows, "interval", PLAIN_INTERVALS, ends)
    yield "the intervals are not two ordered numbers each", intervals
    level = rows.numbers("interval_level")
    yield "the level of the intervals is no share", np.isnan(level) | ((level > 0) & (level < 1))


def _matching(rows: RecordRows, name: str, pattern: str, test: Callable[[str | None], bool]) -> Mask:
    """Return the rows whose text matches the pattern, or else passes a test."""
    from pyarrow import compute

    column = rows.table.data.column(name)
    passed = compute.match_substring_regex(column, pattern).fill_null(False)
    found = np.array(passed.to_numpy(), bool)
    for row in np.flatnonzero(~found):
        found[row] = test(column[int(row)].as_py())
    return found


@dataclass(frozen=True)
class Groups:
    """The groups that each row of the table belongs to.

    Attributes:
        board: code of the board; rows that are left out have one too.
        family: code of task, dataset and configuration.
        block: code of the model.
        newest: rank of the row by time, the oldest first.
        scored: rows with terms of a score or a baseline.
        truth: rows with a measured accuracy.
        without: rows of models or metrics without terms.
    """

    board: Codes
    family: Codes
    block: Codes
    newest: Codes
    scored: Mask
    truth: Mask
    without: Mask


def groups(rows: RecordRows) -> Groups:
    """Return the groups of the rows."""
    from pyarrow import compute

    keys: list[Codes] = []  # order by time; ties are broken by content, not by position
    for name in ("identity", "path", "terms"):
        whole = rows.table.data.column(name).combine_chunks()
        ranks = compute.rank(whole, sort_keys="ascending", tiebreaker="min")
        keys.insert(0, np.asarray(ranks.to_numpy(zero_copy_only=False), np.int64))
        if len(np.unique(keys[0])) == len(keys[0]):  # no tie is left, as in most tables
            break
    time = rows.coded("run_time")
    order = np.lexsort([*keys, np.array([*map(seconds, time.values), OLDEST])[time.codes]])
    newest = np.empty(len(order), np.int64)
    newest[order] = np.arange(len(order))
    ok = rows.sound & rows.coded("status").where(lambda value: value == "ok")
    truth = rows.coded("metric_kind").where(lambda value: value == "truth")
    return Groups(
        board=rows.grouped(f"dataset_{name}" for name in KEY),
        family=rows.grouped(("dataset_task", "dataset_id", "dataset_config")),
        block=rows.grouped(f"model_{name}" for name in MODEL),
        newest=newest,
        scored=ok & ~truth,
        truth=ok & truth,
        without=rows.sound & ~ok & ~truth,
    )
