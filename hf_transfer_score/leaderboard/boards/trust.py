"""Which metric of a board can be trusted: how well each one's order agrees with measured accuracies."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace

from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.ranking.agreement import ENOUGH_MODELS, Agreement, agreement

TRIVIAL = "trivial"
RANDOM = "random order"
KEPT = 32

Value = Callable[[BoardRow], float | None]

FACTS: dict[str, Value] = {
    "parameters": lambda row: row.parameters,
    "width": lambda row: row.width,
    "downloads": lambda row: row.downloads,
}
"""What needs no forward pass to order models by; a metric has to do better."""


@dataclass(frozen=True)
class Trust:
    """How far the order of one column is to be trusted.

    Attributes:
        label: of the column, or of what orders models without any metric.
        kind: "score" or "baseline" for a column, "trivial" for an order by a fact of the model, or by chance.
        agreement: with the measured accuracies.
    """

    label: str
    kind: str
    agreement: Agreement


_memo: dict[int, tuple[weakref.ref[Board], list[Trust]]] = {}
_lock = threading.Lock()


def trust(board: Board) -> list[Trust]:
    """Return how far each column agrees with the measured accuracies, the best first; remembered for a board.

    Several rows of one model share its accuracy, so only the first of them counts.
    """
    with _lock:
        known = _memo.get(id(board))
        if known is not None and known[0]() is board:
            return list(known[1])
    found = _computed(board)
    with _lock:
        _memo[id(board)] = (weakref.ref(board), found)
        while len(_memo) > KEPT:
            del _memo[next(iter(_memo))]
    return list(found)


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


def _measured(board: Board) -> list[BoardRow]:
    """Return the rows that have both a score and a measured accuracy."""
    return [row for row in board.rows if row.accuracy is not None and row.scores]


def _computed(board: Board) -> list[Trust]:
    measured = _measured(board)
    found = [
        Trust(column.label, column.kind, _agreement(measured, _score(column.label)))
        for column in board.columns.values()
    ]
    found += [Trust(label, TRIVIAL, _agreement(measured, value)) for label, value in FACTS.items()]
    found.append(Trust(RANDOM, TRIVIAL, _by_chance(measured)))
    return sorted(found, key=_order)


def _score(label: str) -> Value:
    return lambda row: row.numbers.score(label)


def _same(row: BoardRow) -> float:
    return 0.0


def _agreement(measured: list[BoardRow], value: Value) -> Agreement:
    """Return the agreement over the models that have a value; of several rows of one model the first counts."""
    rows: dict[tuple[str, tuple[float, ...]], BoardRow] = {}
    for row in measured:
        if value(row) is not None:
            rows.setdefault((row.model, row.accuracies), row)
    chosen = list(rows.values())
    return agreement([_number(value(row)) for row in chosen], [_number(row.accuracy) for row in chosen])


def _number(value: float | None) -> float:
    assert value is not None
    return float(value)


def _by_chance(measured: list[BoardRow]) -> Agreement:
    """Return what a random order comes to on average."""
    found = _agreement(measured, _same)
    expected = 0.0 if found.models > 1 else None
    return replace(found, weighted_tau=expected, tau=expected, spearman=expected)


def _order(one: Trust) -> tuple[bool, float, int, str]:
    value = one.agreement.weighted_tau
    kinds = {"score": 0, "baseline": 1, TRIVIAL: 2}
    return value is None, -(value or 0.0), kinds.get(one.kind, 3), one.label
