"""Which boards a table holds, counted over whole columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.leaderboard.boards.board import BoardKey, BoardSummary
from hf_transfer_score.leaderboard.boards.rows import KEY, MODEL, Codes, Mask, RecordRows

FINGERPRINT_LETTERS = 8


@dataclass(frozen=True)
class Groups:
    """What belongs together, by row of the table.

    Attributes:
        board: code of the board; rows that do not count have one too.
        family: code of task, dataset and configuration.
        block: code of the model block.
        newest: place of the row by time, the oldest first.
        scored: rows with terms of a score or a baseline.
        truth: rows with a measured accuracy.
        without: rows of models or metrics without terms.
    """

    board: Codes
    family: Codes
    block: Codes
    newest: Codes
    scored: Mask
    truth: Mask
    without: Mask


def groups(rows: RecordRows) -> Groups:
    """Return what belongs together."""
    ok = rows.sound & rows.coded("status").where(lambda value: value == "ok")
    truth = rows.coded("metric_kind").where(lambda value: value == "truth")
    return Groups(
        board=rows.grouped(f"dataset_{name}" for name in KEY),
        family=rows.grouped(("dataset_task", "dataset_id", "dataset_config")),
        block=rows.grouped(f"model_{name}" for name in MODEL),
        newest=_by_time(rows),
        scored=ok & ~truth,
        truth=ok & truth,
        without=rows.sound & ~ok & ~truth,
    )


def _by_time(rows: RecordRows) -> Codes:
    """Return the place of each row by time; rows of one time are told apart by what they are, not by where."""
    ties = [np.asarray(_order(rows, name)) for name in ("terms", "path", "identity")]
    order = np.lexsort([*ties, rows.times()])
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return places


def _order(rows: RecordRows, name: str) -> Codes:
    from pyarrow import compute

    column = rows.table.data.column(name)
    ranks = compute.rank(column.combine_chunks(), sort_keys="ascending", tiebreaker="min")
    return np.asarray(ranks.to_numpy(zero_copy_only=False), np.int64)


def summaries(rows: RecordRows, grouped: Groups) -> list[BoardSummary]:
    """Return the boards, those with most models first."""
    counts = int(grouped.board.max()) + 1 if len(grouped.board) else 0
    kept = np.flatnonzero(rows.sound)
    ids = rows.coded("model_id").codes
    models = _distinct(grouped, grouped.block, grouped.scored, counts)
    failed = _failed(grouped, ids, counts)
    truths = _truths(grouped, ids, counts)
    records = np.bincount(grouped.board[kept], minlength=counts)
    last = _last(grouped, kept, counts)
    shown = [board for board in range(counts) if records[board] and (models[board] or failed[board])]
    shown = shown or [board for board in range(counts) if records[board]]
    examples, classes = (_middle(rows, grouped, name, counts) for name in ("dataset_examples", "dataset_classes"))
    keys = [_key(rows, int(last[board])) for board in shown]
    titles = _titles(keys, [_size(examples[board], classes[board]) for board in shown])
    time = rows.coded("run_time")
    found = [
        BoardSummary(key, title, int(models[at]), int(failed[at]), int(records[at]), int(truths[at]), time.at(last[at]))
        for key, title, at in zip(keys, titles, shown, strict=True)
    ]
    return sorted(found, key=lambda one: (-one.models, one.title))


def _distinct(grouped: Groups, codes: Codes, mask: Mask, counts: int) -> Codes:
    """Return how many distinct codes each board has among some rows."""
    width = int(codes.max()) + 1 if len(codes) else 1
    pairs = np.unique(grouped.board[mask] * width + codes[mask])
    return np.bincount(pairs // width, minlength=counts)


def _failed(grouped: Groups, ids: Codes, counts: int) -> Codes:
    width = int(ids.max()) + 2 if len(ids) else 1
    pairs = grouped.board * width + ids
    lost = np.setdiff1d(pairs[grouped.without], pairs[grouped.scored])
    return np.bincount(lost // width, minlength=counts)


def _truths(grouped: Groups, ids: Codes, counts: int) -> Codes:
    """Return how many models of each board were measured, with its sample or else with another of the dataset."""
    own = _distinct(grouped, ids, grouped.truth, counts)
    width = int(ids.max()) + 2 if len(ids) else 1
    measured = np.unique((grouped.family * width + ids)[grouped.truth])
    there = grouped.scored & np.isin(grouped.family * width + ids, measured)
    return np.where(own > 0, own, _distinct(grouped, ids, there, counts))


def _last(grouped: Groups, kept: Codes, counts: int) -> Codes:
    """Return the newest row of each board."""
    order = kept[np.argsort(grouped.newest[kept])]
    found = np.zeros(counts, np.int64)
    found[grouped.board[order]] = order
    return found


def _middle(rows: RecordRows, grouped: Groups, name: str, counts: int) -> list[float]:
    """Return the lower median of a number over each board's rows, which one odd row does not move."""
    values = rows.numbers(name)
    kept = np.flatnonzero(rows.sound & ~np.isnan(values))
    order = kept[np.lexsort([values[kept], grouped.board[kept]])]
    sizes = np.bincount(grouped.board[kept], minlength=counts)
    starts = np.cumsum(sizes) - sizes
    return [
        float(values[order[start + (size - 1) // 2]]) if size else np.nan
        for start, size in zip(starts, sizes, strict=True)
    ]


def _key(rows: RecordRows, row: int) -> BoardKey:
    return BoardKey(*(rows.coded(f"dataset_{name}").at(row) for name in KEY))


def _size(examples: float, classes: float) -> str:
    kind = "regression" if np.isnan(classes) else f"{classes:.0f} classes"
    return f"{kind}, {examples:.0f} examples" if examples else kind


def _titles(keys: Sequence[BoardKey], sizes: Sequence[str]) -> list[str]:
    """Return a unique title for each board; the fingerprint only where several samples of one dataset are there."""
    places = [(key.dataset, key.config, key.split) for key in keys]
    several = Counter(places)
    titles = [_title(key, size, several[place] > 1) for key, size, place in zip(keys, sizes, places, strict=True)]
    again = Counter(titles)
    return [title if again[title] == 1 else f"{title} · {key.slug}" for key, title in zip(keys, titles, strict=True)]


def _title(key: BoardKey, size: str, several: bool) -> str:
    inside = ", ".join(part for part in (key.config, key.split) if part)
    name = f"{key.dataset} ({inside})" if inside else key.dataset
    parts = [name, size, *([key.fingerprint[:FINGERPRINT_LETTERS]] if several else [])]
    return " · ".join(parts)


def size_of(rows: RecordRows, chosen: Codes) -> tuple[int, int | None]:
    """Return examples and classes of a board, by most of its rows."""
    examples, classes = (rows.numbers(name)[chosen] for name in ("dataset_examples", "dataset_classes"))
    classes = classes[~np.isnan(classes)]
    return int(_lower_median(examples)), int(_lower_median(classes)) if len(classes) else None


def _lower_median(values: NDArray[np.float64]) -> float:
    return float(np.sort(values)[(len(values) - 1) // 2])
