"""The leaderboard as an app: its tabs, how it follows the records, and how it is started."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import gradio as gr

from hf_transfer_score.errors import StoreError
from hf_transfer_score.leaderboard.library import Library
from hf_transfer_score.leaderboard.pages import page as ids
from hf_transfer_score.leaderboard.pages.board_tab import BoardTab
from hf_transfer_score.leaderboard.pages.following import follow
from hf_transfer_score.leaderboard.pages.page import LeaderboardPage
from hf_transfer_score.leaderboard.pages.styles import ON_LOAD, css, theme
from hf_transfer_score.records.place import Place
from hf_transfer_score.uploads.file_box import remove_with_page
from hf_transfer_score.uploads.gate import guarded, ledger_of
from hf_transfer_score.uploads.limits import KEPT_SECONDS, QUEUE

TITLE = "Transferability leaderboard"
HEAD = f"""<h1>{TITLE}</h1>
<p>Which pretrained checkpoint should I fine-tune on my dataset? Each board ranks checkpoints on one labelled sample by
scores of the features of a single forward pass, without fine-tuning any of them.</p>"""

WITHOUT_STATISTICS = {"GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000", "GRADIO_ANALYTICS_MAX_EVENTS": "1"}
"""Otherwise gradio puts its last 10,000 events into a data frame after each event, for a page that nobody opens."""

AT_ONCE = 8
"""Events that are worked on at a time; they wait for the interpreter more than for each other."""

TABS = (
    (ids.BOARD, "Board", None),
    (ids.PLOTS, "Plots", "plots_tab"),
    (ids.TRUST, "Which metric can I trust?", "trust_tab"),
    (ids.COMPARE, "Compare", "compare_tab"),
    (ids.MODEL, "Model", "model_tab"),
    (ids.UPLOAD, "Score your features", "upload_tab"),
    (ids.SUBMIT, "Submit", "submit_tab"),
)
"""Tabs by id, with their title and the module that builds them."""


@dataclass(frozen=True)
class Serving:
    """Where an app is served.

    Attributes:
        host: address to listen on; None for this machine alone, or what the environment says on a Space.
        port: None for the first free one from 7860.
        open: show it in a browser.
    """

    host: str | None = None
    port: int | None = None
    open: bool = False


def build_app(library: Library, *, requests: Place | None = None, tick_seconds: float = 10.0) -> gr.Blocks:
    """Return the leaderboard of a library, ready for `serve`.

    Args:
        library: the records; may still be loading.
        requests: where requests for scoring go; None where nobody takes any.
        tick_seconds: how often an open page asks whether there are new records.
    """
    for name, value in WITHOUT_STATISTICS.items():
        os.environ.setdefault(name, value)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(60, KEPT_SECONDS)) as app:
        gr.HTML(HEAD, elem_id="lb-title")
        with gr.Row(elem_classes="lb-inline"):
            status = gr.HTML("<p>Starting</p>", elem_id="lb-status")
            refresh = gr.Button("Refresh now", size="sm", scale=0, min_width=120, elem_id="lb-refresh")
        tab, board, model, version = gr.State(ids.BOARD), gr.State(None), gr.State(None), gr.State(None)
        screen = gr.Textbox(visible="hidden", label="Screen")
        with gr.Tabs(selected=ids.BOARD, elem_id="lb-tabs") as tabs:
            page = LeaderboardPage(library, requests, tabs, tab, board, model, version, screen, ledger_of(app))
            board_tab = _build_tabs(page)
        remove_with_page(app, page.ledger)
        follow(app, page, board_tab, status=status, refresh=refresh, tick_seconds=tick_seconds)
    app.queue(default_concurrency_limit=AT_ONCE, max_size=QUEUE, api_open=False)
    return app


def _build_tabs(page: LeaderboardPage) -> BoardTab:
    """Build the tabs, and tell which one is open."""
    found: list[BoardTab] = []
    for name, title, module in TABS:
        with gr.Tab(title, id=name) as tab:
            if module is None:
                found.append(BoardTab(page))
            else:
                _builder(module)(page)
        tab.select(
            lambda name=name: name,
            outputs=page.tab,
            show_progress="hidden",
            api_visibility="private",
        )
    return found[0]


def _builder(module: str) -> Callable[[LeaderboardPage], None]:
    found: Any = getattr(import_module(f"hf_transfer_score.leaderboard.pages.{module}"), f"build_{module}")
    return found  # type: ignore[no-any-return]


def serve(app: gr.Blocks, serving: Serving | None = None) -> str:
    """Serve an app in threads of its own, and return its address; StoreError where it cannot listen."""
    serving = serving or Serving()
    try:
        _, address, _ = app.launch(
            server_name=serving.host,
            server_port=serving.port,
            inbrowser=serving.open,
            prevent_thread_lock=True,
            quiet=True,
            theme=theme(),
            css=css(),
            js=ON_LOAD,
            footer_links=["api", "settings"],
            ssr_mode=False,
            show_error=False,
            **guarded(app),
        )
    except OSError as error:
        raise StoreError(f"The leaderboard cannot be served: {error}. Choose another `port`.") from error
    return str(address)
