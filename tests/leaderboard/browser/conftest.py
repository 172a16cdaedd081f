"""A real browser on a real app; without a browser the tests here are skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hf_transfer_score.leaderboard.library import Library
from hf_transfer_score.results.place import FolderPlace
from hf_transfer_score.results.record import Record, record_path
from tests.conftest import free_port
from tests.leaderboard.browser.records import pool

ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
SECONDS = 60_000
"""Milliseconds that a condition may take to become true."""


@pytest.fixture(scope="package")
def browser():
    """One browser for the files here that follow one another; while it runs, no other loop of events can."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("there is no chromium: install it, or set CHROMIUM to its path")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield started
        started.close()


def write_records(folder: Path, records: Iterable[Record]) -> None:
    """Write records as a store has them."""
    files = {str(record_path(record)): record.to_json().encode() for record in records}
    FolderPlace(folder).update(lambda _: files, title="records")


@contextmanager
def served(folder: Path, requests: Path | None = None, *, tick_seconds: float = 10.0) -> Iterator[str]:
    """Serve the records of a folder, and give the address."""
    from hf_transfer_score.leaderboard.pages.app import Serving, build_app, serve

    library = Library(FolderPlace(folder), poll_seconds=3600)
    library.start()
    app = build_app(library, requests=None if requests is None else FolderPlace(requests), tick_seconds=tick_seconds)
    try:
        yield serve(app, Serving(port=free_port()))
    finally:
        app.close(verbose=False)
        library.stop()


@pytest.fixture(scope="package")
def address(browser, tmp_path_factory) -> Iterator[str]:
    """A leaderboard of two boards that no test changes."""
    folder = tmp_path_factory.mktemp("records")
    write_records(folder, pool())
    with served(folder) as found:
        yield found


Opened = Callable[..., object]


@pytest.fixture
def opened(browser) -> Iterator[Opened]:
    """Open an address in a fresh profile; nothing outside this machine is reached, and no error may be logged."""
    contexts, troubles, abroad = [], [], []

    def open_page(address: str, *, width: int = 1280, height: int = 900, dark: bool = False):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", accept_downloads=True
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SECONDS)
        page.on("console", lambda message: message.type == "error" and troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: (troubles.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: _is_abroad(request.url) and abroad.append(request.url))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []
    assert abroad == []


def _is_abroad(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "http://localhost:", "data:", "blob:", "file:"))
