"""Charts of models: their data are the numbers given, their words say what is in them, labels cover nothing."""

import itertools
import json
import math
import random
import re
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

from hf_transfer_score.drawing.axes import (
    POINT_RADIUS,
    Axis,
    Box,
    fitting_axis,
    label_size,
    linear_axis,
    log_axis,
    place_labels,
    rank_axis,
)
from hf_transfer_score.drawing.clouds import (
    ModelPoint,
    accuracy_figure,
    collapse_figure,
    front,
    sampled,
    size_figure,
    trend,
)
from hf_transfer_score.drawing.heatmap import BANDS, overlap_figure
from hf_transfer_score.drawing.look import AT_NIGHT, COLOURS, DAY, NIGHT, image_of, specification
from hf_transfer_score.drawing.trust_chart import trust_figure
from hf_transfer_score.drawing.words import shorten
from tests.drawing.charts import HOSTILE, PLAIN, figures, layers_of, marks, overlaps, rows_of, size_points, trust
from tests.reading import Page

EVIL = figures(HOSTILE)
ALL = [*figures(PLAIN).items(), *EVIL.items(), ("many", size_figure(size_points(2000)))]


@pytest.mark.parametrize(("kind", "figure"), ALL)
def test_a_chart_is_valid_and_names_no_address(kind, figure):
    figure.chart.to_dict()  # checked by the schema of Vega-Lite
    told = specification(figure.chart)
    assert not re.search(r'"(url|href|signal)"', json.dumps({**told, "datasets": {}}))


def test_hostile_charts_become_images():
    for figure in EVIL.values():
        ElementTree.fromstring(image_of(figure.chart, "svg"))


@pytest.mark.parametrize("kind", EVIL)
def test_names_are_data_and_words_never_markup_or_expressions(kind):
    told = specification(EVIL[kind].chart)
    expressions = re.findall(r'"(?:expr|filter|labelExpr|test)": "([^"]*)"', json.dumps(told))
    assert not [one for one in expressions if "alert" in one or "evil" in one]
    page = EVIL[kind].words_html()
    seen, allowed = Page(page), "div p strong details summary table caption thead tbody tr th td bdi"
    assert seen.elements <= set(allowed.split())
    assert seen.attributes <= {"class", "tabindex", "role", "aria-label", "scope"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("\u2068") == page.count("\u2069")
    assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066\u2067\u200b-\u200f\ud800-\udfff\ufffe]", page)
    drawn = json.dumps(told, ensure_ascii=False)
    assert not re.search("[\u202a-\u202e\u2066\u2067\u200b-\u200f\ud800-\udfff\ufffe]", drawn)
    assert "\u0301" * 3 not in drawn


@pytest.mark.parametrize(("kind", "figure"), ALL)
def test_charts_have_words_for_those_who_do_not_see_them(kind, figure):
    told = specification(figure.chart)
    assert told["description"].endswith(figure.description) and len(figure.description) > 40
    assert told["usermeta"]["embedOptions"]["renderer"] == "svg", "a canvas has no words for its points"
    described = [layer["encoding"].get("description", {}).get("field") for layer in told["layer"]]
    assert [one for one in described if one] == ["told"]
    hidden = [layer for layer in told["layer"] if layer["mark"]["type"] == "text"]
    assert all(layer["mark"]["aria"] is False for layer in hidden)


@pytest.mark.parametrize(("kind", "figure"), ALL)
def test_at_night_the_look_changes_and_the_data_do_not(kind, figure):
    day, night = (specification(figure.chart, night=dark) for dark in (False, True))
    assert day["datasets"] == night["datasets"]
    assert (day["config"]["background"], night["config"]["background"]) == (DAY["ground"], NIGHT["ground"])
    colours = [set(re.findall(r'"(#\w{6})"', json.dumps({**one, "datasets": 0, "config": 0}))) for one in (day, night)]
    assert colours[1] == {AT_NIGHT.get(one, one) for one in colours[0]} != colours[0]


