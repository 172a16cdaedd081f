"""How far each metric of a board agrees with measured accuracy, as HTML, and what can be concluded."""

from __future__ import annotations

from collections.abc import Sequence

from hf_transfer_score.drawing.figure import WIDTH, Figure
from hf_transfer_score.drawing.trust_chart import TrustRow, trust_figure
from hf_transfer_score.leaderboard.boards.board import Board
from hf_transfer_score.leaderboard.boards.trust import Trust, few_truths, trust
from hf_transfer_score.leaderboard.pages.texts import page, plain, signed

MOST_NAMED = 4
TWINS = {"parameters": "parameter_count", "width": "feature_width", "downloads": "downloads"}
"""Baselines by the fact of a model that they look at."""


def trust_page(board: Board, width: int = WIDTH) -> tuple[str, Figure | None, str]:
    """Return which metrics of a board can be trusted: HTML, a chart of so many pixels, and HTML below it."""
    found = _without_twins(trust(board))
    measured = [one for one in found if one.agreement.models]
    figure = trust_figure([_drawn(one) for one in found], width=width) if measured else None
    above = page("trust_head.html.jinja", board=board, conclusion=conclusion(board, found), found=measured)
    level = f"{100 * found[0].agreement.level:.0f}" if found else ""
    caption = "" if figure is None else figure.caption
    return above, figure, page("trust_page.html.jinja", found=measured, level=level, caption=caption)


def _without_twins(found: Sequence[Trust]) -> list[Trust]:
    """Leave out orders by a fact that a recorded baseline gives too."""
    known = {(one.label, one.agreement.weighted_tau, one.agreement.models) for one in found if one.kind == "baseline"}
    return [
        one for one in found if (TWINS.get(one.label), one.agreement.weighted_tau, one.agreement.models) not in known
    ]


def conclusion(board: Board, found: Sequence[Trust]) -> str:
    """Return what can be concluded, in a sentence or two.

    Args:
        board: whose metrics they are.
        found: of `trust`.
    """
    few = few_truths(board)
    if few is not None:
        return few
    known = [one for one in found if one.agreement.weighted_tau is not None and one.agreement.enough]
    scores = [one for one in known if one.kind == "score"]
    if not scores:
        return "No metric of this board has scores of enough measured models, so none can be judged."
    bar = max((_high(one) for one in known if one.kind != "score"), default=0.0)
    bar = max(bar, 0.0)
    surely = [one.label for one in scores if _low(one) > bar]
    if surely:
        verb = "is" if len(surely) == 1 else "are"
        return (
            f"{_named(surely)} {verb} above every trivial baseline with intervals that do not overlap: on this board "
            f"{'it' if len(surely) == 1 else 'they'} can be trusted further than a model's size or popularity."
        )
    best = scores[0]
    return (
        f"No metric is surely above the trivial baselines: the intervals overlap. {plain(best.label, 80)} has the "
        f"highest τ_w, {signed(best.agreement.weighted_tau, 3)}; more measured models would tell."
    )


def _low(one: Trust) -> float:
    ends, value = one.agreement.weighted_tau_interval, one.agreement.weighted_tau or 0.0
    return value if ends is None else ends[0]


def _high(one: Trust) -> float:
    ends, value = one.agreement.weighted_tau_interval, one.agreement.weighted_tau or 0.0
    return value if ends is None else ends[1]


def _named(labels: Sequence[str]) -> str:
    shown = [plain(label, 80) for label in labels[:MOST_NAMED]]
    more = len(labels) - len(shown)
    if more:
        return f"{', '.join(shown)} and {more} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _drawn(one: Trust) -> TrustRow:
    found = one.agreement
    return TrustRow(
        one.label,
        found.weighted_tau,
        found.weighted_tau_interval,
        "score" if one.kind == "score" else "baseline",
        found.top_regret,
        found.models,
    )
