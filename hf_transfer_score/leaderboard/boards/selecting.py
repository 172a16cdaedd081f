"""Part of a board: searched, filtered and sorted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hf_transfer_score.errors import OptionError
from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.leaderboard.boards.rows import OLDEST, seconds

SORTED_FIELDS = (
    "rank",
    "label",
    "model",
    "library",
    "license",
    "parameters",
    "width",
    "downloads",
    "throughput",
    "accuracy",
    "group",
    "low",
    "high",
    "mean_rank",
    "layer",
    "pooling",
    "device",
    "time",
)
"""What a board can be sorted by besides the labels of its columns."""

SCORE = "score:"


@dataclass(frozen=True)
class Selection:
    """What of a board to show, and in which order.

    Attributes:
        search: words that all have to be in a row's label, library or licence.
        libraries: kinds of backbone to show; empty for all.
        licenses: licences to show; empty for all.
        min_parameters: fewest parameters; leaves out models whose number is not known.
        max_parameters: most parameters; likewise.
        since: a day or time in UTC, such as "2025-01-31"; leaves out rows whose newest record is older.
        sort: a field of SORTED_FIELDS, or the label of a column, after "score:" where it may be the name of a field.
        descending: whether the largest comes first; what is missing comes last either way.
    """

    search: str = ""
    libraries: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()
    min_parameters: int | None = None
    max_parameters: int | None = None
    since: str | None = None
    sort: str = "rank"
    descending: bool = False


@dataclass(frozen=True)
class Choices:
    """What a board can be filtered by.

    Attributes:
        libraries: kinds of backbone, in order.
        licenses: licences, in order.
        sizes: fewest and most parameters, None where no number is known.
    """

    libraries: tuple[str, ...]
    licenses: tuple[str, ...]
    sizes: tuple[int, int] | None


def choices(board: Board) -> Choices:
    """Return what a board can be filtered by."""
    sizes = [row.parameters for row in board.rows if row.parameters is not None]
    return Choices(
        tuple(sorted({row.library for row in board.rows if row.library})),
        tuple(sorted({row.license for row in board.rows if row.license})),
        (min(sizes), max(sizes)) if sizes else None,
    )


def select(board: Board, selection: Selection) -> list[BoardRow]:
    """Return the rows of a board that a selection asks for, in its order; rows that tie stay in the board's."""
    value = _value(board, selection.sort)
    passes = _filter(selection)
    found = [(value(row), row) for row in board.rows if passes(row)]
    there = [pair for pair in found if pair[0] is not None]
    there.sort(key=lambda pair: pair[0], reverse=selection.descending)
    return [row for _, row in there] + [row for one, row in found if one is None]


def _value(board: Board, sort: str) -> Callable[[BoardRow], Any]:
    """Return what rows are sorted by."""
    label = sort.removeprefix(SCORE)
    if sort not in SORTED_FIELDS and label in board.columns:
        return lambda row: row.numbers.score(label)
    if sort not in SORTED_FIELDS:
        known = ", ".join((*SORTED_FIELDS, *board.columns))
        raise OptionError(f"A board cannot be sorted by {sort!r}. Known: {known}.")
    if sort == "rank":
        return lambda row: None if row.rank is None else (row.rank, row.mean_rank)
    if sort == "time":
        return lambda row: seconds(row.time) if row.time else None
    return lambda row: _comparable(getattr(row, sort))


def _comparable(value: Any) -> Any:
    return (value.casefold(), value) if isinstance(value, str) else value


def _filter(selection: Selection) -> Callable[[BoardRow], bool]:
    words = selection.search.casefold().split()
    since = None if not selection.since else _since(selection.since)
    least, most = selection.min_parameters, selection.max_parameters
    sized = least is not None or most is not None

    def passes(row: BoardRow) -> bool:
        if selection.libraries and row.library not in selection.libraries:
            return False
        if selection.licenses and row.license not in selection.licenses:
            return False
        if sized and not _within(row.parameters, least, most):
            return False
        if since is not None and seconds(row.time) < since:
            return False
        text = "\n".join((row.label, row.library or "", row.license or "")).casefold() if words else ""
        return all(word in text for word in words)

    return passes


def _within(value: int | None, least: int | None, most: int | None) -> bool:
    return value is not None and (least is None or value >= least) and (most is None or value <= most)


def _since(text: str) -> float:
    found = seconds(text)
    if found == OLDEST:
        raise OptionError(f"since must be a day such as 2025-01-31, got {text!r}.")
    return found
