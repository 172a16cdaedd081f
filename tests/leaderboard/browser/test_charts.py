"""Charts of a board in a real browser: by day and by night, with words, facts and a way to save them."""

from pathlib import Path

import pytest

from hf_transfer_score.drawing.look import AT_NIGHT, DAY, NIGHT
from tests.leaderboard.browser.looking import choose

POINTS = "#lb-plot-{} svg.marks [aria-roledescription='point']"


def rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[place : place + 2], 16)) for place in (1, 3, 5))})"


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 360)])
def test_charts_fit_the_screen_and_have_words(opened, address, dark, width):
    page = opened(f"{address}?tab=plots", dark=dark, width=width)
    facts = ("expected accuracy in percent: 95", "class fairness: ", "accuracy (method=full): ")
    for place, fact in enumerate(facts, 1):
        page.wait_for_selector(POINTS.format(place))
        points = page.locator(POINTS.format(place)).all()
        told = [one.get_attribute("aria-label") for one in points if one.get_attribute("aria-label")]
        assert len(told) == 4 and any(fact in one for one in told)
        chart = page.locator(f"#lb-plot-{place} svg.marks")
        assert chart.evaluate("one => getComputedStyle(one).backgroundColor") == rgb((NIGHT if dark else DAY)["ground"])
        assert {one.get_attribute("fill") for one in points} <= {
            *(AT_NIGHT.values() if dark else AT_NIGHT),
            "transparent",
        }
        assert chart.bounding_box()["width"] > width / 3
        assert page.locator(f"#lb-plot-{place} [role='graphics-document']").get_attribute("aria-label")
        assert page.locator(f"#lb-plot-{place}-words summary").inner_text() == "The numbers as a table (4 models)"
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_pointing_tells_facts_the_chosen_model_has_a_ring_everywhere_and_a_chart_is_saved(opened, address):
    page = opened(f"{address}?tab=plots")
    page.wait_for_selector(POINTS.format(1))
    page.locator(POINTS.format(1)).filter(visible=True).nth(0).hover(force=True)
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "parameters" in page.inner_text("#vg-tooltip-element")
    choose(page, "lb-plot-model", "org/gamma")
    for place in (1, 2, 3):
        page.locator(f"#lb-plot-{place}-words").filter(has_text="The ring is org/gamma.").wait_for()
    page.wait_for_selector("#lb-plot-4 svg.marks [aria-label^='cat and dog: overlap 0.5']")
    page.click("#lb-plot-1 summary")
    assert page.locator("#lb-plot-1 .vega-actions a").all_inner_texts() == ["Save as SVG", "Save as PNG"]
    with page.expect_download() as found:
        page.locator("#lb-plot-1 .vega-actions a", has_text="PNG").click()
    assert found.value.suggested_filename == "size.png"
    assert Path(found.value.path()).read_bytes().startswith(b"\x89PNG")
