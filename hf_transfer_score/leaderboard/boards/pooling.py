"""The columns of a board from its rows: raw terms, pool scores, the order, and how certain it is."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.leaderboard.boards.board import BoardColumn, ColumnNumbers
from hf_transfer_score.leaderboard.boards.rows import RecordRows, parsed
from hf_transfer_score.metrics.registry import Metric
from hf_transfer_score.ranking.confidence import RankConfidence, stored_confidence
from hf_transfer_score.ranking.intervals import LEVEL, DrawnPool, spreads
from hf_transfer_score.ranking.pools import HEADLINE_METRICS, HeadlineRanks, headline_ranks, rank_terms
from hf_transfer_score.ranking.settings import Setting, canonical, installed, labels, rules
from hf_transfer_score.records.coded import Codes

Array = NDArray[np.float64]

MOST_COLUMNS, MOST_FOREIGN = 200, 20
"""Columns of a board at most, and those of metrics that are not installed."""


@dataclass(frozen=True)
class Cells:
    """One metric of a board over its models: the row of the table of each (M,), or -1.

    Raw terms (M, T) and the ends of their intervals, of a level each, may be NaN.
    """

    column: BoardColumn
    metric: Metric
    rows: Codes
    values: Array
    low: Array
    high: Array
    level: Array

    @property
    def present(self) -> NDArray[np.intp]:
        """The places of the models that have this metric."""
        return np.flatnonzero(self.rows >= 0)


def cells_of(rows: RecordRows, chosen: Codes, model: Codes, newest: Codes, count: int) -> tuple[list[Cells], int]:
    """Return the columns of a board, in its order, from its rows that have terms (R,), and how many were left out.

    `model` holds the place on the board of each of these rows, and `newest` the rank by time of all rows: the newest
    row of each cell counts. Of metrics that are not installed, and of settings, those of the most models are kept:
    anyone may invent thousands.
    """
    name, version, parameters = (rows.coded(f"metric_{one}") for one in ("name", "version", "parameters"))
    whole = [canonical(text) if isinstance(parsed(text), dict) else "{}" for text in parameters.values]
    codes = zip(*(one.codes[chosen].tolist() for one in (name, version, parameters)), strict=True)
    together: dict[tuple[int, int, int], list[int]] = defaultdict(list)  # places in `chosen`
    for place, code in enumerate(codes):
        together[code].append(place)
    by_setting: dict[Setting, list[int]] = defaultdict(list)
    for (a, b, c), places in together.items():
        by_setting[Setting(name.values[a], version.values[b], whole[c])].extend(places)
    names = labels({setting: len(places) for setting, places in by_setting.items()})
    found = {}
    for setting, places in by_setting.items():
        order = np.array(sorted(places, key=lambda place: int(newest[chosen[place]])), np.int64)
        cells = _cells(rows, setting, names[setting], chosen[order], model[order], count)
        if len(cells.present):
            found[cells.column.label] = cells

    foreign = {label: installed(one.column.metric) is None for label, one in found.items()}

    def by_weight(cells: Cells) -> tuple[bool, bool, bool, str, bool, str]:
        one = cells.column  # those that decide first, metrics that are not installed, baselines last
        decides = one.metric in HEADLINE_METRICS
        return one.kind == "baseline", foreign[one.label], not decides, one.metric, one.label != one.metric, one.label

    def by_use(cells: Cells) -> tuple[bool, int, str]:
        return cells.column.label != cells.column.metric, -len(cells.present), cells.column.label

    kept = sorted((one for label, one in found.items() if not foreign[label]), key=by_use)[:MOST_COLUMNS]
    kept += sorted((one for label, one in found.items() if foreign[label]), key=by_use)[:MOST_FOREIGN]
    return sorted(kept, key=by_weight), len(found) - len(kept)


def _cells(rows: RecordRows, setting: Setting, label: str, chosen: Codes, model: Codes, count: int) -> Cells:
    """Return one column from rows in order of time, without rows that contradict the others."""
    terms, ends = (rows.contents(name, chosen) for name in ("terms", "interval"))
    said = rows.coded("metric_directions")
    read = {code: parsed(said.values[code]) for code in np.unique(said.codes[chosen]).tolist()}
    directions = [read[code] for code in said.codes[chosen].tolist()]
    metric = rules(setting, [frozenset(one) for one in terms], directions)
    kept = _fitting(rows, metric, chosen, list(zip(terms, directions, ends, strict=True)))
    latest = np.full(count, -1, np.int64)
    latest[model[kept]] = kept
    names = [term.name for term in metric.terms]
    values, low, high = numbers = np.full((3, count, len(names)), np.nan)
    there, nothing = latest >= 0, (np.nan, np.nan)
    told = [(terms[one][name], *ends[one].get(name, nothing)) for one in latest[there].tolist() for name in names]
    numbers[:, there] = np.array(told, np.float64).reshape(-1, len(names), 3).transpose(2, 0, 1)
    found = np.where(latest >= 0, chosen[latest] if len(chosen) else -1, -1)
    level = rows.numbers("interval_level")[found]
    kinds, known = rows.coded("metric_kind"), installed(setting.name)
    if known is None:
        said_kinds = Counter(kinds.at(row) for row in chosen[kept])
        kind = min(said_kinds, key=lambda one: (-said_kinds[one], one), default="score")
    else:
        kind = "baseline" if known.baseline else "score"
    signs = {term.name: int(term.direction) for term in metric.terms}
    shown = BoardColumn(label, setting.name, kind, setting.version, setting.options, signs)
    return Cells(shown, metric, found, values, low, high, level)


def _fitting(
    rows: RecordRows,
    metric: Metric,
    chosen: Codes,
    held: Sequence[tuple[dict[str, float], dict[str, int], dict[str, list[float]]]],
) -> NDArray[np.intp]:
    """Return the places of the rows whose terms, directions and intervals fit a metric."""
    wanted = {term.name: int(term.direction) for term in metric.terms}
    kept = []
    for place, (terms, directions, ends) in enumerate(held):
        if terms.keys() != wanted.keys():
            rows.refuse(chosen[[place]], f"the terms are not those of the other records of {metric.name}")
        elif directions and directions != wanted:
            rows.refuse(chosen[[place]], f"the directions are not those of {metric.name}")
        elif not (ends.keys() <= wanted.keys() and all(low <= high for low, high in ends.values())):
            rows.refuse(chosen[[place]], "the intervals are not two ordered numbers each")
        else:
            kept.append(place)
    return np.array(kept, np.intp)


@dataclass(frozen=True)
class Order:
    """The models of a board in order, and its columns with their numbers by label."""

    columns: dict[str, BoardColumn]
    numbers: dict[str, ColumnNumbers]
    headline: HeadlineRanks


def ordered(cells: Sequence[Cells], models: Sequence[str]) -> Order:
    """Return the order of a board from its columns and labels; models that tie stay in the order of the labels."""
    columns, numbers, scoring = {}, {}, {}
    for one in cells:
        label, terms = one.column.label, tuple(term.name for term in one.metric.terms)
        present = one.present
        pool = rank_terms(one.metric, [models[place] for place in present.tolist()], one.values[present].T)
        columns[label] = replace(one.column, flags=dict(pool.flags))
        scores, ranks = np.full(len(models), np.nan), np.full(len(models), np.nan)
        scores[present], ranks[present] = list(pool.scores.values()), list(pool.ranks.values())
        numbers[label] = ColumnNumbers(terms, scores, ranks, one.values, one.low, one.high)
        if one.column.kind != "baseline":
            scoring[label] = pool
    return Order(columns, numbers, headline_ranks(scoring))


def sureness(
    cells: Sequence[Cells], models: Sequence[str], order: HeadlineRanks
) -> tuple[RankConfidence | None, dict[str, bool]]:
    """Return how certain an order by metrics is, None where no intervals are known, and which models have intervals."""
    places = {label: place for place, label in enumerate(models)}
    chosen = np.array([places[label] for label in order.ranks], np.intp)
    known, drawn = np.full(len(chosen), bool(order.metrics)), []
    for one in cells:
        if one.column.label in order.metrics:
            known &= ~np.isnan(one.low[chosen]).all(axis=1)
            present = one.present
            level = np.nan_to_num(one.level[present], nan=LEVEL)
            sizes = np.nan_to_num(spreads(one.low[present], one.high[present], level[:, None]))
            at = np.searchsorted(present, chosen).astype(np.intp)
            drawn.append(DrawnPool(one.metric, one.values[present].T, sizes.T, at))
    sure = tuple(known.tolist())
    told = dict(zip(order.ranks, sure, strict=True))
    return stored_confidence(drawn, order, known=sure) if any(sure) else None, told
