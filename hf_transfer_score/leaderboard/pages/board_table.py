"""A board as a table of cells, and the HTML around it, whose foreign parts are escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, NamedTuple

from hf_transfer_score.leaderboard.boards.board import Board, BoardColumn, BoardRow
from hf_transfer_score.leaderboard.library import LibraryStatus
from hf_transfer_score.leaderboard.pages.texts import (
    MISSING,
    WAYS,
    accuracy_text,
    chance_text,
    day,
    escape,
    expected_text,
    hub_url,
    level_text,
    metric_hint,
    number,
    page,
    plain,
    points_text,
    way_of,
)
from hf_transfer_score.ranking.intervals import Interval
from hf_transfer_score.records.record import RecordedFacts
from hf_transfer_score.text import counted, short_count

GROUPS = {
    "scores": "Scores",
    "ranks": "Ranks by metric",
    "terms": "Raw terms",
    "intervals": "Intervals of terms",
    "settings": "Other settings of a metric",
    "facts": "Facts about the model",
    "run": "Run and date",
}
"""Groups of columns that can be shown beside the order, by the name that addresses use."""

SHOWN = ("scores", "facts")
"""Groups that are shown by default."""

REPEATED = ("feature_width", "parameter_count")  # metrics that say the same as a fact about the model

MODEL_WIDTH, LEAST_MODEL_WIDTH, WORD_WIDTH, NARROW = 320, 140, 150, 80
LETTER_PIXELS, MOST_NOTES = 8, 100
MODEL_PLACE = 1  # among the columns
DARKEST = 28
"""Percent of colour behind the best value of a column; text stays readable on it by day and by night."""

NO_BOARDS = """<div class="lb-head"><h2>No records yet</h2><p>Nothing has been scored here. Make records with
<code>hf-transfer-score rank DATASET --models MODEL ... --save FOLDER</code> and show them with
<code>hf-transfer-score leaderboard --results FOLDER</code>. New ones appear by themselves.</p></div>"""
READING = """<div class="lb-head"><h2>Reading the records</h2><p>The boards will appear here without
a reload.</p></div>"""


class Cell(NamedTuple):
    """The value of a cell and its text."""

    value: str | float | None
    shown: str


class TableColumn(NamedTuple):
    """A column of the table.

    Attributes:
        kind: "number", "str", or "html" for a link of ours.
        width: in pixels.
        cell: what a row shows.
        hint: what it means, for a practitioner; "" if the header is enough.
        shaded: 1 to shade the largest values most, -1 for the smallest, 0 for no shading.
    """

    header: str
    kind: str
    width: int
    cell: Callable[[BoardRow], Cell]
    hint: str = ""
    shaded: int = 0


def letters(group: int) -> str:
    """Return the letters of a tie group.

    Example:
        >>> letters(1), letters(26), letters(27), letters(703)
        ('A', 'Z', 'AA', 'AAA')
    """
    found = ""
    while group > 0:
        group, rest = divmod(group - 1, 26)
        found = chr(ord("A") + rest) + found
    return found


def range_text(row: BoardRow) -> str:
    """Return the likely ranks of a model, such as 2–5."""
    if row.low is None or row.high is None:
        return MISSING
    return f"{row.low}" if row.low == row.high else f"{row.low}–{row.high}"


def columns_of(board: Board, groups: Iterable[str]) -> list[TableColumn]:
    """Return the columns of a board in order, with those of the chosen GROUPS."""
    chosen = set(groups)
    found = [
        _number("Rank", lambda row: row.rank, "{:,}".format, "place in the order of this board", width=64),
        _words("Model", MODEL_WIDTH, lambda row: row.label, "choose one to see all that is known about it"),
    ]
    if board.is_forecast:
        anchored = any(row.forecast and row.forecast.expected_accuracy for row in board.rows)
        found += FORECAST if anchored else FORECAST[:-1]
    elif board.headline:
        found += PLACES
    if board.truth is not None:
        found.append(_measured(board))
    found.append(PARAMETERS)
    if any(hub_url(row.model) for row in board.rows):
        found.append(TableColumn("Hub", "html", NARROW, _on_the_hub, "its page on the Hugging Face Hub"))
    if "facts" in chosen:
        found += [column for column in FACTS if any(column.cell(row).shown != MISSING for row in board.rows)]
    if len(board.headline) > 1:
        found.append(
            _number("Mean rank", lambda row: row.mean_rank, number, f"mean of the ranks by {', '.join(board.headline)}")
        )
    for label, column in board.columns.items():
        if "settings" in chosen or _is_usual(board, label):
            found += _of_metric(label, column, chosen)
    return found + (RUN if "run" in chosen else [])


def _is_usual(board: Board, label: str) -> bool:
    """Whether a column is not another setting of a metric that has a column with its bare name."""
    metric = board.columns[label].metric
    return label == metric or metric not in board.columns or label in board.headline


def _measured(board: Board) -> TableColumn:
    """Return the column of measured accuracies, which says how they were reached."""
    title = f"Measured ({board.method})" if board.method in WAYS and board.method != "full" else "Measured"
    more = "; the expected accuracy is that after fine-tuning" if board.method == "probe" else ""
    hint = f"accuracy on test rows {way_of(board)}{more}"
    return _number(title, attrgetter("accuracy"), accuracy_text, hint, shaded=1)


def _of_metric(label: str, column: BoardColumn, groups: set[str]) -> Iterator[TableColumn]:
    """Yield the columns of a metric."""
    title = plain(label, 60)
    if "scores" in groups and not (column.metric in REPEATED and "facts" in groups):
        yield _number(title, lambda row: row.score(label), number, metric_hint(column.metric), shaded=1)
    if "ranks" in groups:
        yield _number(f"{title} rank", lambda row: row.ranks.get(label), "{:,}".format, f"place by {title} alone")
    for term, direction in column.directions.items():
        name = f"{title}: {plain(term, 60)} {'↑' if direction > 0 else '↓'}"
        yield from _of_term(name, label, term, groups, metric_hint(column.metric, term))


def _of_term(name: str, label: str, term: str, groups: set[str], hint: str) -> Iterator[TableColumn]:
    def interval(row: BoardRow) -> str | None:
        low, high = row.term(label, term, "low"), row.term(label, term, "high")
        return None if low is None or high is None else f"{number(low)} to {number(high)}"

    if "terms" in groups:
        yield _number(name, lambda row: row.term(label, term), number, hint)
    if "intervals" in groups:
        yield _words(f"{name} interval", WORD_WIDTH, interval, "the range that other rows of the dataset would give")


def _number(
    header: str,
    value: Callable[[BoardRow], Any],
    show: Callable[[Any], str],
    hint: str = "",
    *,
    shaded: int = 0,
    width: int | None = None,
) -> TableColumn:
    def cell(row: BoardRow) -> Cell:
        found = value(row)
        if found is None:
            return Cell(None, MISSING)
        return Cell(found.value if isinstance(found, Interval) else found, show(found))

    return TableColumn(header, "number", width or _width(header, NARROW), cell, hint, shaded)


def _words(header: str, width: int, value: Callable[[BoardRow], str | None], hint: str = "") -> TableColumn:
    def cell(row: BoardRow) -> Cell:
        text = plain(value(row) or "") or MISSING
        return Cell(text, text)

    return TableColumn(header, "str", _width(header, width), cell, hint)


def _width(header: str, least: int) -> int:
    return max(least, min(LETTER_PIXELS * len(header) + 36, 260))


def _on_the_hub(row: BoardRow) -> Cell:
    """Return a link to a model's page; its address comes from `hub_url`, and it holds no other text of a record."""
    address = hub_url(row.model)
    made = MISSING if address is None else f'<a href="{address}" target="_blank" rel="noopener noreferrer">Open ↗</a>'
    return Cell(made, made)


