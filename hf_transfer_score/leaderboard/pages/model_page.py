"""The page of one model and its model card: everything recorded about it; all foreign text is escaped."""

from __future__ import annotations

import difflib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from hf_transfer_score.cards.evidence import Standing, gather, reproduction, setting, standing_key
from hf_transfer_score.cards.model_card import model_card
from hf_transfer_score.leaderboard.boards.board import Board, BoardColumn, BoardKey, BoardRow
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.pages.texts import expected_text, page
from hf_transfer_score.records.record import FACT_TITLES, Record, RecordedModel

MOST_BOARDS = 12
"""Boards made for the page and card of a model at most, since each may take a moment."""

MOST_ROWS = 200
MOST_CHOICES = 1000
MOST_COMPARED = 20_000
"""Ids searched for a similar spelling at most."""


def card_of(catalogue: Catalogue, model_id: str) -> str:
    """Return the model card as Markdown."""
    records = catalogue.model_records(model_id)
    return model_card(gather(model_id, records, standings(catalogue, model_id, records)))


def standings(catalogue: Catalogue, model_id: str, records: Sequence[Record]) -> dict[str, Standing]:
    """Return the ranks of a model with these records on its boards, by `standing_key`."""
    ways: dict[Any, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for one in records:
        ways[board_key(one), _read(one.model)][standing_key(one)].append(one)
    found = {}
    for board, rows in boards_of(catalogue, model_id):
        counts = Counter(label for one in board.rows for label in one.ranks)
        for row in rows[:MOST_ROWS]:
            for way, mine in ways[board.key, _read(row)].items():
                if _is_of(mine, board, row):
                    found[way] = _standing(board, row, mine, counts)
    return found


def boards_of(catalogue: Catalogue, model_id: str) -> Iterator[tuple[Board, list[BoardRow]]]:
    """Yield the first boards of a model with its rows on them."""
    for summary in catalogue.model_boards(model_id)[:MOST_BOARDS]:
        board = catalogue.board(summary.key)
        yield board, [row for row in board.rows if row.model == model_id]


def _read(model: RecordedModel | BoardRow) -> tuple[Any, ...]:
    """Return how a model was read."""
    return (model.commit, model.library, model.layer, model.pooling, model.parameters, model.width)


def _is_of(records: list[Record], board: Board, row: BoardRow) -> bool:
    """Whether a row of a board shows these records, which are of the same sample and model."""
    shown = _columns(board, row, records)
    return bool(shown) and all(row.terms[label] in [one.terms for one in found] for label, found in shown.items())


def board_key(record: Record) -> BoardKey:
    """Return the key of the board of a record's sample."""
    sample = record.dataset
    return BoardKey(sample.task, sample.id, sample.config, sample.split, sample.fingerprint)


def _columns(board: Board, row: BoardRow, records: list[Record]) -> dict[str, list[Record]]:
    """Return the records behind each column of a row."""
    found: dict[str, list[Record]] = defaultdict(list)
    for label in row.ranks:
        column = board.columns[label]
        wanted = (column.metric, column.version, dict(column.parameters))
        for one in records:
            if one.metric is not None and (one.metric.name, one.metric.version, one.metric.parameters) == wanted:
                found[label].append(one)
    return found


def _standing(board: Board, row: BoardRow, records: list[Record], counts: Mapping[str, int]) -> Standing:
    ranked = [one for one in board.rows if one.rank is not None]
    places: dict[str, tuple[int, int]] = {}
    for label, found in _columns(board, row, records).items():
        place = row.ranks[label], counts[label]
        places |= {setting(one.metric): place for one in found if one.metric is not None}
    others = tuple(dict.fromkeys(one.model for one in ranked if one.label != row.label))
    sharing = sum(one.rank == row.rank for one in ranked if one is not row)
    return Standing(
        len(ranked),
        row.rank,
        expected_text(board, row),
        () if row.forecast is None else row.forecast.why,
        sharing,
        row.low,
        row.high,
        board.headline,
        places,
        others,
    )


def model_choices(catalogue: Catalogue, typed: str = "") -> list[str]:
    """Return ids that contain what was typed, at most 1,000; those that start with it come first."""
    wanted = typed.strip().casefold()
    found = [name for name in catalogue.models() if wanted in name.casefold()]
    found.sort(key=lambda name: not name.casefold().startswith(wanted))
    return found[:MOST_CHOICES]


def model_page(catalogue: Catalogue, model_id: str) -> str:
    """Return the page of a model as HTML, or similar ids if nothing is recorded about it."""
    records = catalogue.model_records(model_id)
    if not records:
        near = model_choices(catalogue, model_id)[:5] if model_id.strip() else []
        near = near or difflib.get_close_matches(model_id, catalogue.models()[:MOST_COMPARED], 5)
        return page("unknown_model.html.jinja", model=model_id, near=near)
    titles = {one.key: one.title for one in catalogue.boards()}

    def title(record: Record) -> str:
        return titles.get(board_key(record), record.dataset.id)

    def first(values: Iterable[Any]) -> Any:
        return next((value for value in values if value is not None), None)

    warnings: dict[str, dict[str, None]] = {}  # each once, with its metrics
    runs: dict[str, list[Record]] = {}  # the records of each run on each sample
    for one in records:
        for text in one.warnings:
            warnings.setdefault(text, {})[one.metric.name if one.metric else "the model"] = None
        runs.setdefault(f"{replace(one.run, metric_seconds=None)!r}{title(one)}", []).append(one)
    return page(
        "model_page.html.jinja",
        model=model_id,
        records=records,
        parameters=first(one.model.parameters or None for one in records),
        library=first(one.model.library or None for one in records),
        told_facts={title: first(getattr(one.facts, name) for one in records) for name, title in FACT_TITLES.items()},
        commits=list(dict.fromkeys(one.model.commit for one in records if one.model.commit))[:5],
        published=all(one.source for one in records),
        found=len(catalogue.model_boards(model_id)),
        boards=list(boards_of(catalogue, model_id)),
        most_boards=MOST_BOARDS,
        most_rows=MOST_ROWS,
        terms=_terms,
        told=expected_text,
        failures=sorted((one for one in records if one.status != "ok"), key=lambda one: one.metric is not None),
        warnings=[f"{', '.join(list(names)[:6])}: {text}" for text, names in list(warnings.items())[:MOST_ROWS]],
        runs=list(runs.values()),
        title=title,
    )


def _terms(board: Board, row: BoardRow) -> list[tuple[str, BoardColumn, str, float, bool]]:
    """Return the raw terms of a row with label and column, and whether each is the first of its column."""
    found = []
    for label, column in board.columns.items():
        terms = row.terms.get(label, {})
        found += [(label, column, term, value, term == next(iter(terms))) for term, value in terms.items()]
    return found[:MOST_ROWS]


def records_json(catalogue: Catalogue, model_id: str) -> str:
    """Return all records of a model as a JSON list, the newest first."""
    return json.dumps([asdict(one) for one in catalogue.model_records(model_id)], indent=2, ensure_ascii=False)


def model_command(catalogue: Catalogue, model_id: str) -> str:
    """Return the commands that measure a model's records again, one per sample; "" if there are none."""
    samples = gather(model_id, catalogue.model_records(model_id)).samples
    found = [again for sample in samples[:MOST_BOARDS] if (again := reproduction(sample)) is not None]
    return "\n\n".join("\n".join([one.command, *(f"# {note}" for note in one.notes)]) for one in found)
