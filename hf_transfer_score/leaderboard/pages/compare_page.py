"""Two models of a board side by side, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hf_transfer_score.drawing.figure import WIDTH, Figure, together
from hf_transfer_score.drawing.scatter import NARROW
from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.leaderboard.boards.comparing import ComparedColumn, ComparedTerm, Comparison, Fact, compare
from hf_transfer_score.leaderboard.pages.charts import record_overlap_figure
from hf_transfer_score.leaderboard.pages.model_page import accuracy_text
from hf_transfer_score.leaderboard.pages.texts import (
    MISSING,
    escape,
    html_table,
    link,
    model_url,
    number,
    plain,
    short_count,
)
from hf_transfer_score.results.record import RecordedOverlap

MOST_CHOICES = 1000

FACT_NAMES = {
    "library": "Library",
    "layer": "Layer",
    "pooling": "Pooling",
    "commit": "Commit",
    "parameters": "Parameters",
    "width": "Features a row",
    "license": "License",
    "downloads": "Downloads",
    "throughput": "Examples a second",
    "device": "Device",
}
BETTER = ' <span class="lb-better">better</span>'


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
    headers = ("", plain(found.first.label, 60), plain(found.second.label, 60))
    return "".join(
        [
            f'<div class="lb-note" id="lb-told">{escape(found.sentence, 2000)}</div>',
            f"<p>{_link(found.first)}{_link(found.second)}</p>",
            html_table(headers, _standing(found), caption="Place on the board"),
            html_table(headers, _scores(found.columns), caption="Pool scores, with the rank; higher is better"),
            html_table((*headers, "Better", "Intervals"), _terms(found.columns), caption="Raw terms, with intervals"),
            html_table(headers, _facts(found.facts), caption="Facts"),
        ]
    )


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


def _link(row: BoardRow) -> str:
    url = None if row.source else model_url(row.model, row.commit)
    return "" if url is None else link(f"{row.label} on the Hub", url, button=True)


def _standing(found: Comparison) -> list[list[str]]:
    pair = (found.first, found.second)
    better = _smaller(found.first.rank, found.second.rank)
    more = _smaller(*(None if row.accuracy is None else -row.accuracy for row in pair))
    return [
        ["Rank", *_marked([_count(row.rank) for row in pair], better)],
        ["Rank range", *(MISSING if row.low is None else f"{row.low} to {row.high}" for row in pair)],
        ["Tie group", *(_count(row.group) for row in pair)],
        ["Measured accuracy", *_marked([accuracy_text(row) for row in pair], more)],
    ]


def _smaller(first: float | None, second: float | None) -> str | None:
    if first is None or second is None or first == second:
        return None
    return "first" if first < second else "second"


def _count(value: int | None) -> str:
    return MISSING if value is None else f"{value:,}"


def _marked(cells: Sequence[str], better: str | None) -> list[str]:
    """Return both cells, the better one with a mark."""
    return [cell + (BETTER if better == side else "") for cell, side in zip(cells, ("first", "second"), strict=True)]


def _scores(columns: Sequence[ComparedColumn]) -> list[list[str]]:
    found = []
    for one in columns:
        mark = ' <span class="lb-muted">baseline</span>' if one.kind == "baseline" else ""
        cells = [_score(one.first_score, one.first_rank), _score(one.second_score, one.second_rank)]
        found.append([escape(one.label) + mark, *_marked(cells, one.better)])
    return found


def _score(score: float | None, rank: int | None) -> str:
    return MISSING if score is None else f"{number(score)} (rank {rank})"


def _terms(columns: Sequence[ComparedColumn]) -> list[list[str]]:
    return [
        [
            escape(term.name if term.name == one.label else f"{one.label}: {term.name}"),
            *_with_intervals(term),
            "higher" if term.direction > 0 else "lower",
            _overlap(term),
        ]
        for one in columns
        for term in one.terms
    ]


def _with_intervals(term: ComparedTerm) -> list[str]:
    values = _marked([number(term.first, 5), number(term.second, 5)], term.better)
    return [
        value + ("" if ends is None else f'<br><span class="lb-muted">{number(ends[0])} to {number(ends[1])}</span>')
        for value, ends in zip(values, (term.first_interval, term.second_interval), strict=True)
    ]


def _overlap(term: ComparedTerm) -> str:
    return MISSING if term.overlap is None else ("overlap" if term.overlap else "do not overlap")


def _facts(facts: Sequence[Fact]) -> list[list[str]]:
    return [
        [FACT_NAMES.get(one.name, one.name), _fact(one.name, one.first), _fact(one.name, one.second)]
        for one in facts
        if one.first is not None or one.second is not None
    ]


def _fact(name: str, value: Any) -> str:
    if value is None:
        return MISSING
    if name in ("parameters", "downloads"):
        return short_count(value)
    return number(value, 3) if isinstance(value, float) else escape(value, 80)
