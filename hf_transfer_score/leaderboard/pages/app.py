"""The leaderboard as an app: its tabs, its address, new records, and serving it."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import gradio as gr
from gradio.routes import App
from starlette.middleware import Middleware
from starlette.responses import FileResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hf_transfer_score.errors import StoreError
from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.library import Library
from hf_transfer_score.leaderboard.pages import page as ids
from hf_transfer_score.leaderboard.pages.board_tab import BoardTab
from hf_transfer_score.leaderboard.pages.board_table import status_html
from hf_transfer_score.leaderboard.pages.page import QUIET, Kept, LeaderboardPage, script
from hf_transfer_score.leaderboard.pages.view import one_line, plain_query, query_of
from hf_transfer_score.records.place import Place
from hf_transfer_score.text import TEMPLATES
from hf_transfer_score.uploads.file_box import remove_with_page
from hf_transfer_score.uploads.gate import guarded, ledger_of
from hf_transfer_score.uploads.limits import KEPT_SECONDS, QUEUE

TITLE = "Transferability leaderboard"
QUESTION = "Which checkpoint should I fine-tune?"
ABOUT = (
    "Choose the dataset most like yours. Its board shows how well pretrained checkpoints should do on it after "
    "fine-tuning, how certain that is, and why."
)
PICTURE = "board.png"
"""A picture of the page; `python benchmarks/look.py --picture` takes it."""

OTHERS = re.compile(rb"<meta\s[^>]*(?:og|twitter):[^>]*>\s*")
"""The tags that gradio puts into every app, before those of the app itself."""


def sharing_head() -> str:
    """Return the tags; a picture needs a full address, which is known only on a Space."""
    host = os.environ.get("SPACE_HOST", "")
    told = {"og:type": "website", "og:title": f"{QUESTION} {TITLE}", "og:description": ABOUT}
    if re.fullmatch(r"[\w.-]+", host, re.ASCII):
        told |= {"og:url": f"https://{host}/", "og:image": f"https://{host}/{PICTURE}"}
    lines = [f'<meta property="{name}" content="{text}">' for name, text in told.items()]
    lines += [
        f'<meta name="description" content="{ABOUT}">',
        '<meta name="twitter:card" content="summary_large_image">',
    ]
    return "\n".join(lines)


class SharedPage:
    """Middleware that serves the picture and replaces gradio's tags by ours."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path = scope.get("path") if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") else None
        if path == f"/{PICTURE}":
            await FileResponse(TEMPLATES / PICTURE, media_type="image/png")(scope, receive, send)
        elif path == "/" and scope["method"] == "GET":
            plain = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
            await self._with_tags({**scope, "headers": plain}, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _with_tags(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: dict[str, Any] = {}
        parts: list[bytes] = []

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await self.app(scope, receive, keep)
        body = OTHERS.sub(b"", b"".join(parts)).replace(b"<head>", b"<head>\n" + sharing_head().encode(), 1)
        answer = Response(body, status_code=start["status"])
        kept = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
        answer.raw_headers = [*kept, (b"content-length", str(len(body)).encode())]
        await answer(scope, receive, send)


HEAD = f"<h1>{QUESTION}</h1><p>{ABOUT}</p>"

WITHOUT_STATISTICS = {"GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000", "GRADIO_ANALYTICS_MAX_EVENTS": "1"}
"""Otherwise, after each event, gradio puts its last 10,000 events into a data frame for a page that nobody opens."""

AT_ONCE = 8
"""Events processed at a time; more would only compete for the interpreter."""

LOADING_SECONDS = 1.0
LONGEST_MODEL = 400

TABS = {
    ids.BOARD: ("Board", None),
    ids.PLOTS: ("Plots", "plots_tab"),
    ids.TRUST: ("Which metric can I trust?", "trust_tab"),
    ids.COMPARE: ("Compare", "compare_tab"),
    ids.MODEL: ("Model", "model_tab"),
    ids.UPLOAD: ("Score your features", "upload_tab"),
    ids.SUBMIT: ("Submit", "submit_tab"),
}
"""Tabs by id, with their title and the module that builds them."""

FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "Arial", "sans-serif"]
CODE_FONTS = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace"]


def build_app(library: Library, *, requests: Place | None = None, tick_seconds: float = 10.0) -> gr.Blocks:
    """Return the leaderboard of a library, ready for `serve`.

    Args:
        library: the records; may still be loading.
        requests: where requests for scoring go; None if they are not accepted.
        tick_seconds: how often an open page asks for new records.
    """
    for name, value in WITHOUT_STATISTICS.items():
        os.environ.setdefault(name, value)
    with _unserved(), gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(60, KEPT_SECONDS)) as app:
        gr.HTML(HEAD, elem_id="lb-title")
        tab, board, model, version = gr.State(ids.BOARD), gr.State(None), gr.State(None), gr.State(None)
        screen = gr.Textbox(visible="hidden", label="Screen")
        with gr.Tabs(selected=ids.BOARD, elem_id="lb-tabs") as tabs:
            page = LeaderboardPage(library, requests, tabs, tab, board, model, version, screen, ledger_of(app))
            for name, (title, module) in TABS.items():
                with gr.Tab(title, id=name) as opened:
                    if module is None:
                        board_tab = BoardTab(page)
                    else:
                        built = import_module(f"hf_transfer_score.leaderboard.pages.{module}")
                        getattr(built, f"build_{module}")(page)
                opened.select(lambda name=name: name, outputs=page.tab, **QUIET)
        with gr.Row(elem_classes="lb-inline"):
            status = gr.HTML("<p>Starting</p>", elem_id="lb-status")
            refresh = gr.Button("Refresh now", size="sm", scale=0, min_width=120, elem_id="lb-refresh")
        remove_with_page(app, page.ledger)
        follower = Follower(page, board_tab, tick_seconds)
        timer, query = gr.Timer(LOADING_SECONDS), gr.State({})
        outputs = [status, timer, *follower.outputs]
        app.load(follower.arrive, inputs=None, outputs=[query, *outputs], **QUIET)
        looking = {"inputs": [page.version, query, board_tab.board], "outputs": outputs, **QUIET}
        timer.tick(follower.look, trigger_mode="once", **looking)
        refresh.click(follower.refresh, trigger_mode="once", **looking)
        _keep_address(page)
    _report_progress_on(app, tab)
    with _unserved():
        app.queue(default_concurrency_limit=AT_ONCE, max_size=QUEUE, api_open=False)
    return app


