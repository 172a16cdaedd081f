"""How the models of a board should do after fine-tuning, judging by their scores and by measurements elsewhere.

Anybody may publish records, so what a forecast learns from is limited: records of the board's own models first, then
those of the models that were measured most often.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.leaderboard.boards.rows import Groups, RecordRows, finite, parsed
from hf_transfer_score.metrics.registry import MetricResult
from hf_transfer_score.metrics.scores import FeatureScores
from hf_transfer_score.ranking.answer import next_step
from hf_transfer_score.ranking.confidence import RankConfidence
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.history import MOST_COLUMNS, History, MeasuredColumn, usual_method
from hf_transfer_score.ranking.intervals import LEVEL
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.ranking.pools import PoolRanking
from hf_transfer_score.ranking.ranking import PROBE, Ranking
from hf_transfer_score.ranking.relations import Relations
from hf_transfer_score.ranking.settings import installed
from hf_transfer_score.records.checks import TRUTH, is_regression
from hf_transfer_score.records.coded import Codes, Mask
from hf_transfer_score.records.coded import grouped as together
from hf_transfer_score.records.importing import SOURCE
from hf_transfer_score.records.table import RecordTable

MOST_ACCURACIES, MOST_SCORES, MOST_METRICS = 6000, 4000, 100
"""Limits of what one forecast learns from, beside `MOST_COLUMNS`."""

SCORED_DATASETS = 25
"""Datasets whose scores show what a metric is worth; few, so that each has enough models."""

MOST_REMEMBERED = 2000
"""Columns that are kept at most for the forecasts of other boards."""

MOST_NUMBERS = 250_000
"""Simulated outcomes of a board, times its models, at most."""

LEARNED = (
    *("model_id", "model_parameters", "dataset_id", "dataset_task", "dataset_fingerprint", "terms", "run_time"),
    *("metric_name", "metric_version", "metric_parameters", "metric_directions"),
    *("family", "architecture", "base_model", "pretrained_on"),
)
"""The columns of a table that a history needs."""


@dataclass(frozen=True)
class Outlook:
    """A board in the order of the forecast, the one in the order of its metrics, and a hash of what it learned from."""

    board: Board
    mark: str
    published: Board


def outlook(
    rows: RecordRows,
    grouped: Groups,
    published: Board,
    own: Mapping[str, Sequence[int]],
    previous: Outlook | None = None,
) -> Outlook:
    """Return a board in the order of the forecast, or without one (regression, foreign metrics) in that of its metrics.

    An earlier result is returned again if nothing has changed.
    """
    if is_regression(published.key.task) or not (known_metrics(published) or published.truth):
        return Outlook(answered(published), "", published)
    learned = learned_rows(rows, grouped, published)
    first = np.array([one[0] for one in own.values() if len(one)], np.int64)[:MOST_ACCURACIES]
    chosen = np.unique(np.concatenate([learned, first]))
    mark = _mark(rows, chosen)
    if previous is not None and previous.mark == mark and previous.published is published:
        return previous
    try:
        found = _foretold(rows, chosen, published, own, measured_here=True)
    except (ArithmeticError, ValueError) as error:  # with extreme numbers: the board is shown all the same
        note = f"These models have no forecast: {error}"
        return Outlook(answered(replace(published, notes=(note, *published.notes))), mark, published)
    return Outlook(_in_order(published, found), mark, published)


def unaided_ranks(
    rows: RecordRows, grouped: Groups, published: Board, own: Mapping[str, Sequence[int]]
) -> dict[str, int]:
    """Return ranks by label from a forecast without the accuracies of the board's dataset, which can then judge it.

    Empty where there is no forecast.
    """
    if is_regression(published.key.task):
        return {}
    chosen = learned_rows(rows, grouped, published)
    try:
        return dict(_foretold(rows, chosen, published, own, measured_here=False).ranks)
    except (ArithmeticError, ValueError):  # with extreme numbers
        return {}


def _foretold(
    rows: RecordRows, chosen: Codes, published: Board, own: Mapping[str, Sequence[int]], *, measured_here: bool
) -> Ranking:
    """Return the models of a board, ranked by a forecast that learns from some rows of the table."""
    history = bounded(_history(rows, chosen).elsewhere(published.key.dataset))
    sizes = {row.model: Relations.of(row, row.parameters) for row in published.rows}
    ways = published.ways if measured_here else {}
    here = [
        MeasuredColumn(published.key.dataset, published.key.task, name, values)
        for name, values in published.ways.items()
    ]
    method = usual_method(history.accuracies, here)
    forecaster = Forecaster(
        history, sizes, method=method, here=here if measured_here else (), most_numbers=MOST_NUMBERS
    )
    told = ways.get(method, {})
    exact = {row.label: row.accuracy for row in published.rows if published.method == method and row.model in told}
    known = exact or {row.label: told[row.model] for row in published.rows if row.model in told}
    measured = {name: value for name, value in known.items() if value is not None and 0 <= value <= 1}
    pool = _pool(published, _probes(rows, published, own))
    used = {name for one in pool.pools.values() for name in one.scores} | {*measured, *forecaster.numbers}
    used |= {name for values in ways.values() for name in values}
    models = {name: one for name, one in pool.models.items() if {name, one.model} & used}
    return replace(pool, models=models).with_forecast(forecaster, measured)


def learned_rows(rows: RecordRows, grouped: Groups, board: Board) -> Codes:
    """Return the rows of other datasets that say something about a board's models or about its metrics."""
    ids, named = rows.coded("model_id"), rows.coded("metric_name")
    names = {row.model for row in board.rows}
    mine = ids.where(names.__contains__)
    there = rows.sound & rows.coded("dataset_task").where(lambda task: task == board.key.task)
    there &= ~rows.coded("dataset_id").where(lambda name: name == board.key.dataset)
    accuracies = np.flatnonzero(there & grouped.truth & named.where(lambda name: name == TRUTH.name))
    accuracies, places = _first_accuracies(rows, accuracies, mine, grouped.newest)
    datasets, counts = rows.coded("dataset_id").codes, np.bincount(ids.codes[accuracies], minlength=len(ids.values) + 1)
    measured = datasets[accuracies[np.argsort(places, kind="stable")]].tolist()
    several = [*dict.fromkeys([*measured, *range(int(datasets.max(initial=-1)) + 1)])][:SCORED_DATASETS]
    used = set(known_metrics(board))
    scored = there & grouped.scored & named.where(used.__contains__) & (counts[ids.codes] > 0)
    scores = np.flatnonzero(scored & np.isin(datasets, several))
    order = np.lexsort([ids.codes[scores], -counts[ids.codes[scores]], ~mine[scores]])
    return np.concatenate([accuracies, scores[order[:MOST_SCORES]]])


