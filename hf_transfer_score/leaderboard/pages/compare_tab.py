"""The tab with two models of the chosen board side by side, and which of them is better."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from hf_transfer_score.drawing.figure import WIDTH, Figure, together
from hf_transfer_score.drawing.heatmap import overlap_figure
from hf_transfer_score.drawing.scatter import NARROW
from hf_transfer_score.leaderboard.boards.board import Board, BoardColumn, BoardRow
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.pages.page import (
    COMPARE,
    LONGEST_VALUE,
    Kept,
    LeaderboardPage,
    Screen,
    add_chart,
    add_finder,
    drawn,
    offered,
)
from hf_transfer_score.leaderboard.pages.texts import accuracy_text, escape, page, plain, points_text, way_of
from hf_transfer_score.records.record import FACT_TITLES, FACTS, RecordedOverlap

MOST_CHOICES = 1000
COMPARED = ("library", "layer", "pooling", "commit", "parameters", "width", *FACTS, "throughput", "device")

Ends = tuple[float, float]


class ComparedTerm(NamedTuple):
    """One raw term of both models.

    Attributes:
        direction: 1 where higher is better, -1 where lower is.
        better: see `_better`.
        overlap: whether the intervals overlap; None where one is missing.
    """

    name: str
    direction: int
    values: tuple[float | None, ...]
    intervals: tuple[Ends | None, ...]
    better: int | None
    overlap: bool | None


class ComparedColumn(NamedTuple):
    """One metric of both models; the one with the higher pool score is better."""

    label: str
    kind: str
    scores: tuple[float | None, ...]
    ranks: tuple[int | None, ...]
    better: int | None
    terms: tuple[ComparedTerm, ...]


def compared(board: Board, pair: Sequence[BoardRow]) -> list[ComparedColumn]:
    """Return the metrics that at least one of two models has."""
    columns = (_column(column, pair) for column in board.columns.values())
    return [one for one in columns if any(score is not None for score in one.scores)]


def verdict(board: Board, first: BoardRow, second: BoardRow) -> str:
    """Return which of two models is better, as far as that is known."""
    if first.label == second.label:
        return f"{first.label} is compared with itself."
    return f"{_ranks_told(board, first, second)} {_truth_told(first, second, way_of(board))}".strip()


def _column(column: BoardColumn, pair: Sequence[BoardRow]) -> ComparedColumn:
    label, terms = column.label, []
    for name, direction in column.directions.items():
        values = tuple(row.terms.get(label, {}).get(name) for row in pair)
        mine, theirs = (row.intervals.get(label, {}).get(name) for row in pair)
        overlap = None if mine is None or theirs is None else mine[0] <= theirs[1] and theirs[0] <= mine[1]
        better = _better(*values, direction=direction)
        terms.append(ComparedTerm(name, direction, values, (mine, theirs), better, overlap))
    scores, ranks = tuple(row.scores.get(label) for row in pair), tuple(row.ranks.get(label) for row in pair)
    return ComparedColumn(label, column.kind, scores, ranks, _better(*scores), tuple(terms))


def _better(first: float | None, second: float | None, *, direction: int = 1) -> int | None:
    """Return 0 if the first is better and 1 if the second is, None if they are equal or one is missing."""
    if first is None or second is None or first == second:
        return None
    return 0 if (first > second) == (direction > 0) else 1


def _ranks_told(board: Board, first: BoardRow, second: BoardRow) -> str:
    if first.forecast is not None and second.forecast is not None:
        return _forecasts_told(first, second)
    if first.rank is None or second.rank is None:
        without = " and ".join(row.label for row in (first, second) if row.rank is None)
        lacking = " and ".join(board.headline) or "a score"
        return f"It is not known which is better, since there is no rank of {without}, for lack of {lacking}."
    if first.rank == second.rank:
        tied = first.group is not None and first.group == second.group
        return f"{'They cannot be distinguished: both' if tied else 'Both'} have rank {first.rank}."
    ahead, behind = (first, second) if first.rank < second.rank else (second, first)
    order = f"{ahead.label} (rank {ahead.rank}) is ahead of {behind.label} (rank {behind.rank})"
    if ahead.high is None or behind.low is None:
        return f"{order}, but without intervals it is not known whether by more than chance."
    ranges = f"{ahead.low} to {ahead.high} and {behind.low} to {behind.high}"
    if ahead.high < behind.low:
        return f"{order}, and their rank ranges do not overlap: {ranges}."
    return f"{order}, but their rank ranges {ranges} overlap: another sample may say otherwise."


def _forecasts_told(first: BoardRow, second: BoardRow) -> str:
    """Return which of two models is expected to do better, and how certain that is."""
    assert first.rank is not None and second.rank is not None
    better, worse = (first, second) if first.rank <= second.rank else (second, first)
    assert better.forecast is not None and worse.forecast is not None
    near, far = better.forecast.points_below_best, worse.forecast.points_below_best
    told = f"Fine-tune {better.label} rather than {worse.label}: it is expected to be "
    if near.high > 0:
        told += f"{points_text(near)} points below the best of the board, the other {points_text(far)}."
    else:
        told += f"the best of the board, the other {points_text(far)} points below it."
    if near.high < far.low or (better.forecast.measured and worse.forecast.measured):
        return told
    return f"{told} These intervals overlap, so {worse.label} may be as good."


def _truth_told(first: BoardRow, second: BoardRow, way: str) -> str:
    known = [(row.accuracy, row.label) for row in (first, second) if row.accuracy is not None]
    if len(known) < 2:
        return ""
    (high, better), (low, worse) = sorted(known, key=lambda one: -one[0])
    if high == low:
        return f"Both reached {accuracy_text(high)} {way}."
    return f"{better} reached {accuracy_text(high)} and {worse} {accuracy_text(low)} {way}."


def row_choices(board: Board, typed: str = "") -> list[str]:
    """Return labels of a board's models that contain what was typed, in its order, at most 1,000."""
    wanted = typed.strip().casefold()
    return [row.label for row in board.rows if wanted in row.label.casefold()][:MOST_CHOICES]


