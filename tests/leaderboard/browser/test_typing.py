"""Over a slow network what a visitor types stays as it was typed, whatever answers arrive meanwhile."""

from hf_transfer_score.leaderboard.pages import compare_tab, model_page, model_tab
from tests.leaderboard.browser.looking import choose, open_controls, open_tab, wait_for_models, wait_for_table

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
