"""Take pictures of every tab and every chart of the leaderboard, in light and dark mode and on a phone.

Run it as `make look`, or `python benchmarks/look.py [FOLDER]`: the pictures of the shipped records are in `build/look`.
`--picture` also takes the picture for shared links. It needs playwright and chromium, or CHROMIUM with its path.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Page, sync_playwright

from hf_transfer_score.leaderboard.library import Library
from hf_transfer_score.leaderboard.pages.app import PICTURE, TABS, build_app, serve
from hf_transfer_score.leaderboard.starting import SHIPPED
from hf_transfer_score.records.place import FolderPlace
from hf_transfer_score.records.shipped import shipped_place
from hf_transfer_score.text import TEMPLATES

ROOT = Path(__file__).resolve().parents[1]
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
SCREENS = {
    "desk-day": (1280, 900, "light"),
    "desk-night": (1280, 900, "dark"),
    "phone-day": (390, 844, "light"),
    "phone-night": (390, 844, "dark"),
}
"""Width, height and colours by the prefix of the pictures' names."""

SHARED = (1200, 630)
READY = {
    "board": "#lb-board-plot svg.marks",
    "plots": "#lb-plot-3 svg.marks",
    "trust": "#lb-trust-table table",
    "compare": "#lb-compare table",
    "model": "#lb-model-page h2",
    "upload": "#upload-score",
    "submit": "#lb-ask",
}
"""What a tab shows once it has loaded."""

STILL = """() => document.querySelector(".pending, .generating, .progress-text") === null"""
SECONDS = 120_000
"""Time limit of a page on a busy machine, in milliseconds."""


@contextmanager
def served() -> Iterator[str]:
    """Serve the shipped records, and yield the address."""
    library = Library(shipped_place(), poll_seconds=3600, name=SHIPPED)
    library.start()
    with TemporaryDirectory() as requests:
        app = build_app(library, requests=FolderPlace(Path(requests)), tick_seconds=600.0)
        try:
            yield serve(app)
        finally:
            app.close(verbose=False)
            library.stop()


def open_tab(page: Page, title: str) -> None:
    """Open a tab, also if it is in the overflow menu."""
    tab = page.get_by_role("tab", name=title, exact=True)
    if tab.is_visible():
        tab.click()
        return
    page.locator("#lb-tabs .overflow-menu > button").click()
    page.locator("#lb-tabs .overflow-dropdown button", has_text=title).click()


def take_all(page: Page, address: str, screen: str, folder: Path, tabs: list[str]) -> None:
    """Take the first screen and the full height of each tab, and each chart, for one kind of screen."""
    width, height, colours = SCREENS[screen]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme="dark" if colours == "dark" else "light")
    page.goto(address)
    page.wait_for_selector("#lb-table [data-testid=cell-0-0]")
    row = page.locator("#lb-table [data-testid=cell-0-0]")
    print(f"{screen}: the first row of the table begins at {row.bounding_box()['y']:.0f} of {height} pixels")
    for name in tabs:
        open_tab(page, TABS[name][0])
        page.wait_for_selector(f"{READY[name]} >> visible=true")
        page.wait_for_function(STILL)
        page.wait_for_timeout(500)
        if name == "board":
            page.screenshot(path=folder / f"{screen}-board-first.png")
            page.click("#lb-table [data-testid=cell-1-1]")
            page.wait_for_selector("#lb-card h3")
        page.screenshot(path=folder / f"{screen}-{name}.png", full_page=True)


def take_shared(page: Page, address: str) -> None:
    """Take the picture for shared links."""
    page.set_viewport_size({"width": SHARED[0], "height": SHARED[1]})
    page.goto(f"{address}?__theme=light")
    page.wait_for_selector(f"{READY['board']} >> visible=true")
    page.screenshot(path=TEMPLATES / PICTURE)


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "look")
    parser.add_argument("--screens", nargs="+", choices=SCREENS, default=[*SCREENS])
    parser.add_argument("--tabs", nargs="+", choices=TABS, default=[*TABS])
    parser.add_argument("--picture", action="store_true", help="also take the picture for shared links")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright, served() as address:
        started: Any = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        page = started.new_page()
        page.set_default_timeout(SECONDS)
        for screen in options.screens:
            take_all(page, address, screen, options.folder, options.tabs)
        if options.picture:
            take_shared(page, address)
        started.close()
    print(f"The pictures are in {options.folder}.")


if __name__ == "__main__":
    main()
