"""Pictures of rankings: what they show is what the ranking says, and names cannot do harm."""

import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from hf_transfer_score.drawing.files import check_plot_path, save_plot
from hf_transfer_score.drawing.rank_chart import MOVED, STEP, _apart, picture_of, rank_chart
from hf_transfer_score.errors import OptionError
from hf_transfer_score.ranking.board import board_of
from hf_transfer_score.runs.report import RankReport
from hf_transfer_score.text import short_count
from tests.drawing.charts import layers_of, rows_of
from tests.leaderboard.made import model, score, table
from tests.reading import Page
from tests.runs.reports import Made, classified, measured, report_of

HOSTILE = [
    "<script>alert(1)</script>",
    "a\"onload='x'&amp;<b>",
    "$\\frac{1$ %s {} {0}",
    "n" * 300,
    "名前/模型",
    "a\x1b[31m\u202egnp\nb\x00",
    "half a \udcff letter",
    "]]>--><!--",
]


def pool(count: int) -> list[Made]:
    rng = np.random.default_rng(3)
    sizes = (10 ** rng.uniform(6, 9, count)).astype(int).tolist()
    return [Made(f"owner/model-{number:02d}", 0.6 + 1.2 * rng.random(), size) for number, size in enumerate(sizes)]


@pytest.fixture(scope="module")
def twelve() -> RankReport:
    return report_of([*pool(12), Made("private/x", kind="gated")], classified(revision="d" * 40))


@pytest.fixture(scope="module")
def hostile() -> RankReport:
    models = [Made(name, 0.6 + number / 8, 10**6 * (number + 1)) for number, name in enumerate(HOSTILE)]
    failed = Made("<img src=x>", kind="error", known={"reason": "<iframe src='//e'>"})
    return report_of([*models, failed], classified("<script>d</script>$\\frac{1$", revision="d" * 40))


@pytest.fixture(scope="module")
def cases(twelve, hostile) -> dict[str, RankReport]:
    three = pool(3)
    return {
        "twelve": twelve,
        "hostile": hostile,
        "none": report_of([Made("a/b", kind="missing")]),
        "one": report_of(three[:1]),
        "unsure": report_of(three, replicates=0),
        "sizeless": report_of([replace(one, parameters=None) for one in three]),
        "some sizeless": report_of([replace(three[0], parameters=0), replace(three[1], parameters=None), three[2]]),
        "regression": report_of(three, measured()),
        "same size": report_of([replace(one, parameters=10**6) for one in three]),
        "equal": report_of([Made("a/b", 0.0, 10**6), Made("a/c", 0.0, 10**6)]),
    }


CASES = ["twelve", "hostile", "none", "one", "unsure", "sizeless", "some sizeless", "regression", "same size", "equal"]


