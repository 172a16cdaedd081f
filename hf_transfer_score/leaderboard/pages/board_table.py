"""A board as a table of cells, as CSV, and what stands around it as HTML whose foreign parts are escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from hf_transfer_score.leaderboard.boards.board import Board, BoardColumn, BoardRow
from hf_transfer_score.leaderboard.library import LibraryStatus
from hf_transfer_score.leaderboard.pages.texts import (
    MISSING,
    accuracy_text,
    chance_text,
    day,
    escape,
    expected_text,
    hub_url,
    level_text,
    number,
    page,
    plain,
    plural,
    points_text,
    short_count,
)

GROUPS = {
    "scores": "Scores",
    "ranks": "Ranks by metric",
    "terms": "Raw terms",
    "intervals": "Intervals of terms",
    "settings": "Other settings of a metric",
    "facts": "Facts of the model",
    "run": "Run and date",
}
"""What may be shown beside the order, by the name that addresses use."""

SHOWN = ("scores", "facts")
"""Groups that are shown unless the visitor chooses others."""

MODEL_WIDTH, LEAST_MODEL_WIDTH, WORD_WIDTH, NARROW = 320, 140, 150, 80
LETTER_PIXELS = 8
DARKEST = 28
"""Percent of colour behind the best value of a column; text stays readable on it, by day and by night."""

MOST_NOTES = 100
MODEL_PLACE = 1
"""Where the column of the models stands."""

NO_BOARDS = """<div class="lb-head"><h2>No records yet</h2><p>Nothing was scored here so far. Records come from
<code>hf-transfer-score rank DATASET --models MODEL ... --save FOLDER</code>, and this page shows them by
<code>hf-transfer-score leaderboard --results FOLDER</code>. It looks for new ones by itself.</p></div>"""
READING = """<div class="lb-head"><h2>Reading the records</h2><p>The boards appear here when they are read; there is no
need to reload the page.</p></div>"""


class Cell(NamedTuple):
    """What a cell holds and how it reads."""

    value: str | float | None
    shown: str


class TableColumn(NamedTuple):
    """A column of the table.

    Attributes:
        header: its title.
        kind: "number", "str", or "html" for a link of ours.
        width: in pixels.
        cell: what a row shows.
        hint: what it says, in a practitioner's words; "" where the title is enough.
        shaded: 1 where the largest values are shaded most, -1 for the smallest, 0 for no shade.
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
    """Return the places that are likely for a model, such as 2–5."""
    if row.low is None or row.high is None:
        return MISSING
    return f"{row.low}" if row.low == row.high else f"{row.low}–{row.high}"


def columns_of(board: Board, groups: Iterable[str]) -> list[TableColumn]:
    """Return the columns of a board in order, with those of some names of GROUPS."""
    chosen = set(groups)
    found = [
        _number("Rank", lambda row: row.rank, _whole)._replace(width=64),
        _words("Model", MODEL_WIDTH, lambda row: row.label),
    ]
    if board.is_forecast:
        anchored = any(row.forecast and row.forecast.expected_accuracy for row in board.rows)
        found += FORECAST if anchored else FORECAST[:-1]
    elif board.headline:
        found += PLACES
    if board.truth is not None:
        found.append(MEASURED)
    found.append(_number("Parameters", lambda row: row.parameters, short_count)._replace(hint=HINTS["Parameters"]))
    if any(hub_url(row.model) for row in board.rows):
        found.append(TableColumn("Hub", "html", NARROW, _on_the_hub, HINTS["Hub"]))
    if "facts" in chosen:
        found += [column for column in FACTS if any(column.cell(row).shown != MISSING for row in board.rows)]
    if len(board.headline) > 1:
        found.append(_number("Mean rank", lambda row: row.mean_rank, number))
    for label, column in board.columns.items():
        is_bare = label == column.metric or column.metric not in board.columns or label in board.headline
        if is_bare or "settings" in chosen:  # other settings of a metric that is there under its bare name too
            found += _of_metric(label, column, chosen)
    return found + (RUN if "run" in chosen else [])


def _of_metric(label: str, column: BoardColumn, groups: set[str]) -> Iterator[TableColumn]:
    """Yield the columns of a metric."""
    title = plain(label, 60)
    if "scores" in groups:
        yield _number(title, lambda row: row.scores.get(label), number)._replace(shaded=1)
    if "ranks" in groups:
        yield _number(f"{title} rank", lambda row: row.ranks.get(label), _whole)
    for term, direction in column.directions.items():
        name = f"{title}: {plain(term, 60)} {'↑' if direction > 0 else '↓'}"
        yield from _of_term(name, label, term, groups)


def _of_term(name: str, label: str, term: str, groups: set[str]) -> Iterator[TableColumn]:
    def interval(row: BoardRow) -> str | None:
        ends = row.intervals.get(label, {}).get(term)
        return None if ends is None else f"{number(ends[0])} to {number(ends[1])}"

    if "terms" in groups:
        yield _number(name, lambda row: row.terms.get(label, {}).get(term), number)
    if "intervals" in groups:
        yield _words(f"{name} interval", WORD_WIDTH, interval)


