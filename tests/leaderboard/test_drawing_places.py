"""Where things are in a picture, compared with a ruler, with all pairs, and with what is said."""

import itertools
import math
import random
import re
from dataclasses import replace

import numpy as np
import pytest

from hf_transfer_score.errors import InputError
from hf_transfer_score.leaderboard.boards.board import (
    Board,
    BoardColumn,
    BoardKey,
    BoardRow,
    BoardSummary,
    ColumnNumbers,
    RowNumbers,
)
from hf_transfer_score.leaderboard.drawing import (
    AccuracyPoint,
    Agreement,
    SizePoint,
    TermPoint,
    TrustRow,
    accuracy_figure,
    board_accuracy_figure,
    board_collapse_figure,
    board_size_figure,
    collapse_figure,
    overlap_figure,
    record_overlap_figure,
    size_figure,
    trust_figure,
)
from hf_transfer_score.leaderboard.drawing.accuracy import trend
from hf_transfer_score.leaderboard.drawing.cloud import front, sampled
from hf_transfer_score.results.record import RecordedOverlap
from tests.leaderboard.pictures import SVG, marks, overlaps, parsed, size_points, texts


def test_points_lie_where_a_ruler_says():
    points = [SizePoint("a", 1, 1e6), SizePoint("b", 2, 1e7), SizePoint("c", 3, 1e9), SizePoint("d", 2.5, 1e8)]
    svg = size_figure(points).svg
    found, ticks = marks(svg), {node.text: node for node in texts(svg, "hts-tick")}
    assert float(ticks["10M"].get("x")) == pytest.approx(found["b"][0], abs=0.06)
    (xa, ya), (xb, yb), (xc, yc), (xd, yd) = (found[name] for name in "abcd")
    assert (xb - xa, xd - xb, xc - xd) == pytest.approx([(xc - xa) / 3] * 3, abs=0.11)
    assert (ya - yb, yb - yd, yd - yc) == pytest.approx([(ya - yc) / 2, (ya - yc) / 4, (ya - yc) / 4], abs=0.11)
    across = [float(line.get("x1")) for line in parsed(svg).iter(f"{SVG}line") if line.get("class") == "hts-base"]
    assert across[0] < xa < xc < 640


def test_ranks_have_the_best_on_top_and_whiskers_between_the_places_they_allow():
    points = [SizePoint(f"m{place}", place, 10**place, (1, place)) for place in range(1, 6)]
    svg = size_figure(points, score="rank", best="low").svg
    found = marks(svg)
    assert found["m1"][1] < found["m3"][1] < found["m5"][1]
    lines = [line for line in parsed(svg).iter(f"{SVG}line") if "hts-whisker" in line.get("class")]
    spans = {float(line.get("x1")): sorted((float(line.get("y1")), float(line.get("y2")))) for line in lines}
    last = next(span for x, span in spans.items() if abs(x - found["m5"][0]) < 0.1)
    assert last == pytest.approx([found["m1"][1], found["m5"][1]], abs=0.06)
    assert {node.text for node in texts(svg, "hts-tick")} >= {"1", "2", "3", "4", "5"}


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_comparing_all_pairs_finds(seed):
    source = random.Random(seed)
    points = [(source.randint(1, 8), source.randint(1, 8)) for _ in range(25)]
    beaten = {
        place for place, (x, y) in enumerate(points) if any(a <= x and b >= y and (a, b) != (x, y) for a, b in points)
    }
    assert sorted(front(points)) == sorted(set(range(25)) - beaten)


