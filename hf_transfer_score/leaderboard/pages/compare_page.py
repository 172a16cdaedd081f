"""Two models of a board side by side, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from hf_transfer_score.drawing.figure import WIDTH, Figure, together
from hf_transfer_score.drawing.scatter import NARROW
from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.leaderboard.boards.comparing import compare
from hf_transfer_score.leaderboard.pages.charts import record_overlap_figure
from hf_transfer_score.leaderboard.pages.texts import escape, page, plain
from hf_transfer_score.records.record import RecordedOverlap

MOST_CHOICES = 1000


def row_choices(board: Board, typed: str = "") -> list[str]:
    """Return labels of a board's models to choose from, at most 1,000 that contain what was typed, in its order."""
    wanted = typed.strip().casefold()
    return [row.label for row in board.rows if wanted in row.label.casefold()][:MOST_CHOICES]


def row_of(board: Board, text: str | None) -> BoardRow | None:
    """Return the row that a text means: a label, or the id of a model whose first row is meant."""
    wanted = (text or "").strip()
    named = next((row for row in board.rows if row.label == wanted), None)
    return named or next((row for row in board.rows if row.model == wanted), None)


def missing_row(board: Board, text: str | None) -> str:
    """Return what to say of a text that means no row of a board."""
    if not (text or "").strip():
        return '<div class="lb-note">Choose two models.</div>'
    failed = next((one for one in board.failures if one.model == (text or "").strip()), None)
    why = "" if failed is None else f" It could not be scored: {escape(failed.reason, 600)}"
    return f'<div class="lb-note">{escape(text)} has no scores on this board.{why}</div>'


def compare_page(board: Board, first: str | None, second: str | None) -> str:
    """Return two models of a board side by side, or what to do instead.

    Args:
        board: that has both.
        first: label or id of a model; anything else is answered with a sentence.
        second: likewise.
    """
    rows = row_of(board, first), row_of(board, second)
    wrong = [missing_row(board, text) for row, text in zip(rows, (first, second), strict=True) if row is None]
    if rows[0] is None or rows[1] is None:
        return wrong[0] if len(set(wrong)) == 1 else "".join(wrong)
    found = compare(board, rows[0].label, rows[1].label)
    pair = (found.first, found.second)
    return page(
        "compare_page.html.jinja",
        found=found,
        headers=("", plain(found.first.label, 60), plain(found.second.label, 60)),
        higher=_greater(*(None if row.rank is None else -row.rank for row in pair)),
        more_accurate=_greater(*(row.accuracy for row in pair)),
    )


def _greater(first: float | None, second: float | None) -> int | None:
    """Return which of two is greater, 0 or 1; None where neither is, or one is not known."""
    return None if first is None or second is None or first == second else int(second > first)


def overlaps_figure(pair: Sequence[tuple[str, RecordedOverlap | None]], width: int = WIDTH) -> Figure | None:
    """Return the class overlap of two models on one scale, side by side where there is room.

    Args:
        pair: the models with what records of theirs say; None where no record says.
        width: in pixels.

    Returns:
        None where no record of either says.
    """
    known = [(label, overlap) for label, overlap in pair if overlap is not None]
    if not known:
        return None
    largest = max((max(overlap.values, default=0.0) for _, overlap in known), default=0.0) or None
    columns = len(known) if width > NARROW else 1
    each = [record_overlap_figure(*one, largest=largest, width=width // columns) for one in known]
    return together(each, "How far the classes overlap", columns)
