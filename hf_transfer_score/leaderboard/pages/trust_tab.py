"""The tab that says which metric of the chosen board can be trusted."""

from __future__ import annotations

from typing import Any

import gradio as gr

from hf_transfer_score.leaderboard.pages.charts import Screen, add_chart, drawn
from hf_transfer_score.leaderboard.pages.page import TRUST, LeaderboardPage
from hf_transfer_score.leaderboard.pages.trust_page import trust_page

NO_BOARD = '<div class="lb-note">There is no board yet: no records were found so far.</div>'


def build_trust_tab(page: LeaderboardPage) -> None:
    """Add the components of the tab."""
    content = gr.HTML("", elem_id="lb-trust")
    plot, _ = add_chart("lb-trust-plot")
    below = gr.HTML("", elem_id="lb-trust-table")

    def show(slug: str | None, screen: Screen) -> tuple[Any, ...]:
        catalogue = page.library.catalogue
        summary = catalogue.find(slug or "")
        if summary is None:
            return NO_BOARD, drawn(None, screen, "")[0], ""
        above, figure, rest = trust_page(catalogue.board(summary.key), screen.width)
        return above, drawn(figure, screen, "trust")[0], rest

    page.when_drawn(TRUST, show, inputs=[page.board], outputs=[content, plot, below])
