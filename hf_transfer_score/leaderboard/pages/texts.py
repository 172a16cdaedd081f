"""Numbers and names of records as pages show them; whatever comes from a record is escaped before it is HTML."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hf_transfer_score.leaderboard.boards.board import Board, BoardRow
from hf_transfer_score.metrics.registry import all_metrics
from hf_transfer_score.ranking.answer import place_sentence
from hf_transfer_score.ranking.intervals import Interval
from hf_transfer_score.text import COMMIT, counted, environment, short_count

if TYPE_CHECKING:
    from jinja2 import Environment

MISSING = "–"
LONGEST = 300
"""Letters of a foreign text that a page shows at most."""

WAYS = {
    "probe": "with a linear probe",
    "full": "after full fine-tuning",
    "layer": "after Layer-FT",
    "scl": "after SCL-FT",
    "lora": "after fine-tuning with LoRA",
}
"""How an accuracy was reached, by method."""

HUB_ID = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?(?:/[A-Za-z0-9_](?:[\w.-]*\w)?)?", re.ASCII)
LEAST_WHOLE = 100
"""Whole numbers of at least this size are counts and have no decimals."""


def plain(text: object, longest: int = LONGEST) -> str:
    r"""Return foreign text on one line, without characters that hide or reorder others, cut if it is very long.

    Example:
        >>> plain("a\u202eb\nc"), plain("x" * 9, longest=5)
        ('ab c', 'xxxx…')
    """
    visible = str(text)[: 4 * longest]
    if not visible.isprintable():
        visible = "".join(one for one in visible if one.isprintable() or one.isspace())
    joined = " ".join(visible.split())
    return joined if len(joined) <= longest else f"{joined[: longest - 1]}…"


def escape(text: object, longest: int = LONGEST) -> str:
    """Return foreign text as HTML that shows it literally and isolates its direction.

    Example:
        >>> escape("<b>")
        '<bdi>&lt;b&gt;</bdi>'
    """
    return f"<bdi>{html.escape(plain(text, longest))}</bdi>"


def number(value: float, digits: int = 4) -> str:
    """Return a number with a few significant digits.

    Example:
        >>> number(0.123456), number(12345.6), number(512.0)
        ('0.1235', '12,346', '512')
    """
    if abs(value) >= 10**digits or (abs(value) >= LEAST_WHOLE and value == int(value)):
        return f"{value:,.0f}" if abs(value) < 1e12 else f"{value:.{digits - 1}e}"
    return f"{value:#.{digits}g}".rstrip(".") if value and abs(value) >= 1e-4 else f"{value:.{digits}g}"


def accuracy_text(value: float) -> str:
    """Return a measured accuracy, as a percentage if it is a share.

    Example:
        >>> accuracy_text(0.98765), accuracy_text(98.765)
        ('98.77%', '98.77')
    """
    return f"{100 * value:.2f}%" if 0 <= value <= 1 else number(value)


def way_of(board: Board) -> str:
    """Return how the accuracies of a board were reached, such as "after full fine-tuning"."""
    if board.method is None:
        return "as somebody measured it"
    return WAYS.get(board.method, f"by {plain(board.method, 40)}")


def accuracy_in_words(row: BoardRow, board: Board | None = None) -> str:
    """Return the measured accuracy of a model, the number of measurements if there are several, and how it was reached.

    The last is left out without a board.
    """
    if row.accuracy is None:
        return MISSING
    several = f" (mean of {len(row.accuracies)})" if len(row.accuracies) > 1 else ""
    return f"{accuracy_text(row.accuracy)}{several}" + ("" if board is None else f" {html.escape(way_of(board))}")


def chance_text(value: float) -> str:
    """Return a probability.

    Example:
        >>> chance_text(0.254), chance_text(0.004), chance_text(0.0)
        ('25%', '<1%', '0%')
    """
    return "<1%" if 0 < value < 0.005 else f"{value:.0%}"


def points_text(one: Interval) -> str:
    """Return points below the best with their interval, which measured ones do not have.

    Example:
        >>> points_text(Interval(1.24, 0.0, 3.06)), points_text(Interval(0.5, 0.5, 0.5))
        ('1.2 (0.0 to 3.1)', '0.5')
    """
    ends = f" ({one.low:.1f} to {one.high:.1f})" if one.high > one.low else ""
    return f"{one.value:.1f}{ends}"


def metric_hint(metric: str, term: str = "") -> str:
    """Return what a metric is, or what a term of it is.

    Example:
        >>> metric_hint("hscore"), metric_hint("vci", "vci")
        ('H-score: higher is better', '1 - trace(Σ_T† Σ_B) / rank(Σ_B); 0 at full collapse')
    """
    known = all_metrics().get(metric)
    if not term:
        return f"{known.title if known else 'a score from the records'}: higher is better"
    return next((one.description for one in known.terms if one.name == term), "") if known else ""


def level_text(one: Interval) -> str:
    """Return an expected accuracy with its interval, which a measured one does not have.

    Example:
        >>> level_text(Interval(0.871, 0.83, 0.904)), level_text(Interval(0.871, 0.871, 0.871))
        ('87.1% (83 to 90)', '87.1%')
    """
    ends = f" ({100 * one.low:.0f} to {100 * one.high:.0f})" if one.high > one.low else ""
    return f"{one.value:.1%}{ends}"


def expected_text(board: Board, row: BoardRow) -> str:
    """Return the forecast for a model of a board in a sentence; "" where there is none."""
    if row.forecast is None or row.rank is None:
        return ""
    return place_sentence(row.forecast, row.rank, sum(one.rank is not None for one in board.rows))


def signed(value: float, digits: int, scale: float = 1) -> str:
    """Return a number with fixed decimals and a true minus sign.

    Example:
        >>> signed(-0.1234, 3), signed(0.0123, 2, 100)
        ('−0.123', '1.23')
    """
    return f"{scale * value + 0.0:.{digits}f}".replace("-", "−")


def day(time: str) -> str:
    """Return the date of a time in UTC, such as 2025-01-31, or ""."""
    found = re.match(r"\d{4}-\d{2}-\d{2}", time)
    return found[0] if found else ""


def hub() -> str:
    """Return the address of the Hub."""
    address = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    return address if re.fullmatch(r"https?://[\w.:-]+(/[\w./-]*)?", address) else "https://huggingface.co"


def hub_url(name: str, commit: str | None = None, *, kind: str = "") -> str | None:
    """Return the page of a model on the Hub, or of a dataset (kind "datasets/"); None for what cannot be an id there.

    Example:
        >>> hub_url("timm/resnet18").removeprefix(hub())
        '/timm/resnet18'
        >>> hub_url("<script>"), hub_url("../etc"), hub_url("a folder")
        (None, None, None)
    """
    if len(name) > 200 or ".." in name or "--" in name or "/" not in name or not HUB_ID.fullmatch(name):
        return None
    address = f"{hub()}/{kind}{quote(name)}"
    return f"{address}/tree/{commit}" if commit and COMMIT.fullmatch(commit) else address


def link(text: str, url: str | None, *, button: bool = False) -> str:
    """Return a link with a foreign text as HTML, or the bare text; the address must come from `hub_url`."""
    if url is None:
        return escape(text)
    look = ' class="lb-button"' if button else ""
    return f'<a href="{html.escape(url)}" target="_blank" rel="noopener noreferrer"{look}>{escape(text)}</a>'


@cache
def _pages() -> Environment:
    """Return what renders pages; filters show None as a dash, and those that return addresses return no HTML."""
    filters: dict[str, Callable[..., str]] = {
        "foreign": escape,
        "link": link,
        "button": partial(link, button=True),
        "number": number,
        "signed": signed,
        "whole": "{:,}".format,
        "short_count": short_count,
        "plural": counted,
        "accuracy": accuracy_in_words,
        "chance": chance_text,
        "points": points_text,
        "level": level_text,
        "minute": lambda time: escape(time[:16].replace("T", " "), 40),
    }

    def or_dash(show: Callable[..., str]) -> Callable[..., str]:
        return lambda value, *rest: MISSING if value is None else show(value, *rest)

    made = environment(escape, {name: or_dash(show) for name, show in filters.items()}, missing=MISSING)
    made.filters.update(model_url=hub_url, dataset_url=partial(hub_url, kind="datasets/"))
    return made


def page(template: str, **values: Any) -> str:
    """Return the HTML that a file in `templates/` makes of values."""
    return _pages().get_template(template).render(**values)