def _first_accuracies(rows: RecordRows, accuracies: Codes, mine: Mask, newest: Codes) -> tuple[Codes, Codes]:
    """Return the accuracies that a forecast learns from, and the places of their samples.

    The first samples have the most models of the board; the n-th one of a source counts as if it had an n-th of them,
    so that nobody fills all places. If there are too many accuracies, the models of the board come first, each with the
    first samples, then the models that were measured most often.
    """
    ids = rows.coded("model_id").codes[accuracies]
    sources = _sources(rows)[accuracies]
    about = [rows.coded(f"dataset_{name}").codes[accuracies] for name in ("id", "fingerprint")]
    sample = together([*about, sources], len(accuracies))
    sizes = np.bincount(sample)
    shared = np.bincount(sample, weights=mine[accuracies], minlength=len(sizes))
    source = np.zeros(len(sizes), np.int64)
    source[sample] = sources
    in_source = np.lexsort([-sizes, -shared, source])
    starts = np.flatnonzero(np.diff(source[in_source], prepend=-2))
    turns = np.empty(len(sizes), np.int64)
    turns[in_source] = _numbered(starts, len(sizes)) + 1
    place = np.empty(len(sizes), np.int64)
    place[np.lexsort([-sizes / turns, -shared / turns])] = np.arange(len(sizes))
    by_model = np.lexsort([-newest[accuracies], place[sample], ids])
    turn = np.empty(len(ids), np.int64)
    turn[by_model] = _numbered(np.flatnonzero(np.diff(ids[by_model], prepend=-1)), len(ids))
    order = np.lexsort([-np.bincount(ids)[ids] if len(ids) else ids, turn, ~mine[accuracies]])
    kept = order[place[sample[order]] < MOST_COLUMNS][:MOST_ACCURACIES]
    return accuracies[kept], place[sample[kept]]


def _numbered(starts: Codes, count: int) -> Codes:
    """Return the numbers of some rows within their groups, from 0, given where groups start."""
    return np.arange(count) - np.repeat(starts, np.diff(np.append(starts, count)))


def _sources(rows: RecordRows) -> Codes:
    """Return who published each row, as a number."""
    column, sources = rows.coded("metric_parameters"), dict[str, int]()
    told = (parsed(text) for text in column.values)
    found = [
        sources.setdefault(str(one.get(SOURCE, "")) if isinstance(one, dict) else "", len(sources)) for one in told
    ]
    return np.array([*found, -1])[column.codes]


def known_metrics(board: Board) -> list[str]:
    """Return the columns that a forecast uses: installed metrics, one setting each.

    Otherwise somebody who invents a metric, or many settings of one, could decide the order.
    """
    found = [label for label, one in board.columns.items() if one.kind == "score" and label == one.metric]
    return [label for label in found if installed(label) is not None][:MOST_METRICS]


