"""The tab with the charts of a board."""

from __future__ import annotations

from typing import Any

import gradio as gr

from hf_transfer_score.drawing.words import Ends
from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.boards.trust import trust
from hf_transfer_score.leaderboard.pages.charts import (
    Screen,
    add_chart,
    board_accuracy_figure,
    board_collapse_figure,
    board_size_figure,
    drawn,
    record_overlap_figure,
)
from hf_transfer_score.leaderboard.pages.page import LONGEST_VALUE, PLOTS, LeaderboardPage, offered
from hf_transfer_score.leaderboard.pages.permalink import one_line
from hf_transfer_score.leaderboard.pages.texts import plain

ORDER = ""
"""The choice of the order of the board instead of one column."""

FILES = ("size", "terms", "accuracy", "overlap")
"""Names of images that visitors save."""

HINT = """<p class="lb-muted">Pointing at a model tells what is known of it. Dragging moves a chart, the wheel with Ctrl
zooms, a double click shows all again; the button at its corner saves it.</p>"""


def build_plots_tab(page: LeaderboardPage) -> None:
    """Add the components of the tab."""
    with gr.Row():
        score = gr.Dropdown(
            _scores(None), value=ORDER, label="Score", info="of the first and third chart", elem_id="lb-plot-score"
        )
        model = gr.Dropdown(
            [], value=None, label="Model", info="has a ring in each chart; type to search", elem_id="lb-plot-model"
        )
    gr.HTML(HINT)
    charts = [part for place in range(1, len(FILES) + 1) for part in add_chart(f"lb-plot-{place}")]

    def offer(slug: str | None, wanted: str | None, named: str | None, chosen: str | None) -> tuple[Any, Any]:
        return _offers(page.library.catalogue, slug, wanted or ORDER, named or chosen, shown=(wanted, named))

    def draw(slug: str | None, wanted: str | None, named: str | None, chosen: str | None, screen: Screen) -> Any:
        return _draw(page.library.catalogue, slug, wanted or ORDER, named or chosen, screen)

    inputs = [page.board, score, model, page.model]
    page.when_shown(PLOTS, offer, inputs=inputs, outputs=[score, model])
    page.when_drawn(PLOTS, draw, inputs=inputs, outputs=charts, also=[score.input, model.input])
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


def _draw(catalogue: Catalogue, slug: str | None, wanted: str, named: str | None, screen: Screen) -> tuple[Any, ...]:
    found = catalogue.find(slug or "")
    if found is None:
        return (
            gr.skip(),
            "<p>There is no board yet.</p>",
            *(part for _ in FILES[1:] for part in drawn(None, screen, "")),
        )
    board = catalogue.board(found.key)
    column = wanted if wanted in board.columns else None
    face = column if column is not None and board.columns[column].metric == "face" else None
    row = _row(board, named)
    look: Any = {"marked": None if row is None else row.label, "width": screen.width}
    figures = (
        board_size_figure(board, column, **look),
        board_collapse_figure(board, face, **look),
        board_accuracy_figure(board, column, _agreement(board, column), **look),
        None if row is None else record_overlap_figure(row.label, catalogue.overlap(board, row), width=screen.width),
    )
    return tuple(part for figure, file in zip(figures, FILES, strict=True) for part in drawn(figure, screen, file))


def _row(board: Board, named: str | None) -> BoardRow | None:
    """Return the row of a label or of a model; the first one where there is none."""
    found = next((row for row in board.rows if row.label == named), None)
    found = found or next((row for row in board.rows if row.model == named), None)
    return found or next(iter(board.rows), None)


def _scores(board: Board | None) -> list[tuple[str, str]]:
    labels = () if board is None else board.columns
    return [("The order of the board", ORDER), *((plain(label, 80), label) for label in labels)]


def _agreement(board: Board, column: str | None) -> tuple[float, Ends | None] | None:
    """Return τ_w of the order of a column, or of the board, and the measured accuracies, with its interval."""
    wanted = column if column is not None else next(iter(board.headline), None)
    if len(board.headline) > 1 and column is None:
        wanted = "mean rank"
    for one in trust(board):
        if one.label == wanted and one.agreement.weighted_tau is not None:
            return one.agreement.weighted_tau, one.agreement.weighted_tau_interval
    return None
