"""What a visitor types stays as it was typed over a slow network; texts that try to be more than text stay text."""

import pytest

from hf_transfer_score.leaderboard.pages import compare_tab, model_page, model_tab
from tests.leaderboard.browser.conftest import served
from tests.leaderboard.browser.looking import (
    choose,
    column,
    headers,
    open_controls,
    open_tab,
    wait_for_models,
    wait_for_table,
    wait_for_text,
)
from tests.leaderboard.browser.records import HOSTILE, hostile
from tests.leaderboard.made import write_records

LATENCY = 250
"""Milliseconds that each answer takes longer: about three letters of a quick typist."""

SEARCH = "#lb-search input, #lb-search textarea"
SMALLEST = "#lb-smallest input"
FIND = "#lb-find-model input, #lb-find-model textarea"


def slow(page) -> None:
    """Let each answer take longer from now on."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    limits = {"offline": False, "latency": LATENCY, "downloadThroughput": -1, "uploadThroughput": -1}
    session.send("Network.emulateNetworkConditions", limits)


def type_letters(page, selector: str, text: str) -> None:
    """Type letter by letter, over several answers, and wait until the last of them must have arrived."""
    page.click(selector)
    page.keyboard.type(text, delay=90)
    page.wait_for_timeout(4 * LATENCY)


def test_fields_keep_their_letters_after_a_board_was_chosen(opened, address):
    page = opened(address)
    wait_for_table(page)
    open_controls(page)
    slow(page)
    choose(page, "lb-board", "birds")
    type_letters(page, SEARCH, "timm/alpha")
    assert page.input_value(SEARCH) == "timm/alpha"
    wait_for_models(page, "timm/alpha")
    choose(page, "lb-board", "pets")
    type_letters(page, SMALLEST, "123")
    assert page.input_value(SMALLEST) == "123"
    assert page.input_value(SEARCH) == "timm/alpha"
    page.close()  # slow as it is


def test_letters_narrow_a_choice_of_more_models_than_it_shows(opened, address, monkeypatch):
    for place in (compare_tab, model_page, model_tab):
        monkeypatch.setattr(place, "MOST_CHOICES", 3)
    page = opened(f"{address}?tab=model")
    page.wait_for_selector(FIND)
    type_letters(page, FIND, "org/gamma")
    assert page.input_value(FIND) == "org/gamma"
    page.click("#lb-model input")
    page.wait_for_function("() => document.querySelectorAll('#lb-model [role=option]').length === 1")
    page.locator("#lb-model [role=option]", has_text="org/gamma").click()
    page.wait_for_function("() => document.querySelector('#lb-model-page').innerText.includes('org/gamma')")
    assert page.input_value("#lb-model input") == "org/gamma"
    open_tab(page, "Compare")
    page.wait_for_selector("#lb-find-pair")


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
