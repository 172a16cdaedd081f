"""What stands around the table of a board, as HTML whose foreign parts are escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.leaderboard.library import LibraryStatus
from hf_transfer_score.leaderboard.pages.board_table import letters, range_text
from hf_transfer_score.leaderboard.pages.texts import accuracy_text, day, escape, page, plain, plural

MOST_NOTES = 100
NO_BOARDS = """<div class="lb-head"><h2>No records yet</h2><p>Nothing was scored here so far. Records come from
<code>hf-transfer-score rank DATASET --models MODEL ... --save FOLDER</code>, and this page shows them by
<code>hf-transfer-score leaderboard --results FOLDER</code>. It looks for new ones by itself.</p></div>"""
READING = """<div class="lb-head"><h2>Reading the records</h2><p>The boards appear here when they are read; there is no
need to reload the page.</p></div>"""


def status_html(status: LibraryStatus, unusable: int = 0) -> str:
    """Return the line that says what is shown and how far it is.

    Args:
        status: of the library.
        unusable: rows of the records that could not be used.
    """
    parts = [f"Records from {escape(status.name)}"]
    if status.loading and not status.records:
        parts = [f"Reading {escape(status.name)}", _progress(status)]
    else:
        parts.append(plural(status.records, "record"))
        parts.append(f"read {escape(status.time)} UTC" if status.time else "")
        if status.loading and status.total:
            parts.append(_progress(status))
    left_out = status.problems + unusable
    if left_out:
        parts.append(f"{plural(left_out, 'file')} left out, as no valid record")
    if status.error is not None:
        parts.append(f"<b>The last look for new records failed:</b> {escape(status.error)}")
    return f"<p>{' · '.join(part for part in parts if part)}</p>"


def missing_html(slug: str) -> str:
    """Return the note for a link whose board is not here.

    Args:
        slug: of the board that the link names.
    """
    return (
        f'<div class="lb-note" role="status">There is no board “{escape(slug, 80)}” here. Its records may have been '
        "removed, or the link is cut or of another leaderboard. The first board is shown instead.</div>"
    )


def _progress(status: LibraryStatus) -> str:
    return f"{status.done:,} of {status.total:,} records read" if status.total else ""


def head_html(board: Board) -> str:
    """Return the title of a board and what it rests on."""
    return page("board_head.html.jinja", board=board, day=day(board.summary.time))


def count_html(shown: int, found: int, every: int, remarks: Sequence[str] = ()) -> str:
    """Return the line that says how many models are shown.

    Args:
        shown: rows in the table.
        found: that pass search and filters.
        every: on the board.
        remarks: what is wrong with a filter; may contain foreign text.
    """
    if found == 0:
        text = "No model passes. Clear the search or a filter." if every else "No model was scored here."
    elif shown < found:
        text = f"{shown:,} of {found:,} shown: search or filter for others. The CSV has all {found:,}."
    else:
        text = f"{plural(found, 'model')}" + (f" of {every:,}" if found < every else "")
    return f"<p>{text}</p>" + "".join(f'<p class="lb-note">{escape(remark)}</p>' for remark in remarks)


def notes_html(board: Board, rows: Iterable[BoardRow]) -> str:
    """Return how to read a board, and what to know before trusting it.

    Args:
        board: the board.
        rows: that are shown.
    """
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
    return page("board_notes.html.jinja", board=board, sections=sections, most=MOST_NOTES)


def card_html(board: Board, row: BoardRow) -> str:
    """Return a short description of one model of a board, with links to where it comes from."""
    return page(
        "board_card.html.jinja",
        board=board,
        row=row,
        ranked=sum(one.rank is not None for one in board.rows),
        within="" if row.low is None else range_text(row),
        tie=letters(row.group) if row.group else "",
        scores={plain(label, 60): score for label, score in row.scores.items()},
        accuracy=accuracy_text(row.accuracy) if row.accuracy is not None else "",
    )
