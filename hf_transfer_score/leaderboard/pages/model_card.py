"""The model card of a model of the catalogue: its records, with its places on the boards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from hf_transfer_score.cards.evidence import Standing, gather, setting, standing_key
from hf_transfer_score.cards.model_card import model_card
from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.records.record import Record

MOST_BOARDS = 12
"""Boards of a model that are made for its card; the others would each take a moment."""


def card_of(catalogue: Catalogue, model_id: str, *, source: str | None = None) -> str:
    """Return the model card as Markdown; what records say is escaped in it.

    Args:
        catalogue: the boards.
        model_id: of the model.
        source: the results repository that the records are from, None for a folder.
    """
    records = catalogue.model_records(model_id)
    return model_card(gather(model_id, records, standings(catalogue, model_id, records), source=source))


def standings(catalogue: Catalogue, model_id: str, records: Sequence[Record]) -> dict[str, Standing]:
    """Return the places of a model on its boards, by the key of each way in which it was read.

    Args:
        catalogue: the boards.
        model_id: of the model.
        records: of the model.
    """
    return dict(_standings(catalogue, model_id, records))


def _standings(catalogue: Catalogue, model: str, records: Sequence[Record]) -> Iterator[tuple[str, Standing]]:
    """Yield the place of a model, read in each way, on each of its boards."""
    ways: dict[str, list[Record]] = defaultdict(list)
    for one in records:
        ways[standing_key(one)].append(one)
    for summary in catalogue.model_boards(model)[:MOST_BOARDS]:
        board = catalogue.board(summary.key)
        for row in board.rows:
            for way, mine in ways.items():
                if row.model == model and _is_of(mine, board, row):
                    yield way, _standing(board, row, mine)


def _is_of(records: list[Record], board: Board, row: BoardRow) -> bool:
    """Whether a row of a board shows these records."""
    key, dataset, model = board.key, records[0].dataset, records[0].model
    same = (key.task, key.dataset, key.config, key.split, key.fingerprint)
    if same != (dataset.task, dataset.id, dataset.config, dataset.split, dataset.fingerprint):
        return False
    names = ("commit", "library", "layer", "pooling", "parameters", "width")
    if any(getattr(row, name) != getattr(model, name) for name in names):
        return False
    shown = _columns(board, row, records)
    return bool(shown) and all(dict(row.terms[label]) in [one.terms for one in found] for label, found in shown.items())


def _columns(board: Board, row: BoardRow, records: list[Record]) -> dict[str, list[Record]]:
    """Return the records of each column that a row has."""
    found: dict[str, list[Record]] = defaultdict(list)
    for label in row.ranks:
        column = board.columns[label]
        wanted = (column.metric, column.version, dict(column.parameters))
        for one in records:
            if one.metric is not None and (one.metric.name, one.metric.version, one.metric.parameters) == wanted:
                found[label].append(one)
    return found


def _standing(board: Board, row: BoardRow, records: list[Record]) -> Standing:
    ranked = [one for one in board.rows if one.rank is not None]
    places = {}
    for label, found in _columns(board, row, records).items():
        count = sum(label in one.ranks for one in board.rows)
        for record in found:
            if record.metric is not None:
                places[setting(record.metric)] = (int(row.ranks[label]), count)
    others = tuple(dict.fromkeys(one.model for one in ranked if one.label != row.label))
    sharing = sum(one.rank == row.rank for one in ranked if one is not row)
    return Standing(len(ranked), row.rank, sharing, row.low, row.high, board.headline, places, others)
