"""A picture in two sizes with what it says in words, and its numbers as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hf_transfer_score.leaderboard.drawing.style import FIGURE_STYLE
from hf_transfer_score.leaderboard.drawing.svg import COMPACT, WIDE, Markup, Size, element, sentence_picture
from hf_transfer_score.leaderboard.drawing.text import counted

MOST_ROWS = 50


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


Item = TypeVar("Item")


def table_of(
    columns: tuple[str, ...],
    items: Sequence[Item],
    cells: Callable[[Item], tuple[str, ...]],
    order: Callable[[Item], tuple[float, ...]],
    word: str = "model",
) -> Table:
    """Return the first 50 of many items as a table.

    Args:
        columns: names of the columns.
        items: what is listed.
        cells: makes a row.
        order: of the rows.
        word: what a row is.
    """
    first = sorted(items, key=order)[:MOST_ROWS]
    return Table(columns, tuple(cells(item) for item in first), len(items), word)


@dataclass(frozen=True)
class Figure:
    """A picture with all that belongs to it.

    Attributes:
        title: its name.
        description: what it shows, for those who do not see it.
        caption: what to know when looking at it; plain text.
        svg: the picture.
        compact: the same for a phone.
        table: the same as numbers, None where there is nothing to show.
    """

    title: str
    description: str
    caption: str
    svg: str
    compact: str
    table: Table | None = None

    def html(self) -> str:
        """Return the picture in the size that fits, its caption, and its numbers behind a fold."""
        return element(
            "figure",
            {"class": "hts-figure"},
            element("style", None, Markup(FIGURE_STYLE)),
            element("div", {"class": "hts-wide"}, Markup(self.svg)),
            element("div", {"class": "hts-compact"}, Markup(self.compact)),
            *([element("figcaption", None, self.caption)] if self.caption else []),
            Markup(self.table_html()),
        ).text

    def table_html(self) -> str:
        """Return the numbers as a table behind a fold, at most 50 rows; empty where there are none."""
        if self.table is None or not self.table.rows:
            return ""
        first, *others = self.table.columns
        heads = [element("th", {"scope": "col"}, name) for name in (first, *others)]
        rows = [_row(cells) for cells in self.table.rows]
        inside = element(
            "table",
            None,
            element("caption", {"style": "text-align:left"}, self.title),
            element("thead", None, element("tr", None, *heads)),
            element("tbody", None, *rows),
        )
        attributes = {"class": "hts-scroll", "tabindex": "0", "role": "region", "aria-label": f"Table: {self.title}"}
        summary = element("summary", None, f"The numbers as a table ({_extent(self.table)})")
        return element("details", None, summary, element("div", attributes, inside)).text


def _row(cells: tuple[str, ...]) -> Markup:
    name = element("th", {"scope": "row"}, element("bdi", None, cells[0] or "-"))
    return element("tr", None, name, *(element("td", None, cell or "-") for cell in cells[1:]))


def _extent(table: Table) -> str:
    whole = counted(table.count, table.word)
    return whole if table.count <= len(table.rows) else f"first {len(table.rows)} of {whole}"


def drawn(
    title: str, description: str, caption: str, draw: Callable[[Size], str], table: Table | None = None
) -> Figure:
    """Return a figure in both sizes.

    Args:
        title: its name.
        description: what it shows, in words.
        caption: what to know when looking at it.
        draw: returns the picture in a size.
        table: its numbers.
    """
    return Figure(title, description, caption, draw(WIDE), draw(COMPACT), table)


def sentence_figure(title: str, sentence: str, table: Table | None = None) -> Figure:
    """Return a figure that says why there is nothing to draw."""
    return drawn(title, sentence, "", lambda size: sentence_picture(title, sentence, size), table)
