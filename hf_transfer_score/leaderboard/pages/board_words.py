"""What stands around the table of a board, as HTML whose foreign parts are escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape as quoted

from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.leaderboard.library import Status
from hf_transfer_score.leaderboard.pages.board_table import accuracy_text, letters, range_text
from hf_transfer_score.leaderboard.pages.texts import (
    bullet_list,
    dataset_url,
    day,
    escape,
    link,
    model_url,
    number,
    plain,
    plural,
    short_count,
)

MOST_NOTES = 100
NO_BOARDS = """<div class="lb-head"><h2>No records yet</h2><p>Nothing was scored here so far. Records come from
<code>hf-transfer-score rank DATASET --models MODEL ... --save FOLDER</code>, and this page shows them by
<code>hf-transfer-score leaderboard --results FOLDER</code>. It looks for new ones by itself.</p></div>"""
READING = """<div class="lb-head"><h2>Reading the records</h2><p>The boards appear here when they are read; there is no
need to reload the page.</p></div>"""
READ_ME = """A model's <b>rank</b> is by {deciding}. The <b>range</b> holds the places that the intervals of its scores
allow, and models of one <b>tie</b> letter cannot be told apart: the order inside a tie says nothing. Pool scores
depend on the models of this board; raw terms do not."""


def status_html(status: Status, unusable: int = 0) -> str:
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


def _progress(status: Status) -> str:
    return f"{status.done:,} of {status.total:,} records read" if status.total else ""


def head_html(board: Board) -> str:
    """Return the title of a board and what it rests on."""
    key, summary = board.key, board.summary
    facts = [
        ("Task", escape(key.task)),
        ("Dataset", link(key.dataset, dataset_url(key.dataset))),
        ("Config", escape(key.config) if key.config else ""),
        ("Split", escape(key.split) if key.split else ""),
        ("Examples", f"{board.examples:,}" if board.examples else ""),
        ("Classes", f"{board.classes:,}" if board.classes else ""),
        ("Models", f"{summary.models:,}" + (f" and {summary.failed:,} failed" if summary.failed else "")),
        ("Measured accuracies", _truth(board)),
        ("Newest", day(summary.time)),
    ]
    shown = "".join(f"<div><dt>{quoted(name)}</dt><dd>{value}</dd></div>" for name, value in facts if value)
    return f'<div class="lb-head"><h2>{escape(summary.title)}</h2><dl class="lb-facts">{shown}</dl></div>'


def _truth(board: Board) -> str:
    if board.truth is None:
        return ""
    other = "" if board.truth_exact else ", on another sample of this dataset"
    return f"{board.summary.truths:,}: {escape(board.truth)}{other}"


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
    parts = [f'<p class="lb-muted">{READ_ME.format(deciding=_deciding(board))}</p>'] if board.headline else []
    flags = [
        f"{label}: {term} tells nothing here, {reason}"
        for label, column in board.columns.items()
        for term, reason in column.flags.items()
    ]
    warnings = [f"{row.label}: {text}" for row in rows for text in row.warnings]
    failures = [f"{one.model} ({one.kind}): {one.reason}" for one in board.failures]
    parts.append(_section("To know before reading it", [*board.notes, *flags]))
    parts.append(_section(f"Warnings ({len(warnings):,})", warnings))
    parts.append(_section(f"Models that could not be scored ({len(failures):,})", failures))
    return "".join(parts)


def _deciding(board: Board) -> str:
    labels = " and ".join(f"<b>{escape(label, 80)}</b>" for label in board.headline)
    return f"its score of {labels}" if len(board.headline) == 1 else f"the mean of its ranks over {labels}"


def _section(title: str, lines: list[str]) -> str:
    if not lines:
        return ""
    more = [f"and {len(lines) - MOST_NOTES:,} more"] if len(lines) > MOST_NOTES else []
    shown = bullet_list([*lines[:MOST_NOTES], *more], label=title)
    inside = shown if len(lines) <= 5 else f"<details><summary>Show them</summary>{shown}</details>"
    return f'<div class="lb-head"><h3>{quoted(title)}</h3>{inside}</div>'


def card_html(board: Board, row: BoardRow) -> str:
    """Return a short description of one model of a board, with links to where it comes from."""
    facts = [
        ("Rank", f"{row.rank:,} of {sum(one.rank is not None for one in board.rows):,}" if row.rank else ""),
        ("Range", range_text(row) if row.low is not None else ""),
        ("Tie", letters(row.group) if row.group else ""),
        *((plain(label, 60), number(score)) for label, score in row.scores.items()),
        ("Accuracy", accuracy_text(row.accuracy) if row.accuracy is not None else ""),
        ("Parameters", short_count(row.parameters) if row.parameters is not None else ""),
        ("License", row.license or ""),
        ("Commit", (row.commit or "")[:10]),
        ("Published", row.source or ""),
    ]
    shown = "".join(f"<div><dt>{quoted(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts if value)
    return (
        f'<div class="lb-card lb-head"><h3>{escape(row.label)}</h3><dl class="lb-facts">{shown}</dl>'
        f"<p>{_links(board, row)}</p>{bullet_list(row.warnings, label='Warnings')}</div>"
    )


def _links(board: Board, row: BoardRow) -> str:
    links = [
        ("Model on the Hub", model_url(row.model)),
        ("Files of the scored commit", model_url(row.model, row.commit) if row.commit else None),
        ("Dataset on the Hub", dataset_url(board.key.dataset)),
    ]
    shown = [link(text, url, button=True) for text, url in links if url is not None]
    return "".join(shown) or "No page on the Hub is known for it."