def _whole(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.0f}"


def _number(header: str, value: Callable[[BoardRow], float | None], show: Callable[[float | None], str]) -> TableColumn:
    def cell(row: BoardRow) -> Cell:
        found = value(row)
        return Cell(found, show(found))

    return TableColumn(header, "number", _width(header, NARROW), cell)


def _words(header: str, width: int, value: Callable[[BoardRow], str | None]) -> TableColumn:
    def cell(row: BoardRow) -> Cell:
        text = plain(value(row) or "") or MISSING
        return Cell(text, text)

    return TableColumn(header, "str", _width(header, width), cell)


def _width(header: str, least: int) -> int:
    return max(least, min(LETTER_PIXELS * len(header) + 36, 260))


def _below(row: BoardRow) -> Cell:
    one = None if row.forecast is None else row.forecast.points_below_best
    return Cell(None if one is None else one.value, points_text(one))


def _level(row: BoardRow) -> Cell:
    one = None if row.forecast is None else row.forecast.expected_accuracy
    return Cell(None if one is None else one.value, level_text(one))


def _on_the_hub(row: BoardRow) -> Cell:
    """Return a link to a model's page; its address is one of `hub_url`, and no other text of a record is in it."""
    address = hub_url(row.model)
    made = MISSING if address is None else f'<a href="{address}" target="_blank" rel="noopener noreferrer">Open ↗</a>'
    return Cell(made, made)


HINTS = {
    "Chance to be best": "how likely this model is to be the most accurate of the board after fine-tuning",
    "Points below the best": "how many points of accuracy it loses to the best one, with the range of 8 cases in 10",
    "Expected accuracy": "accuracy after fine-tuning, with the range of 8 cases in 10; one that was measured has none",
    "Measured": "accuracy after fine-tuning that somebody measured and published",
    "Range": "places that its scores allow on another sample",
    "Tie": "models of one letter cannot be distinguished",
    "Parameters": "size of the model; smaller ones are cheaper to run",
    "Hub": "its page on the Hugging Face Hub",
    "Width": "numbers that the model makes of one example",
    "License": "what you may do with it",
    "Library": "what loads it",
}
"""What columns say; those of metrics are explained together."""

FORECAST = [
    _number("Chance to be best", lambda row: row.chance, chance_text)._replace(
        hint=HINTS["Chance to be best"], shaded=1
    ),
    TableColumn("Points below the best", "number", 190, _below, HINTS["Points below the best"], -1),
    TableColumn("Expected accuracy", "number", 172, _level, HINTS["Expected accuracy"], 1),
]
PLACES = [
    _words("Range", NARROW, range_text)._replace(hint=HINTS["Range"]),
    _words("Tie", 64, lambda row: letters(row.group) if row.group else None)._replace(hint=HINTS["Tie"]),
]
MEASURED = _number("Measured", lambda row: row.accuracy, accuracy_text)._replace(hint=HINTS["Measured"], shaded=1)
FACTS = [
    _words("License", WORD_WIDTH, lambda row: row.license)._replace(hint=HINTS["License"]),
    _words("Library", WORD_WIDTH, lambda row: row.library)._replace(hint=HINTS["Library"]),
    _number("Width", lambda row: row.width, _whole)._replace(hint=HINTS["Width"]),
]
RUN = [
    _number("Examples/s", lambda row: row.throughput, short_count),
    _words("Device", WORD_WIDTH, lambda row: row.device),
    _words("Layer", NARROW, lambda row: row.layer),
    _words("Pooling", NARROW, lambda row: row.pooling),
    _words("Commit", NARROW, lambda row: (row.commit or "")[:10]),
    _words("Date", 110, lambda row: day(row.time)),
]


def shown_labels(rows: Sequence[BoardRow]) -> list[str]:
    """Return what each row calls its model; texts that read the same are told apart by a number."""
    found: dict[str, None] = {}
    for row in rows:
        text = base = plain(row.label) or MISSING
        count = 2
        while text in found:
            text, count = f"{base} #{count}", count + 1
        found[text] = None
    return list(found)


def column_widths(columns: Sequence[TableColumn], labels: Sequence[str]) -> list[str]:
    """Return how wide the columns are; that of the models as wide as its texts need, within limits."""
    longest = max(map(len, labels), default=0)
    wanted = max(LEAST_MODEL_WIDTH, min(LETTER_PIXELS * longest + 24, MODEL_WIDTH))
    return [f"{wanted if place == MODEL_PLACE else column.width}px" for place, column in enumerate(columns)]


def alignment_css(columns: Sequence[TableColumn]) -> str:
    """Return the style sheet that puts numbers at the end of their cells, where their digits meet."""
    places = [place for place, column in enumerate(columns, 1) if column.kind == "number"]
    if not places:
        return ""
    cells = ", ".join(f'#lb-table [aria-colindex="{place}"] :is(.cell-wrap, .header-content)' for place in places)
    return f"<style>{cells} {{ justify-content: flex-end; text-align: end; }}</style>"


