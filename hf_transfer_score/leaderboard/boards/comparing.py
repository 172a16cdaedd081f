"""Two models of a board side by side, and what can be told from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hf_transfer_score.errors import OptionError
from hf_transfer_score.leaderboard.boards.board import Board, BoardColumn, BoardRow

FACTS = ("library", "layer", "pooling", "commit", "parameters", "width", "license", "downloads", "throughput", "device")

Ends = tuple[float, float]


@dataclass(frozen=True)
class ComparedFact:
    """One fact of both models.

    Attributes:
        name: of the field.
        first: of the first model, None where it is not known.
        second: of the second.
    """

    name: str
    first: Any
    second: Any


@dataclass(frozen=True)
class ComparedTerm:
    """One raw term of both models.

    Attributes:
        name: of the term.
        direction: 1 where higher is better, -1 where lower is.
        first: value of the first model, None where it has none.
        second: value of the second.
        first_interval: ends of its interval, None where none is known.
        second_interval: of the second.
        better: "first", "second" or "equal"; None where one value is missing.
        overlap: whether the intervals overlap; None where one is missing.
    """

    name: str
    direction: int
    first: float | None
    second: float | None
    first_interval: Ends | None
    second_interval: Ends | None
    better: str | None
    overlap: bool | None


@dataclass(frozen=True)
class ComparedColumn:
    """One metric of both models.

    Attributes:
        label: of the column.
        kind: "score" or "baseline".
        first_score: pool score of the first model, None where it has none.
        second_score: of the second.
        first_rank: its rank.
        second_rank: of the second.
        better: by pool score: "first", "second" or "equal"; None where one is missing.
        terms: the raw terms.
    """

    label: str
    kind: str
    first_score: float | None
    second_score: float | None
    first_rank: int | None
    second_rank: int | None
    better: str | None
    terms: tuple[ComparedTerm, ...]


@dataclass(frozen=True)
class Comparison:
    """Two models of a board side by side.

    Attributes:
        first: one model.
        second: the other.
        facts: what is known about both.
        columns: the metrics that at least one has.
        sentence: what can be told.
    """

    first: BoardRow
    second: BoardRow
    facts: tuple[ComparedFact, ...]
    columns: tuple[ComparedColumn, ...]
    sentence: str


def compare(board: Board, first_label: str, second_label: str) -> Comparison:
    """Return two models of a board side by side; OptionError where it has no row of that label."""
    first, second = _row(board, first_label), _row(board, second_label)
    columns = [_column(column, first, second) for column in board.columns.values()]
    return Comparison(
        first,
        second,
        tuple(ComparedFact(name, getattr(first, name), getattr(second, name)) for name in FACTS),
        tuple(one for one in columns if one.first_score is not None or one.second_score is not None),
        _sentence(board, first, second),
    )


def _row(board: Board, label: str) -> BoardRow:
    found = next((row for row in board.rows if row.label == label), None)
    if found is None:
        raise OptionError(f"The board {board.summary.title!r} has no model {label!r}; take a label of one of its rows.")
    return found


def _column(column: BoardColumn, first: BoardRow, second: BoardRow) -> ComparedColumn:
    scores = first.scores.get(column.label), second.scores.get(column.label)
    return ComparedColumn(
        column.label,
        column.kind,
        *scores,
        first.ranks.get(column.label),
        second.ranks.get(column.label),
        _better(*scores, 1),
        tuple(_term(column.label, name, direction, first, second) for name, direction in column.directions.items()),
    )


def _term(label: str, name: str, direction: int, first: BoardRow, second: BoardRow) -> ComparedTerm:
    one, other = (row.terms.get(label, {}).get(name) for row in (first, second))
    mine, theirs = (row.intervals.get(label, {}).get(name) for row in (first, second))
    overlap = None if mine is None or theirs is None else mine[0] <= theirs[1] and theirs[0] <= mine[1]
    return ComparedTerm(name, direction, one, other, mine, theirs, _better(one, other, direction), overlap)


def _better(first: float | None, second: float | None, direction: int) -> str | None:
    if first is None or second is None:
        return None
    if first == second:
        return "equal"
    return "first" if (first > second) == (direction > 0) else "second"


def _sentence(board: Board, first: BoardRow, second: BoardRow) -> str:
    """Return what can be told about two models."""
    if first.label == second.label:
        return f"{first.label} is compared with itself."
    told = [_ranks_told(board, first, second), _truth_told(first, second)]
    return " ".join(one for one in told if one)


def _ranks_told(board: Board, first: BoardRow, second: BoardRow) -> str:
    if first.rank is None or second.rank is None:
        without = " and ".join(row.label for row in (first, second) if row.rank is None)
        lacking = " and ".join(board.headline) or "a score"
        return f"Which is better cannot be told: {without} has no rank, for want of {lacking}."
    if first.rank == second.rank:
        known = first.group is not None and first.group == second.group
        return f"They cannot be told apart: both take rank {first.rank}." if known else f"Both take rank {first.rank}."
    ahead, behind = (first, second) if first.rank < second.rank else (second, first)
    order = f"{ahead.label} (rank {ahead.rank}) is ahead of {behind.label} (rank {behind.rank})"
    ends = ahead.low, ahead.high, behind.low, behind.high
    if None in ends:
        return f"{order}, but without intervals it is not known whether by more than chance."
    if _number(ends[1]) < _number(ends[2]):
        return f"{order}, and their rank ranges do not overlap: {_range(ahead)} and {_range(behind)}."
    ranges = f"{_range(ahead)} and {_range(behind)}"
    return f"{order}, but their rank ranges {ranges} overlap: another sample may say otherwise."


def _number(value: int | None) -> int:
    assert value is not None
    return value


def _range(row: BoardRow) -> str:
    return f"{row.low} to {row.high}"


def _truth_told(first: BoardRow, second: BoardRow) -> str:
    if first.accuracy is None or second.accuracy is None:
        return ""
    if first.accuracy == second.accuracy:
        return f"After fine-tuning both reached {_share(first.accuracy)}."
    better, worse = (first, second) if first.accuracy > second.accuracy else (second, first)
    told = f"{better.label} reached {_share(better.accuracy)}, {worse.label} {_share(worse.accuracy)}"
    return f"After fine-tuning {told}."


def _share(value: float | None) -> str:
    """Return an accuracy as per cent where it is a share, as it is otherwise."""
    return f"{value:.2%}" if value is not None and 0 <= value <= 1 else f"{value:.6g}"
