"""What a visitor looks at: the chosen board, what is searched and filtered, and how that is written in an address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from urllib.parse import quote, unquote

from hf_transfer_score.leaderboard.boards.board import Board
from hf_transfer_score.leaderboard.boards.selecting import Selection
from hf_transfer_score.leaderboard.pages.board_table import GROUPS, SHOWN
from hf_transfer_score.leaderboard.pages.permalink import one_line, positive, some_of
from hf_transfer_score.leaderboard.pages.texts import plain

SEARCH_LETTERS = 200
MILLION = 10**6
USUAL, REVERSED = "usual", "reversed"
BY_RANK = "rank"

FIELDS = {
    BY_RANK: ("Rank", False),
    "model": ("Model", False),
    "accuracy": ("Accuracy", True),
    "parameters": ("Parameters", False),
    "width": ("Width", True),
    "throughput": ("Examples/s", True),
    "license": ("License", False),
    "library": ("Library", False),
    "time": ("Date", True),
}
"""What any board can be sorted by: its title, and whether the largest usually come first."""

OF_COLUMN = "score:"
"""Before the label of a column that a board is sorted by."""


@dataclass(frozen=True)
class View:
    """The table as it is looked at.

    Attributes:
        search: in the names of the models.
        groups: names of GROUPS that are shown.
        libraries: kinds of backbone to show; none means all.
        licenses: to show; none means all.
        smallest: parameters in millions that a model has at least.
        largest: and at most.
        since: first day, as YYYY-MM-DD.
        sort: what it is sorted by: one of FIELDS, or OF_COLUMN and a column's label.
        turned: whether the order is reversed.
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


def read_view(
    query: Mapping[str, str], libraries: Iterable[str], licenses: Iterable[str], sorts: Iterable[str]
) -> View:
    """Return the view that an address asks for; what makes no sense is left out.

    Args:
        query: of the address.
        libraries: that the board has.
        licenses: that it has.
        sorts: what it can be sorted by.
    """
    sort = query.get("sort", "")
    return View(
        search=one_line(query.get("search"), SEARCH_LETTERS),
        groups=tuple(some_of(query["columns"], GROUPS)) if "columns" in query else SHOWN,
        libraries=tuple(listed(query.get("libraries"), libraries)),
        licenses=tuple(listed(query.get("licenses"), licenses)),
        smallest=positive(query.get("smallest")),
        largest=positive(query.get("largest")),
        since=query.get("since", "") if is_day(query.get("since", "")) else "",
        sort=sort if sort in set(sorts) else BY_RANK,
        turned=query.get("order") == REVERSED,
    )


def sorts_of(board: Board | None) -> list[tuple[str, str]]:
    """Return title and name of all that a board can be sorted by."""
    columns = () if board is None else board.columns
    found = [(title, name) for name, (title, _) in FIELDS.items()]
    return [*found, *((f"Score: {plain(label, 80)}", f"{OF_COLUMN}{label}") for label in columns)]


def selection_of(view: View) -> Selection:
    """Return what of a board a view shows; a day that is none does not count."""
    _, largest_first = FIELDS.get(view.sort, ("", True))
    return Selection(
        search=view.search,
        libraries=view.libraries,
        licenses=view.licenses,
        min_parameters=_parameters(view.smallest),
        max_parameters=_parameters(view.largest),
        since=view.since if is_day(view.since) else None,
        sort=view.sort,
        descending=largest_first is not view.turned,
    )


def fitting(view: View, board: Board, libraries: Iterable[str], licenses: Iterable[str]) -> View:
    """Return a view without what a board does not have."""
    sorts = {name for _, name in sorts_of(board)}
    return replace(
        view,
        libraries=tuple(name for name in libraries if name in view.libraries),
        licenses=tuple(name for name in licenses if name in view.licenses),
        sort=view.sort if view.sort in sorts else BY_RANK,
    )


def remarks_on(view: View) -> list[str]:
    """Return what is wrong with the filters of a view."""
    found = []
    if view.since and not is_day(view.since):
        found.append(f"“{view.since}” is no day: expected one such as 2025-01-31. It does not count.")
    if view.smallest and view.largest and view.smallest > view.largest:
        found.append(f"No model has at least {view.smallest:g} and at most {view.largest:g} million parameters.")
    return found


def _parameters(millions: float | None) -> int | None:
    return None if not millions else round(min(millions, 1e9) * MILLION)


def groups_text(groups: Iterable[str] | None) -> str:
    """Return chosen groups as an address writes them; nothing for those that are shown anyway.

    Example:
        >>> groups_text(["facts", "scores"]), groups_text(["ranks"]), groups_text([])
        ('', 'ranks', 'none')
    """
    chosen = some_of(",".join(groups or ()), GROUPS)
    return "" if chosen == list(SHOWN) else ",".join(chosen) or "none"


def list_text(values: Iterable[str] | None) -> str:
    """Return names as one text that `listed` takes apart again.

    Example:
        >>> list_text(["timm", "a,b"])
        'timm,a%2Cb'
    """
    return ",".join(quote(value, safe="") for value in values or ())


def listed(text: str | None, known: Iterable[str]) -> list[str]:
    """Return the known names of a text of `list_text`."""
    names = {unquote(part) for part in (text or "").split(",")} - {""}
    return [name for name in known if name in names]


def number_text(value: float | None) -> str:
    """Return a number of a field as an address writes it."""
    return "" if not value else f"{value:.6f}".rstrip("0").rstrip(".")


def is_day(text: str) -> bool:
    """Return whether a text is a day such as 2025-01-31."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
