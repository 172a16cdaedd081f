"""The page of one model: everything that is recorded of it, as HTML in which all foreign text is escaped."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from hf_transfer_score.cards.command import reproduction
from hf_transfer_score.cards.evidence import gather
from hf_transfer_score.drawing.figure import WIDTH, Figure, together
from hf_transfer_score.leaderboard.boards.board import Board, BoardColumn, BoardKey, BoardRow
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.pages.charts import record_overlap_figure
from hf_transfer_score.leaderboard.pages.texts import page
from hf_transfer_score.records.record import Record

MOST_BOARDS = 12
MOST_ROWS = 200
MOST_HEATMAPS = 4
MOST_CHOICES = 1000
MOST_COMPARED = 20_000
"""Ids that are looked through for one that is spelt alike."""


def model_choices(catalogue: Catalogue, typed: str = "") -> list[str]:
    """Return ids to choose from, at most 1,000 of those that contain what was typed; those that begin so come first."""
    wanted = typed.strip().casefold()
    found = [name for name in catalogue.models() if wanted in name.casefold()]
    found.sort(key=lambda name: not name.casefold().startswith(wanted))
    return found[:MOST_CHOICES]


def unknown_model(catalogue: Catalogue, model_id: str) -> str:
    """Return what to say of an id without records, with the ids that look like it."""
    near = model_choices(catalogue, model_id)[:5] if model_id.strip() else []
    near = near or difflib.get_close_matches(model_id, catalogue.models()[:MOST_COMPARED], 5)
    return page("unknown_model.html.jinja", model=model_id, near=near)


def model_page(catalogue: Catalogue, model_id: str) -> str:
    """Return the page of a model as HTML, or what to do instead where nothing is recorded of it."""
    records = catalogue.model_records(model_id)
    if not records:
        return unknown_model(catalogue, model_id)
    boards = catalogue.model_boards(model_id)
    shown = [catalogue.board(one.key) for one in boards[:MOST_BOARDS]]
    mine = [(board, [row for row in board.rows if row.model == model_id]) for board in shown]
    titles = {one.key: one.title for one in catalogue.boards()}

    def title(record: Record) -> str:
        of = record.dataset
        return titles.get(BoardKey(of.task, of.id, of.config, of.split, of.fingerprint), of.id)

    return page(
        "model_page.html.jinja",
        model=model_id,
        records=records,
        parameters=_first(one.model.parameters or None for one in records),
        library=_first(one.model.library or None for one in records),
        license=_first(one.facts.license or None for one in records),
        downloads=_first(one.facts.downloads for one in records),
        commits=list(dict.fromkeys(one.model.commit for one in records if one.model.commit))[:5],
        published=all(one.source for one in records),
        found=len(boards),
        boards=mine,
        most_boards=MOST_BOARDS,
        most_rows=MOST_ROWS,
        terms=_terms,
        failures=sorted((one for one in records if one.status != "ok"), key=lambda one: one.metric is not None),
        warnings=_warnings(records),
        runs=_runs(records, title),
        title=title,
    )


def heatmaps_figure(catalogue: Catalogue, model_id: str, width: int = WIDTH) -> Figure | None:
    """Return how far the classes overlap in a model's features, on at most four boards; None where no record says."""
    figures: list[Figure] = []
    for summary in catalogue.model_boards(model_id)[:MOST_BOARDS]:
        board = catalogue.board(summary.key)
        for row in (one for one in board.rows if one.model == model_id):
            overlap = catalogue.overlap(board, row) if len(figures) < MOST_HEATMAPS else None
            if overlap is not None:
                figures.append(record_overlap_figure(row.label, overlap, width=width))
    return together(figures, "How far the classes overlap", columns=1) if figures else None


def records_json(catalogue: Catalogue, model_id: str) -> str:
    """Return all records of a model as a JSON list, the newest first."""
    return json.dumps([asdict(one) for one in catalogue.model_records(model_id)], indent=2, ensure_ascii=False)


def model_command(catalogue: Catalogue, model_id: str) -> str:
    """Return what measures a model's records again, a command for each sample; "" where no command can."""
    samples = gather(model_id, catalogue.model_records(model_id)).samples
    found = [again for sample in samples[:MOST_BOARDS] if (again := reproduction(sample)) is not None]
    return "\n\n".join("\n".join([one.command, *(f"# {note}" for note in one.notes)]) for one in found)


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value is not None), None)


def _terms(board: Board, row: BoardRow) -> list[tuple[str, BoardColumn, str, float, bool]]:
    """Return the raw terms of a row with label and column, and whether each is the first of its column."""
    found = []
    for label, column in board.columns.items():
        terms = row.terms.get(label, {})
        found += [(label, column, term, value, term == next(iter(terms))) for term, value in terms.items()]
    return found[:MOST_ROWS]


def _warnings(records: Sequence[Record]) -> list[str]:
    """Return each warning once, with the metrics that gave it."""
    found: dict[str, dict[str, None]] = {}
    for one in records:
        for text in one.warnings:
            found.setdefault(text, {})[one.metric.name if one.metric else "the model"] = None
    return [f"{', '.join(list(names)[:6])}: {text}" for text, names in list(found.items())[:MOST_ROWS]]


def _runs(records: Sequence[Record], title: Callable[[Record], str]) -> list[list[Record]]:
    """Return the records of each run on each sample."""
    groups: dict[str, list[Record]] = {}
    for one in records:
        groups.setdefault(f"{replace(one.run, metric_seconds=None)!r}{title(one)}", []).append(one)
    return list(groups.values())