FORECAST = [
    _number(
        "Chance to be best",
        lambda row: row.chance,
        chance_text,
        "how likely this model is to be the most accurate of the board after fine-tuning",
        shaded=1,
    ),
    _number(
        "Points below the best",
        lambda row: row.forecast and row.forecast.points_below_best,
        points_text,
        "points of accuracy behind the best model, with the range that holds 8 cases in 10",
        shaded=-1,
        width=190,
    ),
    _number(
        "Expected accuracy",
        lambda row: row.forecast and row.forecast.expected_accuracy,
        level_text,
        "accuracy after fine-tuning, with the range that holds 8 cases in 10; a measured one has no range",
        shaded=1,
        width=172,
    ),
]
PLACES = [
    _words("Range", NARROW, range_text, "ranks that its scores allow on another sample"),
    _words(
        "Tie",
        64,
        lambda row: letters(row.group) if row.group else None,
        "models with the same letter cannot be distinguished",
    ),
]
PARAMETERS = _number(
    "Parameters", lambda row: row.parameters, short_count, "size of the model; smaller ones are cheaper to run"
)
FACTS = [
    *(
        _words(one.metadata["title"], WORD_WIDTH, attrgetter(one.name), one.metadata["hint"])
        for one in fields(RecordedFacts)
        if one.metadata["shown"]
    ),
    _words("Library", WORD_WIDTH, lambda row: row.library, "the library that loads it"),
    _number("Width", lambda row: row.width, "{:,}".format, "how many features it computes for each example"),
]
RUN = [
    _number("Examples/s", lambda row: row.throughput, short_count, "examples per second on the device that scored it"),
    _words("Device", WORD_WIDTH, lambda row: row.device, "what the model ran on"),
    _words("Layer", NARROW, lambda row: row.layer, "the layer whose features were scored"),
    _words("Pooling", NARROW, lambda row: row.pooling, "how the features of an example became one row"),
    _words("Commit", NARROW, lambda row: (row.commit or "")[:10], "the version of the checkpoint"),
    _words("Date", 110, lambda row: day(row.time), "when it was scored"),
]


