"""The tab that says which metric of a board can be trusted: how well each order agrees with measured accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import gradio as gr

from hf_transfer_score.drawing.figure import WIDTH, Figure
from hf_transfer_score.drawing.trust_chart import TrustRow, trust_figure
from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.leaderboard.pages.page import NO_BOARD, TRUST, LeaderboardPage, Screen, add_chart, drawn
from hf_transfer_score.leaderboard.pages.texts import page, plain, signed
from hf_transfer_score.ranking.agreement import ENOUGH_MODELS, Agreement, agreement

TRIVIAL = "trivial"
FORECAST, MEAN_RANK = "forecast", "mean rank"
"""Orders that are of no single column."""

UNJUDGED = (
    "The order of this board is by a forecast, which knows the measured accuracies. It cannot be judged by them here: "
    "without them it has nothing to go by but the sizes of these models."
)

MOST_NAMED = 4
TWINS = {"parameters": "parameter_count", "width": "feature_width", "downloads": "downloads"}
"""What needs no forward pass to order models by, with the baselines that do so; a metric has to do better."""


class Trust(NamedTuple):
    """How far the order of one column agrees with the measured accuracies.

    Attributes:
        label: of the column, or of what orders models without any metric.
        kind: "score" or "baseline" for a column, "trivial" for an order by a fact of the model, or by chance, "order"
            for one that is made of several.
    """

    label: str
    kind: str
    agreement: Agreement


def trust(board: Board) -> list[Trust]:
    """Return how far each column agrees with the measured accuracies, the best first; remembered for a board.

    Several rows of one model share its accuracy, so only the first of them counts.
    """
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
        expected = 0.0 if same.models > 1 else None  # what a random order comes to on average
        by_chance = replace(same, weighted_tau=expected, tau=expected, spearman=expected)
        found.append(Trust("random order", TRIVIAL, by_chance))
        board.memo["trust"] = sorted(found, key=_order)
    return list(board.memo["trust"])


def _order(one: Trust) -> tuple[bool, float, int, str]:
    value = one.agreement.weighted_tau
    return value is None, -(value or 0.0), ("order", "score", "baseline", TRIVIAL).index(one.kind), one.label


def _measured(board: Board) -> list[BoardRow]:
    """Return the rows that have both a score and a measured accuracy."""
    return [row for row in board.rows if row.accuracy is not None and row.scores]


def _agreement(measured: Sequence[BoardRow], values: Sequence[float | None]) -> Agreement:
    """Return the agreement over the models that have a value; of several rows of one model the first counts."""
    pairs: dict[tuple[str, tuple[float, ...]], tuple[float, float]] = {}
    for row, value in zip(measured, values, strict=True):
        if value is not None and row.accuracy is not None:
            pairs.setdefault((row.model, row.accuracies), (float(value), float(row.accuracy)))
    return agreement([one for one, _ in pairs.values()], [accuracy for _, accuracy in pairs.values()])


def few_truths(board: Board) -> str | None:
    """Return the sentence to show where too few models were measured for any of it to be relied on, else None."""
    measured = len({row.model for row in _measured(board)})
    if measured >= ENOUGH_MODELS:
        return None
    if not measured:
        return (
            "No accuracy after fine-tuning is known for the models of this board, "
            "so nothing tells which metric to trust here. "
            f"It takes measured accuracies of at least {ENOUGH_MODELS} models."
        )
    models = "one model" if measured == 1 else f"{measured} models"
    return (
        f"The accuracy after fine-tuning is known for {models} of this board only; below {ENOUGH_MODELS}, "
        "agreement says more about which models were measured than about the metric."
    )


def with_forecast(board: Board, unaided: Mapping[str, int]) -> list[Trust]:
    """Return what `trust` does, and how far the forecast agrees.

    Args:
        board: whose models were measured.
        unaided: ranks by a forecast that knows none of these accuracies, by label; none where there is no forecast.
    """
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
    """Return which metrics of a board can be trusted: HTML, a chart of so many pixels, and HTML below it."""
    every = with_forecast(board, unaided or {})
    known = {(one.label, one.agreement.weighted_tau, one.agreement.models) for one in every if one.kind == "baseline"}
    found = [  # without orders by a fact that a recorded baseline gives too
        one for one in every if (TWINS.get(one.label), one.agreement.weighted_tau, one.agreement.models) not in known
    ]
    measured = [one for one in found if one.agreement.models]
    figure = trust_figure([_drawn(one) for one in found], width=width) if measured else None
    above = page(
        "trust_head.html.jinja",
        board=board,
        decided=decided_by(board, found),
        conclusion=conclusion(board, found),
        found=measured,
    )
    level = f"{100 * found[0].agreement.level:.0f}" if found else ""
    caption = "" if figure is None else figure.caption
    return (
        above,
        figure,
        page("trust_page.html.jinja", found=measured, level=level, caption=caption, deciding=deciding(board)),
    )


def _drawn(one: Trust) -> TrustRow:
    kind: Literal["score", "baseline"] = "score" if one.kind in ("score", "order") else "baseline"
    found = one.agreement
    return TrustRow(one.label, found.weighted_tau, found.weighted_tau_interval, kind, found.top_regret, found.models)


def conclusion(board: Board, found: Sequence[Trust]) -> str:
    """Return what can be concluded of what `trust` returned for a board, in a sentence or two."""
    few = few_truths(board)
    if few is not None:
        return few
    known = [one for one in found if one.agreement.weighted_tau is not None and one.agreement.enough]
    scores = [one for one in known if one.kind == "score"]
    if not scores:
        return "No metric of this board has scores of enough measured models, so none can be judged."

    def end(one: Trust, place: int) -> float:
        ends = one.agreement.weighted_tau_interval
        return (one.agreement.weighted_tau or 0.0) if ends is None else ends[place]

    baselines = [one for one in known if one.kind in ("baseline", TRIVIAL)]
    bar = max((end(one, 1) for one in baselines), default=0.0)
    surely = [one.label for one in scores if end(one, 0) > max(bar, 0.0)]
    if not surely:
        best = scores[0]
        return (
            f"No metric is surely above the trivial baselines: the intervals overlap. {plain(best.label, 80)} has the "
            f"highest τ_w, {signed(best.agreement.weighted_tau, 3)}; more measured models would tell."
        )
    shown = [plain(label, 80) for label in surely[:MOST_NAMED]]
    if len(surely) > MOST_NAMED:
        named = f"{', '.join(shown)} and {len(surely) - MOST_NAMED} more"
    else:
        named = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    verb, they = ("is", "it") if len(surely) == 1 else ("are", "they")
    return (
        f"{named} {verb} above every trivial baseline with intervals that do not overlap: on this board "
        f"{they} can be trusted further than a model's size or popularity."
    )


def decided_by(board: Board, found: Sequence[Trust]) -> str:
    """Return what decides the order of a board and how good that was, in a sentence; "" where it was not judged."""
    names = deciding(board)
    one = next((each for each in found if each.label in names and each.agreement.weighted_tau is not None), None)
    if few_truths(board) is not None:
        return ""
    if one is None:
        return UNJUDGED if board.is_forecast else ""
    what = (
        "a forecast, judged here as if nothing had been measured on this dataset"
        if one.label == FORECAST
        else one.label
    )
    said = f"The order of this board is by {plain(what, 80)}: it agrees with the measured accuracies to "
    said += f"τ_w {signed(one.agreement.weighted_tau, 2)} (1 is the same order, 0 is chance)"
    lost = one.agreement.top_regret
    if lost is None or lost > 1:
        return f"{said}."
    return f"{said}, and following it loses {signed(lost, 1, 100)} points of accuracy."


def build_trust_tab(page: LeaderboardPage) -> None:
    """Add the components of the tab."""
    content = gr.HTML("", elem_id="lb-trust")
    plot, _ = add_chart("lb-trust-plot")
    below = gr.HTML("", elem_id="lb-trust-table")

    def show(slug: str | None, screen: Screen) -> tuple[Any, ...]:
        board = page.library.catalogue.named(slug)
        if board is None:
            return NO_BOARD, drawn(None, screen, "")[0], ""
        above, figure, rest = trust_page(board, screen.width, page.library.catalogue.unaided(board))
        return above, drawn(figure, screen, "trust")[0], rest

    page.when_drawn(TRUST, show, inputs=[page.board], outputs=[content, plot, below])
