"""On a phone, in the dark, by keyboard, and for those who listen."""

from contextlib import suppress
from itertools import pairwise

from playwright import sync_api

from tests.leaderboard.browser.looking import FIRST_CELL, open_controls, open_tab, wait_for_table, wait_for_text

OVERFLOWING = """() => [...document.querySelectorAll("body *")].filter(one => {
  const box = one.getBoundingClientRect();
  const scrolls = one.closest("#lb-table, .lb-scroll, .lb-plot, .chart-scroll, .table-wrap, .tab-container");
  return !scrolls && box.width > 0 && box.height > 0 && box.right > window.innerWidth + 1
    && getComputedStyle(one).visibility === "visible";
}).map(one => one.outerHTML.slice(0, 120))"""

CUT = """() => {
  const all = (where, root = document.querySelector("#lb-compare")) => [...root.querySelectorAll(where)];
  all("summary").forEach(one => one.click());
  all("thead th").forEach(one => one.textContent = "organisation/long-name-of-a-model");
  const lines = one => {
    const range = document.createRange();
    range.selectNodeContents(one);
    return range.getClientRects().length;
  };
  const numbers = all("td", all("table").find(one => one.querySelector("th:nth-child(4)")));
  numbers.forEach(one => one.textContent = "-0.0012345 to 22,713,216");
  return [...all("th, td").filter(one => one.scrollWidth > one.clientWidth), ...numbers.filter(one => lines(one) > 1)]
    .map(one => one.outerHTML.slice(0, 120));
}"""
"""Cells of the comparison whose text does not fit, or whose numbers are broken."""

CONTRAST = """selector => {
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, place) => sum + v * [0.2126, 0.7152, 0.0722][place], 0);
  const one = document.querySelector(selector);
  let behind = one, ground = [0, 0, 0, 0];
  while (behind && (ground[3] ?? 1) === 0) {
    ground = numbers(getComputedStyle(behind).backgroundColor);
    behind = behind.parentElement;
  }
  const [a, b] = [light(numbers(getComputedStyle(one).color)), light(ground)].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
}"""


def test_a_phone_scrolls_the_table_alone(opened, address):
    page = opened(address, width=390, height=844)
    wait_for_table(page)
    page.wait_for_selector("#lb-board-plot svg.marks >> visible=true")
    first = page.locator(FIRST_CELL).bounding_box()
    assert first["y"] + first["height"] <= 844
    page.set_viewport_size({"width": 360, "height": 740})
    page.evaluate("document.querySelector('#lb-table .virtual-table-viewport').scrollLeft = 150")
    page.wait_for_function("document.querySelector('#lb-table .virtual-table-viewport').scrollLeft > 100")
    for place in range(4):
        cell, head = (
            page.locator(f"#lb-table [data-testid={name}]").bounding_box()
            for name in (f"cell-0-{place}", f"header-{place}")
        )
        assert abs(cell["x"] - head["x"]) < 2 and (place != 1 or abs(cell["x"] - first["x"] - 64) < 2)
    open_controls(page)
    page.click(FIRST_CELL)
    wait_for_text(page, "#lb-card", "timm/alpha")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(OVERFLOWING) == []
    assert page.locator("#lb-table th[title^='Rank']").bounding_box()["x"] < 300
    open_tab(page, "Plots")
    page.wait_for_selector("#lb-plot-1 svg.marks >> visible=true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    open_tab(page, "Compare")
    page.wait_for_selector("#lb-compare table >> visible=true")
    assert page.evaluate(CUT) == []


def test_texts_stand_out_in_the_dark(opened, address):
    page = opened(address, dark=True)
    wait_for_table(page)
    check_contrasts(page, dark=True)


def check_contrasts(page, dark):
    assert page.evaluate("document.body.classList.contains('dark')") is dark
    for selector in ("#lb-title p", "#lb-status p", "#lb-head h2", "#lb-notes summary", f"{FIRST_CELL} span"):
        assert page.evaluate(CONTRAST, selector) >= 4.5, selector


def test_what_a_screen_reader_weak_eyes_and_a_keyboard_need(opened, address):
    page = opened(address)
    wait_for_table(page)
    check_contrasts(page, dark=False)
    reach_a_row_by_keyboard(page)
    open_controls(page)
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.title() == "Transferability leaderboard"
    for name in ("#lb-status", "#lb-count"):
        assert page.get_attribute(name, "aria-live") == "polite"
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(one => Number(one.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for label in ("Dataset", "Search", "Library", "License", "Since", "Sort by"):
        assert page.get_by_label(label).count() >= 1, label
    unnamed = "[...document.querySelectorAll('img')].filter(one => !one.hasAttribute('alt')).length"
    assert page.evaluate(unnamed) == 0


def reach_a_row_by_keyboard(page):
    page.focus("#lb-download")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert page.evaluate(outline) == "solid"
    for _ in range(25):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('#lb-table') !== null"):
            break
    for _ in range(5):  # on a busy machine a key may come before the table has taken the one before
        page.keyboard.press("ArrowDown")
        page.wait_for_timeout(200)
        page.keyboard.press("Enter")
        with suppress(sync_api.TimeoutError):
            page.wait_for_selector("#lb-card h3", timeout=2000)
            return
    raise AssertionError("no row was opened")
