"""A real browser on a real app; without a browser the tests here are skipped."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import pytest

from hf_transfer_score.leaderboard.library import Library
from hf_transfer_score.records.place import FolderPlace
from tests.conftest import free_port
from tests.leaderboard.browser.records import pool
from tests.leaderboard.made import write_records

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


@contextmanager
def served(folder: Path, requests: Path | None = None, *, tick_seconds: float = 10.0) -> Iterator[str]:
    """Serve the records of a folder, and give the address."""
    from hf_transfer_score.leaderboard.pages.app import build_app, serve

    library = Library(FolderPlace(folder), poll_seconds=3600)
    library.start()
    app = build_app(library, requests=None if requests is None else FolderPlace(requests), tick_seconds=tick_seconds)
    try:
        yield serve(app, port=free_port())
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


@pytest.fixture(scope="package")
def pages(browser) -> Iterator[list]:
    """Pages that were used before: the next address needs no new process, and its scripts are compiled already."""
    spare: list = []
    yield spare
    for page in spare:
        page.context.close()


Opened = Callable[..., object]


@pytest.fixture
def opened(browser, pages) -> Iterator[Opened]:
    """Open an address in a clean page; nothing outside this machine is reached, and no error may be logged."""
    used, troubles, abroad = [], [], []
    heard = {
        "console": lambda message: message.type == "error" and troubles.append(message.text),
        "pageerror": lambda error: troubles.append(str(error)),
        "dialog": lambda dialog: (troubles.append(f"dialog {dialog.message}"), dialog.dismiss()),
        "request": lambda request: _is_abroad(request.url) and abroad.append(request.url),
    }

    def open_page(address: str, *, width: int = 1280, height: int = 900, dark: bool = False):
        page = pages.pop() if pages else browser.new_context(accept_downloads=True).new_page()
        used.append(page)
        page.set_default_timeout(SECONDS)
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if dark else "light")
        for event, hear in heard.items():
            page.on(event, hear)
        page.goto(address)
        return page

    def leave(page) -> None:
        used.remove(page)
        for event, hear in heard.items():
            page.remove_listener(event, hear)
        if page.url.startswith("http"):
            page.evaluate("localStorage.clear(); sessionStorage.clear()")
            page.goto(urljoin(page.url, "/robots.txt"))  # what it still waits for is given up, and nobody hears
        pages.append(page)

    open_page.leave = leave
    yield open_page
    for page in [one for one in used if not one.is_closed()]:
        leave(page)
    assert troubles == []
    assert abroad == []


def _is_abroad(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "http://localhost:", "data:", "blob:", "file:"))