def test_the_front_is_drawn_as_steps_and_said():
    points = [SizePoint("small", 1, 1e6), SizePoint("worse", 0.5, 1e7), SizePoint("large", 2, 1e8)]
    figure = size_figure([*points, SizePoint("unknown", 3, None), SizePoint("nan", math.nan, 5)])
    found = marks(figure.svg)
    assert set(found) == {"small", "worse", "large"}
    line = next(parsed(figure.svg).iter(f"{SVG}polyline"))
    bends = [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
    (xs, ys), (xl, yl) = found["small"], found["large"]
    assert bends[:3] == [(xs, ys), (xl, ys), (xl, yl)]
    assert "2 models of 3 on the front (no smaller one does as well): small (1M) and large (100M)." in figure.caption
    assert "2 models without a score or a parameter count left out." in figure.caption
    assert "Best: large (score 2, parameters 100M)." in figure.description


def test_the_best_by_score_and_by_accuracy_are_told_apart_by_shape():
    points = [AccuracyPoint("one", 1, 0.8), AccuracyPoint("two", 2, 0.9), AccuracyPoint("three", 3, 0.85)]
    figure = accuracy_figure(points, Agreement(-0.25, -0.5, 0.1))
    shapes = {
        group.find(f"{SVG}title").text.splitlines()[0]: [node.get("d") or node.tag for node in group][1]
        for group in parsed(figure.svg).iter(f"{SVG}g")
        if "hts-mark" in group.get("class", "")
    }
    assert len(set(shapes.values())) == 3
    assert figure.title == "Score against measured accuracy: τ_w −0.25 (−0.50 to 0.10)"
    assert "Best by score: three" in figure.caption
    assert "best by measured accuracy: two (score 2, measured accuracy 0.9), 0.05 higher" in figure.caption


def test_low_scores_lie_on_the_right_where_they_are_best():
    points = [AccuracyPoint(f"m{place}", place, 1 - place / 10) for place in range(1, 4)]
    found = marks(accuracy_figure(points, best="low").svg)
    assert found["m1"][0] > found["m2"][0] > found["m3"][0]


def test_the_trend_goes_by_order_and_shrugs_off_one_outlier():
    points = [(float(place), place / 10) for place in range(12)]
    clean, spoilt = trend(points), trend([*points[:5], (5.0, 99.0), *points[6:]])
    assert clean == tuple((float(place), place / 10) for place in range(1, 11))
    assert max(y for _, y in spoilt) <= 1.1
    assert trend(points[:5]) == ()


def test_both_terms_better_is_further_right_and_up():
    points = [TermPoint("bad", -3, 0.8, 3), TermPoint("good", -1, 0.95, 1), TermPoint("fair", -2, 0.9, 2)]
    figure = collapse_figure([*points, TermPoint("none", None, 0.5)], notes=["Class fairness is saturated."])
    found = marks(figure.svg)
    assert found["bad"][0] < found["fair"][0] < found["good"][0]
    assert found["bad"][1] > found["fair"][1] > found["good"][1]
    assert "No other model is better in both terms than good." in figure.caption
    assert figure.caption.endswith("1 model without these terms left out. Class fairness is saturated.")


def test_an_overlap_is_in_the_row_of_one_class_and_the_column_of_the_other():
    names = ["cat", "dog", "bird", "fish"]
    values = dict(zip(itertools.combinations(names, 2), (0.9, 0.1, 0.2, 0.3, 0.4, 0.5), strict=True))
    figure = overlap_figure(names, list(values.values()), model="owner/model")
    cells = {}
    for group in parsed(figure.svg).iter(f"{SVG}g"):
        title, rect, *text = list(group)
        cells[tuple(title.text.splitlines()[0].split(" and "))] = (rect, text[0].text)
    assert {pair: float(text) for pair, (_, text) in cells.items()} == values
    assert float(cells["cat", "fish"][0].get("y")) == float(cells["bird", "fish"][0].get("y"))
    assert float(cells["cat", "fish"][0].get("x")) == float(cells["cat", "dog"][0].get("x"))
    strength = sorted(cells, key=lambda pair: float(cells[pair][0].get("fill-opacity")))
    assert strength == sorted(values, key=values.get)
    assert figure.caption == "Most overlap: cat and dog 0.9; bird and fish 0.5; dog and fish 0.4."


def test_many_classes_have_no_numbers_and_at_most_twenty_are_drawn():
    svg = overlap_figure([f"c{place}" for place in range(25)], overlaps(25)).svg
    assert len(list(parsed(svg).iter(f"{SVG}g"))) == 190
    assert not [node for group in parsed(svg).iter(f"{SVG}g") for node in group.iter(f"{SVG}text")]


def test_overlaps_that_are_none_are_refused():
    with pytest.raises(InputError, match="3 classes have 3 pairs, got 2 overlaps"):
        overlap_figure(["a", "b", "c"], [0.1, 0.2])
    with pytest.raises(InputError, match="a number from 0 to 1, got 1.5"):
        overlap_figure(["a", "b"], [1.5])


def test_metrics_are_ordered_and_baselines_have_another_shape():
    rows = [
        TrustRow("low", -0.2, (-0.5, 0.1)),
        TrustRow("high", 0.8, (0.6, 0.9)),
        TrustRow("size", 0.3, None, "baseline"),
    ]
    figure = trust_figure([*rows, TrustRow("unknown", None)])
    groups = [node for node in parsed(figure.svg).iter(f"{SVG}g") if "hts-mark" in node.get("class", "")]
    assert [group.find(f"{SVG}text").text for group in groups] == ["high", "size", "low"]
    assert [group.find(f".//{SVG}circle") is not None for group in groups] == [True, False, True]
    zero = next(line for line in parsed(figure.svg).iter(f"{SVG}line") if line.get("class") == "hts-zero")
    where = [float(re.findall(r"-?[\d.]+", group.find(f"{SVG}g").get("transform"))[0]) for group in groups]
    assert where[2] < float(zero.get("x1")) < where[1] < where[0]
    assert "Best metric: high, τ_w 0.80 (0.60 to 0.90). Best baseline: size, τ_w 0.30." in figure.caption
    assert "1 of 2 metrics above every baseline by its value: high." in figure.caption
    assert "1 metric without a comparison left out." in figure.caption


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (size_figure([]), "No model has both score and parameters yet."),
        (
            size_figure([SizePoint("a", 1, 5e6)]),
            "Only one model has both score and parameters: a (score 1, parameters 5M)",
        ),
        (collapse_figure([]), "No model has both variance collapse and class fairness yet."),
        (accuracy_figure([]), "No model has both score and measured accuracy yet."),
        (overlap_figure([], []), "Nobody stored how far the classes overlap"),
        (record_overlap_figure("a", None), "Nobody stored how far the classes overlap"),
        (trust_figure([]), "No metric was compared with measured accuracy yet."),
    ],
)
def test_nothing_to_draw_is_said(figure, words):
    assert words in figure.description
    drawn = " ".join(node.text for node in texts(figure.svg, "hts-axis"))
    assert words in drawn


