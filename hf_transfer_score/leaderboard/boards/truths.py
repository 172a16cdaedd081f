"""Measured accuracies of a board: which ones count, and how they were measured."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from hf_transfer_score.leaderboard.boards.rows import Codes, RecordRows, parsed
from hf_transfer_score.ranking.settings import Setting, described

SEED = "seed"
OTHER_SAMPLE = "The accuracies were measured with another sample of this dataset."
LOWER = "A measurement where lower is better ({}) is not shown as accuracy."


@dataclass(frozen=True)
class Measurement:
    """One measured accuracy.

    Attributes:
        model: the id.
        commit: the full commit, None where it is not known.
        value: the accuracy.
    """

    model: str
    commit: str | None
    value: float


@dataclass(frozen=True)
class BoardTruth:
    """The accuracies of one way of measuring.

    Attributes:
        label: how they were measured; None where none were.
        exact: whether with the very sample of the board.
        found: the measurements by model id.
        notes: what to know about them.
    """

    label: str | None = None
    exact: bool = True
    found: dict[str, list[Measurement]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of(self, model: str, commit: str | None) -> tuple[float, ...]:
        """Return the measurements of a model; a commit has to be the same where both are known."""
        return tuple(
            one.value
            for one in self.found.get(model, ())
            if one.commit is None or commit is None or one.commit == commit
        )


def truth_of(rows: RecordRows, own: Codes, others: Codes, models: Collection[str], newest: Codes) -> BoardTruth:
    """Return the accuracies for a board.

    Args:
        rows: of the table.
        own: truth rows of the very sample.
        others: truth rows of other samples of the dataset; they count where there are no others.
        models: ids on the board; the way of measuring that most of them have counts, of equals full fine-tuning.
        newest: rank of each row by time; of two rows of one measurement the newer counts.
    """
    exact = bool(len(own))
    ways = _ways(rows, _latest(rows, own if exact else others, newest))
    notes = [LOWER.format(setting.name) for setting, sign in ways if sign < 0]
    upward = {setting: found for (setting, sign), found in ways.items() if sign > 0}
    if not upward:
        return BoardTruth(notes=tuple(dict.fromkeys(notes)))
    ids = {setting: {one.model for one in found} for setting, found in upward.items()}
    best = min(
        upward, key=lambda one: (-len(ids[one] & set(models)), -len(ids[one]), not _is_full(one), described(one))
    )
    by_model: dict[str, list[Measurement]] = defaultdict(list)
    for measurement in upward[best]:
        by_model[measurement.model].append(measurement)
    if not exact:
        notes.append(OTHER_SAMPLE)
    return BoardTruth(_label(best, len(upward) - 1), exact, dict(by_model), tuple(dict.fromkeys(notes)))


def _is_full(setting: Setting) -> bool:
    """Return whether everything was fine-tuned, which is what a ranking is meant to predict."""
    return bool(parsed(setting.parameters).get("method") == "full")


def _label(best: Setting, left_out: int) -> str:
    if not left_out:
        return described(best)
    others = "another way" if left_out == 1 else f"{left_out} other ways"
    return f"{described(best)}, the most frequent one; {others} of measuring left out"


def _latest(rows: RecordRows, chosen: Codes, newest: Codes) -> Codes:
    """Return the newest row of each measurement, in an order that does not depend on that of the table."""
    names = [f"model_{name}" for name in ("id", "commit", "revision", "library", "layer", "pooling", "dtype")]
    names += ["model_details", "metric_name", "metric_version", "metric_parameters", "dataset_fingerprint"]
    latest: dict[tuple[int, ...], int] = {}
    columns = [rows.coded(name).codes for name in names]
    for row in sorted(chosen.tolist(), key=newest.__getitem__):
        latest[tuple(int(codes[row]) for codes in columns)] = row
    return np.array(sorted(latest.values(), key=newest.__getitem__), np.int64)


def _ways(rows: RecordRows, chosen: Codes) -> dict[tuple[Setting, int], list[Measurement]]:
    """Return measurements by how they were made, seeds aside, and whether higher is better."""
    found: dict[tuple[Setting, int], list[Measurement]] = defaultdict(list)
    model, commit = rows.coded("model_id"), rows.coded("model_commit")
    for row, text in zip(chosen.tolist(), rows.texts("terms", chosen), strict=True):
        terms, setting = parsed(text), _setting(rows, row)
        name = setting.name if setting.name in terms else next(iter(sorted(terms)))
        sign = parsed(rows.coded("metric_directions").at(row)).get(name, 1)
        found[setting, sign].append(Measurement(model.at(row), commit.at(row), float(terms[name])))
    return found


def _setting(rows: RecordRows, row: int) -> Setting:
    options = parsed(rows.coded("metric_parameters").at(row))
    text = json.dumps({name: value for name, value in options.items() if name != SEED}, sort_keys=True)
    return Setting(rows.coded("metric_name").at(row), rows.coded("metric_version").at(row), text)


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, None of no values."""
    return float(np.mean(values)) if values else None
