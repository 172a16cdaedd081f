"""Charts in files (an image, or a page that needs no other file), and as a notebook shows a result."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_transfer_score.drawing.look import image_of, specification
from hf_transfer_score.drawing.race_chart import HEAD, Curves, race_chart
from hf_transfer_score.drawing.rank_chart import Picture, picture_of, profile_chart, rank_chart
from hf_transfer_score.drawing.words import MISSING, Across, printable
from hf_transfer_score.errors import OptionError
from hf_transfer_score.home import write_bytes, write_text
from hf_transfer_score.ranking.ranking import Ranking
from hf_transfer_score.text import environment

if TYPE_CHECKING:
    from jinja2 import Environment


ENDINGS = (".png", ".svg", ".html")


def check_plot_path(path: Path | None) -> None:
    """Raise OptionError unless a chart can be written there, if asked for; called before a run that takes hours."""
    if path is None:
        return
    if path.suffix.lower() not in ENDINGS:
        raise OptionError(f"{path}: a chart has to end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.")
    if path.is_dir():
        raise OptionError(f"{path} is a folder; name a file for the chart.")
    above = next((folder for folder in path.parents if folder.exists()), None)
    if above is not None and not above.is_dir():
        raise OptionError(f"{path}: {above} is a file, so nothing can be written below it.")


def save_plot(ranking: Ranking, path: Path, across: Across = "parameters") -> None:
    """Write the chart of a ranking to a file in .png, .svg or .html; the page in .html needs no other file.

    Models are drawn against their parameters or their throughput, in examples per second. Those of unknown size stand
    at the side; where no parameter count is known, the width of the features takes its place.
    """
    check_plot_path(path)
    picture = picture_of(ranking, across)
    chart = rank_chart(picture)
    _write(path, chart, lambda: ranking_page(chart, picture))


def save_race(race: Curves, path: Path) -> None:
    """Write the learning curves of the finalists of a choice to a file; the page in .html also has them as a table."""
    check_plot_path(path)
    chart = race_chart(race)
    _write(path, chart, lambda: race_page(chart, race))


def save_profile(values: Mapping[str, float | None], best: str, model: str, about: str, path: Path) -> None:
    """Write `profile_chart` to a file."""
    check_plot_path(path)
    chart = profile_chart(values, best, model, about)
    _write(path, chart, lambda: profile_page(chart, f"{printable(model)} {about}", values))


def _write(path: Path, chart: Any, page: Callable[[], str]) -> None:
    ending = path.suffix.lower().removeprefix(".")
    if ending == "html":
        write_text(path, page())
    else:
        write_bytes(path, image_of(chart, ending))


NOTEBOOK_ROWS, NOTEBOOK_NOTES = 15, 6
LEFT_OUT = ("width", "examples per second", "rank range")
"""Columns of `to_pandas` that a notebook has no room for."""

CHANCE = "chance to be best"
"""The column with a bar behind each cell."""

Columns = Sequence[tuple[str, Mapping[str, str]]]


@cache
def _templates() -> Environment:
    """Return what renders pages, with every value shown as text."""
    return environment(_text, {})


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
    """Return a page that holds the library which draws its chart; the specification cannot end a script of the page."""
    about: dict[str, Any] = {"title": title, "subtitle": subtitle, "tables": tables, "notes": notes, "day": None}
    if chart:
        import vl_convert

        bundle: Any = vl_convert.javascript_bundle
        drawn = chart.properties(title="")
        about |= {"library": bundle(), "day": specification(drawn), "night": specification(drawn, night=True)}
    return _templates().get_template("chart_page.html.jinja").render(**about)


def _text(text: object) -> str:
    """Return a text as HTML that shows it and never reads it as markup."""
    return escape("".join(one if one == "\n" else printable(one) for one in str(text)))


def notebook_html(ranking: Ranking, answer: str, measured: Columns = (), race: Curves | None = None) -> str:
    """Return a ranking for a notebook, after the answer: what to do, in a few sentences.

    Columns of `measured`, each a title and values by model, come first; models of the first one lead the table. A race
    is drawn instead of the ranking.
    """
    picture = picture_of(ranking)
    shown = [place for place, name in enumerate(picture.head) if name not in LEFT_OUT]
    chances = {name: one.best_probability for name, one in ranking.forecasts.items()}
    leading = {name: place for place, name in enumerate(measured[0][1] if measured else ())}
    order = sorted(picture.rows, key=lambda row: leading.get(row[0], len(leading)))
    rows = [
        (
            name,
            [*(of.get(name, MISSING) for _, of in measured), *(cells[place] for place in shown)],
            round(100 * chances.get(name, 0.0)),
        )
        for name, cells in order[:NOTEBOOK_ROWS]
    ]
    head = [*(title for title, _ in measured), *(picture.head[place] for place in shown)]
    chart = rank_chart(picture).properties(title="") if picture.rows else None
    about = f"{picture.title}; {picture.subtitle}." if ranking.dataset else f"{picture.subtitle}."
    return _notebook(
        answer=answer,
        about=about,
        head=head,
        rows=rows,
        more=max(0, len(picture.rows) - NOTEBOOK_ROWS),
        without=picture.without,
        notes=picture.notes[:NOTEBOOK_NOTES],
        barred=len(measured) + shown.index(picture.head.index(CHANCE)) if CHANCE in picture.head else -1,
        chart=chart if race is None else race_chart(race),
        described=f"{picture.title}: {picture.subtitle}" if race is None else race.description,
    )


def profile_html(chart: Any, answer: str, layers: Sequence[tuple[str, Sequence[float | None]]], best: str) -> str:
    """Return the layers of a checkpoint, each with its width and NC1, for a notebook; the best one is marked."""
    cells = [(layer, [MISSING if value is None else f"{value:.4g}" for value in of]) for layer, of in layers]
    return _notebook(
        answer=answer,
        about="NC1 by layer, smaller is more collapsed.",
        head=["width", "NC1"],
        rows=[(layer, of, 100 if layer == best else 0) for layer, of in cells],
        barred=1,
        first="layer",
        chart=chart,
        described="NC1 by layer",
    )


def _notebook(*, chart: Any, **shown: Any) -> str:
    """Return what a notebook shows; its charts are images, so that no name in them is read as markup."""
    images = chart and {
        look: b64encode(image_of(chart, "svg", night=look == "night")).decode() for look in ("day", "night")
    }
    page = {"more": 0, "without": (), "notes": (), "first": "model", "barred": -1, **shown}
    return _templates().get_template("notebook.html.jinja").render(images=images, **page)