@contextmanager
def _unserved() -> Iterator[None]:
    """Keep gradio from making its server, which it otherwise makes and forgets three times before `serve`."""
    made = App.create_app
    App.create_app = staticmethod(lambda *_, **__: None)
    try:
        yield
    finally:
        App.create_app = staticmethod(made)


def _report_progress_on(app: gr.Blocks, nothing: gr.State) -> None:
    """Let events that show no progress report it on a component that is not shown.

    Otherwise the browser copies every component that was ever an output, tables and charts too, at each event.
    """
    for event in app.fns.values():
        if event.show_progress == "hidden":
            event.show_progress_on = [nothing]


def _keep_address(page: LeaderboardPage) -> None:
    """Keep the address of the page up to date, and offer a link to copy."""
    kept = [Kept("tab", page.tab, None, lambda tab: "" if tab == ids.BOARD else str(tab)), *page.kept]
    kept.append(Kept("model", page.model))
    components = [one.component for one in kept]

    def compose(*values: Any) -> str:
        return query_of((one.name, one.write(value)) for one, value in zip(kept, values, strict=True))

    with gr.Accordion("Link to this view", open=False):
        with gr.Row(elem_classes="lb-inline"):
            link = gr.Textbox(label="Link", interactive=False, elem_id="lb-link", scale=4)
            copy = gr.Button("Copy link", size="sm", scale=0, min_width=120, elem_id="lb-copy")
        gr.HTML('<p id="lb-copied" role="status" aria-live="polite"></p>')
    address = gr.Textbox(visible="hidden", label="Address", elem_id="lb-address")
    changes = [one.change for one in components]
    composed = gr.on(changes, compose, inputs=components, outputs=address, trigger_mode="always_last", **QUIET)
    js = script("show_address.js") % {"names": str([one.name for one in kept])}
    composed.then(None, inputs=address, outputs=link, js=js, **QUIET)
    copy.click(None, inputs=address, outputs=link, js=script("copy_link.js"), **QUIET)


