"""The page of a ranking in a real browser: drawn, dark at night, harmless, and without a request to anybody."""

import pytest

from hf_transfer_score.drawing.files import save_plot
from hf_transfer_score.drawing.look import AT_NIGHT
from tests.drawing.test_rankings import HOSTILE, pool
from tests.runs.reports import Made, classified, report_of


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
