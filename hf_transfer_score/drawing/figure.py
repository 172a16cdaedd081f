"""A chart with its words and its numbers as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from hf_transfer_score.drawing.look import unchecked
from hf_transfer_score.drawing.words import MISSING, printable
from hf_transfer_score.text import counted

MOST_ROWS = 50
WIDTH = 760
"""Pixels of a chart on a wide page."""


@dataclass(frozen=True)
class Table:
    """Rows of cells, those that matter most first, out of `count`; the first column names the rows, each a `word`."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    count: int
    word: str = "model"

    def html(self, caption: str) -> str:
        """Return the table, folded; foreign names stay text and do not change the direction of other words."""
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
    """A chart with its description for screen readers, a caption in plain text, and a table of its numbers.

    Without a chart there is nothing to draw, and the description says why.
    """

    title: str
    description: str
    caption: str = ""
    chart: Any = None
    table: Table | None = None

    def words_html(self) -> str:
        """Return caption and table, or why there is no chart."""
        said = f"<p>{_safe(self.caption)}</p>" if self.chart is not None else ""
        if self.chart is None:
            said = f"<p><strong>{_safe(self.title)}</strong></p><p>{_safe(self.description)}</p>"
        return f'<div class="chart-words">{said}{"" if self.table is None else self.table.html(self.title)}</div>'


@unchecked
def together(figures: Sequence[Figure], title: str, columns: int) -> Figure:
    """Return charts side by side as one, with all their words and numbers."""
    import altair as alt

    drawn = [one for one in figures if one.chart is not None]
    words = " ".join(one.description for one in figures)
    if not drawn:
        return Figure(title, words)
    chart = alt.concat(*(one.chart for one in drawn), columns=columns, description=f"{title}. {words}")
    captions = " ".join(f"{one.title}: {one.caption}" for one in drawn)
    tables = [(one.title, one.table) for one in drawn if one.table is not None]
    rows = tuple((name, *row) for name, table in tables for row in table.rows)
    table = Table(("chart", *tables[0][1].columns), rows, len(rows), tables[0][1].word)
    return Figure(title, words, captions, chart, table)


def _safe(text: str) -> str:
    """Return a text for HTML; the marks that isolate the direction of a name are kept."""
    return escape("".join(one if one in "\u2068\u2069" else printable(one) for one in text), quote=True)