@pytest.mark.parametrize(("ground", "dark"), [(DAY["ground"], False), (NIGHT["ground"], True)])
def test_numbers_in_cells_are_read_by_day_and_by_night(ground, dark):
    def luminance(colour):
        parts = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))

    def parts(colour):
        return [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]

    main = AT_NIGHT[COLOURS[1]] if dark else COLOURS[1]
    for share in (place / 200 for place in range(10, 201)):
        ink = next(colour for most, _, colour in BANDS if share <= most)
        ink = AT_NIGHT.get(ink, ink) if dark else ink
        cell = [low + (high - low) * share for low, high in zip(parts(ground), parts(main), strict=True)]
        light, dim = sorted((luminance(cell), luminance(parts(ink))), reverse=True)
        assert (light + 0.05) / (dim + 0.05) >= 4.5, share


@pytest.mark.parametrize("width", [300, 760])
@pytest.mark.parametrize("names", [PLAIN, HOSTILE])
def test_names_stay_in_the_chart_and_do_not_cover_each_other(names, width):
    made = figures(names, width)
    for kind in ("size", "terms", "accuracy"):
        told, rows = specification(made[kind].chart), rows_of(made[kind].chart, "text")
        axes = next(one["encoding"] for one in told["layer"] if one["mark"]["type"] == "point")
        x, y = (axis_of(axes[name]["scale"]) for name in "xy")
        boxes = []
        for row in rows:
            across, down = x.share(row["at"]) * told["width"], (1 - y.share(row["high"])) * told["height"]
            wide, high = label_size(row["name"])
            boxes.append(Box(across - wide / 2, down - high / 2, across + wide / 2, down + high / 2))
        assert len(boxes) >= 3
        assert all(box.within(Box(-1e-6, -1e-6, told["width"] + 1e-6, told["height"] + 1e-6)) for box in boxes)
        assert not any(one.meets(other) for one, other in itertools.combinations(boxes, 2))


def axis_of(scale):
    """Return an axis as a specification has it."""
    return Axis("", *scale["domain"], log=scale["type"] == "log", turned=scale["reverse"])


def test_points_and_intervals_are_the_numbers_that_were_given():
    points = [ModelPoint(f"m{place}", 10**place, place, None, (1, place)) for place in range(1, 6)]
    figure = size_figure(points, score="rank", better="low")
    assert marks(figure) == {f"m{place}": (10**place, place) for place in range(1, 6)}
    (bars, rows) = layers_of(figure.chart, "rule")[0]
    assert (bars["encoding"]["y"]["field"], bars["encoding"]["y2"]["field"]) == ("y_low", "y_high")
    assert {row["model"]: (row["y_low"], row["y_high"]) for row in rows if "y_low" in row} == {
        f"m{place}": (1, place) for place in range(2, 6)
    }
    axes = layers_of(figure.chart, "point")[0][0]["encoding"]
    assert axes["x"]["scale"]["type"] == "log" and axes["y"]["scale"]["reverse"] is True
    assert [row["model"] for row in rows][-1] == "m1", "the best is drawn last, on top"


def test_pointing_tells_the_facts_and_the_marked_model_has_a_ring_and_its_name():
    figure = size_figure(size_points(30), marked="owner/model-7")
    asked = size_figure([ModelPoint("a", 1, 1), ModelPoint("b", 2, 2)], score="image").chart
    assert rows_of(asked) and '"title": "image"' not in json.dumps(
        layers_of(asked, "point")[0][0]["encoding"]["tooltip"]
    )
    (layer, rows), (ring, _) = layers_of(figure.chart, "point")
    assert [one["title"] for one in layer["encoding"]["tooltip"][1:]] == ["score", "parameters"]
    assert [row["model"] for row in rows if "marked" in row] == ["owner/model-7"]
    assert ring["transform"] == [{"filter": "datum.marked"}]
    assert "owner/model-7" in [row["name"] for row in rows_of(figure.chart, "text")]
    assert figure.caption.endswith("The ring is owner/model-7.")
    assert len(layers_of(size_figure(size_points(30), marked="nobody").chart, "point")) == 1


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_comparing_all_pairs_finds(seed):
    source = random.Random(seed)
    points = [(source.randint(1, 8), source.randint(1, 8)) for _ in range(25)]
    beaten = {
        place for place, (x, y) in enumerate(points) if any(a <= x and b >= y and (a, b) != (x, y) for a, b in points)
    }
    assert sorted(front(points)) == sorted(set(range(25)) - beaten)


