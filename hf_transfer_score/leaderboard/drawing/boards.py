"""The pictures of a board."""

from __future__ import annotations

from collections.abc import Sequence

from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.leaderboard.drawing.accuracy import AccuracyPoint, Agreement, accuracy_figure
from hf_transfer_score.leaderboard.drawing.cloud import Ends
from hf_transfer_score.leaderboard.drawing.figure import Figure, sentence_figure
from hf_transfer_score.leaderboard.drawing.heatmap import overlap_figure
from hf_transfer_score.leaderboard.drawing.size import SizePoint, size_figure
from hf_transfer_score.leaderboard.drawing.terms import TermPoint, collapse_figure
from hf_transfer_score.leaderboard.drawing.words import capital, joined
from hf_transfer_score.results.record import RecordedOverlap

FACE = "face"

LONGEST_TRUTH = 40
"""How accuracies were measured is said in a figure where it is as short as this; the head of the board always does."""


def board_size_figure(board: Board, column: str | None = None) -> Figure:
    """Return the rank of a board against the number of parameters, or the score of one of its columns.

    Args:
        board: the models.
        column: label of a column; None for the rank, with the range that its intervals allow.
    """
    if column is not None:
        points = [SizePoint(row.label, row.scores.get(column), row.parameters) for row in board.rows]
        return size_figure(points, score=f"pool score of {column}")
    points = [SizePoint(row.label, row.rank, row.parameters, _ranks(row)) for row in board.rows]
    return size_figure(points, score="rank", best="low")


def board_collapse_figure(board: Board, column: str | None = None) -> Figure:
    """Return variance collapse against class fairness of a board.

    Args:
        board: the models.
        column: label of a column of FaCe; None for the first one.
    """
    found = [label for label, one in board.columns.items() if one.metric == FACE]
    chosen = column if column is not None else next(iter(found), None)
    if chosen is None or chosen not in found:
        return sentence_figure(
            "Variance collapse against class fairness", "This board has no records of FaCe, whose two terms these are."
        )
    notes = [f"{capital(term.replace('_', ' '))}: {why}." for term, why in board.columns[chosen].flags.items()]
    return collapse_figure([_terms(row, chosen) for row in board.rows], notes=notes)


def board_accuracy_figure(board: Board, column: str | None = None, agreement: Agreement | None = None) -> Figure:
    """Return the mean rank of a board against measured accuracy, or the score of one of its columns.

    Args:
        board: the models.
        column: label of a column; None for the mean rank over the metrics that decide.
        agreement: of the two orders, over the same models.
    """
    truth = board.truth if board.truth and len(board.truth) <= LONGEST_TRUTH else "measured accuracy"
    exact = board.truth_exact or not any(row.accuracy is not None for row in board.rows)
    notes = () if exact else ("Accuracy was measured on the same dataset with another sample.",)
    if column is not None:
        points = [_measured(row, row.scores.get(column)) for row in board.rows]
        return accuracy_figure(points, agreement, score=f"pool score of {column}", truth=truth, notes=notes)
    points = [_measured(row, row.mean_rank) for row in board.rows]
    name = "mean rank" if len(board.headline) > 1 else "rank"
    decided = f"The order is by {' and '.join(board.headline)}." if board.headline else ""
    return accuracy_figure(points, agreement, score=name, truth=truth, best="low", notes=(joined(decided), *notes))


def record_overlap_figure(model: str, overlap: RecordedOverlap | None, *, largest: float | None = None) -> Figure:
    """Return the class overlap that a record of a model holds.

    Args:
        model: its name.
        overlap: of one of its records, None where none says.
        largest: the value with the full colour, for several models side by side.
    """
    classes: Sequence[str] = () if overlap is None else overlap.classes
    return overlap_figure(classes, () if overlap is None else overlap.values, model=model, largest=largest)


def _ranks(row: BoardRow) -> Ends | None:
    return None if row.low is None or row.high is None else (row.low, row.high)


def _terms(row: BoardRow, column: str) -> TermPoint:
    terms, intervals = row.terms.get(column, {}), row.intervals.get(column, {})
    return TermPoint(
        row.label,
        terms.get("variance_collapse"),
        terms.get("class_fairness"),
        row.ranks.get(column),
        intervals.get("variance_collapse"),
        intervals.get("class_fairness"),
    )


def _measured(row: BoardRow, score: float | None) -> AccuracyPoint:
    several = len(row.accuracies) > 1
    spread = (min(row.accuracies), max(row.accuracies)) if several else None
    return AccuracyPoint(row.label, score, row.accuracy, accuracy_interval=spread)
