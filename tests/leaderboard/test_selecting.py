"""Parts of a board: searched, filtered, sorted, written as CSV, and compared two by two; the menu of boards."""

import csv
import io
import re
from dataclasses import replace

import pytest

from hf_transfer_score.errors import OptionError
from hf_transfer_score.leaderboard.pages import board_tab
from hf_transfer_score.leaderboard.pages.board_tab import board_csv
from hf_transfer_score.leaderboard.pages.compare_tab import compared, verdict
from hf_transfer_score.leaderboard.pages.view import View, choices, select
from hf_transfer_score.records.record import RecordedMetric
from hf_transfer_score.text import shown
from tests.leaderboard.made import DATASET, accuracy, board, catalogue, face, facts, model, ncti, published, score


@pytest.fixture(scope="module")
def made():
    small = model("Timm/ResNet18", parameters=11 * 10**6, width=512)
    large = model("o/vit-large", parameters=300 * 10**6, library="hub_vision")
    bare = model("o/bare", library=None)
    return published(
        [
            score(small, "knn", 0.5, facts=facts("Apache-2.0", 9), time="2025-01-10T00:00:00+00:00", spread=0.01),
            score(large, "knn", 0.9, facts=facts("mit"), time="2025-03-01T00:00:00+00:00", spread=0.01),
            score(bare, "knn", 0.7, time="2025-02-01T12:00:00+00:00"),
            score(small, "nc1", 2.0),
            score(large, "nc1", 2.0),
            accuracy("Timm/ResNet18", 0.8),
            accuracy("o/unscored", 0.9),
        ]
    )


def names(rows):
    return [row.label for row in rows]


ALL = ["o/vit-large", "o/bare", "Timm/ResNet18", "o/unscored"]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (View(), ALL),
        (View(search=" RESNET  apache "), ["Timm/ResNet18"]),
        (View(search="hub_vision mit"), ["o/vit-large"]),
        (View(search="resnet mit"), []),
        (View(libraries=("timm_images",)), ["Timm/ResNet18"]),
        (View(licenses=("mit", "Apache-2.0")), ["o/vit-large", "Timm/ResNet18"]),
        (View(smallest=11), ["o/vit-large", "Timm/ResNet18"]),
        (View(largest=299), ["Timm/ResNet18"]),
        (View(smallest=12, largest=299), []),
        (View(since="2025-02-01"), ["o/vit-large", "o/bare"]),
        (View(since="2025-02-02"), ["o/vit-large"]),
        (View(since="soon"), ALL),
        (View(turned=True), ["Timm/ResNet18", "o/bare", "o/vit-large", "o/unscored"]),
        (View(sort="label", turned=True), ["o/bare", "o/unscored", "o/vit-large", "Timm/ResNet18"]),
        (View(sort="parameters"), ["Timm/ResNet18", "o/vit-large", "o/bare", "o/unscored"]),
        (View(sort="parameters", turned=True), ["o/vit-large", "Timm/ResNet18", "o/bare", "o/unscored"]),
        (View(sort="knn", turned=True), ["Timm/ResNet18", "o/bare", "o/vit-large", "o/unscored"]),
        (View(sort="score:nc1"), ["o/vit-large", "Timm/ResNet18", "o/bare", "o/unscored"]),
        (View(sort="accuracy"), ["o/unscored", "Timm/ResNet18", "o/vit-large", "o/bare"]),
        (View(sort="time", turned=True), ["Timm/ResNet18", "o/bare", "o/vit-large", "o/unscored"]),
    ],
)
def test_a_view_shows_a_part_in_its_order(made, view, expected):
    assert names(select(made, view)) == expected


def test_a_metric_cannot_take_the_place_of_a_field():
    hostile = RecordedMetric("rank", directions={"rank": 1})
    found = board([score("o/a", "knn", 0.9), score("o/b", "knn", 0.1), score("o/b", hostile, {"rank": -1.0})])
    assert names(select(found, View(sort="rank"))) == ["o/a", "o/b"]
    assert names(select(found, View(sort="score:rank"))) == ["o/b", "o/a"]


def test_what_cannot_be_selected_is_said(made):
    with pytest.raises(OptionError, match=r"cannot be sorted by 'beauty'. Known: rank, .*, knn, nc1"):
        select(made, View(sort="beauty"))