def test_the_front_is_drawn_as_steps_and_said():
    points = [ModelPoint("small", 1e6, 1), ModelPoint("worse", 1e7, 0.5), ModelPoint("large", 1e8, 2)]
    figure = size_figure([*points, ModelPoint("unknown", None, 3), ModelPoint("nan", 5, math.nan)])
    (layer, rows) = layers_of(figure.chart, "line")[0]
    assert layer["mark"]["interpolate"] == "step-after"
    assert [(row["x"], row["y"]) for row in rows] == [(1e6, 1), (1e8, 2)]
    kinds = {row["model"]: row["kind"] for row in rows_of(figure.chart)}
    assert kinds == {"small": "best for its size", "worse": "other models", "large": "best score"}
    assert "2 models of 3 on the front (no smaller model does as well): small (1M) and large (100M)." in figure.caption
    assert "2 models without a score or a parameter count left out." in figure.caption
    assert "Best: large (score 2, parameters 100M)." in figure.description
    assert figure.table.rows[0] == ("large", "2", "100M") and len(figure.table.rows) == 5


def test_the_best_by_score_and_by_accuracy_are_told_apart_by_shape():
    points = [ModelPoint("one", 1, 0.8), ModelPoint("two", 2, 0.9), ModelPoint("three", 3, 0.85)]
    figure = accuracy_figure(points, (-0.25, (-0.5, 0.1)))
    shapes = layers_of(figure.chart, "point")[0][0]["encoding"]["shape"]["scale"]
    kinds = {row["model"]: row["kind"] for row in rows_of(figure.chart)}
    assert len({shapes["range"][shapes["domain"].index(kind)] for kind in kinds.values()}) == 3
    assert figure.title == "Score against measured accuracy: τ_w −0.25 (−0.50 to 0.10)"
    assert "Best by score: three" in figure.caption
    assert "best by measured accuracy: two (measured accuracy 0.9, score 2), 0.05 higher" in figure.caption
    low = accuracy_figure([ModelPoint(f"m{place}", place, 1 - place / 10) for place in range(1, 4)], better="low")
    assert layers_of(low.chart, "point")[0][0]["encoding"]["x"]["scale"]["reverse"] is True
    assert "best by both" in {row["kind"] for row in rows_of(low.chart)}


def test_the_trend_goes_by_order_and_shrugs_off_one_outlier():
    points = [(float(place), place / 10) for place in range(12)]
    clean, spoilt = trend(points), trend([*points[:5], (5.0, 99.0), *points[6:]])
    assert clean == [(float(place), place / 10) for place in range(1, 11)]
    assert max(y for _, y in spoilt) <= 1.1
    assert trend(points[:5]) == []


def test_the_two_terms_are_drawn_with_their_ranks():
    points = [
        ModelPoint("bad", 0.8, -3, rank=3),
        ModelPoint("good", 0.95, -1, rank=1),
        ModelPoint("fair", 0.9, -2, rank=2),
    ]
    figure = collapse_figure([*points, ModelPoint("none", 0.5, None)], notes=["Class fairness is saturated."])
    assert marks(figure) == {"bad": (0.8, -3), "good": (0.95, -1), "fair": (0.9, -2)}
    assert "Best by FaCe: good" in figure.caption
    assert "No other model is better in both terms than good." in figure.caption
    assert figure.caption.endswith("1 model without these terms left out. Class fairness is saturated.")


