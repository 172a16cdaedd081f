"""A board as CSV, with every digit that the records have."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from hf_transfer_score.leaderboard.boards.board import Board, BoardColumn, BoardRow

RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Text that starts with one of these is a formula to a spreadsheet."""

BEFORE = ("rank", "low", "high", "group", "mean_rank", "model", "label", "commit", "library", "layer", "pooling")
AFTER = ("accuracy", "parameters", "width", "license", "downloads", "throughput", "device", "source", "time")


def board_csv(board: Board, rows: Iterable[BoardRow]) -> str:
    """Return some rows of a board as CSV: facts, the pool score of each column, raw terms and their intervals."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    columns = list(board.columns.values())
    terms = [(column, term) for column in columns for term in column.directions]
    writer.writerow(map(_cell, _header(columns, terms)))
    for row in rows:
        writer.writerow(map(_cell, _line(row, columns, terms)))
    return buffer.getvalue()


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


def _cell(value: Any) -> Any:
    """Return a cell as it is written; text that a spreadsheet would run gets an apostrophe before it."""
    if isinstance(value, str) and value.startswith(RUN_BY_SPREADSHEETS):
        return f"'{value}"
    return repr(value) if isinstance(value, float) else value
