"""A field beside a choice of very many names: what is typed there narrows what the choice offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from hf_transfer_score.leaderboard.pages.page import LONGEST_VALUE


def add_finder(
    choices: Sequence[gr.Dropdown], narrowed: Callable[..., list[str]], *, inputs: Sequence[Any] = (), name: str
) -> gr.Textbox:
    """Add the field; it is hidden until there are more names than a choice offers at a time.

    A choice cannot be narrowed by its own letters: what the server answers would meet what was typed since.

    Args:
        choices: what it narrows.
        narrowed: from what was typed, and the values of `inputs`, to the names to offer.
        inputs: components.
        name: id of the element.
    """
    field = gr.Textbox(
        label="Find a model",
        info="there are more models than the choice shows at a time: any part of a name narrows it",
        max_length=LONGEST_VALUE,
        max_lines=1,
        visible=False,
        elem_id=name,
    )

    def offer(typed: str | None, *values: Any) -> Any:
        found = gr.update(choices=narrowed((typed or "")[:LONGEST_VALUE], *values))
        return found if len(choices) == 1 else tuple(found for _ in choices)

    field.change(
        offer,
        inputs=[field, *inputs],
        outputs=list(choices),
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )
    return field
