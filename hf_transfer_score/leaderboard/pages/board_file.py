"""A board as CSV, with full precision."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.records.record import FACTS
from hf_transfer_score.text import csv_text

BEFORE = ("rank", "low", "high", "group", "mean_rank", "model", "label", "commit", "library", "layer", "pooling")
EXPECTED = (
    *("best_probability", "points_below_best", "points_below_low", "points_below_high"),
    *("expected_accuracy", "expected_low", "expected_high"),
)
"""The columns of a forecast."""
AFTER = ("accuracy", "parameters", "width", *FACTS, "throughput", "device", "source", "time")
"""Fields of a row before and after its scores."""


def board_csv(board: Board, rows: Iterable[BoardRow]) -> str:
    """Return some rows of a board as CSV: facts, pool scores, raw terms and their intervals."""
    columns = list(board.columns.values())
    terms = [(column.label, term) for column in columns for term in column.directions]
    header = [*BEFORE, *EXPECTED, *(column.label for column in columns), *AFTER]
    header += [f"{label}.{term}{end}" for label, term in terms for end in ("", ".low", ".high")]

    def line(row: BoardRow) -> list[Any]:
        scores, values, intervals = row.scores, row.terms, row.intervals
        one = row.forecast
        cells = [getattr(row, name) for name in BEFORE]
        if one is None:
            cells += [None] * len(EXPECTED)
        else:
            cells += [one.best_probability, *one.points_below_best, *(one.expected_accuracy or (None,) * 3)]
        cells += [scores.get(column.label) for column in columns]
        cells += [getattr(row, name) for name in AFTER]
        for label, term in terms:
            cells += [values.get(label, {}).get(term), *intervals.get(label, {}).get(term, (None, None))]
        return cells

    return csv_text(header, map(line, rows))
