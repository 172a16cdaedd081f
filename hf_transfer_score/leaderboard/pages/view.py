"""The view of a board: search, filters and order, and how they are written in an address.

Whatever is read from an address is checked, since addresses come from anybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlencode

from hf_transfer_score.errors import OptionError
from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.leaderboard.boards.rows import seconds
from hf_transfer_score.leaderboard.pages.board_table import GROUPS, SHOWN
from hf_transfer_score.leaderboard.pages.texts import plain
from hf_transfer_score.records.record import FACTS

LONGEST_QUERY = 4000
SEARCH_LETTERS = 200
MILLION = 10**6
USUAL, REVERSED = "usual", "reversed"
BY_RANK = "rank"

FORECAST, METRICS = "forecast", "metrics"
ORDERS = {FORECAST: "forecast", METRICS: "FaCe and NCTI"}
"""What a board can be ranked by, with its title."""

FIELDS = {
    BY_RANK: ("Rank", False),
    "model": ("Model", False),
    "chance": ("Chance to be best", True),
    "accuracy": ("Measured accuracy", True),
    "parameters": ("Parameters", False),
    "width": ("Width", True),
    "throughput": ("Examples/s", True),
    "license": ("License", False),
    "library": ("Library", False),
    "time": ("Date", True),
}
"""What any board can be sorted by: its title, and whether the largest values usually come first."""

SORTED_FIELDS = (
    *("rank", "label", "model", "library", "parameters", "width", *FACTS, "throughput", "accuracy"),
    *("chance", "group", "low", "high", "mean_rank", "layer", "pooling", "device", "time"),
)
"""What a board can be sorted by, also through the API, besides the labels of its columns."""

OF_COLUMN = "score:"
"""Stands before the label of a column to sort by, since a label may be the name of a field."""


@dataclass(frozen=True)
class View:
    """What is shown of a board, and in which order.

    Attributes:
        search: words that must all be in a row's label, library or licence.
        groups: names of GROUPS to show.
        libraries: kinds of backbone to show; none means all.
        licenses: to show; none means all.
        smallest: least number of parameters in millions; models of unknown size are left out.
        largest: greatest number, likewise.
        since: first day in UTC for the newest record, as YYYY-MM-DD; other texts are ignored.
        sort: one of SORTED_FIELDS, or OF_COLUMN and a column's label.
        turned: whether the order is reversed; missing values come last either way.
        by: what the models are ranked by, one of ORDERS.
    """

    search: str = ""
    groups: tuple[str, ...] = SHOWN
    libraries: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()
    smallest: float | None = None
    largest: float | None = None
    since: str = ""
    sort: str = BY_RANK
    turned: bool = False
    by: str = FORECAST


def view_of(
    search: str | None,
    groups: list[str] | None,
    libraries: list[str] | None,
    licenses: list[str] | None,
    smallest: float | None,
    largest: float | None,
    since: str | None,
    sort: str | None,
    order: str | None,
    by: str | None = None,
) -> View:
    """Return the view that the controls describe."""
    return View(
        search=(search or "").strip(),
        groups=tuple(groups or ()),
        libraries=tuple(libraries or ()),
        licenses=tuple(licenses or ()),
        smallest=smallest or None,
        largest=largest or None,
        since=(since or "").strip(),
        sort=sort or BY_RANK,
        turned=order == REVERSED,
        by=METRICS if by == METRICS else FORECAST,
    )


class Choices(NamedTuple):
    """What a board can be filtered by."""

    libraries: list[str]
    licenses: list[str]


def choices(board: Board | None) -> Choices:
    """Return what a board can be filtered by, in order."""
    rows = () if board is None else board.rows
    return Choices(*(sorted({getattr(row, name) or "" for row in rows} - {""}) for name in ("library", "license")))


def sorts_of(board: Board | None) -> list[tuple[str, str]]:
    """Return title and name of everything that a board can be sorted by."""
    columns = () if board is None else board.columns
    found = [(title, name) for name, (title, _) in FIELDS.items()]
    return [*found, *((f"Score: {plain(label, 80)}", f"{OF_COLUMN}{label}") for label in columns)]


def fitting(view: View, board: Board) -> View:
    """Return a view without choices that a board does not have."""
    known, sorts = choices(board), {name for _, name in sorts_of(board)}
    return replace(
        view,
        libraries=tuple(name for name in known.libraries if name in view.libraries),
        licenses=tuple(name for name in known.licenses if name in view.licenses),
        sort=view.sort if view.sort in sorts else BY_RANK,
    )


def remarks_on(view: View) -> list[str]:
    """Return what is wrong with the filters of a view; it may contain foreign text."""
    found = []
    if view.since and not is_day(view.since):
        found.append(f"“{view.since}” is not a day such as 2025-01-31, so it is ignored.")
    if view.smallest and view.largest and view.smallest > view.largest:
        found.append(f"No model has at least {view.smallest:g} and at most {view.largest:g} million parameters.")
    return found


def select(board: Board, view: View) -> list[BoardRow]:
    """Return the rows of a board that a view shows, in its order; ties keep the order of the board."""
    value, passes = _value(board, view.sort), _filter(view)
    _, largest_first = FIELDS.get(view.sort, ("", True))
    found = [(value(row), row) for row in board.rows if passes(row)]
    there = [pair for pair in found if pair[0] is not None]
    there.sort(key=lambda pair: pair[0], reverse=largest_first is not view.turned)
    return [row for _, row in there] + [row for one, row in found if one is None]


def _value(board: Board, sort: str) -> Callable[[BoardRow], Any]:
    """Return the sort key of rows."""
    label = sort.removeprefix(OF_COLUMN)
    if sort not in SORTED_FIELDS and label in board.columns:
        return lambda row: row.score(label)
    if sort not in SORTED_FIELDS:
        known = ", ".join((*SORTED_FIELDS, *board.columns))
        raise OptionError(f"A board cannot be sorted by {sort!r}. Known: {known}.")
    if sort == BY_RANK:
        places = {row.label: place for place, row in enumerate(board.rows)}
        return lambda row: None if row.rank is None else (row.rank, places[row.label])
    if sort == "time":
        return lambda row: seconds(row.time) if row.time else None

    def comparable(row: BoardRow) -> Any:
        value = getattr(row, sort)
        return (value.casefold(), value) if isinstance(value, str) else value

    return comparable


def _filter(view: View) -> Callable[[BoardRow], bool]:
    """Return a test whether a row matches search and filters."""
    words = view.search.casefold().split()
    since = seconds(view.since) if is_day(view.since) else None
    limits = (view.smallest, view.largest)
    least, most = (round(min(millions, 1e9) * MILLION) if millions else None for millions in limits)

    def passes(row: BoardRow) -> bool:
        if least is not None and (row.parameters is None or row.parameters < least):
            return False
        if most is not None and (row.parameters is None or row.parameters > most):
            return False
        if since is not None and seconds(row.time) < since:
            return False
        text = "\n".join((row.label, row.library or "", row.license or "")).casefold() if words else ""
        return (
            (not view.libraries or row.library in view.libraries)
            and (not view.licenses or row.license in view.licenses)
            and all(word in text for word in words)
        )

    return passes


def read_view(query: Mapping[str, str], known: Choices, sorts: Iterable[str]) -> View:
    """Return the view in an address, for a board with these choices; whatever makes no sense is left out."""
    sort = query.get("sort", "")
    return View(
        search=one_line(query.get("search"), SEARCH_LETTERS),
        groups=tuple(listed(query["columns"], GROUPS)) if "columns" in query else SHOWN,
        libraries=tuple(listed(query.get("libraries"), known.libraries)),
        licenses=tuple(listed(query.get("licenses"), known.licenses)),
        smallest=positive(query.get("smallest")),
        largest=positive(query.get("largest")),
        since=query.get("since", "") if is_day(query.get("since", "")) else "",
        sort=sort if sort in set(sorts) else BY_RANK,
        turned=query.get("order") == REVERSED,
        by=METRICS if query.get("by") == METRICS else FORECAST,
    )


def query_of(values: Iterable[tuple[str, str]]) -> str:
    """Return the query for some values by name, without empty ones.

    Example:
        >>> query_of([("board", "0123"), ("search", ""), ("sort", "score:face")])
        'board=0123&sort=score%3Aface'
    """
    return urlencode([(name, value) for name, value in values if value])


def plain_query(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of a request that are short texts, a limited number."""
    kept = {name: value for name, value in found.items() if isinstance(value, str) and len(value) <= LONGEST_QUERY}
    return dict(list(kept.items())[:40])


