"""A board as CSV, with every digit that the records have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hf_transfer_score.leaderboard.boards.board import Board, BoardColumn, BoardRow
from hf_transfer_score.text import csv_text

BEFORE = ("rank", "low", "high", "group", "mean_rank", "model", "label", "commit", "library", "layer", "pooling")
AFTER = ("accuracy", "parameters", "width", "license", "downloads", "throughput", "device", "source", "time")


def board_csv(board: Board, rows: Iterable[BoardRow]) -> str:
    """Return some rows of a board as CSV: facts, the pool score of each column, raw terms and their intervals."""
    columns = list(board.columns.values())
    terms = [(column, term) for column in columns for term in column.directions]
    return csv_text(_header(columns, terms), (_line(row, columns, terms) for row in rows))


def _header(columns: Sequence[BoardColumn], terms: Sequence[tuple[BoardColumn, str]]) -> list[str]:
    names = [*BEFORE, *(column.label for column in columns), *AFTER]
    for column, term in terms:
        names += [f"{column.label}.{term}", f"{column.label}.{term}.low", f"{column.label}.{term}.high"]
    return names


def _line(row: BoardRow, columns: Sequence[BoardColumn], terms: Sequence[tuple[BoardColumn, str]]) -> list[Any]:
    line: list[Any] = [getattr(row, name) for name in BEFORE]
    line += [row.scores.get(column.label) for column in columns]
    line += [getattr(row, name) for name in AFTER]
    for column, term in terms:
        low, high = row.intervals.get(column.label, {}).get(term, (None, None))
        line += [row.terms.get(column.label, {}).get(term), low, high]
    return line