def compare_page(board: Board, first: str | None, second: str | None) -> str:
    """Return two models of a board, given by label or id, side by side as HTML, or what is wrong with a text."""
    one, other = board.row(first), board.row(second)
    if one is None or other is None:
        reasons = {each.model: f" It could not be scored: {escape(each.reason, 600)}" for each in board.failures}
        notes = []
        for name in dict.fromkeys((text or "").strip() for row, text in ((one, first), (other, second)) if row is None):
            told = (
                f"{escape(name)} has no scores on this board.{reasons.get(name, '')}" if name else "Choose two models."
            )
            notes.append(f'<div class="lb-note">{told}</div>')
        return "".join(notes)
    return page(
        "compare_page.html.jinja",
        pair=(one, other),
        verdict=verdict(board, one, other),
        columns=compared(board, (one, other)),
        headline=board.headline,
        way=way_of(board),
        facts={**dict.fromkeys(COMPARED, ""), **FACT_TITLES},
        headers=("", plain(one.label, 60), plain(other.label, 60)),
        higher=_better(one.rank, other.rank, direction=-1),
        more_accurate=_better(one.accuracy, other.accuracy),
    )


def overlaps_figure(pair: Sequence[tuple[str, RecordedOverlap | None]], width: int = WIDTH) -> Figure | None:
    """Return the class overlap of two models on one scale, side by side if there is room; None if nothing is known."""
    known = [(label, overlap) for label, overlap in pair if overlap is not None]
    if not known:
        return None
    largest = max(max(overlap.values, default=0.0) for _, overlap in known) or None
    columns = len(known) if width > NARROW else 1
    each = [
        overlap_figure(one.classes, one.values, model=label, largest=largest, width=width // columns)
        for label, one in known
    ]
    return together(each, "How much the classes overlap", columns)


def build_compare_tab(page: LeaderboardPage) -> None:
    """Add the components of the tab."""
    gr.HTML('<div class="lb-head"><h2>Compare two models of the chosen board</h2></div>')
    look: dict[str, Any] = {"info": "type to filter", "allow_custom_value": True, "filterable": True}
    with gr.Row():
        first = gr.Dropdown([], value=None, label="First model", elem_id="lb-first", **look)
        second = gr.Dropdown([], value=None, label="Second model", elem_id="lb-second", **look)
    with gr.Row():
        swap = gr.Button("Swap", size="sm", scale=0, min_width=120, elem_id="lb-swap")

    def narrowed(typed: str, slug: str | None) -> list[str]:
        board = page.library.catalogue.named(slug)
        return [] if board is None else row_choices(board, typed)

    def show(slug: str | None, left: str | None, right: str | None) -> Any:
        board = page.library.catalogue.named(slug)
        return page.without_board() if board is None else compare_page(board, left, right)

    find = add_finder([first, second], narrowed, inputs=[page.board], name="lb-find-pair")
    content = gr.HTML("", elem_id="lb-compare")
    chart = add_chart("lb-compare-plot")
    chosen = [page.board, first, second]
    outputs = [first, second, find, content]
    page.when_shown(COMPARE, partial(_offer, page), inputs=[*chosen, page.model], outputs=outputs)
    changes = [first.change, second.change]
    page.when_shown(COMPARE, partial(_draw, page), inputs=chosen, outputs=chart, also=changes, within="lb-tabs")
    inputs = [first.input, second.input]
    always_last: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden"}
    gr.on(inputs, show, inputs=chosen, outputs=content, api_name="compare", **always_last)
    swap.click(
        lambda slug, left, right: (right, left, show(slug, right, left)),
        inputs=chosen,
        outputs=[first, second, content],
        show_progress="hidden",
        api_visibility="private",
    )
    page.kept.append(Kept("first", first, read=_label))
    page.kept.append(Kept("second", second, read=_label))


def _offer(
    page: LeaderboardPage, slug: str | None, left: str | None, right: str | None, model: str | None
) -> tuple[Any, Any, Any, Any]:
    """Keep chosen models that are on the board; else offer the model of the Model tab and the best two."""
    board = page.library.catalogue.named(slug)
    if board is None:  # an address may name models of a board that is still loading
        return gr.skip(), gr.skip(), gr.skip(), page.without_board()
    chosen = [left, right]
    known = [row.label for text in chosen if (row := board.row(text)) is not None]
    if len(known) < 2:
        rows = (board.row(model), *board.rows[:2])
        chosen = [*dict.fromkeys([*known, *(row.label for row in rows if row is not None)]), None, None][:2]
    labels, offers = row_choices(board), []
    for value, old in zip(chosen, (left, right), strict=True):
        is_there = value is None or value in labels  # it may not be among the first thousand
        offers.append(offered(labels if is_there else [value, *labels[: MOST_CHOICES - 1]], value, old))
    return *offers, gr.update(visible=len(board.rows) > MOST_CHOICES), compare_page(board, *chosen)


def _draw(
    page: LeaderboardPage, slug: str | None, left: str | None, right: str | None, screen: Screen
) -> tuple[Any, str]:
    catalogue = page.library.catalogue
    board = catalogue.named(slug)
    rows = [] if board is None else [row for text in (left, right) if (row := board.row(text)) is not None]
    if board is None or len(rows) < 2:
        return drawn(None, screen, "overlap")
    pair = [(row.label, catalogue.overlap(board, row)) for row in rows]
    return drawn(overlaps_figure(pair, screen.width), screen, "overlap")


def _label(text: str, catalogue: Catalogue) -> Any:
    """Return an update with the label in an address; whether the board has it is checked when it is shown."""
    usable = 0 < len(text) <= LONGEST_VALUE and text.isprintable()
    return gr.update(choices=[text], value=text) if usable else None