def page_text(report: RankReport, folder: Path) -> str:
    save_plot(report, folder / "a.html")
    return (folder / "a.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_an_image_shows_something(case, cases, tmp_path):
    save_plot(cases[case], tmp_path / "new" / "a.png")
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 300
        pixels = np.asarray(image.convert("L"), dtype=float)
    assert (pixels < 120).sum() > 500  # dark ink
    assert (pixels > 250).mean() > 0.5  # on white ground
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


@pytest.mark.parametrize("case", ["twelve", "hostile", "none"])
def test_a_vector_image_is_well_formed(case, cases, tmp_path):
    save_plot(cases[case], tmp_path / "a.SVG")
    image = (tmp_path / "a.SVG").read_bytes()
    assert (b"#0072b2" in image) is (case != "none"), "tie groups have their colour"
    root = ElementTree.fromstring(image)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not [one for one in root.iter() if one.tag.endswith("script")]


@pytest.mark.parametrize("case", CASES)
def test_a_page_names_no_other_file(case, cases, tmp_path):
    page = Page(page_text(cases[case], tmp_path))
    allowed = "html head meta title style body main h1 h2 p div ul li table thead tbody tr th td script"
    assert page.elements <= set(allowed.split())
    assert not [name for name in page.attributes if name.startswith("on") or name in ("src", "href", "style")]
    policy = next(one["content"] for tag, one in page.tags if tag == "meta" and "http-equiv" in one)
    assert policy.startswith("default-src 'none'; ") and "http" not in policy


def test_names_are_shown_and_never_read_as_markup(hostile, tmp_path):
    text = page_text(hostile, tmp_path)
    assert text.count("<script>") == 2, "the library that draws, and what it draws"
    for wrong in ("<script>a", "<img", "<iframe", "\x1b", "\u202e"):
        assert wrong not in text.partition("<body>")[2].partition("</main>")[0]
        assert wrong not in text.rpartition("<script>")[2]
    page = Page(text)
    cells = [data for tag, data in page.data if tag == "th"]
    for name in (
        "<script>alert(1)</script>",
        "a\"onload='x'&amp;<b>",
        "n" * 300,
        "名前/模型",
        "]]>--><!--",
        "<img src=x>",
    ):
        assert name in cells
    assert ("td", "<iframe src='//e'>") in page.data
    assert ("h1", "<script>d</script>$\\frac{1$: 60 examples, 4 classes") in page.data


def test_pointing_at_a_model_tells_all_that_is_known(twelve):
    chart = rank_chart(picture_of(twelve))
    rows = rows_of(chart)
    assert [row["model"] for row in rows][::-1] == list(twelve.ranks)
    best = next(iter(twelve.ranks))
    told = rows[-1]["told"].split(", ")
    low, high = twelve.confidence.ranges[best]
    for fact in (
        "rank: 1",
        f"rank range: {low}-{high}" if high > low else f"rank range: {low}",
        f"mean rank: {twelve.mean_ranks[best]:.1f}",
        f"ncti: {twelve.pools['ncti'].scores[best]:.4g}",
        f"face: {twelve.pools['face'].scores[best]:.4g}",
        "width: 12",
        f"examples per second: {short_count(twelve.models[best].throughput)}",
        "ms for one example: 12.5",
    ):
        assert fact in told
    encoding = layers_of(chart, "point")[0][0]["encoding"]
    titles = [one.get("title") for one in encoding["tooltip"]]
    assert {"rank", "mean rank", "ncti", "face", "parameters", "width"} <= set(titles)
    assert encoding["description"]["field"] == "told", "for who hears a page"


def test_models_are_drawn_against_their_speed(twelve, cases):
    cloud = picture_of(twelve, "throughput").cloud
    assert cloud.x.title.startswith(
        "examples per second on a processor (2 threads)\ndashed: the best rank at this speed"
    )
    assert {mark.name: mark.x for mark in cloud.marks} == pytest.approx(
        {name: one.throughput for name, one in twelve.models.items() if name in twelve.ranks}, rel=0.1
    )
    speeds, ranks = zip(*cloud.path, strict=True)
    assert list(speeds) == sorted(speeds, reverse=True), "from fast to slow"
    assert list(ranks) == sorted(ranks, reverse=True) and ranks[-1] == 1, "better and better"
    (lines,) = layers_of(rank_chart(picture_of(twelve, "throughput")), "line")
    assert lines[0]["encoding"]["order"]["field"] == "place"
    unmeasured = {name: replace(one, extraction={}) for name, one in twelve.models.items()}
    cloud = picture_of(replace(twelve, models=unmeasured), "throughput").cloud
    assert cloud.side is not None and cloud.path == ()


def test_what_is_drawn_is_explained(twelve, cases):
    encoding = layers_of(rank_chart(picture_of(twelve)), "point")[0][0]["encoding"]
    assert encoding["x"]["title"] == ["parameters", "dashed: the best rank up to this size"]
    assert encoding["color"]["legend"]["title"].startswith("Models of one colour and shape")
    alone = rank_chart(picture_of(cases["one"])).to_dict()
    assert all("dashed" not in str(layer) for layer in alone["layer"])


def test_points_of_the_chart_are_the_ranking(twelve):
    cloud = picture_of(twelve).cloud
    assert cloud.y.share(1) > cloud.y.share(2), "1 is on top"
    for row in rows_of(rank_chart(picture_of(twelve))):
        assert row["y"] == twelve.ranks[row["model"]]
        low, high = twelve.confidence.ranges[row["model"]]
        assert (row.get("y_low", low), row.get("y_high", low)) == (low, high)
        aside = cloud.x.share(row["x"]) - cloud.x.share(twelve.models[row["model"]].parameters)
        assert abs(aside) < 4 * STEP


def test_a_page_has_all_models_in_its_table(twelve, tmp_path):
    page = Page(page_text(twelve, tmp_path))
    assert "prefers-color-scheme: dark" in next(data for tag, data in page.data if tag == "style")
    rows = [data for tag, data in page.data if tag == "th" and "/" in data]
    assert rows == [*twelve.ranks, "private/x"]
    assert {("td", "gated"), ("td", "is gated")} <= set(page.data)
    table = (tmp_path / "a.html").read_text(encoding="utf-8").split("<tbody>")[1].split("</tbody>")[0]
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)<", line) for line in table.strip().splitlines()]
    for row, (name, rank) in zip(rows, twelve.ranks.items(), strict=True):
        low, high = twelve.confidence.ranges[name]
        assert row[:3] == [name, str(rank), f"{low}-{high}" if high > low else str(low)]
        assert row[4] == f"{twelve.mean_ranks[name]:.1f}"


