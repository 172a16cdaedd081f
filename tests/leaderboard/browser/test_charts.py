"""Charts and pages of a board in a real browser: by day and by night, with words and facts, and accessible."""

from pathlib import Path

import pytest

from hf_transfer_score.drawing.files import save_plot
from hf_transfer_score.drawing.look import AT_NIGHT, DAY, NIGHT
from hf_transfer_score.leaderboard.pages.app import TABS
from tests.drawing.test_rankings import HOSTILE, pool
from tests.leaderboard.browser.looking import choose, open_tab, wait_for_table
from tests.runs.reports import Made, classified, report_of

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


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """A page of models with names that would do harm if they could."""
    models = [Made(name, 0.6 + number / 8, 10**6 * (number + 1)) for number, name in enumerate(HOSTILE)]
    path = tmp_path_factory.mktemp("page") / "ranking.html"
    save_plot(report_of([*models, *pool(3)], classified("<script>d</script>", revision="d" * 40)), path)
    return path.as_uri()


@pytest.mark.parametrize("dark", [False, True])
def test_the_chart_is_drawn_by_day_and_by_night_and_tells_facts(opened, page_file, dark):
    page = opened(page_file, dark=dark)
    page.wait_for_selector("#chart svg [aria-roledescription='point']")
    points = page.query_selector_all("#chart svg [aria-roledescription='point']")
    assert len(points) == len(HOSTILE) + 3
    assert all("rank: " in point.get_attribute("aria-label") for point in points)
    ground = page.evaluate("getComputedStyle(document.querySelector('#chart svg')).backgroundColor")
    assert ground == ("rgb(21, 23, 26)" if dark else "rgb(255, 255, 255)")
    colours = {point.get_attribute("fill") for point in points}
    assert colours <= set(AT_NIGHT.values() if dark else AT_NIGHT)
    page.locator("#chart svg [aria-roledescription='point']").last.hover(force=True)
    page.wait_for_selector("#vg-tooltip-element.visible")
    told = page.inner_text("#vg-tooltip-element")
    assert "mean rank" in told and "parameters" in told
    assert page.locator("#vg-tooltip-element script, #vg-tooltip-element img").count() == 0
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


SERIOUS = ("serious", "critical")
THERE = {
    "board": "#lb-board-plot svg.marks",
    "plots": "#lb-plot-3 svg.marks",
    "trust": "#lb-trust-table table",
    "compare": "#lb-compare-plot svg.marks",
    "model": "#lb-model-page table",
    "upload": "#upload-score",
    "submit": "[role=tabpanel]:has-text('request')",
}


OF_LOOKS = ["color-contrast", "scrollable-region-focusable"]
"""Rules whose findings depend on colours and on how much room there is."""


def findings(page, rules=None) -> list[str]:
    """Return the serious findings on a page by some rules or all, each with the first elements that it is about."""
    axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    found = axe_module.Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in SERIOUS
    ]


@pytest.mark.parametrize(("dark", "width", "rules"), [(False, 1280, None), (True, 390, OF_LOOKS)])
def test_no_tab_has_a_serious_finding(opened, address, dark, width, rules):
    page = opened(f"{address}?model=timm%2Falpha", dark=dark, width=width)
    wait_for_table(page)
    found = {}
    for name, (title, _) in TABS.items():
        open_tab(page, title)
        page.wait_for_selector(f"{THERE[name]} >> visible=true")
        if said := findings(page, rules):
            found[name] = said
    assert found == {}
