"""The tab that puts two models of the chosen board side by side."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from hf_transfer_score.drawing.figure import Figure
from hf_transfer_score.leaderboard.boards.board import Board
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.pages.charts import Screen, add_chart, drawn
from hf_transfer_score.leaderboard.pages.compare_page import (
    MOST_CHOICES,
    compare_page,
    overlaps_figure,
    row_choices,
    row_of,
)
from hf_transfer_score.leaderboard.pages.finding import add_finder
from hf_transfer_score.leaderboard.pages.page import COMPARE, LONGEST_VALUE, LeaderboardPage, offered

NO_BOARD = '<div class="lb-note">There is no board yet: no records were found so far.</div>'


def build_compare_tab(page: LeaderboardPage) -> None:
    """Add the components of the tab."""
    gr.HTML('<div class="lb-head"><h2>Compare two models of the chosen board</h2></div>')
    with gr.Row():
        first = _choice("First model", "lb-first")
        second = _choice("Second model", "lb-second")
    with gr.Row():
        swap = gr.Button("Swap", size="sm", scale=0, min_width=120, elem_id="lb-swap")

    find = add_finder([first, second], partial(_narrowed, page), inputs=[page.board], name="lb-find-pair")
    content = gr.HTML("", elem_id="lb-compare")
    chart = add_chart("lb-compare-plot")
    page.when_shown(
        COMPARE,
        partial(_offer, page),
        inputs=[page.board, first, second, page.model],
        outputs=[first, second, find, content],
    )
    changes = [first.change, second.change]
    page.when_drawn(COMPARE, partial(_draw, page), inputs=[page.board, first, second], outputs=chart, also=changes)
    gr.on(
        [first.input, second.input],
        partial(_show, page),
        inputs=[page.board, first, second],
        outputs=content,
        show_progress="hidden",
        trigger_mode="always_last",
        api_name="compare",
    )
    swap.click(
        lambda slug, left, right: (right, left, _show(page, slug, right, left)),
        inputs=[page.board, first, second],
        outputs=[first, second, content],
        show_progress="hidden",
        api_visibility="private",
    )
    page.keep("first", first, read=_label)
    page.keep("second", second, read=_label)


def _board_of(page: LeaderboardPage, slug: str | None) -> tuple[Catalogue, Board | None]:
    catalogue = page.library.catalogue
    summary = catalogue.find(slug or "")
    return catalogue, None if summary is None else catalogue.board(summary.key)


def _offer(
    page: LeaderboardPage, slug: str | None, left: str | None, right: str | None, model: str | None
) -> tuple[Any, Any, Any, str]:
    """Keep what was chosen where the board has it; else the chosen model and the best two are put there."""
    board = _board_of(page, slug)[1]
    if board is None:  # an address may have chosen models of a board that is yet to come
        return gr.skip(), gr.skip(), gr.skip(), NO_BOARD
    chosen = _defaults(board, left, right, model)
    labels = row_choices(board)
    pairs = zip(chosen, (left, right), strict=True)
    first, second = (offered(_with(labels, value), value, old) for value, old in pairs)
    return first, second, gr.update(visible=len(board.rows) > MOST_CHOICES), compare_page(board, *chosen)


def _show(page: LeaderboardPage, slug: str | None, left: str | None, right: str | None) -> str:
    board = _board_of(page, slug)[1]
    return NO_BOARD if board is None else compare_page(board, left, right)


def _narrowed(page: LeaderboardPage, typed: str, slug: str | None) -> list[str]:
    board = _board_of(page, slug)[1]
    return [] if board is None else row_choices(board, typed)


def _draw(
    page: LeaderboardPage, slug: str | None, left: str | None, right: str | None, screen: Screen
) -> tuple[Any, str]:
    return drawn(_overlaps(*_board_of(page, slug), (left, right), screen.width), screen, "overlap")


def _overlaps(
    catalogue: Catalogue, board: Board | None, chosen: tuple[str | None, str | None], width: int
) -> Figure | None:
    rows = [] if board is None else [row for text in chosen if (row := row_of(board, text)) is not None]
    if board is None or len(rows) < 2:
        return None
    return overlaps_figure([(row.label, catalogue.overlap(board, row)) for row in rows], width)


def _choice(label: str, name: str) -> gr.Dropdown:
    return gr.Dropdown(
        [], value=None, label=label, info="type to filter", allow_custom_value=True, filterable=True, elem_id=name
    )


def _label(text: str, catalogue: Catalogue) -> Any:
    """Return the choice of a label in an address; whether the board has it is seen when it is shown."""
    usable = 0 < len(text) <= LONGEST_VALUE and text.isprintable()
    return gr.update(choices=[text], value=text) if usable else None


def _with(labels: list[str], value: str | None) -> list[str]:
    """Return the labels with a chosen one that is not among the first thousand."""
    return labels if value is None or value in labels else [value, *labels[: MOST_CHOICES - 1]]


def _defaults(board: Board, left: str | None, right: str | None, model: str | None) -> list[str | None]:
    known = [row.label for text in (left, right) if (row := row_of(board, text)) is not None]
    if len(known) == 2:
        return [left, right]
    chosen = row_of(board, model)
    wanted = [*known, *([chosen.label] if chosen else []), *(row.label for row in board.rows[:2])]
    return [*dict.fromkeys(wanted), None, None][:2]