def table_value(columns: Sequence[TableColumn], rows: Sequence[BoardRow], labels: Sequence[str]) -> dict[str, Any]:
    """Return the value of a Dataframe, whose cells at MODEL_PLACE say the labels."""
    cells = [[column.cell(row) for column in columns] for row in rows]
    for line, label in zip(cells, labels, strict=True):
        line[MODEL_PLACE] = Cell(label, label)
    return {
        "headers": [column.header for column in columns],
        "data": [[cell.value for cell in line] for line in cells],
        "metadata": {
            "display_value": [[cell.shown for cell in line] for line in cells],
            "styling": _shades(columns, cells),
        },
    }


def _shades(columns: Sequence[TableColumn], cells: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """Return the style of each cell: the better a value is within its column, the more it is shaded."""
    across = []
    for place, column in enumerate(columns):
        values = [line[place].value if column.shaded else None for line in cells]
        known = [value for value in values if isinstance(value, (int, float))]
        low, high = min(known, default=0.0), max(known, default=0.0)
        across.append([_shade(value, low, high, column.shaded) for value in values])
    return [list(line) for line in zip(*across, strict=True)]


def _shade(value: Any, low: float, high: float, shaded: int) -> str:
    if high <= low or not isinstance(value, (int, float)):
        return ""
    share = (value - low) / (high - low)
    strength = DARKEST * (share if shaded > 0 else 1 - share)
    return f"background: rgb(99 102 241 / {strength:.0f}%)" if strength >= 1 else ""


def status_html(status: LibraryStatus, unusable: int = 0) -> str:
    """Return the line that says what is shown and how far it is; some rows of the records may be unusable."""
    progress = f"{status.done:,} of {status.total:,} records read" if status.total else ""
    if status.loading and not status.records:
        parts = [f"Reading {escape(status.name)}", progress]
    else:
        parts = [f"Records from {escape(status.name)}", plural(status.records, "record")]
        parts.append(f"read {escape(status.time)} UTC" if status.time else "")
        parts.append(progress if status.loading else "")
    left_out = status.problems + unusable
    if left_out:
        parts.append(f"{plural(left_out, 'file')} left out, as no valid record")
    if status.error is not None:
        parts.append(f"<b>The last look for new records failed:</b> {escape(status.error)}")
    return f"<p>{' · '.join(part for part in parts if part)}</p>"


def missing_html(slug: str) -> str:
    """Return the note for a link whose board is not here."""
    return (
        f'<div class="lb-note" role="status">There is no board “{escape(slug, 80)}” here. Its records may have been '
        "removed, or the link is cut or of another leaderboard. The first board is shown instead.</div>"
    )


def head_html(board: Board) -> str:
    """Return the title of a board, its answer, and what it rests on."""
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
    """Return the line that says how many models are shown of those that pass the filters and of those on the board.

    Remarks on what is wrong with a filter may contain foreign text.
    """
    if found == 0:
        text = "No model passes. Clear the search or a filter." if every else "No model was scored here."
    elif shown < found:
        text = f"{shown:,} of {found:,} shown: search or filter for others. The CSV has all {found:,}."
    else:
        text = f"{plural(found, 'model')}" + (f" of {every:,}" if found < every else "")
    return f"<p>{text}</p>" + "".join(f'<p class="lb-note">{escape(remark)}</p>' for remark in remarks)


def notes_html(board: Board, rows: Iterable[BoardRow], columns: Iterable[TableColumn] = ()) -> str:
    """Return how to read a board of which some rows and columns are shown, and what to know before trusting it."""
    flags = [
        f"{label}: {term} tells nothing here, {reason}"
        for label, column in board.columns.items()
        for term, reason in column.flags.items()
    ]
    warnings = [f"{row.label}: {text}" for row in rows for text in row.warnings]
    failures = [f"{one.model} ({one.kind}): {one.reason}" for one in board.failures]
    sections = {
        "To know before reading it": [*board.notes, *flags],
        f"Warnings ({len(warnings):,})": warnings,
        f"Models that could not be scored ({len(failures):,})": failures,
    }
    hints = {column.header: column.hint for column in columns if column.hint}
    return page("board_notes.html.jinja", board=board, hints=hints, sections=sections, most=MOST_NOTES)


def card_html(board: Board, row: BoardRow) -> str:
    """Return a short description of one model of a board, with links to where it comes from."""
    return page(
        "board_card.html.jinja",
        board=board,
        row=row,
        told=expected_text(board, row),
        ranked=sum(one.rank is not None for one in board.rows),
        within="" if row.low is None else range_text(row),
        tie=letters(row.group) if row.group else "",
        scores={plain(label, 60): score for label, score in row.scores.items()},
        accuracy=accuracy_text(row.accuracy) if row.accuracy is not None else "",
    )