def test_choices_are_what_is_there(made):
    assert choices(made) == (["hub_vision", "timm_images"], ["Apache-2.0", "mit"])
    assert choices(None) == ([], [])


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_holds_every_digit(made):
    third = 1 / 3
    found = board([score("o/a", "knn", third, spread=third / 7), score("o/b", "face", face(-1.5, 0.1 + 0.2))])
    rows = {row["model"]: row for row in read(board_csv(found, found.rows))}
    assert float(rows["o/a"]["knn.knn"]) == third
    assert float(rows["o/a"]["knn.knn.low"]) == third - third / 7
    assert rows["o/a"]["face.class_fairness"] == ""
    assert float(rows["o/b"]["face.class_fairness"]) == 0.1 + 0.2
    assert [row["model"] for row in read(board_csv(made, select(made, View(search="vit"))))] == ["o/vit-large"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", '=HYPERLINK("a","b")\nx'])
def test_spreadsheets_run_nothing(text):
    by = RecordedMetric(text, directions={"t": 1})
    found = board([score(model(text, library=text), by, {"t": -1.0}, facts=facts(text))])
    header, line = list(csv.reader(io.StringIO(board_csv(found, found.rows), newline="")))
    cells = dict(zip(header, line, strict=True))
    assert cells["model"] == cells["label"] == cells["library"] == cells["license"] == f"'{shown(text)}"
    assert f"'{shown(text)}" in header
    assert cells[f"'{shown(text)}.t"] == "-1.0"


def pair(spread=None, second=0.2):
    records = []
    for name, value in (("o/a", 0.8), ("o/b", second), ("o/c", 0.1)):
        records += [score(name, "face", face(value - 1, value), spread=spread)]
        records += [score(name, "ncti", ncti(value, value, -value), spread=spread)]
    return records


def told(board, *labels):
    return verdict(board, *map(board.row, labels))


def test_two_models_side_by_side():
    made = board([*pair(0.01), score("o/a", "knn", 0.5)])
    by_label = {one.label: one for one in compared(made, [made.row("o/b"), made.row("o/a")])}
    assert list(by_label) == ["face", "ncti", "knn"]
    seli, vc = by_label["ncti"].terms[0], by_label["ncti"].terms[2]
    assert (seli.values, seli.better, seli.overlap) == ((0.2, 0.8), 1, False)
    assert seli.intervals[0] == (0.2 - 0.01, 0.2 + 0.01)
    assert (vc.direction, vc.values[0], vc.better) == (-1, -0.2, 1)
    assert (by_label["ncti"].ranks, by_label["ncti"].better) == ((2, 1), 1)
    assert (by_label["knn"].scores[0], by_label["knn"].better, by_label["knn"].terms[0].overlap) == (None, None, None)


def probed(*methods):
    return [accuracy(f"o/{name}", 0.5, method=method) for name, method in zip("ab", methods, strict=True)]


@pytest.mark.parametrize(
    ("records", "labels", "said"),
    [
        (pair(), ("o/b", "o/a"), "without intervals it is not known"),
        (pair(50.0), ("o/a", "o/b"), "They cannot be distinguished: both have rank 1"),
        (
            pair(0.0),
            ("o/a", "o/c"),
            "o/a .rank 1. is ahead of o/c .rank 3., and their rank ranges do not overlap: 1 to 1 and 3",
        ),
        (pair(second=0.8), ("o/a", "o/b"), "Both have rank 1"),
        (pair(0.0), ("o/a", "o/a"), "compared with itself"),
        ([*pair(), score("o/z", "knn", 0.5)], ("o/a", "o/z"), "no rank of o/z, for lack of face and ncti"),
        (
            [*pair(), accuracy("o/a", 0.5), accuracy("o/b", 0.75)],
            ("o/a", "o/b"),
            "o/b reached 75.00% and o/a 50.00% after full",
        ),
        ([*pair(), *probed("full", "full")], ("o/a", "o/b"), "Both reached 50.00% after full fine-tuning"),
        ([*pair(), *probed("probe", "probe")], ("o/a", "o/b"), "Both reached 50.00% with a linear probe"),
        ([*pair(), *probed("<b>", "<b>")], ("o/a", "o/b"), "Both reached 50.00% by <b>"),
    ],
)
def test_what_can_be_told(records, labels, said):
    assert re.search(said, told(published(records), *labels))


def test_of_two_models_the_one_that_is_expected_to_do_better_is_to_be_fine_tuned():
    assert re.fullmatch(
        r"Fine-tune o/a rather than o/c: "
        r"it is expected to be 0\.0 \(0\.0 to \d\.\d\) points below "
        r"the best of the board, the other \d\.\d \(0\.\d to \d+\.\d\)\. "
        r"These intervals overlap, so o/c may be as good\.",
        told(board(pair()), "o/c", "o/a"),
    )
    measured = board(
        [*pair(), *(accuracy(f"o/{name}", value) for name, value in zip("abc", (0.5, 0.6, 0.7), strict=True))]
    )
    assert [row.label for row in measured.rows] == ["o/c", "o/b", "o/a"]
    assert told(measured, "o/c", "o/a").startswith(
        "Fine-tune o/c rather than o/a: it is expected to be the best of the board, the other 20.0 points below it."
    )
    assert select(measured, View(sort="chance"))[0].label == "o/c"
    assert measured.step is None, "all were measured"
    two = board([*pair(second=0.79), accuracy("o/b", 0.75), accuracy("o/c", 0.74)])
    assert two.step is not None and two.row("o/b").forecast.points_below_best.high > 1
    assert "may be as good" not in told(two, "o/b", "o/c"), "their accuracies are known, unlike that of the best"


def test_the_menu_of_boards_is_limited_and_has_the_shown_one(monkeypatch):
    monkeypatch.setattr(board_tab, "MOST_CHOICES", 2)
    records = [
        score(f"o/{model}", "logme", 0.5, dataset=replace(DATASET, id=f"o/{name}"))
        for place, name in enumerate("abc")
        for model in range(3 - place)
    ]
    made = catalogue(records)
    slugs = [one.key.slug for one in made.boards()]
    assert [slug for _, slug in board_tab._titles(made)] == slugs[:2]
    assert [slug for _, slug in board_tab._titles(made, made.boards()[2])] == slugs
