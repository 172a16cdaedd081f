"""The documentation site builds without warnings, shows every metric and public name, and loads nothing remote."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import hf_transfer_score

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site():
    if find_spec("zensical") is None:
        pytest.skip("the site needs pip install '.[docs]'")
    done = subprocess.run(
        [sys.executable, "docs/build_site.py"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / "site"


def test_each_metric_and_public_name_has_its_place(site):
    assert {path.stem for path in (site / "metrics").glob("*.html")} == {"index", *hf_transfer_score.all_metrics()}
    python = (site / "api.html").read_text(encoding="utf-8")
    names = hf_transfer_score.__all__
    missing = [name for name in names if not re.search(rf'id="hf_transfer_score[\w.]*\.{name}"', python)]
    assert missing == [] and "&gt;&gt;&gt;" in python


def test_a_page_loads_nothing_from_elsewhere(site):
    for path in site.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?:https?:)?//[^"]*"', page), path
