"""The charts of a board, and how a page shows one: gradio draws it, and its words and numbers stand below."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr
from gradio.components.plot import PlotData

from hf_transfer_score.drawing.clouds import ModelPoint, accuracy_figure, collapse_figure, size_figure
from hf_transfer_score.drawing.figure import WIDTH, Figure
from hf_transfer_score.drawing.heatmap import overlap_figure
from hf_transfer_score.drawing.look import specification
from hf_transfer_score.drawing.words import Ends, capital, joined
from hf_transfer_score.errors import UnreadableError
from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.records.record import RecordedOverlap
from hf_transfer_score.untrusted import Limits, parse_json

FACE = "face"
LONGEST_TRUTH = 40
"""How accuracies were measured is said in a chart where it is as short as this; the head of the board always does."""

LEAST_WIDTH, MOST_WIDTH = 280, 860
SHORT = Limits(size=1000, depth=3, values=10, letters=100)

SCREEN = """
(...values) => {
  const night = document.body.classList.contains("dark");
  const width = document.querySelector("#lb-tabs")?.clientWidth ?? window.innerWidth;
  return [...values.slice(0, -1), JSON.stringify({night, width})];
}
"""
"""Puts what a chart has to know of the screen into the last input of an event."""


class Screen(NamedTuple):
    """What a chart is drawn for: its width in pixels, and whether the ground is dark."""

    width: int = WIDTH
    night: bool = False


def screen_of(text: str | None) -> Screen:
    """Return what a page says of its screen; the text may come from anybody.

    Example:
        >>> screen_of('{"night": true, "width": 400}'), screen_of("x")
        (Screen(width=400, night=True), Screen(width=760, night=False))
    """
    try:
        told = parse_json(text or "", what="what a page says of its screen", limit=SHORT)
        width = min(MOST_WIDTH, max(LEAST_WIDTH, int(told["width"])))
        return Screen(width, told["night"] is True)
    except (UnreadableError, ValueError, TypeError, KeyError, OverflowError):
        return Screen()


def add_chart(name: str) -> list[Any]:
    """Add the components of a chart: the chart itself, and its words with its numbers as a table."""
    plot = gr.Plot(show_label=False, container=False, visible=False, elem_id=name, elem_classes="lb-plot")
    return [plot, gr.HTML("", elem_id=f"{name}-words")]


def drawn(figure: Figure | None, screen: Screen, file: str) -> tuple[Any, str]:
    """Return what the components of a chart show.

    Args:
        figure: None for nothing at all.
        screen: what it is drawn for.
        file: name of an image that a visitor saves, without its ending.
    """
    if figure is None or figure.chart is None:
        return gr.update(value=None, visible=False), "" if figure is None else figure.words_html()
    found = specification(figure.chart, night=screen.night, file=file)
    found.pop("$schema", None)  # gradio draws with an older version of the language, and warns of the newer one
    return gr.update(value=PlotData(type="altair", plot=json.dumps(found)), visible=True), figure.words_html()


def board_size_figure(
    board: Board, column: str | None = None, *, marked: str | None = None, width: int = WIDTH
) -> Figure:
    """Return the rank of a board against the number of parameters, or the score of one of its columns.

    Args:
        board: the models.
        column: label of a column; None for the rank, with the range that its intervals allow.
        marked: label of a row to mark.
        width: in pixels.
    """
    if column is not None:
        points = [ModelPoint(row.label, row.parameters, row.scores.get(column)) for row in board.rows]
        return size_figure(points, score=f"pool score of {column}", marked=marked, width=width)
    points = [ModelPoint(row.label, row.parameters, row.rank, upwards=_ranks(row)) for row in board.rows]
    return size_figure(points, score="rank", better="low", marked=marked, width=width)


def board_collapse_figure(
    board: Board, column: str | None = None, *, marked: str | None = None, width: int = WIDTH
) -> Figure:
    """Return variance collapse against class fairness of a board.

    Args:
        board: the models.
        column: label of a column of FaCe; None for the first one.
        marked: label of a row to mark.
        width: in pixels.
    """
    found = [label for label, one in board.columns.items() if one.metric == FACE]
    chosen = column if column is not None else next(iter(found), None)
    if chosen is None or chosen not in found:
        why = "This board has no records of FaCe, whose two terms these are."
        return Figure("Variance collapse against class fairness", why)
    notes = [f"{capital(term.replace('_', ' '))}: {why}." for term, why in board.columns[chosen].flags.items()]
    points = [_terms(row, chosen) for row in board.rows]
    return collapse_figure(points, notes=notes, marked=marked, width=width)


def board_accuracy_figure(
    board: Board,
    column: str | None = None,
    agreement: tuple[float, Ends | None] | None = None,
    *,
    marked: str | None = None,
    width: int = WIDTH,
) -> Figure:
    """Return the mean rank of a board against measured accuracy, or the score of one of its columns.

    Args:
        board: the models.
        column: label of a column; None for the mean rank over the metrics that decide.
        agreement: τ_w of the two orders over the same models, with its interval.
        marked: label of a row to mark.
        width: in pixels.
    """
    truth = board.truth if board.truth and len(board.truth) <= LONGEST_TRUTH else "measured accuracy"
    exact = board.truth_exact or not any(row.accuracy is not None for row in board.rows)
    notes = [] if exact else ["Accuracy was measured on the same dataset with another sample."]
    points = [_measured(row, row.mean_rank if column is None else row.scores.get(column)) for row in board.rows]
    name = "mean rank" if len(board.headline) > 1 else "rank"
    if column is None and board.headline:
        notes.insert(0, f"The order is by {' and '.join(board.headline)}.")
    return accuracy_figure(
        points,
        agreement,
        score=name if column is None else f"pool score of {column}",
        truth=truth,
        better="low" if column is None else "high",
        notes=(joined(*notes),),
        marked=marked,
        width=width,
    )


def record_overlap_figure(
    model: str, overlap: RecordedOverlap | None, *, largest: float | None = None, width: int = WIDTH
) -> Figure:
    """Return the class overlap that a record of a model holds.

    Args:
        model: its name.
        overlap: of one of its records, None where none says.
        largest: the value with the full colour, for several models side by side.
        width: in pixels.
    """
    classes: Sequence[str] = () if overlap is None else overlap.classes
    values = () if overlap is None else overlap.values
    return overlap_figure(classes, values, model=model, largest=largest, width=width)


def _ranks(row: BoardRow) -> Ends | None:
    return None if row.low is None or row.high is None else (row.low, row.high)


def _terms(row: BoardRow, column: str) -> ModelPoint:
    terms, intervals = row.terms.get(column, {}), row.intervals.get(column, {})
    across, upwards = "class_fairness", "variance_collapse"
    pairs = (terms.get(across), terms.get(upwards), intervals.get(across), intervals.get(upwards))
    return ModelPoint(row.label, *pairs, row.ranks.get(column))


def _measured(row: BoardRow, score: float | None) -> ModelPoint:
    spread = (min(row.accuracies), max(row.accuracies)) if len(row.accuracies) > 1 else None
    return ModelPoint(row.label, score, row.accuracy, upwards=spread)
