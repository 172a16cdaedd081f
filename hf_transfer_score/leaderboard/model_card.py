"""The model card of a model of the catalogue: its records, with its places on the boards."""

from __future__ import annotations

from collections.abc import Sequence

from hf_transfer_score.cards.card import model_card
from hf_transfer_score.cards.evidence import Standing, gather, setting, standing_key
from hf_transfer_score.leaderboard.board import Board, BoardKey, BoardRow
from hf_transfer_score.leaderboard.catalogue import Catalogue
from hf_transfer_score.results.record import Record, RecordedMetric

MOST_BOARDS = 12
IDENTIFYING = ("id", "commit", "library", "layer", "pooling", "parameters", "width")


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
    """Return the places of a model on its boards, by what tells its ways of being read apart.

    Args:
        catalogue: the boards.
        model_id: of the model.
        records: of the model.
    """
    boards = {one.key: catalogue.board(one.key) for one in catalogue.model_boards(model_id)[:MOST_BOARDS]}
    found: dict[str, Standing] = {}
    for record in records:
        board = boards.get(_key(record))
        row = None if board is None else _row(board, record)
        if board is not None and row is not None:
            found.setdefault(standing_key(record), _standing(board, row))
    return found


def _key(record: Record) -> BoardKey:
    sample = record.dataset
    return BoardKey(sample.task, sample.id, sample.config, sample.split, sample.fingerprint)


def _row(board: Board, record: Record) -> BoardRow | None:
    """Return the row of a record's model; None where it has none, or where several are alike."""
    wanted = tuple(getattr(record.model, name) for name in IDENTIFYING)
    same = [row for row in board.rows if row.model == record.model.id and _told(row) == wanted]
    return same[0] if len(same) == 1 else None


def _told(row: BoardRow) -> tuple[object, ...]:
    return row.model, row.commit, row.library, row.layer, row.pooling, row.parameters, row.width


def _standing(board: Board, row: BoardRow) -> Standing:
    ranked = [other for other in board.rows if other.rank is not None]
    places = {}
    for label, column in board.columns.items():
        if label in row.ranks:
            metric = RecordedMetric(column.metric, column.version, parameters=dict(column.parameters))
            places[setting(metric)] = row.ranks[label], sum(label in other.ranks for other in board.rows)
    others = tuple(dict.fromkeys(other.model for other in ranked if other.model != row.model))
    return Standing(len(ranked), row.rank, row.low, row.high, board.headline, places, others)