def test_of_many_points_the_front_the_best_and_a_sample_are_drawn():
    points = size_points(10_000)
    figure = size_figure(points)
    drawn = marks(figure.svg)
    assert len(drawn) == 1000
    assert {points[place].name for place in front([(point.parameters, point.score) for point in points])} <= set(drawn)
    assert {point.name for point in sorted(points, key=lambda point: -point.score)[:50]} <= set(drawn)
    assert "1,000 of 10,000 models are drawn" in figure.caption
    assert "first 50 of 10,000 models" in figure.html()
    assert figure.html().count("<tr>") == 51


def test_a_sample_is_drawn_from_all_ranks():
    places = sampled(10_000, [9_999], 1000)
    assert places == sorted(set(places))
    assert len([place for place in places if place >= 5000]) == pytest.approx(475, abs=60)
    assert places[-1] == 9_999


def board():
    key = BoardKey("image-classification", "owner/pets", None, "train", "0" * 32)
    column = BoardColumn(
        "face",
        "face",
        "score",
        1,
        {},
        {"variance_collapse": 1, "class_fairness": 1},
        {"class_fairness": "range too small"},
    )
    places = np.arange(1, 6)
    values = np.stack([-places.astype(float), 1 - places / 50], axis=1)
    none = np.full((5, 2), np.nan)
    numbers = ColumnNumbers(("variance_collapse", "class_fairness"), 2 - places / 5, places, values, none, none)
    rows = tuple(
        BoardRow(
            f"owner/m{place}",
            f"owner/m{place}",
            parameters=10**6 * place,
            rank=place,
            low=max(1, place - 1),
            high=place + 1,
            mean_rank=float(place),
            numbers=RowNumbers({"face": numbers}, place - 1),
            accuracy=None if place == 5 else 0.9 - place / 100,
        )
        for place in range(1, 6)
    )
    summary = BoardSummary(key, "pets", 5, 1, 10, 4, "2025-01-01T00:00:00+00:00")
    failed = BoardRow("owner/bad", "owner/bad")
    return Board(summary, {"face": column}, (*rows, failed), (), ("face", "ncti"), "accuracy (method=full)", False)


def test_a_board_is_drawn():
    shown = board()
    assert len(marks(board_size_figure(shown).svg)) == 5
    assert "Best: owner/m1 (rank 1 (1 to 2), parameters 1M)." in board_size_figure(shown).description
    assert "pool score of face" in board_size_figure(shown, "face").description
    collapse = board_collapse_figure(shown)
    assert len(marks(collapse.svg)) == 5
    assert collapse.caption.endswith("Class fairness: range too small.")
    accuracy = board_accuracy_figure(shown, agreement=Agreement(1.0))
    assert len(marks(accuracy.svg)) == 4
    assert accuracy.title == "Mean rank against accuracy (method=full): τ_w 1.00"
    assert "The order is by face and ncti." in accuracy.caption
    told_at_length = replace(shown, truth="accuracy (epochs=20, learning_rates=[0.001, 0.004], method=full)")
    assert board_accuracy_figure(told_at_length).title == "Mean rank against measured accuracy"
    assert "another sample" in accuracy.caption
    assert "no records of FaCe" in board_collapse_figure(shown, "ncti").description


def test_the_overlap_of_a_record_is_drawn():
    figure = record_overlap_figure("owner/model", RecordedOverlap(("a", "b"), (0.25,)))
    assert figure.title == "Class overlap in the features of owner/model"
    assert figure.caption == "Overlap: a and b 0.25."
