"""How an open page follows its address and the records: restored on arrival, brought up to date without a reload."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import gradio as gr

from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.library import LibraryStatus
from hf_transfer_score.leaderboard.pages import page as ids
from hf_transfer_score.leaderboard.pages.board_tab import BoardTab
from hf_transfer_score.leaderboard.pages.board_words import status_html
from hf_transfer_score.leaderboard.pages.page import Kept, LeaderboardPage
from hf_transfer_score.leaderboard.pages.permalink import COPY_LINK, SHOW_ADDRESS, one_line, plain_query, query_of

LOADING_SECONDS = 1.0
LONGEST_MODEL = 400
TAB_IDS = (ids.BOARD, ids.PLOTS, ids.TRUST, ids.COMPARE, ids.MODEL, ids.UPLOAD, ids.SUBMIT)
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


class Follower:
    """What a page needs to be where its address says, with the records as they are now."""

    def __init__(self, page: LeaderboardPage, board_tab: BoardTab, tick_seconds: float) -> None:
        self.page = page
        self.board_tab = board_tab
        self.tick_seconds = tick_seconds

    @property
    def readable(self) -> list[Kept]:
        """Components of other tabs that the address restores."""
        return [kept for kept in self.page.kept if kept.read is not None]

    def arrive(self, request: gr.Request) -> list[Any]:
        """Return everything for a page that was just opened."""
        query = plain_query(dict(request.query_params))
        return [query, *self.look(None, query, None, arriving=True)]

    def look(
        self, version: str | None, query: Mapping[str, str], slug: str | None, *, arriving: bool = False
    ) -> list[Any]:
        """Return the status, and what has to change for records of another version than the one that is shown.

        Args:
            version: that is shown, None where nothing was yet.
            query: of the address the page was opened by.
            slug: of the chosen board.
            arriving: whether the page was just opened, and nothing can have been typed.
        """
        library = self.page.library
        catalogue, status = library.catalogue, library.status
        seconds = LOADING_SECONDS if status.loading and version is None else self.tick_seconds
        first = [status_html(status, catalogue.problems), gr.Timer(seconds)]
        present = shown_version(status)
        if version is None and (arriving or present is not None):
            return [*first, *self._restored(query, catalogue, arriving), present]
        if present is None or present == version:
            return [*first, *self._unchanged()]
        board = self.board_tab.brought_up_to_date(slug, catalogue)
        return [*first, *self._unchanged()[:3], board, *self._unchanged()[4:-1], present]

    def _unchanged(self) -> list[Any]:
        return [gr.skip() for _ in self.outputs]

    def _restored(self, query: Mapping[str, str], catalogue: Catalogue, arriving: bool) -> list[Any]:
        tab = query.get("tab") if query.get("tab") in TAB_IDS else ids.BOARD
        model = one_line(query.get("model"), LONGEST_MODEL)
        found = [_read(kept, query, catalogue) for kept in self.readable]
        known = model if model and catalogue.model_boards(model) else None
        board_tab = self.board_tab.restored(query, catalogue, arriving=arriving)
        place = [gr.Tabs(selected=tab), tab] if arriving else [gr.skip(), gr.skip()]
        return [*place, known, *board_tab, *found]

    @property
    def outputs(self) -> list[Any]:
        """What `look` is about, without the status and the timer."""
        page, tab = self.page, self.board_tab
        others = [kept.component for kept in self.readable]
        return [page.tabs, page.tab, page.model, *tab.restored_components, *others, page.version]


def _read(kept: Kept, query: Mapping[str, str], catalogue: Catalogue) -> Any:
    text = query.get(kept.name)
    if text is None or kept.read is None:
        return gr.skip()
    value = kept.read(text[: ids.LONGEST_VALUE], catalogue)
    return gr.skip() if value is None else value


def shown_version(status: LibraryStatus) -> str | None:
    """Return what names the records that a page shows; None while they are read for the first time."""
    if status.loading and status.version is None and not status.records:
        return None
    return f"{status.version}/{status.records}"


def follow(
    app: gr.Blocks,
    page: LeaderboardPage,
    board_tab: BoardTab,
    *,
    status: gr.HTML,
    refresh: gr.Button,
    tick_seconds: float,
) -> None:
    """Make a page restore its address, keep it true, and follow the records.

    Args:
        app: the app that is being built.
        page: the page.
        board_tab: its first tab.
        status: the line that says how far the records are.
        refresh: the button that looks for new ones now.
        tick_seconds: how often the page asks.
    """
    follower = Follower(page, board_tab, tick_seconds)
    timer, query = gr.Timer(LOADING_SECONDS), gr.State({})
    outputs = [status, timer, *follower.outputs]
    app.load(follower.arrive, inputs=None, outputs=[query, *outputs], **QUIET)
    looking = {"inputs": [page.version, query, board_tab.board], "outputs": outputs, **QUIET}
    timer.tick(follower.look, trigger_mode="once", **looking)
    refresh.click(partial(_refresh, follower), trigger_mode="once", **looking)
    _keep_address(page)


def _refresh(follower: Follower, version: str | None, query: dict[str, str], slug: str | None) -> list[Any]:
    follower.page.library.ask()
    return follower.look(version, query, slug)


def _keep_address(page: LeaderboardPage) -> None:
    """Show the address of the view, and a link to it to copy."""
    kept = [Kept("tab", page.tab, None, lambda tab: "" if tab == ids.BOARD else str(tab)), *page.kept]
    kept.append(Kept("model", page.model, None, lambda model: str(model or "")))

    def compose(*values: Any) -> str:
        return query_of((one.name, one.write(value)) for one, value in zip(kept, values, strict=True))

    with gr.Accordion("Link to this view", open=False):
        with gr.Row(elem_classes="lb-inline"):
            link = gr.Textbox(label="Link", interactive=False, elem_id="lb-link", scale=4)
            copy = gr.Button("Copy link", size="sm", scale=0, min_width=120, elem_id="lb-copy")
        gr.HTML('<p id="lb-copied" role="status" aria-live="polite"></p>')
    address = gr.Textbox(visible="hidden", label="Address", elem_id="lb-address")
    changes = [one.component.change for one in kept]
    names = str([one.name for one in kept])
    gr.on(
        changes,
        compose,
        inputs=[one.component for one in kept],
        outputs=address,
        trigger_mode="always_last",
        **QUIET,
    ).then(None, inputs=address, outputs=link, js=SHOW_ADDRESS % {"names": names}, **QUIET)
    copy.click(None, inputs=address, outputs=link, js=COPY_LINK, **QUIET)