def shown_labels(rows: Sequence[BoardRow]) -> list[str]:
    """Return the name of each row's model; names that look the same get a number."""
    found: dict[str, None] = {}
    for row in rows:
        text = base = plain(row.label) or MISSING
        count = 2
        while text in found:
            text, count = f"{base} #{count}", count + 1
        found[text] = None
    return list(found)


def column_widths(columns: Sequence[TableColumn], labels: Sequence[str]) -> list[str]:
    """Return the widths of the columns; that of the models fits its texts, within limits."""
    longest = max(map(len, labels), default=0)
    wanted = max(LEAST_MODEL_WIDTH, min(LETTER_PIXELS * longest + 24, MODEL_WIDTH))
    return [f"{wanted if place == MODEL_PLACE else column.width}px" for place, column in enumerate(columns)]


def alignment_css(columns: Sequence[TableColumn]) -> str:
    """Return the style sheet that aligns numbers to the right."""
    places = [place for place, column in enumerate(columns, 1) if column.kind == "number"]
    if not places:
        return ""
    cells = ", ".join(f'#lb-table [aria-colindex="{place}"] :is(.cell-wrap, .header-content)' for place in places)
    return f"<style>{cells} {{ justify-content: flex-end; text-align: end; }}</style>"


def table_value(columns: Sequence[TableColumn], rows: Sequence[BoardRow], labels: Sequence[str]) -> dict[str, Any]:
    """Return the value of a Dataframe with the labels at MODEL_PLACE."""
    cells = [[*map(column.cell, rows)] for column in columns]
    cells[MODEL_PLACE] = [Cell(label, label) for label in labels]
    values, shown = ([[cell[part] for cell in line] for line in cells] for part in (0, 1))
    styles = [_shades(line, column.shaded) for line, column in zip(values, columns, strict=True)]
    data, display, styling = ([*map(list, zip(*one, strict=True))] for one in (values, shown, styles))
    headers = [column.header for column in columns]
    return {"headers": headers, "data": data, "metadata": {"display_value": display, "styling": styling}}