def test_ranges_are_told_only_where_there_are_any(cases, tmp_path):
    for case in ("unsure", "one"):
        text = page_text(cases[case], tmp_path)
        assert "bootstrap" not in text.partition("<script>")[0]
        assert "rank range" not in [data for tag, data in Page(text).data if tag == "th"]
        assert not [row for row in rows_of(rank_chart(picture_of(cases[case]))) if "y_low" in row]


def test_the_title_says_what_was_ranked_and_how(cases):
    picture = picture_of(cases["twelve"])
    assert picture.title == "owner/pets: 60 examples, 4 classes"
    assert picture.subtitle == (
        "ranked by the mean rank of ncti and face; bars hold the rank in 90% of 20 bootstrap samples"
    )
    assert picture.remark == "1 model without a rank"
    assert picture_of(cases["regression"]).title == "prices: 60 examples, regression"
    assert picture_of(cases["regression"]).subtitle.startswith("ranked by logme_regression; bars")
    assert picture_of(cases["none"]).subtitle == "No model could be ranked."


def test_models_without_a_count_stand_at_the_side(cases):
    cloud = picture_of(cases["some sizeless"]).cloud
    assert cloud.x.title.split("\n")[0] == "parameters (2 models without a count at the side)"
    known = [bool(cases["some sizeless"].models[mark.name].parameters) for mark in cloud.marks]
    assert [mark.x < cloud.side for mark in cloud.marks] == known
    assert sum(known) == 1
    assert cloud.x.ticks[-1][1] == "not known"
    assert picture_of(cases["twelve"]).cloud.side is None


def test_without_any_count_the_width_takes_its_place(cases):
    cloud = picture_of(cases["sizeless"]).cloud
    assert cloud.x.title == "width of the features (no parameter counts are known)"
    assert [mark.x for mark in cloud.marks] == pytest.approx([12, 12, 12], rel=0.05)


def test_the_front_holds_what_no_smaller_model_beats(twelve):
    known = {name: (twelve.models[name].parameters, rank) for name, rank in twelve.ranks.items()}
    expected = [
        name
        for name, (size, rank) in known.items()
        if not any(other != name and known[other][0] <= size and known[other][1] <= rank for other in known)
    ]
    cloud = picture_of(twelve).cloud
    places = {mark.name: (mark.x, mark.y) for mark in cloud.marks}
    assert 1 < len(expected) < 12
    assert sorted(cloud.path) == sorted(places[name] for name in expected)


def test_the_front_of_equal_sizes_is_the_best_alone(cases):
    cloud = picture_of(cases["same size"]).cloud
    assert cloud.path == ((cloud.marks[0].x, 1),)
    ends = {mark.name: mark.upwards or (mark.y, mark.y) for mark in cloud.marks}
    meeting = [
        (one, other)
        for one, other in combinations(cloud.marks, 2)
        if ends[one.name][0] <= ends[other.name][1] and ends[other.name][0] <= ends[one.name][1]
    ]
    assert meeting, "else nothing is proved"
    gaps = [abs(cloud.x.share(one.x) - cloud.x.share(other.x)) for one, other in meeting]
    assert min(gaps) > 0.5 * STEP, "bars of one size stand apart"