def test_of_many_points_the_front_the_best_and_a_sample_are_drawn():
    points = size_points(10_000)
    figure = size_figure(points, marked=points[1234].name)
    drawn = marks(figure)
    assert len(drawn) == 1000 and points[1234].name in drawn
    assert {points[place].name for place in front([(point.x, point.y) for point in points])} <= set(drawn)
    assert {point.name for point in sorted(points, key=lambda point: -point.y)[:50]} <= set(drawn)
    assert "1,000 of 10,000 models are drawn" in figure.caption
    assert "first 50 of 10,000 models" in figure.words_html()
    assert figure.words_html().count("<tr>") == 51
    assert len(json.dumps(specification(figure.chart))) < 400_000
    places = sampled(10_000, [9_999])
    assert places == sorted(set(places)) and places[-1] == 9_999
    assert len([place for place in places if place >= 5000]) == pytest.approx(475, abs=60)


def test_an_overlap_is_in_the_row_of_one_class_and_the_column_of_the_other():
    names = ["cat", "dog", "bird", "fish"]
    values = dict(zip(itertools.combinations(range(4), 2), (0.9, 0.1, 0.2, 0.3, 0.4, 0.5), strict=True))
    figure = overlap_figure(names, list(values.values()), model="owner/model")
    assert {(row["first"], row["second"]): row["value"] for row in rows_of(figure.chart, "rect")} == values
    assert [row["name"] for row in rows_of(figure.chart, "text")] == names
    assert [row["text"] for row in layers_of(figure.chart, "text")[1][1]] == [".90", ".10", ".20", ".30", ".40", ".50"]
    assert figure.caption == "Most overlap: cat and dog 0.9; bird and fish 0.5; dog and fish 0.4."
    many = overlap_figure([f"c{place}" for place in range(25)], overlaps(25))
    assert len(rows_of(many.chart, "rect")) == 190 and len(layers_of(many.chart, "text")) == 1


def test_metrics_are_ordered_and_baselines_have_another_shape():
    rows = [trust("low", -0.2, (-0.5, 0.1)), trust("high", 0.8, (0.6, 0.9))]
    figure = trust_figure([*rows, trust("size", 0.3, None, "baseline"), trust("unknown", None)])
    drawn = rows_of(figure.chart)
    assert [(row["metric"], row["value"], row["kind"]) for row in drawn] == [
        ("high", 0.8, "metric"),
        ("size", 0.3, "trivial baseline"),
        ("low", -0.2, "metric"),
    ]
    assert [(row.get("low"), row.get("high")) for row in drawn] == [(0.6, 0.9), (None, None), (-0.5, 0.1)]
    assert layers_of(figure.chart, "point")[0][0]["encoding"]["shape"]["scale"]["range"] == ["circle", "diamond"]
    assert "Best metric: high, τ_w 0.80 (0.60 to 0.90). Best baseline: size, τ_w 0.30." in figure.caption
    assert "1 of 2 metrics above every baseline by value: high." in figure.caption
    assert "1 metric without a comparison left out." in figure.caption


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (size_figure([]), "No model has both score and parameters yet."),
        (
            size_figure([ModelPoint("a", 5e6, 1)]),
            "Only one model has both score and parameters: a (score 1, parameters",
        ),
        (collapse_figure([]), "No model has both variance collapse and class fairness yet."),
        (accuracy_figure([]), "No model has both measured accuracy and score yet."),
        (overlap_figure([], []), "No class overlap is recorded"),
        (trust_figure([]), "No metric was compared with measured accuracy yet."),
    ],
)
def test_nothing_to_draw_is_said(figure, words):
    assert figure.chart is None
    assert words in figure.description and words in figure.words_html()


@pytest.mark.parametrize("count", [2, 9])
def test_strange_numbers_make_no_broken_chart(count):
    source = [1e308, -1e308, 5e-324, 0, -7, 10**400, True, math.inf, "7"]
    points = [ModelPoint(f"m{place}", source[-place], source[place]) for place in range(count)]
    for figure in (size_figure(points), size_figure([ModelPoint("a", 10**400, 0.5), ModelPoint("b", 1, 0.5)])):
        if figure.chart is not None:
            json.dumps(specification(figure.chart), allow_nan=False)