def _shades(values: Sequence[Any], shaded: int) -> list[str]:
    """Return the style of each cell of a column: the better its value is, the more it is shaded."""
    known = [value for value in values if isinstance(value, (int, float))] if shaded else []
    low, high = min(known, default=0.0), max(known, default=0.0)
    if high <= low:
        return [""] * len(values)

    def shade(value: Any) -> str:
        if not isinstance(value, (int, float)):
            return ""
        share = (value - low) / (high - low)
        strength = DARKEST * (share if shaded > 0 else 1 - share)
        return f"background: rgb(99 102 241 / {strength:.0f}%)" if strength >= 1 else ""

    return [*map(shade, values)]


def status_html(status: LibraryStatus, unusable: int = 0) -> str:
    """Return the line with what is shown and how far reading is; some rows of the records may be unusable."""
    progress = f"{status.done:,} of {status.total:,} records read" if status.total else ""
    if status.loading and not status.records:
        parts = [f"Reading {escape(status.name)}", progress]
    else:
        parts = [f"Records from {escape(status.name)}", counted(status.records, "record")]
        parts.append(f"read {escape(status.time)} UTC" if status.time else "")
        parts.append(progress if status.loading else "")
    left_out = status.problems + unusable
    if left_out:
        parts.append(f"{counted(left_out, 'file')} left out: not valid records")
    if status.error is not None:
        parts.append(f"<b>The last check for new records failed:</b> {escape(status.error)}")
    return f"<p>{' · '.join(part for part in parts if part)}</p>"


def missing_html(slug: str) -> str:
    """Return the note for a link whose board is not here."""
    return (
        f'<div class="lb-note" role="status">There is no board “{escape(slug, 80)}” here. Its records may have been '
        "removed, or the link is incomplete or for another leaderboard. The first board is shown instead.</div>"
    )


def head_html(board: Board) -> str:
    """Return the title of a board, its answer, and what it is based on."""
    first, stop, rest = board.answer.partition(". ")
    return page(
        "board_head.html.jinja",
        board=board,
        first=first + stop.strip(),
        rest=rest,
        forecast="forecast" if board.is_forecast else " and ".join(board.headline),
        day=day(board.summary.time),
    )


def count_html(shown: int, found: int, every: int, remarks: Sequence[str] = ()) -> str:
    """Return how many models are shown, match the filters and are on the board, with remarks on the filters."""
    if found == 0:
        text = "No model matches. Clear the search or a filter." if every else "No model has been scored here."
    elif shown < found:
        text = f"{shown:,} of {found:,} shown: search or filter to see others. The CSV has all {found:,}."
    else:
        text = f"{counted(found, 'model')}" + (f" of {every:,}" if found < every else "")
    return f"<p>{text}</p>" + "".join(f'<p class="lb-note">{escape(remark)}</p>' for remark in remarks)


def notes_html(board: Board, rows: Iterable[BoardRow], columns: Iterable[TableColumn] = ()) -> str:
    """Return how to read the shown rows and columns of a board, and what to know before trusting it."""
    flagged = ((label, column.flags.items()) for label, column in board.columns.items())
    flags = [f"{label}: {term} says nothing here, {reason}" for label, terms in flagged for term, reason in terms]
    warnings = [f"{row.label}: {text}" for row in rows for text in row.warnings]
    failures = [f"{one.model} ({one.kind}): {one.reason}" for one in board.failures]
    sections = {
        "What to know first": [*board.notes, *flags],
        f"Warnings ({len(warnings):,})": warnings,
        f"Models that could not be scored ({len(failures):,})": failures,
    }
    hints = {column.header: column.hint for column in columns if column.hint}
    return page("board_notes.html.jinja", board=board, hints=hints, sections=sections, most=MOST_NOTES)


def card_html(board: Board, row: BoardRow) -> str:
    """Return a short description of one model of a board, with links to the Hub."""
    return page(
        "board_card.html.jinja",
        board=board,
        row=row,
        told=expected_text(board, row),
        ranked=sum(one.rank is not None for one in board.rows),
        within="" if row.low is None else range_text(row),
        tie=letters(row.group) if row.group else "",
        scores={plain(label, 60): score for label, score in row.scores.items() if _is_usual(board, label)},
        accuracy="" if row.accuracy is None else f"{accuracy_text(row.accuracy)} {way_of(board)}",
    )