class Follower:
    """Restores a page from its address, and updates it when there are new records."""

    def __init__(self, page: LeaderboardPage, board_tab: BoardTab, tick_seconds: float) -> None:
        self.page = page
        self.board_tab = board_tab
        self.tick_seconds = tick_seconds
        self.readable = [kept for kept in page.kept if kept.read is not None]
        """Components of other tabs that are restored from the address."""
        others = [kept.component for kept in self.readable]
        self.outputs = [page.tabs, page.tab, page.model, *board_tab.restored_components, *others, page.version]
        """The outputs of `look`, without the status and the timer."""

    def arrive(self, request: gr.Request) -> list[Any]:
        """Return everything for a page that was just opened."""
        query = plain_query(dict(request.query_params))
        return [query, *self.look(None, query, None, arriving=True)]

    def refresh(self, version: str | None, query: dict[str, str], slug: str | None) -> list[Any]:
        """Do the same as `look` after the library has checked for new records."""
        self.page.library.ask()
        return self.look(version, query, slug)

    def look(
        self, version: str | None, query: Mapping[str, str], slug: str | None, *, arriving: bool = False
    ) -> list[Any]:
        """Return the status, and updates if the records have another version than the shown ones.

        Args:
            version: of the shown records, None before the first ones.
            query: of the address that opened the page.
            slug: of the chosen board.
            arriving: whether the page was just opened, so that nothing can have been typed.
        """
        library = self.page.library
        catalogue, status = library.catalogue, library.status
        seconds = LOADING_SECONDS if status.loading and version is None else self.tick_seconds
        first = [status_html(status, catalogue.problems), gr.Timer(seconds)]
        unread = status.loading and status.version is None and not status.records
        present = None if unread else f"{status.version}/{status.records}"
        if version is None and (arriving or present is not None):
            return [*first, *self._restored(query, catalogue, arriving), present]
        unchanged = [gr.skip() for _ in self.outputs]
        if present is None or present == version:
            return [*first, *unchanged]
        board = self.board_tab.brought_up_to_date(slug, catalogue)
        return [*first, *unchanged[:3], board, *unchanged[4:-1], present]

    def _restored(self, query: Mapping[str, str], catalogue: Catalogue, arriving: bool) -> list[Any]:
        tab = query.get("tab") if query.get("tab") in TABS else ids.BOARD
        place = [gr.Tabs(selected=tab), tab] if arriving else [gr.skip(), gr.skip()]
        model = one_line(query.get("model"), LONGEST_MODEL)
        known = model if model and catalogue.model_boards(model) else None
        found = []
        for kept in self.readable:
            text = query.get(kept.name)
            value = None if text is None or kept.read is None else kept.read(text[: ids.LONGEST_VALUE], catalogue)
            found.append(gr.skip() if value is None else value)
        return [*place, known, *self.board_tab.restored(query, catalogue, arriving=arriving), *found]


def serve(app: gr.Blocks, *, host: str | None = None, port: int | None = None, in_browser: bool = False) -> str:
    """Serve an app in threads of its own, and return its address; StoreError if it cannot listen.

    The host is by default this machine alone, or what the environment says on a Space; the port the first free one from
    7860.
    """
    base = gr.themes.Default(  # with the fonts of the visitor's machine
        primary_hue="indigo", secondary_hue="teal", neutral_hue="slate", font=FONTS, font_mono=CODE_FONTS
    )
    theme = base.set(  # the default's grey on white is too faint for small text
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        color_accent="*primary_600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
    )
    options = guarded(app)
    options["app_kwargs"]["middleware"].append(Middleware(SharedPage))
    try:
        socket.getaddrinfo(host or "127.0.0.1", None)  # gradio would try each port of a host that is not there
        _, address, _ = app.launch(
            server_name=host,
            server_port=port,
            inbrowser=in_browser,
            prevent_thread_lock=True,
            quiet=True,
            theme=theme,
            css=(TEMPLATES / "leaderboard.css").read_text(encoding="utf-8"),
            js=script("on_load.js"),
            footer_links=["api", "settings"],
            ssl_verify=False,  # it asks itself, on this machine: no certificates need to be loaded
            ssr_mode=False,
            show_error=False,
            **options,
        )
    except OSError as error:
        where = f"{host or 'this computer'}, port {port or '7860 or above'}"
        raise StoreError(
            f"The leaderboard cannot be served: {where} is taken, or is no address here. Choose another `port`."
        ) from error
    return str(address)
