"""All boards of a table of records: listed at once, made on demand."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hf_transfer_score.errors import RecordError
from hf_transfer_score.leaderboard.boards.board import Board, BoardKey, BoardRow, BoardSummary
from hf_transfer_score.leaderboard.boards.building import Built, build, without_seed
from hf_transfer_score.leaderboard.boards.outlook import Outlook, answered, outlook, unaided_ranks
from hf_transfer_score.leaderboard.boards.rows import KEY, Groups, RecordRows, groups, holds, parsed
from hf_transfer_score.records.checks import is_regression
from hf_transfer_score.records.coded import Codes, Mask
from hf_transfer_score.records.coded import grouped as together
from hf_transfer_score.records.record import Record, RecordedOverlap
from hf_transfer_score.records.store import TableChange
from hf_transfer_score.records.table import RecordTable

FINGERPRINT_LETTERS = 8
KEPT_BOARDS = 16


class Catalogue:
    """The boards of a table of records, safe to use from several threads.

    Given the catalogue of an earlier table and the difference between both, it keeps the boards whose dataset did not
    change, and their forecasts if what these learned from did not change either.
    """

    def __init__(
        self, table: RecordTable, *, previous: Catalogue | None = None, difference: TableChange | None = None
    ) -> None:
        self.table = table
        self._rows = RecordRows(table)
        self._grouped = groups(self._rows)
        listed = summaries(self._rows, self._grouped)
        self._by_key = {one.key: one for one, _ in listed}
        self._by_slug = {one.key.slug: one for one, _ in listed}
        self._codes = {one.key: code for one, code in listed}
        self._built: OrderedDict[BoardKey, Built] = OrderedDict()
        self._outlooks: dict[BoardKey, Outlook] = {}
        self._earlier: dict[BoardKey, Outlook] = {}
        self._lock = threading.Lock()
        self._building: dict[BoardKey, Any] = {}
        if previous is not None and difference is not None:
            self._built.update(previous._kept(difference, self._by_key))
            self._earlier = {key: one for key, one in previous._outlooks.items() if key in self._built}

    def __len__(self) -> int:
        return len(self.table)

    @property
    def problems(self) -> int:
        """How many rows were left out so far; some are found only when their board is made."""
        return len(self._rows.bad)

    def boards(self) -> list[BoardSummary]:
        """Return the boards, those with the most models first."""
        return list(self._by_key.values())

    def find(self, slug: str) -> BoardSummary | None:
        """Return the summary of the board that an address names, if there is one."""
        return self._by_slug.get(slug)

    def named(self, slug: str | None, *, by_metrics: bool = False) -> Board | None:
        """Return the board that an address names, if there is one."""
        found = self.find(slug or "")
        return None if found is None else self.board(found.key, by_metrics=by_metrics)

    def board(self, key: BoardKey, *, by_metrics: bool = False) -> Board:
        """Return a board in the order of its metrics or of the forecast; KeyError if the table has no record of it."""
        return answered(self._made(key).sure()) if by_metrics else self._foreseen(key)

    def models(self) -> list[str]:
        """Return the ids of all models, in order."""
        ids = self._rows.coded("model_id")
        there = np.unique(ids.codes[self._rows.sound])
        return sorted(ids.values[code] for code in there.tolist())

    def model_records(self, model_id: str) -> list[Record]:
        """Return all records of a model, the newest first; invalid rows are left out."""
        return self._records(self._of_model(model_id))

    def model_boards(self, model_id: str) -> list[BoardSummary]:
        """Return the boards that have a record of a model."""
        codes = set(self._grouped.board[self._of_model(model_id)].tolist())
        return [one for one in self.boards() if self._codes[one.key] in codes]

    def overlap(self, board: Board, row: BoardRow) -> RecordedOverlap | None:
        """Return how much the classes overlap in a model's features, None if no record says."""
        if board.key not in self._by_key:
            return None
        chosen = self._made(board.key).rows.get(row.label, ())
        found = (record.overlap for record in self._records(list(chosen)))
        return next((one for one in found if one is not None), None)

    def unaided(self, board: Board) -> dict[str, int]:
        """Return ranks by label from a forecast without the accuracies measured on the board's dataset."""
        if "unaided" not in board.memo:
            known = board.key in self._by_key and board.is_forecast and board.truth is not None
            made = self._made(board.key) if known else None
            found = {} if made is None else unaided_ranks(self._rows, self._grouped, made.board, made.rows)
            board.memo["unaided"] = found
        return dict(board.memo["unaided"])

    def _kept(self, difference: TableChange, keys: Mapping[BoardKey, BoardSummary]) -> dict[BoardKey, Built]:
        """Return the boards made so far that are the same in a later table, with their row numbers there."""
        removed = np.array(difference.removed, np.intp)

        def later(rows: tuple[int, ...]) -> tuple[int, ...]:
            return tuple((np.array(rows, np.intp) - np.searchsorted(removed, rows)).tolist())

        with self._lock:
            made = dict(self._built)
        return {
            key: replace(one, rows={label: later(rows) for label, rows in one.rows.items()})
            for key, one in made.items()
            if key.dataset not in difference.datasets and keys.get(key) == one.board.summary
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
        """Return the records of rows without invalid ones: if one fails, they are read one by one."""
        if not rows:
            return []
        try:
            return self.table.records(rows)
        except RecordError as error:
            if len(rows) > 1:
                return [record for row in rows for record in self._records([row])]
            self._rows.bad.setdefault(rows[0], str(error))
            return []

    def _made(self, key: BoardKey) -> Built:
        """Return a board made before, or make it while other threads wait for it."""
        with self._lock:
            if key in self._built:
                self._built.move_to_end(key)
                return self._built[key]
            one = self._building.setdefault(key, threading.RLock())
        with one:
            with self._lock:
                if key in self._built:
                    return self._built[key]
            made = build(self._rows, self._grouped, self._by_key[key], self._codes[key])
            with self._lock:
                self._built[key] = made
                while len(self._built) > KEPT_BOARDS:
                    gone, _ = self._built.popitem(last=False)
                    for kept in (self._outlooks, self._earlier, self._building):
                        kept.pop(gone, None)
            return made

    def _foreseen(self, key: BoardKey) -> Board:
        """Return a board in the order of its forecast, which is made on first use."""
        with self._lock:
            one = self._building.setdefault(key, threading.RLock())
        with one:
            made, found = self._made(key), self._outlooks.get(key)
            if found is None:
                earlier = self._earlier.pop(key, None)
                found = outlook(self._rows, self._grouped, made.board, made.rows, earlier)
                self._outlooks[key] = found
            return found.board


def summaries(rows: RecordRows, grouped: Groups) -> list[tuple[BoardSummary, int]]:
    """Return the boards with their codes, those with the most models first."""
    counts = int(grouped.board.max()) + 1 if len(grouped.board) else 0
    kept = np.flatnonzero(rows.sound)
    ids = rows.coded("model_id").codes
    width = int(ids.max()) + 2 if len(ids) else 1
    pairs = grouped.board * width + ids
    lost = np.setdiff1d(pairs[grouped.without], pairs[grouped.scored])
    failed = np.bincount(lost // width, minlength=counts)
    models = _distinct(grouped, grouped.block, grouped.scored, counts) + _measured_alone(rows, grouped, counts)
    records = np.bincount(grouped.board[kept], minlength=counts)
    last = np.zeros(counts, np.int64)  # the newest row of each board
    in_time = kept[np.argsort(grouped.newest[kept])]
    last[grouped.board[in_time]] = in_time
    ran = grouped.scored | grouped.without
    alone = grouped.truth & ~np.isin(grouped.family, grouped.family[ran])  # no other sample of the dataset shows them
    shown = np.unique(grouped.board[ran | alone]).tolist() or np.unique(grouped.board[kept]).tolist()
    columns = [rows.coded(f"dataset_{name}") for name in KEY]
    keys = [BoardKey(*(column.at(last[board]) for column in columns)) for board in shown]
    examples, classes = (_middle(rows, grouped, name) for name in ("dataset_examples", "dataset_classes"))
    sizes = [(examples.get(board, 0), classes.get(board)) for board in shown]
    truths, time = _truths(grouped, ids, counts), rows.coded("run_time")
    found = []
    for key, title, size, at in zip(keys, _titles(keys, sizes), sizes, shown, strict=True):
        numbers = int(models[at]), int(failed[at]), int(records[at]), int(truths[at])
        found.append((BoardSummary(key, title, *numbers, time.at(last[at]), *size), at))
    return sorted(found, key=lambda one: (-one[0].models, one[0].title))


def _distinct(grouped: Groups, codes: Codes, mask: Mask, counts: int) -> Codes:
    """Return how many distinct codes each board has in some rows."""
    width = int(codes.max()) + 1 if len(codes) else 1
    pairs = np.unique(grouped.board[mask] * width + codes[mask])
    return np.bincount(pairs // width, minlength=counts)


def _measured_alone(rows: RecordRows, grouped: Groups, counts: int) -> Codes:
    """Return how many models without a score each board shows: those measured in the same way as most of its models."""
    parameters, directions = (rows.coded(f"metric_{name}") for name in ("parameters", "directions"))
    truth = np.flatnonzero(grouped.truth & directions.where(holds(dict, lambda one: one == 1)))
    ways: dict[str, int] = {}
    way = [ways.setdefault(without_seed(parsed(text)), len(ways)) for text in parameters.values]
    columns = [grouped.board, *(rows.coded(f"metric_{name}").codes for name in ("name", "version"))]
    columns.append(np.array([*way, -1])[parameters.codes])
    same, ids = together((codes[truth] for codes in columns), len(truth)), rows.coded("model_id").codes
    width = int(ids.max(initial=0)) + 1
    way_of, model = np.divmod(np.unique(same * width + ids[truth]), width)
    board = np.zeros(int(same.max(initial=-1)) + 1, np.int64)
    board[same] = grouped.board[truth]
    scored = np.isin(board[way_of] * width + model, grouped.board[grouped.scored] * width + ids[grouped.scored])
    both, total = np.bincount(way_of[scored], minlength=len(board)), np.bincount(way_of, minlength=len(board))
    order = np.lexsort([total, both, board])  # the last way of each board is the one that it shows
    found = np.zeros(counts, np.int64)
    found[board[order]] = (total - both)[order]
    return found


def _truths(grouped: Groups, ids: Codes, counts: int) -> Codes:
    """Return how many models of each board were measured, with its own sample or else with others of the dataset."""
    own = _distinct(grouped, ids, grouped.truth, counts)
    width = int(ids.max()) + 2 if len(ids) else 1
    measured = np.unique((grouped.family * width + ids)[grouped.truth])
    there = grouped.scored & np.isin(grouped.family * width + ids, measured)
    return np.where(own > 0, own, _distinct(grouped, ids, there, counts))


def _titles(keys: list[BoardKey], sizes: list[tuple[int, int | None]]) -> list[str]:
    """Return a unique title for each board, with the task or the fingerprint only where a dataset has several."""
    several = Counter((key.dataset, key.config, key.split) for key in keys)
    tasks = Counter(dataset for dataset, _ in {(key.dataset, key.task) for key in keys})
    titles = []
    for key, (examples, classes) in zip(keys, sizes, strict=True):
        inside = ", ".join(part for part in (key.config, key.split) if part)
        kind = f"{classes} classes" if classes is not None else "regression" * is_regression(key.task)
        size = ", ".join(filter(None, [kind, f"{examples} examples" * bool(examples)]))
        parts = [f"{key.dataset} ({inside})" if inside else key.dataset, *([size] if size else [])]
        parts += [key.task] if tasks[key.dataset] > 1 else []
        if several[key.dataset, key.config, key.split] > 1:
            parts.append(key.fingerprint[:FINGERPRINT_LETTERS])
        titles.append(" · ".join(parts))
    again = Counter(titles)
    return [title if again[title] == 1 else f"{title} · {key.slug}" for key, title in zip(keys, titles, strict=True)]


def _middle(rows: RecordRows, grouped: Groups, name: str) -> dict[int, int]:
    """Return the lower median of a whole number over each board's rows that have it, robust to a single odd row."""
    values = rows.numbers(name)
    kept = np.flatnonzero(rows.sound & ~np.isnan(values))
    order = kept[np.lexsort([values[kept], grouped.board[kept]])]
    boards, starts, sizes = np.unique(grouped.board[order], return_index=True, return_counts=True)
    middle = values[order[starts + (sizes - 1) // 2]]
    return {board: int(value) for board, value in zip(boards.tolist(), middle.tolist(), strict=True)}