def one_line(value: Any, longest: int) -> str:
    """Return a text from an address if it fits a field, else "".

    Example:
        >>> one_line(" resnet 50 ", 80), one_line(None, 80), one_line("x" * 99, 80)
        ('resnet 50', '', '')
    """
    text = value.strip() if isinstance(value, str) else ""
    return text if len(text) <= longest and text.isprintable() else ""


def positive(text: Any) -> float | None:
    """Return a number above zero, None for anything else.

    Example:
        >>> positive("1.5"), positive("0"), positive("nan"), positive("1e999"), positive("x")
        (1.5, None, None, None, None)
    """
    if not isinstance(text, str) or not re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text):
        return None
    return float(text) or None


def groups_text(groups: Iterable[str] | None) -> str:
    """Return chosen groups for an address, "" for the default ones.

    Example:
        >>> groups_text(["facts", "scores"]), groups_text(["ranks"]), groups_text([])
        ('', 'ranks', 'none')
    """
    chosen = [name for name in GROUPS if name in (groups or ())]
    return "" if chosen == list(SHOWN) else ",".join(chosen) or "none"


def list_text(values: Iterable[str] | None) -> str:
    """Return names as one text, which `listed` splits again.

    Example:
        >>> list_text(["timm", "a,b"])
        'timm,a%2Cb'
    """
    return ",".join(quote(value, safe="") for value in values or ())


def listed(text: str | None, known: Iterable[str]) -> list[str]:
    """Return the known names in a text of `list_text`."""
    names = {unquote(part) for part in (text or "").split(",")} - {""}
    return [name for name in known if name in names]


def number_text(value: float | None) -> str:
    """Return a number of a field for an address."""
    return "" if not value else f"{value:.6f}".rstrip("0").rstrip(".")


def is_day(text: str) -> bool:
    """Whether a text is a day such as 2025-01-31."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
