"""The app without a browser: what it loads, what its parts say, and its answers over HTTP."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from hf_transfer_score.leaderboard.boards.board import BoardRow
from hf_transfer_score.leaderboard.library import LibraryStatus
from hf_transfer_score.leaderboard.pages import board_tab
from hf_transfer_score.leaderboard.pages.board_table import (
    card_html,
    columns_of,
    head_html,
    notes_html,
    shown_labels,
    status_html,
    table_value,
)
from hf_transfer_score.leaderboard.pages.texts import escape, hub_url, number, plain
from hf_transfer_score.leaderboard.pages.view import (
    Choices,
    View,
    fitting,
    groups_text,
    list_text,
    plain_query,
    read_view,
    remarks_on,
)
from tests.leaderboard.browser.records import NAMES, hostile, pool
from tests.leaderboard.made import board, catalogue, metric, score
from tests.reading import Page

STARTED = """
import json, sys, tempfile
from hf_transfer_score.leaderboard.starting import build, library_of
library = library_of(None)
library.refresh()
app = build(None, tempfile.mkdtemp())
try:
    import matplotlib  # as gradio does before it answers
except ImportError:
    pass
own = [
    f"{app.blocks[block].elem_id} {event}"
    for fn in app.fns.values()
    for block, event in fn.targets
    if event != "tick" and block in {output._id for output in fn.outputs}
]
quiet = [fn for fn in app.fns.values() if fn.show_progress == "hidden"]
copied = sorted({type(one).__name__ for fn in quiet for one in fn.show_progress_on or fn.outputs})
loaded = [name for name in sys.argv[1:] if sys.modules.get(name)]
print(json.dumps([library.status.records, len(app.fns), loaded, own, copied]))
"""


def test_it_loads_neither_models_nor_pictures_and_answers_no_control_with_itself():
    heavy = ["torch", "transformers", "timm", "datasets", "evaluate", "altair", "accelerate", "matplotlib"]
    done = subprocess.run([sys.executable, "-c", STARTED, *heavy], capture_output=True, text=True, check=True)
    records, events, loaded, own, copied = json.loads(done.stdout.splitlines()[-1])
    assert records > 1000 and events > 20
    assert loaded == []
    assert own == []
    assert copied == ["State"], "the browser copies what an event reports its progress on"


@pytest.fixture(scope="module")
def pets():
    made = catalogue(pool())
    return made.board(made.boards()[0].key)


def test_the_table_says_what_the_board_holds(pets):
    columns = columns_of(pets, ["scores", "ranks", "terms", "intervals", "facts", "run"])
    value = table_value(columns, pets.rows, shown_labels(pets.rows))
    first = dict(zip(value["headers"], value["metadata"]["display_value"][0], strict=True))
    row = pets.rows[0]
    assert first["Model"] == NAMES[0] and first["Rank"] == "1"
    assert first["Chance to be best"] == "100%" and first["Points below the best"] == "0.0"
    assert first["face: variance_collapse ↑"] == "-1.000"
    assert first["face: variance_collapse ↑ interval"] == "-1.010 to -0.9900"
    assert first["Measured"] == "95.00%" and first["Expected accuracy"] == "95.0%"
    assert first["Parameters"] == "10M" and first["Date"] == "2025-01-01"
    numbers = dict(zip(value["headers"], value["data"][0], strict=True))
    assert numbers["face"] == row.scores["face"] and numbers["logme rank"] == row.ranks["logme"]
    assert all(len(line) == len(columns) for line in value["data"] + value["metadata"]["display_value"])


def test_other_settings_of_a_metric_are_shown_on_request_alone():
    settings = ["logme", metric("logme", pca="none"), metric("gbc", pca=64)]
    made = board([score(name, one, 0.5 + place) for name in "abc" for place, one in enumerate(settings)])
    usual = [column.header for column in columns_of(made, ["scores", "ranks"])]
    assert "logme" in usual and "gbc" in usual
    assert not any("pca=none" in one for one in usual)
    whole = [column.header for column in columns_of(made, ["scores", "ranks", "settings"])]
    assert [one for one in whole if one not in usual] == ["logme (pca=none)", "logme (pca=none) rank"]
    assert "gbc" in card_html(made, made.rows[0]) and "pca=none" not in card_html(made, made.rows[0])


def test_a_column_without_values_has_dashes_and_no_numbers(pets):
    columns = columns_of(pets, ["run"])
    value = table_value(columns, pets.rows, shown_labels(pets.rows))
    place = value["headers"].index("Examples/s")
    assert {line[place] for line in value["data"]} == {None}
    assert {line[place] for line in value["metadata"]["display_value"]} == {"–"}


def test_names_that_read_the_same_are_told_apart():
    rows = [BoardRow("a/b", "a/b"), BoardRow("a/\u200bb", "a/\u200bb"), BoardRow("x" * 400 + "1", ""), BoardRow("", "")]
    labels = shown_labels([*rows, BoardRow("x" * 400 + "2", "")])
    assert labels[:2] == ["a/b", "a/b #2"] and len(set(labels)) == 5 and labels[3] == "–"


def test_a_view_comes_back_from_its_address(pets):
    view = View(
        "alpha beta",
        ("ranks",),
        ("timm_images",),
        ("mit",),
        1.5,
        20.0,
        "2025-01-01",
        "score:logme",
        turned=True,
        by="metrics",
    )
    written = {
        "search": view.search,
        "columns": groups_text(view.groups),
        "libraries": list_text(view.libraries),
        "licenses": list_text(view.licenses),
        "smallest": "1.5",
        "largest": "20",
        "since": view.since,
        "sort": view.sort,
        "by": view.by,
        "order": "reversed",
    }
    known = (Choices(["timm_images", "other"], ["mit", "x"]), ["rank", "score:logme"])
    assert read_view(written, *known) == view
    assert read_view({}, *known) == View()
    wrong = dict.fromkeys(written, "\u0000<b>")
    assert read_view(wrong, *known) == View(groups=())
    assert fitting(replace(view, licenses=("gpl",), sort="score:gone"), pets) == replace(view, licenses=(), sort="rank")


def test_filters_that_make_no_sense_are_said():
    assert remarks_on(View(since="soon", smallest=5, largest=2)) == [
        "“soon” is not a day such as 2025-01-31, so it is ignored.",
        "No model has at least 5 and at most 2 million parameters.",
    ]


def test_a_query_is_kept_short():
    found = plain_query({"board": "a", "x": "y" * 5000, "list": ["a"], **{str(n): "v" for n in range(99)}})
    assert found["board"] == "a" and "x" not in found and "list" not in found and len(found) == 40


def test_addresses_are_made_of_names_of_the_hub_only():
    commit = "a" * 40
    assert hub_url("timm/resnet18.a1_in1k", commit).endswith(f"/timm/resnet18.a1_in1k/tree/{commit}")
    assert hub_url("timm/resnet18", "main").endswith("/timm/resnet18")
    assert hub_url("owner/pets", kind="datasets/").endswith("/datasets/owner/pets")
    for name in (
        "a b/c",
        "a/b/c",
        "javascript:alert(1)",
        "a/b?x",
        "a/b#x",
        "../x",
        "a/..",
        "é/x",
        "a/b\n",
        "",
        "/b",
        "a/",
    ):
        assert hub_url(name) is None, name


def test_foreign_text_stays_text():
    assert escape('<a href="x">\u202e&') == "<bdi>&lt;a href=&quot;x&quot;&gt;&amp;</bdi>"
    assert plain("a\u0000\u200b\ud800b\r\n\tc") == "ab c"
    assert len(plain("x" * 10**6)) == 300


@pytest.mark.parametrize(
    "made", [head_html, lambda one: notes_html(one, one.rows), lambda one: card_html(one, one.rows[3])]
)
def test_html_around_a_table_has_no_foreign_element(made):
    page = Page(made(board(hostile())))
    ours = "div h2 h3 dl dt dd bdi p b ul li details summary a code"
    assert page.elements <= set(ours.split())
    assert page.attributes <= {"class", "aria-label", "href", "target", "rel"}


def test_numbers_read_well():
    assert [number(one) for one in (0.5, -1.0, 12.345678, 123456.0, 0.0, 1e-9, 2e15)] == [
        *("0.5000", "-1.000", "12.35", "123,456", "0", "1e-09", "2.000e+15")
    ]


def test_downloads_do_not_pile_up(monkeypatch):
    first = board_tab.download_file("a.csv", "one\r\n")
    assert first.read_bytes() == b"one\r\n" and board_tab.download_file("a.csv", "one\r\n") == first
    monkeypatch.setattr(board_tab, "KEPT_SECONDS", -1.0)
    second = board_tab.download_file("a.csv", "two")
    assert second.read_text() == "two" and not first.exists()


def test_the_status_says_how_far_it_is():
    loading = LibraryStatus("owner/results", done=12_000, total=100_000)
    assert status_html(loading) == "<p>Reading <bdi>owner/results</bdi> · 12,000 of 100,000 records read</p>"
    ready = LibraryStatus("owner/results", "v", 1500, 2, loading=False, error="<no>")
    assert "1,500 records · 2 files left out" in status_html(ready) and "<bdi>&lt;no&gt;</bdi>" in status_html(ready)