def bounded(history: History) -> History:
    """Return a history limited to accuracies that are shares."""

    def possible(one: MeasuredColumn) -> MeasuredColumn:
        kept = {name: value for name, value in one.values.items() if 0 <= value <= 1}
        return one if len(kept) == len(one.values) else replace(one, values=kept)

    kept = sorted(
        (one for one in map(possible, history.accuracies) if len(one.values) > 1),
        key=lambda one: (-len(one.values), one.dataset, one.protocol, sorted(one.values.items())),
    )
    return replace(history, accuracies=tuple(kept))


def _mark(rows: RecordRows, chosen: Codes) -> str:
    """Return a hash of records that does not depend on where they are in the table."""
    from pyarrow import compute

    files = rows.table.data.select(["path", "stamp"]).take(chosen)
    texts = compute.binary_join_element_wise(*files.columns, " ").to_pylist()
    return hashlib.blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _history(rows: RecordRows, chosen: Codes) -> History:
    """Return the history of some rows, without dictionary entries that only other rows use."""
    import pyarrow

    data = rows.table.data.select([*LEARNED]).take(pyarrow.array(chosen))
    plain = pyarrow.schema(
        [(one.name, one.type.value_type if pyarrow.types.is_dictionary(one.type) else one.type) for one in data.schema]
    )
    if len(rows.columns) > MOST_REMEMBERED:
        rows.columns.clear()
    return History.of(RecordTable(data.cast(plain)), rows.columns, chosen)


def _probes(rows: RecordRows, board: Board, own: Mapping[str, Sequence[int]]) -> dict[str, MetricResult]:
    """Return the results of the linear probe, with their number of rows and chance level, by label."""
    if PROBE not in board.columns:
        return {}
    is_probe = rows.coded("metric_name").where(lambda name: name == PROBE)
    place = {label: next((row for row in mine if is_probe[row]), None) for label, mine in own.items()}
    there = {label: row for label, row in place.items() if row is not None}
    texts = rows.texts("used", np.array(list(there.values()), np.int64))
    used = {label: parsed(text) for label, text in zip(there, texts, strict=True)}
    found = {}
    for row in board.rows:
        value, told = row.score(PROBE), used.get(row.label)
        if value is None or not isinstance(told, dict) or not 0 <= value <= 1:
            continue
        chance, count = told.get("chance", -1.0), told.get("rows")
        if type(count) is int and count > 0 and finite(chance) and 0 <= chance <= 1:
            about = {"rows": count, "chance": chance}
            found[row.label] = MetricResult(PROBE, "ok", {PROBE: value}, parameters=about)
    return found


def _pool(board: Board, probes: Mapping[str, MetricResult]) -> Ranking:
    """Return the models of a board as a pool, with the metrics that a forecast uses."""
    models = {
        row.label: RankedModel(
            row.label,
            "ok",
            row.model,
            parameters=row.parameters,
            scores=FeatureScores("ok", results={PROBE: probes[row.label]}) if row.label in probes else None,
        )
        for row in board.rows
    }
    pools = {}
    for label in known_metrics(board):
        scores = {row.label: value for row in board.rows if (value := row.score(label)) is not None}
        pools[label] = PoolRanking(label, scores, {}, {})
    return Ranking(models, pools, board.headline, {}, {}, dataset=board.key.dataset)


def _in_order(board: Board, found: Ranking) -> Board:
    """Return a board in the order of a forecast, with its answer; models about which too little is known come last."""
    by_label, said = {row.label: row for row in board.rows}, dict[str, str]()

    def row(name: str) -> BoardRow:
        low, high = found.range_of(name)
        forecast = found.forecasts[name]
        why = tuple(said.setdefault(one, one) for one in forecast.why)  # many models share one string
        forecast = replace(forecast, why=why)
        return replace(by_label[name], rank=found.ranks[name], low=low, high=high, group=None, forecast=forecast)

    others = [replace(one, rank=None) for one in board.rows if one.label not in found.ranks]
    note = f"{len(others)} of {len(board.rows)} models have no rank: they have nothing that a forecast uses."
    return replace(
        board,
        rows=(*(row(name) for name in found.ranks), *others),
        notes=(*board.notes, note) if others else board.notes,
        answer=found.answer,
        step=next_step(found),
    )


def answered(board: Board) -> Board:
    """Return a board in the order of its metrics, with its answer."""
    ranks = {row.label: row.rank for row in board.rows if row.rank is not None}
    ranges = {row.label: (row.low, row.high) for row in board.rows if row.low is not None and row.high is not None}
    groups = {row.label: row.group for row in board.rows if row.group is not None}
    confidence = RankConfidence(ranks, ranges, groups, {}, (), 0, LEVEL, board.headline)
    found = replace(_pool(board, {}), ranks=ranks, confidence=confidence if ranges else None)
    return replace(board, answer=found.answer)
