"""One board made from the rows of its sample, with the measured accuracies that it shows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hf_transfer_score.leaderboard.boards.board import Board, BoardFailure, BoardRow, BoardSummary
from hf_transfer_score.leaderboard.boards.pooling import Cells, Order, cells_of, ordered, sureness
from hf_transfer_score.leaderboard.boards.rows import MODEL, Groups, RecordRows, parsed
from hf_transfer_score.ranking.confidence import RankConfidence
from hf_transfer_score.ranking.history import ANOTHER, REPEATED
from hf_transfer_score.ranking.pools import HeadlineRanks
from hf_transfer_score.ranking.settings import Setting, described, row_labels
from hf_transfer_score.records.checks import TRUTH
from hf_transfer_score.records.coded import Coded, Codes
from hf_transfer_score.records.record import FACTS

SKIPPED = "skipped"
"""The kind of failure where no metric could be computed for a model."""

LEAST_SECONDS = 1e-9
"""Of a forward pass; a shorter one was not measured."""

MEASUREMENT = (
    *(f"model_{name}" for name in ("id", "commit", "revision", "library", "layer", "pooling", "dtype", "details")),
    *("metric_name", "metric_version", "metric_parameters", "dataset_fingerprint"),
)
"""Columns that distinguish measured accuracies."""


@dataclass(frozen=True)
class Built:
    """A board in the order of its metrics, without rank ranges and groups, and what it was made from.

    `rows` are those of the table by the label of a model, in the order of the columns (`cells`); `order` is that of the
    models that have all metrics that decide.
    """

    board: Board
    rows: Mapping[str, tuple[int, ...]]
    cells: Sequence[Cells]
    order: HeadlineRanks

    def sure(self) -> Board:
        """Return the board with rank ranges and groups, which take a moment and are remembered."""
        if "sure" not in self.board.memo:
            self.board.memo["sure"] = self._sure()
        found: Board = self.board.memo["sure"]
        return found

    def _sure(self) -> Board:
        confidence, known = sureness(self.cells, list(self.rows), self.order)
        found, ranked = self.board, len(self.order.ranks)
        scored, notes = sum(bool(row.scores) for row in found.rows), []
        if found.rows and not scored:
            notes.append("No model of this board has a score, so metrics cannot rank it; rank it by the forecast.")
        if self.order.metrics and ranked < scored:
            lacking = " and ".join(self.order.metrics)
            notes.append(f"{scored - ranked} of {scored} models have no rank: they lack {lacking}.")
        if confidence is not None:
            rows = [_sure_row(row, confidence, known[row.label]) if row.label in known else row for row in found.rows]
            found = replace(found, rows=tuple(rows))
            if exact := sum(not one for one in known.values()):
                notes.append(
                    f"{exact} of {ranked} models have no intervals, so their ranks have no range; "
                    "the ranges of the others treat their values as exact."
                )
        return replace(found, notes=(*notes, *found.notes))


def _sure_row(row: BoardRow, confidence: RankConfidence, known: bool) -> BoardRow:
    """Return a ranked row with its range and group, if its intervals are known."""
    rank = confidence.ranks[row.label]
    if not known:
        return replace(row, rank=rank)
    low, high = confidence.ranges[row.label]
    return replace(row, rank=rank, low=low, high=high, group=confidence.groups[row.label])


@dataclass(frozen=True)
class BoardTruth:
    """The accuracies of one way of measuring, by model id with the commit (None if unknown) of each measurement.

    The label says how they were measured, None where none were; `exact` that it was with the very sample of the board.
    `ways` are the means of all ways of measuring.
    """

    label: str | None = None
    method: str | None = None
    exact: bool = True
    found: Mapping[str, Sequence[tuple[str | None, float]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    ways: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def of(self, model: str, commit: str | None) -> dict[str, Any]:
        """Return the accuracy fields for a row of a model; commits must agree where both are known."""
        mine = [value for other, value in self.found.get(model, ()) if other is None or commit in (None, other)]
        mean = float(np.mean(mine)) if len(mine) > 1 else next(iter(mine), None)
        return {"accuracy": mean, "accuracies": tuple(mine)}


def build(rows: RecordRows, grouped: Groups, summary: BoardSummary, board: int) -> Built:
    """Return the board with this code."""
    mine = np.flatnonzero((grouped.board == board) & rows.sound)
    chosen = mine[grouped.scored[mine]]
    blocks, models = _models(rows, grouped, chosen)
    labels = row_labels(blocks)
    cells, left = cells_of(rows, chosen, models, grouped.newest, len(labels))
    found = ordered(cells, labels)
    others = np.flatnonzero(grouped.truth & rows.sound & (grouped.family == (grouped.family[mine[0]])))
    truth = truth_of(rows, mine[grouped.truth[mine]], others, {block["id"] for block in blocks}, grouped.newest)
    table = np.array([one.rows for one in cells], np.int64).reshape(len(cells), len(labels))
    own = [column[column >= 0] for column in table.T]
    shown = _rows(rows, grouped.newest, blocks, dict(zip(labels, own, strict=True)), found, truth)
    scored = {row.model for row in shown}
    if truth.exact:  # models with an accuracy on this very sample and no score
        bare = sorted(name for name in truth.found if name not in scored)
        shown += [BoardRow(label=name, model=name, **truth.of(name, None)) for name in bare]
    what = "columns of metrics that this package does not know, or of further settings, are left out"
    notes = (*truth.notes, f"{left:,} {what}: those with the most models are shown.") if left else truth.notes
    made = Board(
        summary=summary,
        columns=found.columns,
        rows=tuple(shown),
        failures=tuple(_failures(rows, grouped, mine, scored)),
        headline=found.headline.metrics,
        truth=truth.label,
        method=truth.method,
        ways=truth.ways,
        truth_exact=truth.exact,
        notes=notes,
    )
    by_label = {label: tuple(one.tolist()) for label, one in zip(labels, own, strict=True)}
    return Built(made, by_label, cells, found.headline)


def _models(rows: RecordRows, grouped: Groups, chosen: Codes) -> tuple[list[dict[str, Any]], Codes]:
    """Return the distinct models, in an order independent of the table's, and the place of each row's model."""
    _, first, index = np.unique(grouped.block[chosen], return_index=True, return_inverse=True)
    blocks = [{name: rows.coded(f"model_{name}").at(row) for name in MODEL} for row in chosen[first].tolist()]
    order = sorted(range(len(blocks)), key=lambda place: [str(value) for value in blocks[place].values()])
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return [blocks[place] for place in order], places[index.reshape(-1)]


@dataclass(frozen=True)
class _Told:
    """The rows of all models of a board, each model's newest first.

    Attributes:
        latest: rows of the table (R,).
        owner: the place of each row's model (R,).
        count: number of models (M).
    """

    latest: Codes
    owner: Codes
    count: int

    @classmethod
    def of(cls, own: Sequence[Codes], newest: Codes) -> _Told:
        """Return the rows of models, given for each of them."""
        owner = np.repeat(np.arange(len(own)), [len(one) for one in own])
        flat = np.concatenate([np.zeros(0, np.int64), *own])
        order = np.lexsort([-newest[flat], owner])
        return cls(flat[order], owner[order], len(own))

    def first(self, values: Codes) -> Codes:
        """Return the first value that is not negative for each model, out of those of all rows (R,); -1 for none."""
        there = np.flatnonzero(values >= 0)[::-1]
        found = np.full(self.count, -1, np.int64)
        found[self.owner[there]] = values[there]
        return found

    def known(self, column: Coded) -> list[Any]:
        """Return the newest known value of a column for each model."""
        codes = column.codes[self.latest]
        if "" in column.values:
            codes = np.where(codes == column.values.index(""), -1, codes)
        return [None if code < 0 else column.values[code] for code in self.first(codes).tolist()]


def _facts(rows: RecordRows, newest: Codes, own: Sequence[Codes]) -> list[dict[str, Any]]:
    """Return what the records of each model say besides terms: the newest known facts, and all warnings."""
    told = _Told.of(own, newest)
    columns = [told.known(rows.coded(name)) for name in (*FACTS, "model_parameters")]
    seconds, examples = rows.numbers("run_forward_seconds"), rows.numbers("dataset_examples")
    last, timed = (
        told.first(np.where(chosen, told.latest, -1)).tolist()
        for chosen in (np.ones(len(told.latest), bool), seconds[told.latest] > LEAST_SECONDS)
    )
    warnings, source, device, time = (rows.coded(name) for name in ("warnings", "source", "run_device", "run_time"))
    read = _read(warnings, told.latest.tolist())
    found = []
    for mine, facts, newest_row, row in zip(own, zip(*columns, strict=True), last, timed, strict=True):
        sources = dict.fromkeys(source.codes[mine].tolist())
        found.append(
            dict(zip((*FACTS, "parameters"), facts, strict=True))
            | {
                "throughput": float(examples[row] / seconds[row]) if row >= 0 else None,
                "device": device.at(row if row >= 0 else newest_row) if newest_row >= 0 else None,
                "warnings": tuple(dict.fromkeys(one for some in mine.tolist() for one in read[some])),
                "source": "; ".join(source.values[code] for code in sources if code >= 0 and source.values[code])
                or None,
                "time": time.at(newest_row) if newest_row >= 0 else "",
            }
        )
    return found


def _rows(
    rows: RecordRows,
    newest: Codes,
    blocks: Sequence[Mapping[str, Any]],
    own: Mapping[str, Codes],
    found: Order,
    truth: BoardTruth,
) -> list[BoardRow]:
    """Return the rows of models with terms, the best first, those without a rank last."""
    ranked, made = found.headline.ranks, {}
    facts = _facts(rows, newest, list(own.values()))
    for place, (block, label, known) in enumerate(zip(blocks, own, facts, strict=True)):
        made[label] = BoardRow(
            label=label,
            model=block["id"],
            **{name: block[name] for name in ("commit", "library", "layer", "pooling", "width")},
            columns=found.numbers,
            place=place,
            **truth.of(block["id"], block["commit"]),
            rank=ranked.get(label),
            mean_rank=found.headline.mean_ranks.get(label),
            **known,
        )
    return [made[label] for label in ranked] + [row for row in made.values() if row.label not in ranked and row.scores]


def _failures(rows: RecordRows, grouped: Groups, mine: Codes, scored: set[str]) -> list[BoardFailure]:
    """Return the newest reason for each model without a score, that of the model rather than of a metric."""
    status = rows.coded("status").where(lambda value: value == "failed")
    without = mine[grouped.without[mine]].tolist()
    found: dict[str, int] = {}
    for row in sorted(without, key=lambda one: (bool(status[one]), int(grouped.newest[one]))):
        found[rows.coded("model_id").at(row)] = row
    reason = dict(zip(found, rows.texts("reason", np.array(list(found.values()), np.int64)), strict=True))
    return [
        BoardFailure(name, rows.coded("kind").at(row) or SKIPPED, reason[name] or "", rows.coded("run_time").at(row))
        for name, row in sorted(found.items())
        if name not in scored
    ]


def truth_of(rows: RecordRows, own: Codes, others: Codes, models: Collection[str], newest: Codes) -> BoardTruth:
    """Return the accuracies for a board: of its very sample, or only if there are none, of others of the dataset.

    The way of measuring that most models on the board share counts, in a tie full fine-tuning; and of each measurement
    the newest row.
    """
    exact = bool(len(own))
    ways = _ways(rows, own if exact else others, newest)
    notes = [
        f"A measurement where lower is better ({setting.name}) is not shown as an accuracy."
        for setting, sign in ways
        if sign < 0
    ]
    upward = {setting: found for (setting, sign), found in ways.items() if sign > 0}
    if not upward:
        return BoardTruth(notes=tuple(dict.fromkeys(notes)))

    def preferred(one: Setting) -> tuple[int, int, bool, str]:
        is_full = parsed(one.parameters).get("method") == "full"  # what a ranking is meant to predict
        return -len(upward[one].keys() & set(models)), -len(upward[one]), not is_full, described(one)

    best = min(upward, key=preferred)
    method = best.options.get("method") if best.name == TRUTH.name else None
    label, left_out = described(best), len(upward) - 1
    if left_out:
        ways_out = "another way" if left_out == 1 else f"{left_out} other ways"
        label += f", the most frequent method; {ways_out} of measuring left out"
    if not exact:
        notes.append("The accuracies were measured with another sample of this dataset.")
    known = method if isinstance(method, str) else None
    every: dict[str, Mapping[str, float]] = {}
    for one in sorted(upward, key=lambda one: (one != best, -len(upward[one]), described(one))):
        name = str(one.options.get("method", ""))
        means = {model: float(np.mean([value for _, value in told])) for model, told in upward[one].items()}
        if one.name == TRUTH.name:
            possible = {model: value for model, value in means.items() if 0 <= value <= 1}
            every.setdefault(f"{name} ({ANOTHER})" if name in every else name, possible)
    return BoardTruth(label, known, exact, upward[best], tuple(dict.fromkeys(notes)), every)


def _read(column: Coded, chosen: Sequence[int]) -> dict[int, Any]:
    """Return the JSON contents of some checked rows by row; equal texts are parsed once."""
    codes = column.codes[np.array(chosen, np.int64)].tolist()
    read = {code: parsed(column.values[code]) for code in set(codes)}
    return {row: read[code] for row, code in zip(chosen, codes, strict=True)}


def _ways(
    rows: RecordRows, chosen: Codes, newest: Codes
) -> dict[tuple[Setting, int], dict[str, list[tuple[str | None, float]]]]:
    """Return the newest measurements by method, without the seed, and by direction."""
    columns = [rows.coded(name).codes for name in MEASUREMENT]
    in_time = chosen[np.argsort(newest[chosen])]
    latest = dict(zip(zip(*(codes[in_time].tolist() for codes in columns), strict=True), in_time.tolist(), strict=True))
    kept = sorted(latest.values(), key=newest.__getitem__)  # independent of the order of the table
    parameters, signs = (_read(rows.coded(name), kept) for name in ("metric_parameters", "metric_directions"))
    found: dict[tuple[Setting, int], dict[str, list[tuple[str | None, float]]]] = {}
    for row, terms in zip(kept, rows.contents("terms", np.array(kept, np.int64)), strict=True):
        how = without_seed(parameters[row])
        setting = Setting(rows.coded("metric_name").at(row), rows.coded("metric_version").at(row), how)
        name = setting.name if setting.name in terms else min(terms)
        sign = signs[row].get(name, 1)
        measured = (rows.coded("model_commit").at(row), float(terms[name]))
        by_model = found.setdefault((setting, sign), defaultdict(list))
        by_model[rows.coded("model_id").at(row)].append(measured)
    return found


def without_seed(parameters: Any) -> str:
    """Return the parameters of a measurement, except for the one in which repetitions differ, as text."""
    kept = parameters.items() if isinstance(parameters, dict) else ()
    return json.dumps({name: one for name, one in kept if name != REPEATED}, sort_keys=True)
