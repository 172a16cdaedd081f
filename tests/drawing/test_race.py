"""The chart of a race: it shows the curves as they are, and names cannot do harm."""

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from hf_transfer_score.drawing.files import save_race
from hf_transfer_score.drawing.look import image_of, specification
from hf_transfer_score.drawing.race_chart import Curves, RaceCurve, race_chart
from hf_transfer_score.drawing.words import printable
from tests.drawing.charts import HOSTILE, layers_of, rows_of

WHY = "clearly behind: 40.0% of the validation rows right, a has 90.0%"
RACE = Curves(
    (
        RaceCurve("o/a", (0.5, 0.7, 0.9, 0.8), 1e-3, None, ended=True),
        RaceCurve("o/b", (0.6, 0.75, 0.8, 0.85), 3e-3, None, ended=False),
        RaceCurve("o/c", (0.3, 0.4), 1e-3, WHY, ended=False),
    ),
    (1, 2, 4, 8),
    won=True,
    dataset="owner/pets",
    proof="It has 88.0% of 100 test rows right.",
)


def raced(names, passes=6, **changes):
    rng = np.random.default_rng(0)
    curves = tuple(
        RaceCurve(
            printable(name),
            tuple(np.sort(rng.random(passes)).tolist()),
            1e-3,
            "too slow" if place else None,
            ended=False,
        )
        for place, name in enumerate(names)
    )
    return Curves(curves, (1, 2, 4, 8), **{"won": True, **changes})


def test_the_points_are_the_curves_and_those_that_went_are_thin_and_end_there():
    chart = race_chart(RACE)
    drawn = {}
    for row in rows_of(chart):
        drawn.setdefault(row["model"], []).append((row["x"], row["y"], row["look"], row["became"]))
    assert {name: tuple(y for _, y, _, _ in rows) for name, rows in drawn.items()} == {
        one.name: one.accuracies for one in RACE.curves
    }
    assert [x for x, *_ in drawn["o/c"]] == [1, 2]
    assert {look for _, _, look, _ in drawn["o/c"]} == {"soft"} and drawn["o/c"][0][3] == f"dropped out: {WHY}"
    widths = {layer["transform"][0]["filter"]: layer["mark"]["strokeWidth"] for layer, _ in layers_of(chart, "line")}
    assert {f"datum.width == {width}" for width in widths.values()} == set(widths)
    of = {row["model"]: row["width"] for row in rows_of(chart)}
    assert of["o/c"] < of["o/b"] < of["o/a"]
    (kept,) = [row for row in rows_of(chart) if "kept" in row]
    assert (kept["model"], kept["x"]) == ("o/a", 3)
    names = {row["name"]: row["weight"] for row in rows_of(chart, "text")}
    assert names == {"o/a": "bold", "o/b": "normal", "o/c": "normal"}
    assert "o/a won at the learning rate 0.001, with 90.0% of the validation rows right" in RACE.title
    assert "Dropped out: o/c." in chart.to_dict()["description"]


def test_only_passes_that_were_run_have_a_number():
    told = race_chart(RACE).to_dict()
    ticks = [one["encoding"]["x"]["axis"]["values"] for one, _ in layers_of(race_chart(RACE), "line")]
    assert ticks == [[1, 2, 4]] * len(ticks) and told["$schema"].startswith("https://vega.github.io")


CASES = {
    "usual": RACE,
    "hostile": raced(HOSTILE),
    "one pass": raced(["o/a", "o/b"], passes=1),
    "alone": raced(["o/a"]),
    "nobody won": raced(["o/a", "o/b"], won=False),
    "sixty": raced([f"o/model-{place}" for place in range(60)]),
}


@pytest.mark.parametrize("case", CASES)
def test_it_can_be_drawn_by_day_and_by_night(case):
    chart = race_chart(CASES[case])
    chart.to_dict()  # is checked by the schema
    root = ElementTree.fromstring(image_of(chart, "svg"))
    assert not [one for one in root.iter() if one.tag.endswith(("script", "image", "a"))]
    pixels = np.asarray(Image.open(io.BytesIO(image_of(chart, "png"))).convert("L"), dtype=float)
    assert (pixels < 120).sum() > 500 and (pixels > 250).mean() > 0.5
    day, night = specification(chart), specification(chart, night=True)
    assert day["datasets"] == night["datasets"] and "#0072b2" in str(day) and "#4aa3e0" in str(night)


def test_names_do_not_cover_each_other_where_many_finish():
    rows = rows_of(race_chart(CASES["sixty"]), "text")
    assert 5 < len(rows) <= 12 and len({(row["at"], row["high"]) for row in rows}) == len(rows)


def test_a_page_has_all_finalists_in_its_table(tmp_path):
    save_race(CASES["hostile"], tmp_path / "race.html")
    body = (tmp_path / "race.html").read_text(encoding="utf-8").partition("<body>")[2].partition("<script>")[0]
    assert body.count('scope="row"') == len(HOSTILE) or body.count("<tr>") == len(HOSTILE) + 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body and "<img" not in body and "dropped out: too slow" in body
