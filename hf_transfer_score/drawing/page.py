"""A chart with its tables as one page that needs nothing else: no other file, and no address outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

from hf_transfer_score.drawing.look import specification
from hf_transfer_score.drawing.points import Picture
from hf_transfer_score.drawing.race_chart import HEAD, Curves
from hf_transfer_score.drawing.words import MISSING, printable
from hf_transfer_score.text import environment

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def pages() -> Environment:
    """Return the templates of pages, which show any value as text."""
    return environment(text_of, {})


def ranking_page(chart: Any, picture: Picture) -> str:
    """Return the page of a ranking: its chart, and all models in tables."""
    tables = [
        ("Ranking", ["model", *picture.head], picture.rows, "numbers"),
        ("Without a rank", ["model", "status", "reason"], picture.without, "words"),
    ]
    return _page(picture.title, picture.subtitle, chart if picture.rows else None, tables, picture.notes)


def race_page(chart: Any, race: Curves) -> str:
    """Return the page of a race: its curves, and the finalists in a table."""
    tables = [("Finalists", ["model", *HEAD], [(one.name, one.cells) for one in race.curves], "words")]
    return _page(race.title, race.subtitle, chart, tables)


def profile_page(chart: Any, title: str, values: Mapping[str, float | None]) -> str:
    """Return the page of the layers of a checkpoint."""
    rows = [(layer, [MISSING if value is None else f"{value:.4g}"]) for layer, value in values.items()]
    tables = [("Layers", ["layer", "NC1"], rows, "numbers")]
    return _page(title, "NC1 by layer, smaller is more collapsed", chart, tables)


def _page(title: str, subtitle: str, chart: Any, tables: Sequence[Any], notes: Sequence[str] = ()) -> str:
    """Return a page with a chart, which the library in it draws; the specification can end no script of the page."""
    about: dict[str, Any] = {"title": title, "subtitle": subtitle, "tables": tables, "notes": notes, "day": None}
    if chart:
        import vl_convert

        bundle: Any = vl_convert.javascript_bundle
        drawn = chart.properties(title="")
        about |= {"library": bundle(), "day": specification(drawn), "night": specification(drawn, night=True)}
    return pages().get_template("chart_page.html.jinja").render(**about)


def text_of(text: object) -> str:
    """Return any text so that a page shows it and never reads it as markup."""
    return escape("".join(one if one == "\n" else printable(one) for one in str(text)))
