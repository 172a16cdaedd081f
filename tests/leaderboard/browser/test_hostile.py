"""Texts of records that try to be more than text."""

import pytest

from tests.leaderboard.browser.conftest import served, write_records
from tests.leaderboard.browser.looking import column, headers, open_controls, open_tab, wait_for_table, wait_for_text
from tests.leaderboard.browser.records import HOSTILE, hostile

TABS = ("Plots", "Which metric can I trust?", "Compare", "Model")
FOREIGN = "img[src='x'], svg[onload], a[href^='javascript'], img[src*='127.0.0.1:9'], #lb-table strong, .katex"


@pytest.fixture(scope="module")
def hostile_address(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    write_records(folder, hostile())
    with served(folder) as found:
        yield found


def check(page):
    assert page.evaluate("window.hacked") is None
    assert page.query_selector_all(FOREIGN) == []
    assert not [one for one in page.query_selector_all("script") if "hacked" in (one.text_content() or "")]


def test_names_are_shown_letter_by_letter(opened, hostile_address):
    page = opened(hostile_address)
    wait_for_table(page)
    shown = column(page)
    for text in (*HOSTILE[:6], HOSTILE[7]):
        assert text in shown
    assert f"<span>{HOSTILE[0]}"[6:] in page.inner_text("#lb-head")
    assert any(header.startswith(HOSTILE[1]) for header in headers(page))
    wait_for_text(page, "#lb-notes", "Models that could not be scored")
    for summary in page.query_selector_all("#lb-notes summary"):
        summary.click()
    wait_for_text(page, "#lb-notes", f"{HOSTILE[1]} failed ({HOSTILE[1]}): {HOSTILE[1]}")
    open_controls(page)
    for name in ("lb-libraries", "lb-licenses", "lb-sort", "lb-board"):
        page.click(f"#{name} input")
        page.wait_for_selector(f"#{name} [role=option]")
        page.keyboard.press("Escape")
    for group in ("Raw terms", "Intervals of terms", "Run and date", "Ranks by metric"):
        page.get_by_label(group).check()
    page.wait_for_selector("#lb-table th[title^='Date']")
    check(page)


def test_no_row_and_no_tab_shows_more_than_text(opened, hostile_address):
    page = opened(hostile_address)
    wait_for_table(page)
    for row in (4, 1, 0):
        text = column(page)[row]
        page.click(f"#lb-table [data-testid=cell-{row}-0]")
        wait_for_text(page, "#lb-card h3", text)
        check(page)
    assert page.query_selector_all("#lb-card a") == []
    for title in TABS:
        open_tab(page, title)
        panel = page.locator("[role=tabpanel]:visible")
        panel.get_by_text("window.hacked").or_(panel.get_by_text("click")).first.wait_for(state="attached")
        check(page)
