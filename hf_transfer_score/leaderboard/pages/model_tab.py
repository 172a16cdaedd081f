"""The tab with everything recorded about one model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

import gradio as gr

from hf_transfer_score.drawing.figure import WIDTH, Figure, together
from hf_transfer_score.drawing.heatmap import overlap_figure
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.pages.model_page import (
    MOST_BOARDS,
    MOST_CHOICES,
    boards_of,
    card_of,
    model_choices,
    model_command,
    model_page,
    records_json,
)
from hf_transfer_score.leaderboard.pages.page import (
    LONGEST_VALUE,
    MODEL,
    QUIET,
    LeaderboardPage,
    Screen,
    add_chart,
    add_finder,
    drawn,
    offered,
    script,
)

MOST_HEATMAPS = 4
CHOOSE = '<div class="lb-note">Choose a model here, or click a row of the board.</div>'
EMPTY = '<div class="lb-note">There are no records yet.</div>'


def build_model_tab(page: LeaderboardPage) -> None:
    """Add the components of the tab."""
    info = "type to filter, or enter the id of any model"
    choice = gr.Dropdown(
        [], value=None, label="Model", info=info, allow_custom_value=True, filterable=True, elem_id="lb-model"
    )
    find = add_finder([choice], lambda typed: model_choices(page.library.catalogue, typed), name="lb-find-model")
    content = gr.HTML("", elem_id="lb-model-page")
    chart = add_chart("lb-model-plot")
    command = gr.Code(label="Measure it again", language="shell", interactive=False, visible=False, elem_id="lb-again")
    small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 260}
    with gr.Row(visible=False) as downloads:
        as_json = gr.Button("Download its records (JSON)", elem_id="lb-model-json", **small)
        as_card = gr.Button("Download its model card (Markdown)", elem_id="lb-model-card", **small)
    text, name = gr.Textbox(visible="hidden", label="File"), gr.Textbox(visible="hidden", label="Name")

    def show(model: str | None, shown: str | None) -> tuple[Any, ...]:
        catalogue = page.library.catalogue
        known = model_choices(catalogue)
        many = gr.update(visible=len(catalogue.models()) > MOST_CHOICES)
        if not model:
            update = offered(known, None, shown or None)
            return update, many, CHOOSE if known else EMPTY, gr.update(visible=False), gr.update(visible=False)
        labels = known if model in known else [model, *known[: MOST_CHOICES - 1]]
        again = model_command(catalogue, model)
        return (
            offered(labels, model, shown),
            many,
            model_page(catalogue, model),
            gr.update(value=again, visible=bool(again)),
            gr.update(visible=bool(catalogue.model_boards(model))),
        )

    def draw(model: str | None, screen: Screen) -> tuple[Any, str]:
        figure = heatmaps_figure(page.library.catalogue, model, screen.width) if model else None
        return drawn(figure, screen, "overlap")

    def file(content_of: Callable[[Catalogue, str], str], ending: str, model: str | None) -> tuple[str, str]:
        return content_of(page.library.catalogue, model or ""), file_stem(model) + ending

    page.when_shown(MODEL, show, inputs=[page.model, choice], outputs=[choice, find, content, command, downloads])
    page.when_shown(MODEL, draw, inputs=[page.model], outputs=chart, within="lb-tabs")
    choice.input(
        lambda typed: (typed or "").strip()[:LONGEST_VALUE] or None, inputs=choice, outputs=page.model, **QUIET
    )
    for button, ending, content_of in ((as_json, ".json", records_json), (as_card, ".md", card_of)):
        made = button.click(partial(file, content_of, ending), inputs=page.model, outputs=[text, name], **QUIET)
        made.then(None, inputs=[text, name], js=script("download_text.js"), **QUIET)


def heatmaps_figure(catalogue: Catalogue, model_id: str, width: int = WIDTH) -> Figure | None:
    """Return how much the classes overlap in a model's features, on at most four boards; None if no record says."""
    places = ((board, row) for board, rows in boards_of(catalogue, model_id) for row in rows[:MOST_BOARDS])
    known = ((f"{row.label} on {board.summary.title}", catalogue.overlap(board, row)) for board, row in places)
    found = list(islice(((name, one) for name, one in known if one is not None), MOST_HEATMAPS))
    largest = max((value for _, one in found for value in one.values), default=0.0) or None
    figures = [overlap_figure(one.classes, one.values, model=name, largest=largest, width=width) for name, one in found]
    return together(figures, "How much the classes overlap", columns=1) if figures else None


def file_stem(model: str | None) -> str:
    """Return a file name for a model, without anything that has a meaning in a path.

    Example:
        >>> file_stem("timm/resnet18.a1"), file_stem("../<x>")
        ('timm--resnet18.a1', 'x')
    """
    kept = "".join(one if one.isascii() and (one.isalnum() or one in "-_./") else " " for one in model or "")
    return "--".join(part.strip(". ") for part in kept.split("/") if part.strip(". "))[:120] or "model"
