"""The tab with the pictures of a board."""

from __future__ import annotations

from typing import Any

import gradio as gr

from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.boards.trust import trust
from hf_transfer_score.leaderboard.drawing import (
    Agreement,
    board_accuracy_figure,
    board_collapse_figure,
    board_size_figure,
    record_overlap_figure,
)
from hf_transfer_score.leaderboard.pages.page import LONGEST_VALUE, PLOTS, Page, offered
from hf_transfer_score.leaderboard.pages.permalink import one_line
from hf_transfer_score.leaderboard.pages.texts import plain

ORDER = ""
"""The choice of the order of the board instead of one column."""

TITLES = (
    "Score against parameters",
    "Variance collapse against class fairness",
    "Score against measured accuracy",
    "Overlap of the classes",
)


def build_plots_tab(page: Page) -> None:
    """Add the components of the tab."""
    with gr.Row():
        score = gr.Dropdown(
            _scores(None), value=ORDER, label="Score", info="of the first and third picture", elem_id="lb-plot-score"
        )
        model = gr.Dropdown(
            [], value=None, label="Model", info="of the overlap of classes; type to search", elem_id="lb-plot-model"
        )
    figures = [gr.HTML(f"<p>{title}</p>", elem_id=f"lb-plot-{place}") for place, title in enumerate(TITLES, 1)]

    def offer(slug: str | None, wanted: str | None, named: str | None, chosen: str | None) -> tuple[Any, Any]:
        return _offers(page.library.catalogue, slug, wanted or ORDER, named or chosen, shown=(wanted, named))

    def draw(slug: str | None, wanted: str | None, named: str | None, chosen: str | None) -> tuple[str, ...]:
        return _draw(page.library.catalogue, slug, wanted or ORDER, named or chosen)

    inputs = [page.board, score, model, page.model]
    page.when_shown(PLOTS, offer, inputs=inputs, outputs=[score, model])
    page.when_shown(PLOTS, draw, inputs=inputs, outputs=figures, also=[score.input, model.input])
    page.keep("score", score, read=_read_score)


def _read_score(text: str, _: Catalogue) -> Any:
    label = one_line(text, LONGEST_VALUE)
    return gr.update(choices=[*_scores(None), (plain(label, 80), label)], value=label) if label else None


def _offers(
    catalogue: Catalogue, slug: str | None, wanted: str, named: str | None, *, shown: tuple[str | None, str | None]
) -> tuple[Any, Any]:
    """Return what may be chosen on a board; a choice that is shown already is left alone."""
    found = catalogue.find(slug or "")
    if found is None:
        return gr.skip(), gr.skip()
    board = catalogue.board(found.key)
    row = _row(board, named)
    labels = [(plain(one.label, 120), one.label) for one in board.rows]
    return (
        offered(_scores(board), wanted if wanted in board.columns else ORDER, shown[0]),
        offered(labels, None if row is None else row.label, shown[1]),
    )


def _draw(catalogue: Catalogue, slug: str | None, wanted: str, named: str | None) -> tuple[str, ...]:
    found = catalogue.find(slug or "")
    if found is None:
        return ("<p>There is no board yet.</p>", "", "", "")
    board = catalogue.board(found.key)
    column = wanted if wanted in board.columns else None
    face = column if column is not None and board.columns[column].metric == "face" else None
    row = _row(board, named)
    overlap = None if row is None else catalogue.overlap(board, row)
    return (
        board_size_figure(board, column).html(),
        board_collapse_figure(board, face).html(),
        board_accuracy_figure(board, column, _agreement(board, column)).html(),
        "" if row is None else record_overlap_figure(row.label, overlap).html(),
    )


def _row(board: Board, named: str | None) -> BoardRow | None:
    """Return the row of a label or of a model; the first one where there is none."""
    found = next((row for row in board.rows if row.label == named), None)
    found = found or next((row for row in board.rows if row.model == named), None)
    return found or next(iter(board.rows), None)


def _scores(board: Board | None) -> list[tuple[str, str]]:
    labels = () if board is None else board.columns
    return [("The order of the board", ORDER), *((plain(label, 80), label) for label in labels)]


def _agreement(board: Board, column: str | None) -> Agreement | None:
    """Return how far the order of a column, or of the board, agrees with the measured accuracies."""
    wanted = column if column is not None else next(iter(board.headline), None)
    if len(board.headline) > 1 and column is None:
        wanted = "mean rank"
    for one in trust(board):
        if one.label == wanted and one.agreement.weighted_tau is not None:
            low, high = one.agreement.weighted_tau_interval or (None, None)
            return Agreement(one.agreement.weighted_tau, low, high)
    return None
