"""All boards of a table of records: listed at once, made when they are asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import RecordError
from hf_transfer_score.leaderboard.boards.board import Board, BoardKey, BoardRow, BoardSummary
from hf_transfer_score.leaderboard.boards.building import Built, build
from hf_transfer_score.leaderboard.boards.rows import KEY, RecordRows
from hf_transfer_score.leaderboard.boards.summaries import groups, summaries
from hf_transfer_score.records.record import Record, RecordedOverlap
from hf_transfer_score.records.store import TableChange
from hf_transfer_score.records.table import RecordTable

KEPT_BOARDS = 16


class Catalogue:
    """The boards of a table.

    Safe to use from several threads.

    Args:
        table: the records.
        previous: the boards of an earlier table, of which those stay whose dataset did not change.
        difference: what tells the table from the earlier one.

    Attributes:
        table: the records.
    """

    def __init__(
        self, table: RecordTable, *, previous: Catalogue | None = None, difference: TableChange | None = None
    ) -> None:
        self.table = table
        self._rows = RecordRows(table)
        self._grouped = groups(self._rows)
        self._summaries = summaries(self._rows, self._grouped)
        self._by_key = {one.key: one for one in self._summaries}
        self._by_slug = {one.key.slug: one for one in self._summaries}
        self._codes = self._board_codes()
        self._built: OrderedDict[BoardKey, Built] = OrderedDict()
        self._lock = threading.Lock()
        self._building: dict[BoardKey, threading.Lock] = {}
        if previous is not None and difference is not None:
            self._built.update(previous._kept(difference, self._by_key))

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.table)

    @property
    def problems(self) -> int:
        """How many rows were left out so far; some show only when their board is made."""
        return len(self._rows.bad)

    @property
    def reasons(self) -> dict[str, int]:
        """How many rows were left out so far, by reason."""
        return self._rows.reasons()

    def boards(self) -> list[BoardSummary]:
        """Return the boards, those with most models first."""
        return list(self._summaries)

    def find(self, slug: str) -> BoardSummary | None:
        """Return the board that an address names, None where there is none."""
        return self._by_slug.get(slug)

    def board(self, key: BoardKey) -> Board:
        """Return a board; KeyError where the table has no record of it."""
        return self._made(key).board

    def models(self) -> list[str]:
        """Return the ids of all models, in order."""
        ids = self._rows.coded("model_id")
        there = np.unique(ids.codes[self._rows.sound])
        return sorted(ids.values[code] for code in there.tolist())

    def model_records(self, model_id: str) -> list[Record]:
        """Return all records of a model, the newest first; a row that is no record is left out."""
        return self._records(self._of_model(model_id))

    def model_boards(self, model_id: str) -> list[BoardSummary]:
        """Return the boards that have a record of a model."""
        codes = set(self._grouped.board[self._of_model(model_id)].tolist())
        return [one for one in self._summaries if self._codes[one.key] in codes]

    def overlap(self, board: Board, row: BoardRow) -> RecordedOverlap | None:
        """Return how far the classes overlap in a model's features, None where no record says so."""
        if board.key not in self._by_key:
            return None
        chosen = self._made(board.key).rows.get(row.label, ())
        found = (record.overlap for record in self._records(list(chosen)))
        return next((one for one in found if one is not None), None)

    def _kept(self, difference: TableChange, keys: Mapping[BoardKey, BoardSummary]) -> dict[BoardKey, Built]:
        """Return the boards that were made and are the same in a later table, with the rows as they are there."""
        removed = np.array(difference.removed, np.intp)
        with self._lock:
            made = dict(self._built)
        return {
            key: Built(one.board, {label: _moved(rows, removed) for label, rows in one.rows.items()})
            for key, one in made.items()
            if key.dataset not in difference.datasets and keys.get(key) == one.board.summary
        }

    def _board_codes(self) -> dict[BoardKey, int]:
        columns = [self._rows.coded(f"dataset_{name}") for name in KEY]
        _, first = np.unique(self._grouped.board, return_index=True)
        rows = first.tolist()
        return {
            key: int(self._grouped.board[row])
            for row in rows
            if (key := BoardKey(*(column.at(row) for column in columns))) in self._by_key
        }

    def _of_model(self, model_id: str) -> list[int]:
        """Return the sound rows of a model, the newest first."""
        ids = self._rows.coded("model_id")
        if model_id not in ids.values:
            return []
        mine = np.flatnonzero(self._rows.sound & (ids.codes == ids.values.index(model_id)))
        found: list[int] = mine[np.argsort(-self._grouped.newest[mine])].tolist()
        return found

    def _records(self, rows: list[int]) -> list[Record]:
        """Return the records of rows, without those that are none."""
        if not rows:
            return []
        try:
            return self.table.records(rows)
        except RecordError:
            return [record for row in rows for record in self._one(row)]

    def _one(self, row: int) -> list[Record]:
        try:
            return self.table.records([row])
        except RecordError as error:
            self._rows.bad.setdefault(row, str(error))
            return []

    def _made(self, key: BoardKey) -> Built:
        """Return a board that was made before, or make it while others wait for the same one."""
        with self._lock:
            if key in self._built:
                self._built.move_to_end(key)
                return self._built[key]
            one = self._building.setdefault(key, threading.Lock())
        with one:
            with self._lock:
                if key in self._built:
                    return self._built[key]
            made = build(self._rows, self._grouped, self._by_key[key], self._codes[key])
            with self._lock:
                self._built[key] = made
                self._building.pop(key, None)
                while len(self._built) > KEPT_BOARDS:
                    self._built.popitem(last=False)
            return made


def _moved(rows: tuple[int, ...], removed: NDArray[np.intp]) -> tuple[int, ...]:
    """Return where rows are once others are gone."""
    moved: list[int] = (np.array(rows, np.intp) - np.searchsorted(removed, rows)).tolist()
    return tuple(moved)
