"""The board: what a visitor can do with it, and that an address brings it all back."""

import csv
import re
from pathlib import Path

import httpx
import pytest

from tests.leaderboard.browser.conftest import served
from tests.leaderboard.browser.looking import (
    choose,
    column,
    headers,
    open_controls,
    open_tab,
    query,
    wait_for_models,
    wait_for_query,
    wait_for_table,
    wait_for_text,
)
from tests.leaderboard.browser.records import NAMES, pool
from tests.leaderboard.made import face, model, score, write_records

POINTS = "#lb-board-plot svg.marks [aria-roledescription='point'][aria-label]"


def test_the_first_page_shows_a_board_whose_rows_open_their_models(opened, address):
    page = opened(address)
    wait_for_models(page, *NAMES)
    assert headers(page)[:4] == ["Rank", "Model", "Chance to be best", "Points below the best"]
    page.wait_for_selector("#lb-table th[title='Rank: place in the order of this board']")
    assert column(page, 0) == ["1", "2", "3", "4"]
    assert column(page, 2) == ["100%", "0%", "0%", "0%"]
    wait_for_text(page, "#lb-head", "Fine-tune timm/alpha: 95.0%, as measured here.")
    open_controls(page)
    page.get_by_label("FaCe and NCTI").check()
    page.wait_for_selector("#lb-table th[title^='Tie']")
    assert column(page, 3) == ["A", "B", "C", "D"]
    wait_for_text(page, "#lb-head", "it is first of 4, and ahead of all others on this sample")
    page.get_by_label("forecast", exact=True).check()
    page.wait_for_selector("#lb-table th[title^='Tie']", state="detached")
    assert {"face", "logme", "Measured", "Parameters", "License"} <= set(headers(page))
    assert column(page, headers(page).index("Measured")) == ["95.00%", "94.00%", "93.00%", "92.00%"]
    assert "14 records" not in page.inner_text("#lb-status") and "15 records" in page.inner_text("#lb-status")
    notes = page.locator("#lb-notes details").filter(has_text="Models that could not be scored")
    assert "org/closed (gated): the repository is gated" in notes.text_content()
    page.wait_for_function(f"document.querySelectorAll(`{POINTS}`).length === 4")
    assert page.locator("#lb-head a").get_attribute("href").endswith("/datasets/owner/pets")
    page.click("#lb-table th[title^='logme: LogME']")
    page.get_by_text("Sort descending").click()
    wait_for_models(page, *reversed(NAMES))
    page.locator("#lb-table [role=gridcell][data-col='1']").first.click()
    wait_for_text(page, "#lb-card", NAMES[3])
    page.click("#lb-table [data-testid=cell-2-1]")
    wait_for_text(page, "#lb-card", "org/gamma")
    links = [link.get_attribute("href") for link in page.query_selector_all("#lb-card a")]
    assert [link.split("/", 3)[3] for link in links] == [
        "org/gamma",
        f"org/gamma/tree/{'c' * 40}",
        "datasets/owner/pets",
    ]
    page.click("#lb-open-model")
    wait_for_query(page, tab="model", model="org/gamma")
    assert page.get_by_role("tab", name="Model", exact=True).get_attribute("aria-selected") == "true"


def test_who_shares_the_address_shows_a_title_a_description_and_a_picture(address, monkeypatch):
    monkeypatch.setenv("SPACE_HOST", "owner-board.hf.space")
    raw = httpx.get(address).text
    told = dict(re.findall(r'<meta property="(og:[a-z]+)" content="([^"]*)">', raw))
    assert raw.count("og:title") == 1 and "twitter:title" not in raw
    assert told["og:title"].startswith("Which checkpoint should I fine-tune?") and "dataset" in told["og:description"]
    assert told["og:image"] == "https://owner-board.hf.space/board.png"
    assert httpx.get(f"{address}board.png").content.startswith(b"\x89PNG")


def test_search_filter_sort_and_columns(opened, address):
    page = opened(address)
    wait_for_table(page)
    page.fill("#lb-search input, #lb-search textarea", "TIMM")
    wait_for_models(page, *NAMES[:2])
    wait_for_text(page, "#lb-count", "2 models of 4")
    page.wait_for_function(f"document.querySelectorAll(`{POINTS}`).length === 2")
    page.fill("#lb-search input, #lb-search textarea", "nobody")
    wait_for_text(page, "#lb-count", "No model matches")
    page.fill("#lb-search input, #lb-search textarea", "")
    wait_for_models(page, *NAMES)
    open_controls(page)
    choose(page, "lb-licenses", "mit")
    wait_for_models(page, NAMES[0], NAMES[2])
    page.fill("#lb-smallest input", "15")
    wait_for_models(page, NAMES[2])
    page.fill("#lb-smallest input", "")
    page.fill("#lb-since input, #lb-since textarea", "2025-02-15")
    wait_for_models(page, NAMES[2])
    page.fill("#lb-since input, #lb-since textarea", "yesterday")
    wait_for_text(page, "#lb-count", "“yesterday” is not a day")
    wait_for_models(page, NAMES[0], NAMES[2])
    choose(page, "lb-sort", "Score: logme")
    wait_for_models(page, NAMES[2], NAMES[0])
    page.get_by_label("reversed").check()
    wait_for_models(page, NAMES[0], NAMES[2])
    page.get_by_label("Raw terms").check()
    page.wait_for_selector("#lb-table th[title^='face: variance_collapse ↑']")
    page.get_by_label("Scores", exact=True).uncheck()
    page.wait_for_selector("#lb-table th[title^='logme: LogME']", state="detached")
    assert column(page, headers(page).index("face: variance_collapse ↑")) == ["-1.000", "-3.000"]


