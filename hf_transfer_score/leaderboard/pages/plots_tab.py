"""The tab with the charts of a board."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from hf_transfer_score.drawing.clouds import RANK, Better, ModelPoint, accuracy_figure, collapse_figure, size_figure
from hf_transfer_score.drawing.figure import WIDTH, Figure
from hf_transfer_score.drawing.heatmap import overlap_figure
from hf_transfer_score.drawing.words import Ends, capital, sentences
from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.pages.page import (
    LONGEST_VALUE,
    PLOTS,
    Kept,
    LeaderboardPage,
    Screen,
    add_chart,
    drawn,
    offered,
)
from hf_transfer_score.leaderboard.pages.texts import plain
from hf_transfer_score.leaderboard.pages.trust_tab import MEAN_RANK, trust
from hf_transfer_score.leaderboard.pages.view import one_line
from hf_transfer_score.text import joined

FACE = "face"
LONGEST_TRUTH = 40
"""Longer descriptions of how accuracies were measured are only in the head of the board."""

ORDER = ""
"""The choice that means the order of the board, not a column."""

FILES = ("size", "terms", "accuracy", "overlap")
"""Names of the images that visitors save."""

PAIRS = ((1, 3), (2, 4))
"""Charts that are side by side if there is room."""

HINT = """<p class="lb-muted">Point at a model to see its details. Drag to move a chart, use the wheel with Ctrl to
zoom, double-click to reset; the button in the corner saves it.</p>"""


def board_size_figure(
    board: Board,
    column: str | None = None,
    *,
    rows: Sequence[BoardRow] | None = None,
    marked: str | None = None,
    width: int = WIDTH,
) -> Figure:
    """Return the score of a column against the number of parameters, for some rows of a board or all of them.

    Without a column, it is what the board is ordered by: the expected accuracy or else the points below the best, with
    their intervals; on a board without a forecast, the rank with its range.
    """
    rows = board.rows if rows is None else rows
    if column is not None:
        points = [ModelPoint(row.label, row.parameters, row.scores.get(column)) for row in rows]
        return size_figure(points, score=f"pool score of {column}", marked=marked, width=width)
    if board.is_forecast:
        return _forecast_size_figure(rows, marked, width)
    points = []
    for row in rows:
        ends = None if row.low is None or row.high is None else (row.low, row.high)
        points.append(ModelPoint(row.label, row.parameters, row.rank, upwards=ends))
    return size_figure(points, score=RANK, better="low", marked=marked, width=width)


def _forecast_size_figure(rows: Sequence[BoardRow], marked: str | None, width: int) -> Figure:
    """Return the forecast for some rows against the number of parameters."""
    known = [(row, row.forecast) for row in rows if row.forecast is not None]
    anchored = any(one.expected_accuracy is not None for _, one in known)
    points = []
    for row, one in known:
        level = one.expected_accuracy if anchored else one.points_below_best
        scale = 100 if anchored else 1
        value, low, high = (None, None, None) if level is None else (scale * end for end in level)
        ends = None if low is None or high is None or low == high else (low, high)
        points.append(ModelPoint(row.label, row.parameters, value, upwards=ends, rank=row.rank))
    better: Better = "high" if anchored else "low"
    score = "expected accuracy in percent" if anchored else "points below the best"
    return size_figure(points, score=score, better=better, marked=marked, width=width)


def board_collapse_figure(
    board: Board, column: str | None = None, *, marked: str | None = None, width: int = WIDTH
) -> Figure:
    """Return variance collapse against class fairness, from a column of FaCe or else the first one of the board."""
    found = [label for label, one in board.columns.items() if one.metric == FACE]
    chosen = column if column is not None else next(iter(found), None)
    if chosen is None or chosen not in found:
        why = "These are the two terms of FaCe, and this board has no records of FaCe."
        return Figure("Variance collapse against class fairness", why)
    points = []
    for row in board.rows:
        terms, ends = row.terms.get(chosen, {}), row.intervals.get(chosen, {})
        across, upwards = "class_fairness", "variance_collapse"
        pairs = (terms.get(across), terms.get(upwards), ends.get(across), ends.get(upwards))
        points.append(ModelPoint(row.label, *pairs, row.ranks.get(chosen)))
    notes = [f"{capital(term.replace('_', ' '))}: {why}." for term, why in board.columns[chosen].flags.items()]
    return collapse_figure(points, notes=notes, marked=marked, width=width)


def board_accuracy_figure(
    board: Board,
    column: str | None = None,
    agreement: tuple[float, Ends | None] | None = None,
    *,
    marked: str | None = None,
    width: int = WIDTH,
) -> Figure:
    """Return the score of a column against measured accuracy; the agreement is τ_w of both orders with its interval.

    Without a column, it is the mean rank over the headline metrics, since the forecast uses these accuracies.
    """
    exact = board.truth_exact or not any(row.accuracy is not None for row in board.rows)
    notes = [] if exact else ["The accuracy was measured with another sample of the same dataset."]
    if column is None and board.headline:
        rank = f"{'mean ' if len(board.headline) > 1 else ''}rank by {joined(board.headline)}"
        why = ", since the forecast uses these accuracies" if board.is_forecast else ""
        notes.insert(0, f"The rank is the {rank}{why}.")
    points = []
    for row in board.rows:
        score = row.mean_rank if column is None else row.scores.get(column)
        spread = (min(row.accuracies), max(row.accuracies)) if len(row.accuracies) > 1 else None
        points.append(ModelPoint(row.label, score, row.accuracy, upwards=spread))
    name = "mean rank" if len(board.headline) > 1 else f"rank by {' '.join(board.headline) or 'metrics'}"
    return accuracy_figure(
        points,
        agreement,
        score=name if column is None else f"pool score of {column}",
        truth=board.truth if board.truth and len(board.truth) <= LONGEST_TRUTH else "measured accuracy",
        better="low" if column is None else "high",
        notes=(sentences(*notes),),
        marked=marked,
        width=width,
    )


def build_plots_tab(page: LeaderboardPage) -> None:
    """Add the components of the tab."""
    with gr.Row():
        score = gr.Dropdown(
            _scores(None),
            value=ORDER,
            label="Score",
            info="shown in the first two charts",
            elem_id="lb-plot-score",
        )
        model = gr.Dropdown(
            [],
            value=None,
            label="Model",
            info="marked with a ring in each chart; type to search",
            elem_id="lb-plot-model",
        )
    gr.HTML(HINT)
    parts = {}
    for pair in PAIRS:
        with gr.Row(elem_classes="lb-pair"):
            for place in pair:
                with gr.Column(min_width=320, elem_id=f"lb-plots-{place}"):
                    parts[place] = add_chart(f"lb-plot-{place}")
    charts = [part for place in sorted(parts) for part in parts[place]]

    def offer(slug: str | None, wanted: str | None, named: str | None, chosen: str | None) -> tuple[Any, Any]:
        """Return updates for both choices; a value that is shown already is left alone."""
        board = page.library.catalogue.named(slug)
        if board is None:
            return gr.skip(), gr.skip()
        row = board.row(named or chosen) or next(iter(board.rows), None)
        labels = [(plain(one.label, 120), one.label) for one in board.rows]
        kept = wanted if wanted in board.columns else ORDER
        return offered(_scores(board), kept, wanted), offered(labels, None if row is None else row.label, named)

    def draw(slug: str | None, wanted: str | None, named: str | None, chosen: str | None, screen: Screen) -> Any:
        return _draw(page.library.catalogue, slug, wanted, named or chosen, screen)

    def read(text: str, _: Catalogue) -> Any:
        label = one_line(text, LONGEST_VALUE)
        return gr.update(choices=[*_scores(None), (plain(label, 80), label)], value=label) if label else None

    inputs = [page.board, score, model, page.model]
    page.when_shown(PLOTS, offer, inputs=inputs, outputs=[score, model])
    page.when_shown(PLOTS, draw, inputs=inputs, outputs=charts, also=[score.input, model.input], within="lb-plots-1")
    page.kept.append(Kept("score", score, read=read))


def _draw(
    catalogue: Catalogue, slug: str | None, wanted: str | None, named: str | None, screen: Screen
) -> tuple[Any, ...]:
    """Return all charts, by a column of the board or by its order, with a ring around one model."""
    board = catalogue.named(slug)
    if board is None:
        rest = (part for _ in FILES[1:] for part in drawn(None, screen, ""))
        return gr.skip(), gr.skip() if catalogue.boards() else "<p>There is no board yet.</p>", *rest
    column = wanted if wanted in board.columns else None
    face = column if column is not None and board.columns[column].metric == FACE else None
    row = board.row(named) or next(iter(board.rows), None)
    look: Any = {"marked": None if row is None else row.label, "width": screen.width}
    overlap = None if row is None else catalogue.overlap(board, row)
    classes, values = ((), ()) if overlap is None else (overlap.classes, overlap.values)
    figures = (
        board_size_figure(board, column, **look),
        board_collapse_figure(board, face, **look),
        board_accuracy_figure(board, column, _agreement(board, column), **look),
        None if row is None else overlap_figure(classes, values, model=row.label, width=screen.width),
    )
    return tuple(part for figure, file in zip(figures, FILES, strict=True) for part in drawn(figure, screen, file))


def _scores(board: Board | None) -> list[tuple[str, str]]:
    labels = () if board is None else board.columns
    return [("The order of the board", ORDER), *((plain(label, 80), label) for label in labels)]


def _agreement(board: Board, column: str | None) -> tuple[float, Ends | None] | None:
    """Return τ_w of measured accuracies and a column or the order of the board, with its interval."""
    mean = MEAN_RANK if len(board.headline) > 1 else next(iter(board.headline), None)
    wanted = column if column is not None else mean
    for one in trust(board):
        if one.label == wanted and one.agreement.weighted_tau is not None:
            return one.agreement.weighted_tau, one.agreement.weighted_tau_interval
    return None
