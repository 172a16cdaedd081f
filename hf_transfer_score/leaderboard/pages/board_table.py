"""A board as a table of cells: which columns there are, what is in them, and how it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from hf_transfer_score.leaderboard.boards.board import Board, BoardColumn, BoardRow
from hf_transfer_score.leaderboard.pages.texts import MISSING, accuracy_text, day, number, plain, short_count

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


class Cell(NamedTuple):
    """What a cell holds and how it reads."""

    value: str | float | None
    shown: str


class TableColumn(NamedTuple):
    """A column of the table.

    Attributes:
        header: above it.
        kind: "number" or "str".
        width: in pixels.
        cell: from a row to its cell.
    """

    header: str
    kind: str
    width: int
    cell: Callable[[BoardRow], Cell]


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
    """Return the places that a model's intervals allow, such as 2–5."""
    if row.low is None or row.high is None:
        return MISSING
    return f"{row.low}" if row.low == row.high else f"{row.low}–{row.high}"


def columns_of(board: Board, groups: Iterable[str]) -> list[TableColumn]:
    """Return the columns of a board in order.

    Args:
        board: the board.
        groups: names of GROUPS to show.
    """
    chosen = set(groups)
    found = [_words("Model", MODEL_WIDTH, lambda row: row.label), *_order(board)]
    if board.truth is not None:
        found.append(_number("Accuracy", lambda row: row.accuracy, accuracy_text))
    for label, column in board.columns.items():
        if "settings" in chosen or not _is_other_setting(board, label):
            found += _of_metric(label, column, chosen)
    if "facts" in chosen:
        found += FACTS
    return found + (RUN if "run" in chosen else [])


def _order(board: Board) -> list[TableColumn]:
    if not board.headline:
        return []
    tie = _words("Tie", 64, lambda row: letters(row.group) if row.group else None)
    means = [_number("Mean rank", lambda row: row.mean_rank, number)] if len(board.headline) > 1 else []
    return [_number("Rank", lambda row: row.rank, _whole), _words("Range", NARROW, range_text), tie, *means]


def _is_other_setting(board: Board, label: str) -> bool:
    """Return whether a metric is on the board under its bare name too, and this is another setting of it."""
    metric = board.columns[label].metric
    return label != metric and metric in board.columns and label not in board.headline


def _of_metric(label: str, column: BoardColumn, groups: set[str]) -> Iterator[TableColumn]:
    """Yield the columns of a metric."""
    title = plain(label, 60)
    if "scores" in groups:
        yield _number(title, lambda row: row.scores.get(label), number)
    if "ranks" in groups:
        yield _number(f"{title} rank", lambda row: row.ranks.get(label), _whole)
    for term, direction in column.directions.items():
        name = f"{title}: {plain(term, 60)} {'↑' if direction > 0 else '↓'}"
        if "terms" in groups:
            yield _number(name, _term(label, term), number)
        if "intervals" in groups:
            yield _words(f"{name} interval", WORD_WIDTH, _interval(label, term))


def _term(label: str, term: str) -> Callable[[BoardRow], float | None]:
    return lambda row: row.terms.get(label, {}).get(term)


def _interval(label: str, term: str) -> Callable[[BoardRow], str | None]:
    def text(row: BoardRow) -> str | None:
        ends = row.intervals.get(label, {}).get(term)
        return None if ends is None else f"{number(ends[0])} to {number(ends[1])}"

    return text


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


FACTS = [
    _number("Parameters", lambda row: row.parameters, short_count),
    _number("Width", lambda row: row.width, _whole),
    _words("License", WORD_WIDTH, lambda row: row.license),
    _words("Library", WORD_WIDTH, lambda row: row.library),
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
    """Return what the first cell of each row shows; texts that read the same are told apart by a number."""
    found: list[str] = []
    taken: set[str] = set()
    for row in rows:
        text = base = plain(row.label) or MISSING
        count = 2
        while text in taken:
            text, count = f"{base} #{count}", count + 1
        taken.add(text)
        found.append(text)
    return found


def column_widths(columns: Sequence[TableColumn], labels: Sequence[str]) -> list[str]:
    """Return how wide the columns are; the first one as wide as its texts need, within limits.

    Args:
        columns: of the table.
        labels: what the first cell of each row says.
    """
    longest = max(map(len, labels), default=0)
    first = max(LEAST_MODEL_WIDTH, min(LETTER_PIXELS * longest + 24, MODEL_WIDTH))
    return [f"{first}px", *(f"{column.width}px" for column in columns[1:])]


def alignment_css(columns: Sequence[TableColumn]) -> str:
    """Return the style sheet that puts numbers at the end of their cells, where their digits meet."""
    places = [place for place, column in enumerate(columns, 1) if column.kind == "number"]
    if not places:
        return ""
    cells = ", ".join(f'#lb-table [aria-colindex="{place}"] :is(.cell-wrap, .header-content)' for place in places)
    return f"<style>{cells} {{ justify-content: flex-end; text-align: end; }}</style>"


def table_value(columns: Sequence[TableColumn], rows: Sequence[BoardRow], labels: Sequence[str]) -> dict[str, Any]:
    """Return the value of a Dataframe.

    Args:
        columns: of the table.
        rows: to show.
        labels: what the first cell of each says.
    """
    cells = [[column.cell(row) for column in columns] for row in rows]
    for line, label in zip(cells, labels, strict=True):
        line[0] = Cell(label, label)
    return {
        "headers": [column.header for column in columns],
        "data": [[cell.value for cell in line] for line in cells],
        "metadata": {"display_value": [[cell.shown for cell in line] for line in cells]},
    }