def test_an_address_restores_the_view(opened, address):
    first = opened(address)
    wait_for_table(first)
    first.fill("#lb-search input, #lb-search textarea", "org/")
    open_controls(first)
    first.get_by_label("Raw terms").check()
    choose(first, "lb-libraries", "hub_vision")
    choose(first, "lb-sort", "Score: logme")
    wait_for_models(first, NAMES[3], NAMES[2])
    first.click("#lb-table [data-testid=cell-1-0]")
    wait_for_text(first, "#lb-card", NAMES[2])
    wait_for_query(first, search="org/", libraries="hub_vision", sort="score:logme", model=NAMES[2])
    address, titles, told = first.url, headers(first), query(first)
    opened.leave(first)
    second = opened(address)
    wait_for_models(second, NAMES[3], NAMES[2])
    wait_for_text(second, "#lb-card", NAMES[2])
    assert headers(second) == titles
    assert second.input_value("#lb-search input, #lb-search textarea") == "org/"
    wait_for_query(second, **told)
    open_tab(second, "Plots")
    wait_for_query(second, tab="plots")
    address = second.url
    opened.leave(second)
    opened(address).wait_for_selector("#lb-plot-1 svg.marks >> visible=true")


def test_nonsense_in_an_address_is_left_out_until_another_board_is_typed(opened, address):
    wrong = "board=zzz&tab=<b>&sort=score:x&libraries=x&smallest=-1&largest=nan&since=2025-99-99&order=up&columns=x"
    page = opened(f"{address}?{wrong}&model=%3Cscript%3E&search=%00&__theme=light")
    wait_for_models(page, *NAMES)
    wait_for_query(page, tab=None, sort=None, libraries=None, smallest=None, since=None, model=None, __theme="light")
    wait_for_text(page, "#lb-missing", "There is no board “zzz” here.")
    wait_for_text(page, "#lb-missing", "The first board is shown instead.")
    page.click("#lb-board input")
    page.fill("#lb-board input", "birds")
    page.locator("#lb-board [role=option]", has_text="owner/birds").click()
    page.wait_for_selector("#lb-missing", state="hidden")
    wait_for_models(page, *NAMES[:2])
    wait_for_text(page, "#lb-head", "owner/birds")
    assert "logme" not in headers(page)


def test_csv_and_link_have_what_is_selected(opened, address):
    page = opened(address)
    wait_for_table(page)
    page.fill("#lb-search input, #lb-search textarea", "org/")
    wait_for_models(page, *NAMES[2:])
    with page.expect_download() as download:
        page.click("#lb-download")
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert download.value.suggested_filename.endswith(".csv")
    assert [row["model"] for row in rows] == list(NAMES[2:])
    assert [float(row["face.variance_collapse"]) for row in rows] == [-3.0, -4.0]
    assert [float(row["accuracy"]) for row in rows] == pytest.approx([0.93, 0.92])
    wait_for_query(page, search="org/")
    page.get_by_role("button", name="Link to this view").click()
    page.click("#lb-copy")
    page.wait_for_function("document.querySelector('#lb-copied').textContent !== ''")
    assert page.input_value("#lb-link input, #lb-link textarea") == page.url


def test_new_records_appear_without_a_reload(browser, opened, tmp_path):
    write_records(tmp_path, pool())
    with served(tmp_path, tick_seconds=1) as address:
        page = opened(f"{address}?search=org%2F")
        wait_for_models(page, *NAMES[2:])
        page.evaluate("window.same = true")
        better = model("org/new", library="hub_vision", parameters=10**6, width=64)
        write_records(tmp_path, [score(better, "face", face(-0.1, 0.99), spread=0.01)])
        page.click("#lb-refresh")
        page.click("#lb-search input, #lb-search textarea")
        page.keyboard.type("x", delay=50)
        page.keyboard.press("Backspace")
        wait_for_models(page, "org/new", *NAMES[2:])
        wait_for_text(page, "#lb-status", "16 records")
        assert page.evaluate("window.same") is True
        assert page.input_value("#lb-search input, #lb-search textarea") == "org/"
        page.close()
