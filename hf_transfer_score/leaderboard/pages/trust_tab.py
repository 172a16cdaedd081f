"""The tab that says which metric of the chosen board can be trusted."""

from __future__ import annotations

import gradio as gr

from hf_transfer_score.leaderboard.pages.page import TRUST, Page
from hf_transfer_score.leaderboard.pages.trust_page import trust_page

NO_BOARD = '<div class="lb-note">There is no board yet: no records were found so far.</div>'


def build_trust_tab(page: Page) -> None:
    """Add the components of the tab."""
    content = gr.HTML("", elem_id="lb-trust")

    def show(slug: str | None) -> str:
        catalogue = page.library.catalogue
        summary = catalogue.find(slug or "")
        return NO_BOARD if summary is None else trust_page(catalogue.board(summary.key))

    page.when_shown(TRUST, show, inputs=[page.board], outputs=[content])