@pytest.mark.parametrize(
    "values",
    [(0.5, 0.5), (0.0, 0.0), (-3.0, -3.0), (-1e300, 1e300), (1e15, 1e15 + 1), (-5.0, 7.0), (0, 1e-200), (99, 100001)],
)
def test_axes_hold_their_values_in_order(values):
    for axis in (linear_axis("", values), linear_axis("", values, turned=True)):
        places = [axis.share(value) for value in sorted(values)]
        assert all(0 < place < 1 for place in places)
        assert places == sorted(places, reverse=axis.turned)
        assert axis.value(axis.share(values[0])) == pytest.approx(values[0], rel=1e-6, abs=abs(values[1]) * 1e-6)


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (log_axis("", (1e6, 1e8)), ["1M", "10M", "100M"]),
        (log_axis("", (2.5e6, 6.32e8)), ["3M", "10M", "30M", "100M", "300M"]),
        (log_axis("", (1e3, 1e12)), ["1K", "100K", "10M", "1B", "100B"]),
        (rank_axis("", [3, 7]), ["1", "2", "3", "4", "5", "6", "7"]),
        (rank_axis("", [1200]), ["1", *(f"{100 * step:,}" for step in range(1, 13))]),
    ],
)
def test_ticks_are_round(axis, expected):
    assert [text for _, text in axis.ticks] == expected
    assert all(0 <= axis.share(value) <= 1 for value, _ in axis.ticks)


def test_negative_values_far_apart_are_spread_by_their_size():
    axis = fitting_axis("", [-1000.0, -1.0, -0.1])
    assert axis.share(-1000) < axis.share(-10) < axis.share(-0.1)
    assert axis.share(-10) - axis.share(-100) == pytest.approx(axis.share(-1) - axis.share(-10))
    assert axis.value(axis.share(-10)) == pytest.approx(-10)
    assert [text for _, text in axis.ticks][:2] == ["−1,000", "−100"]
    assert not fitting_axis("", [-3.0, -1.0]).log


def test_names_are_shortened():
    assert shorten("facebook/" + "x" * 100, 22).count("…") == 1
    assert len(shorten("W" * 100, 22)) == 22
    assert shorten("owner/" + "n" * 20, 22) == "…/" + "n" * 20


@pytest.mark.parametrize("seed", range(5))
def test_labels_cover_no_point_and_no_label(seed):
    rng = np.random.default_rng(seed)
    points = [(float(x), float(y)) for x, y in rng.uniform((60, 20), (940, 480), (30, 2))]
    sizes = [(float(width), 14.0) for width in rng.uniform(40, 260, 30)]
    frame = Box(50, 10, 950, 490)
    places = place_labels(points, sizes, [], frame)
    boxes = [place.box for place in places if place is not None]
    assert len(boxes) > 20
    assert all(box.within(frame) for box in boxes)
    assert not any(one.meets(other) for one, other in combinations(boxes, 2))
    for x, y in points:
        point = Box(x - POINT_RADIUS, y - POINT_RADIUS, x + POINT_RADIUS, y + POINT_RADIUS)
        assert not any(box.meets(point) for box in boxes)
    for place, (width, height) in zip(places, sizes, strict=True):
        if place is not None:
            assert place.box.right - place.box.left == pytest.approx(width)
            assert place.box.bottom - place.box.top == pytest.approx(height)


def test_labels_without_room_are_left_out_and_bars_are_avoided():
    frame = Box(0, 0, 300, 100)
    assert place_labels([(150, 50)], [(400, 14)], [], frame) == [None]
    free = place_labels([(150, 50)], [(100, 14)], [], frame)[0]
    assert free.box.left > 150
    assert free.line is None
    beside = place_labels([(150, 50)], [(100, 14)], [Box(180, 0, 184, 100)], frame)[0]
    assert beside.box.right < 150
