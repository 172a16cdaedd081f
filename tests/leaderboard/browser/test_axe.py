"""What axe-core, which knows the rules for people who see, hear or move otherwise, finds on each tab."""

import pytest

from hf_transfer_score.leaderboard.pages.app import TABS
from tests.leaderboard.browser.looking import open_tab, wait_for_table

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


def findings(page) -> list[str]:
    """Return the serious findings on a page, each with the first elements that it is about."""
    axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
    found = axe_module.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in SERIOUS
    ]


@pytest.mark.parametrize(("dark", "width", "height"), [(False, 1280, 900), (True, 390, 844)])
def test_no_tab_has_a_serious_finding(opened, address, dark, width, height):
    page = opened(f"{address}?model=timm%2Falpha", dark=dark, width=width, height=height)
    wait_for_table(page)
    found = {}
    for name, (title, _) in TABS.items():
        open_tab(page, title)
        page.wait_for_selector(f"{THERE[name]} >> visible=true")
        if said := findings(page):
            found[name] = said
    assert found == {}
