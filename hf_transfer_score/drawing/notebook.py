"""A result as a notebook shows it: the answer, the best models in a table, and the chart, by day and by night."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from hf_transfer_score.drawing.look import specification
from hf_transfer_score.drawing.page import pages
from hf_transfer_score.drawing.points import picture_of
from hf_transfer_score.drawing.race_chart import Curves, race_chart
from hf_transfer_score.drawing.rank_chart import rank_chart
from hf_transfer_score.drawing.words import MISSING
from hf_transfer_score.ranking.ranking import Ranking

ROWS = 15
NOTES = 6
LEFT_OUT = ("width", "examples a second", "rank range")
"""Columns that `to_pandas` has, and a notebook has no room for."""

CHANCE = "chance to be best"
"""The column whose cells are shaded as far as it says."""

Columns = Sequence[tuple[str, Mapping[str, str]]]


def notebook_html(ranking: Ranking, answer: str, measured: Columns = (), race: Curves | None = None) -> str:
    """Return a ranking for a notebook.

    Args:
        ranking: the ranking.
        answer: what to do, in a few sentences.
        measured: columns that come first: a title, and a value by model; the models of the first one lead the table.
        race: is drawn in the place of the ranking.
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
        for name, cells in order[:ROWS]
    ]
    head = [*(title for title, _ in measured), *(picture.head[place] for place in shown)]
    chart = rank_chart(picture).properties(title="") if picture.rows else None
    about = f"{picture.title}; {picture.subtitle}." if ranking.dataset else f"{picture.subtitle}."
    return _page(
        answer=answer,
        about=about,
        head=head,
        rows=rows,
        more=max(0, len(picture.rows) - ROWS),
        without=picture.without,
        notes=picture.notes[:NOTES],
        barred=len(measured) + shown.index(picture.head.index(CHANCE)) if CHANCE in picture.head else -1,
        chart=chart if race is None else race_chart(race),
        described=f"{picture.title}: {picture.subtitle}" if race is None else race.description,
    )


def profile_html(chart: Any, answer: str, layers: Sequence[tuple[str, Sequence[float | None]]], best: str) -> str:
    """Return the layers of a checkpoint for a notebook.

    Args:
        chart: of the layers.
        answer: which is best.
        layers: width and NC1 by layer.
        best: the layer to mark.
    """
    cells = [(layer, [MISSING if value is None else f"{value:.4g}" for value in of]) for layer, of in layers]
    return _page(
        answer=answer,
        about="NC1 by layer, smaller is more collapsed.",
        head=["width", "NC1"],
        rows=[(layer, of, 100 if layer == best else 0) for layer, of in cells],
        barred=1,
        first="layer",
        chart=chart,
        described="NC1 by layer",
    )


def _page(*, chart: Any, **shown: Any) -> str:
    """Return the page; its charts are pictures, so that no name in them is read as markup."""
    images = None if chart is None else {"day": _image(chart, night=False), "night": _image(chart, night=True)}
    page = {"more": 0, "without": (), "notes": (), "first": "model", "barred": -1, **shown}
    return pages().get_template("notebook.html.jinja").render(images=images, **page)


def _image(chart: Any, *, night: bool) -> str:
    """Return a chart as an image in an address."""
    import vl_convert

    from hf_transfer_score.drawing.export import NOBODY

    svg = str(vl_convert.vegalite_to_svg(specification(chart, night=night), allowed_base_urls=NOBODY))
    return b64encode(svg.encode()).decode()
