"""A chart with what it says in words, and its numbers as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from hf_transfer_score.drawing.words import MISSING, counted, printable

MOST_ROWS = 50
WIDTH = 760
"""Pixels of a chart on a wide page."""


@dataclass(frozen=True)
class Table:
    """Numbers in rows.

    Attributes:
        columns: names of the columns; the first one names the rows.
        rows: the cells, those that matter most first.
        count: how many rows there would be.
        word: what a row is.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    count: int
    word: str = "model"

    def html(self, caption: str) -> str:
        """Return the table behind a fold; names of strangers stay text and keep their direction to themselves."""
        if not self.rows:
            return ""
        more = f"first {len(self.rows)} of " if self.count > len(self.rows) else ""
        heads = "".join(f'<th scope="col">{_safe(name)}</th>' for name in self.columns)
        rows = "".join(
            f'<tr><th scope="row"><bdi>{_safe(first or MISSING)}</bdi></th>'
            f"{''.join(f'<td>{_safe(cell or MISSING)}</td>' for cell in cells)}</tr>"
            for first, *cells in self.rows
        )
        return (
            f"<details><summary>The numbers as a table ({more}{counted(self.count, self.word)})</summary>"
            f'<div class="chart-scroll" tabindex="0" role="region" aria-label="Table: {_safe(caption)}">'
            f"<table><caption>{_safe(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
            "</div></details>"
        )


@dataclass(frozen=True)
class Figure:
    """A chart with all that belongs to it.

    Attributes:
        title: its name.
        description: what it shows, for those who do not see it.
        caption: what to know when looking at it; plain text.
        chart: of Altair; None where there is nothing to draw, as the description says.
        table: the same as numbers.
    """

    title: str
    description: str
    caption: str = ""
    chart: Any = None
    table: Table | None = None

    def words_html(self) -> str:
        """Return caption and table, or what is said instead of a chart."""
        said = f"<p>{_safe(self.caption)}</p>" if self.chart is not None else ""
        if self.chart is None:
            said = f"<p><strong>{_safe(self.title)}</strong></p><p>{_safe(self.description)}</p>"
        return f'<div class="chart-words">{said}{"" if self.table is None else self.table.html(self.title)}</div>'


def together(figures: Sequence[Figure], title: str, columns: int) -> Figure:
    """Return charts side by side as one, with the words and numbers of all."""
    import altair as alt

    drawn = [one for one in figures if one.chart is not None]
    words = " ".join(one.description for one in figures)
    chart = (
        alt.concat(*(one.chart for one in drawn), columns=columns, description=f"{title}. {words}") if drawn else None
    )
    captions = " ".join(f"{one.title}: {one.caption}" for one in drawn)
    rows = tuple((one.title, *row) for one in drawn if one.table is not None for row in one.table.rows)
    first = next((one.table for one in drawn if one.table is not None), None)
    table = None if first is None else Table(("chart", *first.columns), rows, len(rows), first.word)
    return Figure(title, words, captions, chart, table)


def _safe(text: str) -> str:
    """Return a text as it stands in markup; marks that set a name apart are kept."""
    return escape("".join(one if one in "\u2068\u2069" else printable(one) for one in text), quote=True)
