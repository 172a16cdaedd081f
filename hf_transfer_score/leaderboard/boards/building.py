"""One board from the rows of its sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_transfer_score.leaderboard.boards.board import (
    Board,
    BoardFailure,
    BoardRow,
    BoardSummary,
    ColumnNumbers,
    RowNumbers,
)
from hf_transfer_score.leaderboard.boards.pooling import Cells, Order, cells_of, ordered
from hf_transfer_score.leaderboard.boards.rows import MODEL, Codes, RecordRows, parsed
from hf_transfer_score.leaderboard.boards.summaries import Groups, size_of
from hf_transfer_score.leaderboard.boards.truths import BoardTruth, mean, truth_of
from hf_transfer_score.ranking.naming import row_labels

SKIPPED = "skipped"
"""The kind of failure of a model that no metric could be computed for."""


@dataclass(frozen=True)
class Built:
    """A board, and where its numbers are from.

    Attributes:
        board: what is shown.
        rows: rows of the table by the label of a model, those of the first columns first.
    """

    board: Board
    rows: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class _Models:
    """The models of a board.

    Attributes:
        blocks: their model blocks.
        labels: what they are called.
        rows: a row of the table for each.
        index: the model of each of the board's rows with terms.
    """

    blocks: list[dict[str, Any]]
    labels: list[str]
    rows: Codes
    index: Codes


def build(rows: RecordRows, grouped: Groups, summary: BoardSummary, board: int) -> Built:
    """Return a board.

    Args:
        rows: of the table.
        grouped: what belongs together.
        summary: of the board.
        board: its code.
    """
    mine = np.flatnonzero((grouped.board == board) & rows.sound)
    chosen = mine[grouped.scored[mine]]
    models = _models(rows, grouped, chosen)
    cells = cells_of(rows, chosen, models.index, grouped.newest, len(models.labels))
    found = ordered(cells, models.labels)
    truth = _truth(rows, grouped, mine, models)
    facts = _facts(rows, grouped, cells, models)
    shown = _rows(models, cells, found, facts, truth)
    scored = {row.model for row in shown}
    examples, classes = size_of(rows, mine)
    made = Board(
        summary=summary,
        columns={one.label: one for one in found.columns},
        rows=(*shown, *_measured_only(truth, scored)),
        failures=tuple(_failures(rows, grouped, mine, scored)),
        headline=found.headline.metrics,
        truth=truth.label,
        truth_exact=truth.exact,
        examples=examples,
        classes=classes,
        notes=(*_notes(found), *truth.notes),
    )
    places = {
        label: tuple(int(one.rows[place]) for one in cells if one.rows[place] >= 0)
        for place, label in enumerate(models.labels)
    }
    return Built(made, places)


def _models(rows: RecordRows, grouped: Groups, chosen: Codes) -> _Models:
    """Return the models of rows with terms, in an order that does not depend on that of the table."""
    _, first, index = np.unique(grouped.block[chosen], return_index=True, return_inverse=True)
    blocks = [{name: rows.coded(f"model_{name}").at(row) for name in MODEL} for row in chosen[first].tolist()]
    order = sorted(range(len(blocks)), key=lambda place: [str(value) for value in blocks[place].values()])
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    blocks = [blocks[place] for place in order]
    return _Models(blocks, row_labels(blocks), chosen[first][order], places[index.reshape(-1)])


def _truth(rows: RecordRows, grouped: Groups, mine: Codes, models: _Models) -> BoardTruth:
    family = grouped.family[mine[0]] if len(mine) else -1
    others = np.flatnonzero(grouped.truth & rows.sound & (grouped.family == family))
    own = mine[grouped.truth[mine]]
    return truth_of(rows, own, others, {block["id"] for block in models.blocks}, grouped.newest)


@dataclass(frozen=True)
class _Facts:
    """What the records of one model say besides terms.

    Attributes:
        parameters: as the newest record that knows them counted them.
        license: of the newest record that names one.
        downloads: likewise.
        throughput: examples a second of the newest record that has a time.
        device: where that was.
        warnings: of all records.
        source: of all records.
        time: of the newest record.
    """

    parameters: int | None
    license: str | None
    downloads: int | None
    throughput: float | None
    device: str | None
    warnings: tuple[str, ...]
    source: str | None
    time: str


def _facts(rows: RecordRows, grouped: Groups, cells: Sequence[Cells], models: _Models) -> list[_Facts]:
    table = np.array([one.rows for one in cells], np.int64).reshape(len(cells), len(models.labels))
    return [_facts_of(rows, grouped.newest, column[column >= 0]) for column in table.T]


def _facts_of(rows: RecordRows, newest: Codes, own: Codes) -> _Facts:
    """Return the facts of one model from its rows in the order of columns."""
    latest = own[np.argsort(-newest[own])].tolist()
    parameters, downloads = (
        _first(rows.numbers(name)[row] for row in latest) for name in ("model_parameters", "downloads")
    )
    timed = [row for row in latest if rows.numbers("run_forward_seconds")[row] > 0]
    seconds = rows.numbers("run_forward_seconds")[timed[0]] if timed else None
    warnings = dict.fromkeys(rows.coded("warnings").at(row) for row in own.tolist())
    sources = dict.fromkeys(rows.coded("source").at(row) for row in own.tolist())
    words = (rows.coded("license").at(row) for row in latest)
    return _Facts(
        parameters=None if parameters is None else int(parameters),
        license=next((word for word in words if word), None),
        downloads=None if downloads is None else int(downloads),
        throughput=None if seconds is None else float(rows.numbers("dataset_examples")[timed[0]] / seconds),
        device=rows.coded("run_device").at((timed or latest)[0]) if latest else None,
        warnings=tuple(dict.fromkeys(one for text in warnings for one in parsed(text))),
        source="; ".join(source for source in sources if source) or None,
        time=rows.coded("run_time").at(latest[0]) if latest else "",
    )


def _first(values: Any) -> float | None:
    return next((float(value) for value in values if not np.isnan(value)), None)


def _rows(
    models: _Models, cells: Sequence[Cells], found: Order, facts: Sequence[_Facts], truth: BoardTruth
) -> list[BoardRow]:
    """Return the rows of models with terms, the best first, then those without a rank."""
    columns = {
        one.column.label: ColumnNumbers(
            tuple(term.name for term in one.metric.terms),
            found.scores[:, place],
            found.ranks[:, place],
            one.values,
            one.low,
            one.high,
        )
        for place, one in enumerate(cells)
    }
    places = {label: place for place, label in enumerate(models.labels)}
    headline = {label: at for at, label in enumerate(found.headline.ranks)}
    rest = [
        label for label in models.labels if label not in headline and not np.isnan(found.scores[places[label]]).all()
    ]
    made = []
    for label in [*headline, *rest]:
        place = places[label]
        block, fact = models.blocks[place], facts[place]
        measured = truth.of(block["id"], block["commit"])
        made.append(
            BoardRow(
                label=label,
                model=block["id"],
                commit=block["commit"],
                library=block["library"],
                layer=block["layer"],
                pooling=block["pooling"],
                width=block["width"],
                numbers=RowNumbers(columns, place),
                accuracy=mean(measured),
                accuracies=measured,
                **_standing(found, label, headline.get(label)),
                **vars(fact),
            )
        )
    return made


def _standing(found: Order, label: str, at: int | None) -> dict[str, Any]:
    """Return the rank of a model, and how sure it is where that is known."""
    if at is None:
        return {}
    sure = found.confidence
    ranks = found.headline.ranks if sure is None else sure.ranks
    standing: dict[str, Any] = {"rank": ranks[label], "mean_rank": found.headline.mean_ranks[label]}
    if sure is not None and found.known[at]:
        low, high = sure.ranges[label]
        standing |= {"low": low, "high": high, "group": sure.groups[label]}
    return standing


def _measured_only(truth: BoardTruth, scored: set[str]) -> list[BoardRow]:
    """Return rows of models whose accuracy on this very sample is known, and nothing else."""
    names = sorted(name for name in truth.found if name not in scored) if truth.exact else []
    found = []
    for name in names:
        values = truth.of(name, None)
        found.append(BoardRow(label=name, model=name, accuracy=mean(values), accuracies=values))
    return found


def _failures(rows: RecordRows, grouped: Groups, mine: Codes, scored: set[str]) -> list[BoardFailure]:
    """Return the newest reason of each model that has no score; the failure of a model comes before a metric's."""
    status = rows.coded("status").where(lambda value: value == "failed")
    without = mine[grouped.without[mine]]
    found: dict[str, int] = {}
    for row in sorted(without.tolist(), key=lambda one: (bool(status[one]), int(grouped.newest[one]))):
        found[rows.coded("model_id").at(row)] = row
    reason = dict(zip(found, rows.texts("reason", np.array(list(found.values()), np.int64)), strict=True))
    return [
        BoardFailure(name, rows.coded("kind").at(row) or SKIPPED, reason[name] or "", rows.coded("run_time").at(row))
        for name, row in sorted(found.items())
        if name not in scored
    ]


def _notes(found: Order) -> list[str]:
    """Return what to know about ranks that are not there."""
    notes = []
    scored, ranked = int((~np.isnan(found.scores)).any(axis=1).sum()), len(found.headline.ranks)
    if found.headline.metrics and ranked < scored:
        lacking = " and ".join(found.headline.metrics)
        notes.append(f"{scored - ranked} of {scored} models have no rank: they lack {lacking}.")
    if found.confidence is not None and not all(found.known):
        exact = len(found.known) - sum(found.known)
        notes.append(
            f"{exact} of {ranked} models have no intervals, so their ranks have no range; "
            "the ranges of the others take their values as exact."
        )
    return notes
