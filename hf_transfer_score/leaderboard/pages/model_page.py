"""The page of one model: everything that is recorded of it, as HTML in which all foreign text is escaped."""

from __future__ import annotations

import difflib
import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

from hf_transfer_score.cards.command import reproduction
from hf_transfer_score.cards.evidence import gather
from hf_transfer_score.drawing.figure import WIDTH, Figure, together
from hf_transfer_score.leaderboard.boards.board import Board, BoardKey, BoardRow, BoardSummary
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.pages.charts import record_overlap_figure
from hf_transfer_score.leaderboard.pages.texts import (
    MISSING,
    bullet_list,
    dataset_url,
    escape,
    html_table,
    link,
    model_url,
    number,
    percent,
    plural,
    short_count,
)
from hf_transfer_score.results.record import Record

MOST_BOARDS = 12
MOST_ROWS = 200
MOST_HEATMAPS = 4
MOST_CHOICES = 1000
MOST_COMPARED = 20_000
"""Ids that are looked through for one that is spelt alike."""

TERM_HEADERS = ("Metric", "Term", "Value", "Interval", "Better", "Pool score", "Rank")
FAILURE_HEADERS = ("What", "Kind", "Reason", "Sample", "When (UTC)")
RUN_HEADERS = ("When (UTC)", "Records", "Package", "Device", "Forward pass", "Sample", "Libraries")


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
    hint = f"<p>Did you mean one of these?</p>{bullet_list(near, label='Similar models')}" if near else ""
    return f'<div class="lb-note">There are no records of {escape(model_id)}.{hint}</div>'


def model_page(catalogue: Catalogue, model_id: str) -> str:
    """Return the page of a model as HTML, or what to do instead where nothing is recorded of it."""
    records = catalogue.model_records(model_id)
    if not records:
        return unknown_model(catalogue, model_id)
    titles = {one.key: one.title for one in catalogue.boards()}
    boards = catalogue.model_boards(model_id)
    shown = [catalogue.board(one.key) for one in boards[:MOST_BOARDS]]
    sections = [
        _head(model_id, records, boards),
        *(_on_board(board, _own(board, model_id)) for board in shown),
        _more(len(boards) - len(shown), "board"),
        _failures(records, titles),
        _warnings(records),
        _runs(records, titles),
    ]
    return "".join(sections)


def heatmaps_figure(catalogue: Catalogue, model_id: str, width: int = WIDTH) -> Figure | None:
    """Return how far the classes overlap in a model's features, on at most four boards; None where no record says."""
    figures: list[Figure] = []
    for summary in catalogue.model_boards(model_id)[:MOST_BOARDS]:
        board = catalogue.board(summary.key)
        for row in _own(board, model_id):
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


def _own(board: Board, model_id: str) -> list[BoardRow]:
    return [row for row in board.rows if row.model == model_id]


def _more(count: int, what: str) -> str:
    return f'<p class="lb-muted">And {plural(count, what)} more.</p>' if count > 0 else ""


def _heading(text: str) -> str:
    return f'<div class="lb-head"><h3>{text}</h3></div>'


def _head(model_id: str, records: Sequence[Record], boards: Sequence[BoardSummary]) -> str:
    facts = {
        "Parameters": short_count(next((one.model.parameters for one in records if one.model.parameters), None)),
        "Library": _first(one.model.library for one in records),
        "License": _first(one.facts.license for one in records),
        "Downloads": short_count(
            next((one.facts.downloads for one in records if one.facts.downloads is not None), None)
        ),
        "Records": f"{len(records):,}",
        "Boards": f"{len(boards):,}",
    }
    return f'<div class="lb-head"><h2>{escape(model_id)}</h2>{_facts(facts)}{_links(model_id, records)}</div>'


def _links(model_id: str, records: Sequence[Record]) -> str:
    """Return links to the Hub, at each commit that was measured; a local folder's name has no page there."""
    if model_url(model_id) is None:
        return '<p class="lb-muted">Its id is not one of the Hub, so there is no page to link to.</p>'
    if not any(one.model.commit for one in records) and all(one.source for one in records):
        return ""
    commits = list(dict.fromkeys(one.model.commit for one in records if one.model.commit))
    links = [link(f"On the Hub at {commit[:7]}", model_url(model_id, commit), button=True) for commit in commits[:5]]
    return f"<p>{''.join(links or [link('On the Hub', model_url(model_id), button=True)])}</p>"


def _facts(facts: dict[str, str]) -> str:
    known = {name: value for name, value in facts.items() if value != MISSING}
    inside = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{value}</dd></div>" for name, value in known.items())
    return f'<dl class="lb-facts">{inside}</dl>'


def _first(values: Iterable[str | None]) -> str:
    found = next((value for value in values if value), None)
    return MISSING if found is None else escape(found, 80)


def _on_board(board: Board, rows: Sequence[BoardRow]) -> str:
    """Return place and raw terms of a model on one board; nothing where it only failed there."""
    if not rows:
        return ""
    title = link(board.summary.title, dataset_url(board.key.dataset))
    ranked = sum(row.rank is not None for row in board.rows)
    several = len(rows) > 1
    return _heading(f"On {title}") + "".join(_one_row(board, row, ranked, several) for row in rows[:MOST_BOARDS])