def test_tie_groups_have_the_letters_of_the_table(twelve):
    groups = {"m1": 1, "m2": 2, "m3": 2, "m4": 3, "m5": 4, "m6": 4}
    names = list(twelve.ranks)[:6]
    sure = replace(twelve.confidence, groups=dict(zip(names, groups.values(), strict=True)))
    short = replace(twelve, confidence=sure, ranks={name: place + 1 for place, name in enumerate(names)})
    cloud = picture_of(short).cloud
    assert [mark.kind for mark in cloud.marks] == ["", "a", "a", "", "b", "b"]
    assert [kind.words for kind in cloud.kinds.values()] == ["not tied: 2", "a: 2 models", "b: 2 models"]


def test_layers_are_drawn_across():
    models = [
        Made(f"{model} [layer {layer}]", 1.5 - layer / 10, known={"model": model, "layer": str(layer)})
        for model in ("owner/a", "owner/b")
        for layer in (0, 2, 10)
    ]
    report = report_of(models, replicates=0)
    chart = rank_chart(picture_of(report))
    encoding = layers_of(chart, "point")[0][0]["encoding"]
    assert encoding["x"]["scale"]["domain"] == ["0", "2", "10"], "from the input to the output, not by letters"
    assert encoding["y"]["title"] == ["mean rank by ncti and face, lower is better"]
    drawn = {(row["model"], row["layer"]): row["value"] for row in rows_of(chart, "line")}
    assert drawn == {
        (report.models[name].model, report.models[name].layer): report.mean_ranks[name] for name in report.ranks
    }
    (best,) = [row for row in rows_of(chart) if "best" in row]
    assert (best["model"], best["layer"]) == (report.best.model, report.best.layer)
    alone = rank_chart(picture_of(report_of(models, replicates=0, headline=["ncti"])))
    assert layers_of(alone, "point")[0][0]["encoding"]["y"]["title"] == ["pool score of ncti, higher is better"]


def test_of_many_models_only_the_best_have_labels():
    report = report_of(pool(45), replicates=0)
    shown = {row["name"] for row in rows_of(rank_chart(picture_of(report)), "text")}
    assert 12 < len(shown) <= 20 and shown <= set(list(report.ranks)[:20])


@pytest.mark.parametrize("name", ["a.pdf", "a", "a.png.gz", "html"])
def test_other_endings_are_refused_before_the_run(name, twelve, tmp_path):
    with pytest.raises(OptionError, match=r"has to end in \.png, \.svg or \.html"):
        check_plot_path(tmp_path / name)
    with pytest.raises(OptionError, match=re.escape(name)):
        save_plot(twelve, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_refused_before_the_run(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="is a folder"):
        check_plot_path(tmp_path / "folder.png")
    with pytest.raises(OptionError, match="is a file, so nothing can be written below it"):
        check_plot_path(tmp_path / "file" / "a.png")
    check_plot_path(tmp_path / "new" / "deeper" / "a.PNG")
    check_plot_path(Path("a.html"))


def test_layers_of_strangers_become_an_image(tmp_path):
    layers = ["\x00", "\ufffe\x0b", "\u202e<script>", "last"]
    stored = table([score(model("owner/a", layer=layer), "knn", number / 8) for number, layer in enumerate(layers)])
    save_plot(board_of([stored], "owner/pets"), tmp_path / "a.svg")
    assert ElementTree.fromstring((tmp_path / "a.svg").read_bytes()) is not None
    assert "\u202e" not in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_each_model_is_looked_up_once_however_many_there_are(monkeypatch):
    stored = [score(f"owner/m{number}", "linear_probe", number / 100, used={"rows": 50}) for number in range(40)]
    ranking, seen = board_of([table(stored)], "owner/pets"), []
    one_of = type(ranking).probe_of
    monkeypatch.setattr(type(ranking), "probe_of", lambda *given: seen.append(given) or one_of(*given))
    assert "probe" in picture_of(ranking).head and len(seen) <= 2 * 40
    assert _apart([(0.5, 1, 9)] * (MOVED + 2))[-2:] == [0.5, 0.5], "only the best of very many models are moved"
