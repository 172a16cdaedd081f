"""The tab with which metric of a board to trust: how well each order agrees with measured accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from hf_transfer_score.drawing.figure import WIDTH, Figure
from hf_transfer_score.drawing.trust_chart import TRIVIAL, Trust, trust_figure
from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.leaderboard.pages.page import TRUST, LeaderboardPage, Screen, add_chart, drawn
from hf_transfer_score.leaderboard.pages.texts import page, plain, signed
from hf_transfer_score.ranking.agreement import ENOUGH_MODELS, Agreement, agreement
from hf_transfer_score.text import joined

FORECAST, MEAN_RANK = "forecast", "mean rank"
"""Orders that do not belong to a single column."""

UNJUDGED = (
    "The order of this board is by a forecast that uses the measured accuracies, so they cannot judge it here: without "
    "them, it would have only the sizes of these models to go by."
)

MOST_NAMED = 4
TWINS = {"parameters": "parameter_count", "width": "feature_width", "downloads": "downloads"}
"""Facts that order models without a forward pass, with their baselines; a metric has to do better."""


def trust(board: Board) -> list[Trust]:
    """Return how well each order agrees with the measured accuracies, the best first; remembered for a board."""
    if "trust" not in board.memo:
        measured = _measured(board)
        found = [
            Trust(label, column.kind, _agreement(measured, [row.score(label) for row in measured]))
            for label, column in board.columns.items()
        ]
        if len(board.headline) > 1:
            places = [None if row.mean_rank is None else -row.mean_rank for row in measured]
            found.append(Trust(MEAN_RANK, "order", _agreement(measured, places)))
        facts = {name: [getattr(row, name) for row in measured] for name in TWINS}
        found += [Trust(name, TRIVIAL, _agreement(measured, values)) for name, values in facts.items()]
        same = _agreement(measured, [0.0] * len(measured))
        expected = 0.0 if same.models > 1 else None  # the average of a random order
        by_chance = replace(same, weighted_tau=expected, tau=expected, spearman=expected)
        found.append(Trust("random order", TRIVIAL, by_chance))
        board.memo["trust"] = sorted(found, key=_order)
    return list(board.memo["trust"])


def _order(one: Trust) -> tuple[bool, float, int, str]:
    return (
        one.agreement.weighted_tau is None,
        -one.tau,
        ("order", "score", "baseline", TRIVIAL).index(one.kind),
        one.label,
    )


def _measured(board: Board) -> list[BoardRow]:
    """Return the rows that have both a score and a measured accuracy."""
    return [row for row in board.rows if row.accuracy is not None and row.scores]


def _agreement(measured: Sequence[BoardRow], values: Sequence[float | None]) -> Agreement:
    """Return the agreement over the models that have a value; the first of several rows of one model counts."""
    pairs: dict[tuple[str, tuple[float, ...]], tuple[float, float]] = {}
    for row, value in zip(measured, values, strict=True):
        if value is not None and row.accuracy is not None:
            pairs.setdefault((row.model, row.accuracies), (float(value), float(row.accuracy)))
    return agreement([one for one, _ in pairs.values()], [accuracy for _, accuracy in pairs.values()])


def few_truths(board: Board) -> str | None:
    """Return the sentence to show if too few models were measured to rely on any of it, else None."""
    measured = len({row.model for row in _measured(board)})
    if measured >= ENOUGH_MODELS:
        return None
    if not measured and any(row.accuracy is not None for row in board.rows):
        return (
            "No model of this board has both a score and a measured accuracy, so there is no metric to judge here. "
            f"That takes at least {ENOUGH_MODELS} models with both."
        )
    if not measured:
        return (
            "No accuracy after fine-tuning is known for the models of this board, so there is no telling which metric "
            f"to trust here. That takes measured accuracies of at least {ENOUGH_MODELS} models."
        )
    models = "one model" if measured == 1 else f"{measured} models"
    return (
        f"The accuracy after fine-tuning is known for {models} of this board only; with fewer than {ENOUGH_MODELS}, "
        "agreement says more about which models were measured than about the metric."
    )


def with_forecast(board: Board, unaided: Mapping[str, int]) -> list[Trust]:
    """Return `trust` with the forecast, given its ranks by label without these accuracies, if there are any."""
    measured = _measured(board)
    places = [-unaided[row.label] if row.label in unaided else None for row in measured]
    judged = Trust(FORECAST, "order", _agreement(measured, places))
    return sorted([*trust(board), judged], key=_order) if judged.agreement.weighted_tau is not None else trust(board)


def deciding(board: Board) -> tuple[str, ...]:
    """Return the labels of what decides the order of a board."""
    if board.is_forecast:
        return (FORECAST,)
    return (MEAN_RANK, *board.headline) if len(board.headline) > 1 else board.headline


def trust_page(
    board: Board, width: int = WIDTH, unaided: Mapping[str, int] | None = None
) -> tuple[str, Figure | None, str]:
    """Return which metrics of a board to trust: HTML, a chart, and the HTML below it."""
    every = with_forecast(board, unaided or {})
    known = {(one.label, one.agreement.weighted_tau, one.agreement.models) for one in every if one.kind == "baseline"}
    found = [  # without orders by a fact that is recorded as a baseline too
        one for one in every if (TWINS.get(one.label), one.agreement.weighted_tau, one.agreement.models) not in known
    ]
    measured = [one for one in found if one.agreement.models]
    figure = trust_figure(found, width=width) if measured else None
    above = page(
        "trust_head.html.jinja",
        board=board,
        decided=decided_by(board, found),
        conclusion=conclusion(board, found),
        found=measured,
    )
    below = page(
        "trust_page.html.jinja",
        found=measured,
        level=f"{100 * found[0].agreement.level:.0f}",
        caption="" if figure is None else figure.caption,
        deciding=deciding(board),
    )
    return above, figure, below


def conclusion(board: Board, found: Sequence[Trust]) -> str:
    """Return what the agreement of all orders means, in a sentence or two."""
    few = few_truths(board)
    if few is not None:
        return few
    known = [one for one in found if one.agreement.weighted_tau is not None and one.agreement.enough]
    scores = [one for one in known if one.kind == "score"]
    if not scores:
        return "No metric of this board has scores of enough measured models, so none can be judged."

    def end(one: Trust, place: int) -> float:
        ends = one.agreement.weighted_tau_interval
        return one.tau if ends is None else ends[place]

    baselines = [one for one in known if one.is_baseline]
    bar = max((end(one, 1) for one in baselines), default=0.0)
    surely = [one.label for one in scores if end(one, 0) > max(bar, 0.0)]
    if not surely:
        highest = signed(scores[0].tau, 3)
        return (
            "No metric is clearly above the trivial baselines: the intervals overlap. "
            f"{plain(scores[0].label, 80)} has the highest τ_w, {highest}; more measured models would settle it."
        )
    verb, they = ("is", "it") if len(surely) == 1 else ("are", "they")
    named = joined([plain(label, 80) for label in surely], MOST_NAMED)
    return (
        f"{named} {verb} above every trivial baseline with intervals that do not overlap: on this board, {they} can be "
        "trusted more than a model's size or popularity."
    )


def decided_by(board: Board, found: Sequence[Trust]) -> str:
    """Return what orders a board and how good that was, in a sentence; "" if it was not judged."""
    names = deciding(board)
    one = next((each for each in found if each.label in names and each.agreement.weighted_tau is not None), None)
    if few_truths(board) is not None:
        return ""
    if one is None:
        return UNJUDGED if board.is_forecast else ""
    judged = "a forecast, judged here as if nothing had been measured on this dataset"
    what = judged if one.label == FORECAST else plain(one.label, 80)
    tau = signed(one.tau, 2)
    said = f"The order of this board is by {what}: it agrees with the measured accuracies by τ_w {tau} (1 is the same "
    said += "order, 0 is chance)"
    lost = one.agreement.top_regret
    if lost is None or lost > 1:
        return f"{said}."
    return f"{said}, and following it costs {signed(lost, 1, 100)} points of accuracy."


def build_trust_tab(page: LeaderboardPage) -> None:
    """Add the components of the tab."""
    content = gr.HTML("", elem_id="lb-trust")
    plot, _ = add_chart("lb-trust-plot")
    below = gr.HTML("", elem_id="lb-trust-table")

    def show(slug: str | None, screen: Screen) -> tuple[Any, ...]:
        board = page.library.catalogue.named(slug)
        if board is None:
            return page.without_board(), drawn(None, screen, "")[0], ""
        above, figure, rest = trust_page(board, screen.width, page.library.catalogue.unaided(board))
        return above, drawn(figure, screen, "trust")[0], rest

    page.when_shown(TRUST, show, inputs=[page.board], outputs=[content, plot, below], within="lb-tabs")