def _one_row(board: Board, row: BoardRow, ranked: int, several: bool) -> str:
    within = "" if row.low is None or row.high is None else f"{row.low} to {row.high}"
    facts = {
        "Rank": MISSING if row.rank is None else f"{row.rank} of {ranked}",
        "Rank range": within or MISSING,
        "Tie group": MISSING if row.group is None else f"{row.group}",
        "Measured accuracy": accuracy_text(row),
        "Layer": _first([row.layer]),
        "Pooling": _first([row.pooling]),
        "Features a row": MISSING if row.width is None else f"{row.width:,}",
        "Examples a second": number(row.throughput, 3),
    }
    name = f"<p><strong>{escape(row.label)}</strong></p>" if several else ""
    source = "" if row.source is None else f'<p class="lb-muted">Published elsewhere: {escape(row.source)}</p>'
    table = html_table(TERM_HEADERS, _term_rows(board, row), caption="Raw terms")
    return f"{name}{_facts(facts)}{table if row.terms else ''}{source}"


def accuracy_text(row: BoardRow) -> str:
    """Return the measured accuracy of a model in words, with the number of measurements where there are several."""
    if row.accuracy is None:
        return MISSING
    share = percent(row.accuracy) if 0 <= row.accuracy <= 1 else number(row.accuracy)
    return share if len(row.accuracies) < 2 else f"{share} (mean of {len(row.accuracies)})"


def _term_rows(board: Board, row: BoardRow) -> list[list[str]]:
    found = []
    for label, column in board.columns.items():
        for place, (term, value) in enumerate(row.terms.get(label, {}).items()):
            ends = row.intervals.get(label, {}).get(term)
            within = MISSING if ends is None else f"{number(ends[0])} to {number(ends[1])}"
            better = "higher" if column.directions.get(term, 1) > 0 else "lower"
            pool = [number(row.scores.get(label)), str(row.ranks.get(label, MISSING))] if place == 0 else ["", ""]
            metric = escape(label) + (' <span class="lb-muted">baseline</span>' if column.kind == "baseline" else "")
            found.append([metric, escape(term), number(value, 5), within, better, *pool])
    return found[:MOST_ROWS]


def _title(titles: dict[BoardKey, str], record: Record) -> str:
    sample = record.dataset
    key = BoardKey(sample.task, sample.id, sample.config, sample.split, sample.fingerprint)
    return escape(titles.get(key, sample.id))


def _failures(records: Sequence[Record], titles: dict[BoardKey, str]) -> str:
    """Return what could not be scored: the whole model, or single metrics."""
    found = [one for one in records if one.status != "ok"]
    rows = []
    for one in sorted(found, key=lambda record: record.metric is not None)[:MOST_ROWS]:
        what = "the whole model" if one.metric is None else escape(one.metric.name)
        kind = escape(one.kind or "skipped")
        rows.append([what, kind, escape(one.reason or "", 1000), _title(titles, one), time_text(one.run.time)])
    if not rows:
        return ""
    table = html_table(FAILURE_HEADERS, rows, caption="What could not be scored, and why")
    return _heading("Failures") + table + _more(len(found) - len(rows), "failure")


def _warnings(records: Sequence[Record]) -> str:
    found: dict[str, dict[str, None]] = {}
    for one in records:
        for text in one.warnings:
            found.setdefault(text, {})[one.metric.name if one.metric else "the model"] = None
    lines = [f"{', '.join(list(names)[:6])}: {text}" for text, names in list(found.items())[:MOST_ROWS]]
    return _heading("Warnings") + bullet_list(lines, label="Warnings") if lines else ""


def _runs(records: Sequence[Record], titles: dict[BoardKey, str]) -> str:
    """Return how the numbers came about: one row for all records of one run."""
    groups: dict[str, list[Record]] = {}
    for one in records:
        same = replace(one.run, metric_seconds=None)
        groups.setdefault(f"{same!r}{_title(titles, one)}", []).append(one)
    rows = [_run_row(group, titles) for group in list(groups.values())[:MOST_ROWS]]
    return _heading("How it was run") + html_table(RUN_HEADERS, rows, caption="Runs, the newest first")


def _run_row(group: Sequence[Record], titles: dict[BoardKey, str]) -> list[str]:
    run = group[0].run
    seconds = MISSING if run.forward_seconds is None else f"{number(run.forward_seconds, 3)} s"
    seconds += " (features from cache)" if run.from_cache else ""
    libraries = ", ".join(f"{name} {version}" for name, version in run.libraries.items()) or MISSING
    device = MISSING if run.device is None else escape(run.device)
    return [
        time_text(run.time),
        f"{len(group):,}",
        escape(run.version),
        device,
        seconds,
        _title(titles, group[0]),
        escape(libraries),
    ]


def time_text(time: str) -> str:
    """Return a time of a record to the minute, as HTML."""
    return escape(time[:16].replace("T", " "), 40)
