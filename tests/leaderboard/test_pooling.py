"""Boards: solved by hand, against the ranking of the package, and whatever the order of the records."""

from dataclasses import replace

import numpy as np
import pytest

from hf_transfer_score import MetricResult, get_metric, rank_pool
from hf_transfer_score.ranking.pools import headline_ranks
from hf_transfer_score.records.record import RecordedMetric
from tests.leaderboard.made import accuracy, face, failed, metric, model, ncti, published, score

FACE, NCTI = get_metric("face"), get_metric("ncti")


def drawn(count: int = 7, seed: int = 0, spread: float | None = 0.02):
    """Records of both headline metrics, and their terms by model and metric."""
    generator = np.random.default_rng(seed)
    terms = {
        f"o/m{i}": {"face": face(-generator.random(), generator.random()), "ncti": ncti(*generator.random(3).tolist())}
        for i in range(count)
    }
    records = [score(name, by, found, spread=spread) for name, both in terms.items() for by, found in both.items()]
    return records, terms


def test_a_board_solved_by_hand():
    made = published(
        [
            score("o/a", "face", face(-2.0, 0.1)),
            score("o/b", "face", face(-1.0, 0.2)),
            score("o/c", "face", face(-1.5, 0.3)),
            score("o/a", "ncti", ncti(10, 0.5, 3.0)),
            score("o/b", "ncti", ncti(20, 0.9, 2.0)),
            score("o/c", "ncti", ncti(15, 0.6, 4.0)),
            score("o/b", "nc1", 3.0),
            score("o/c", "nc1", 1.0),
            score("o/a", "parameter_count", 7.0),
        ]
    )
    assert list(made.columns) == ["face", "ncti", "nc1", "parameter_count"]
    assert made.headline == ("face", "ncti")
    rows = {row.label: row for row in made.rows}
    assert [(row.label, row.rank, row.mean_rank) for row in made.rows] == [
        ("o/b", 1, 1.0),
        ("o/c", 2, 1.5),
        ("o/a", 3, 3.0),
    ]
    assert rows["o/b"].scores == pytest.approx({"face": 1.5, "ncti": 2.0, "nc1": -3.0})
    assert rows["o/c"].scores == pytest.approx({"face": 1.5, "ncti": -0.25, "nc1": -1.0})
    assert rows["o/a"].ranks == {"face": 3, "ncti": 3, "parameter_count": 1}
    assert rows["o/c"].terms["ncti"] == {"seli": 15.0, "ncc": 0.6, "vc": 4.0}
    assert "nc1" not in rows["o/a"].terms
    assert rows["o/a"].low is rows["o/a"].group is None
    assert made.columns["parameter_count"].kind == "baseline"
    assert "a single model" in made.columns["parameter_count"].flags["parameter_count"]
    assert (made.summary.examples, made.summary.classes, made.notes) == (60, 4, ())


def test_pools_are_those_of_the_ranking():
    records, terms = drawn(spread=None)
    made = published(records)
    pools = {
        one.name: rank_pool(one, {name: MetricResult(one.name, "ok", both[one.name]) for name, both in terms.items()})
        for one in (FACE, NCTI)
    }
    order = headline_ranks(pools)
    assert [row.label for row in made.rows] == list(order.ranks)
    for row in made.rows:
        assert row.scores == {name: pool.scores[row.label] for name, pool in pools.items()}
        assert row.ranks == {name: pool.ranks[row.label] for name, pool in pools.items()}
        assert (row.rank, row.mean_rank) == (order.ranks[row.label], order.mean_ranks[row.label])


def test_the_order_of_the_records_changes_nothing():
    records, _ = drawn()
    records += [replace(records[0], terms=face(-0.5, 0.5), run=replace(records[0].run, libraries={"numpy": "9"}))]
    records += [accuracy(f"o/m{i}", 0.9 - 0.01 * i) for i in range(4)] + [failed("o/x"), failed("o/m1")]
    first = published(records)
    for seed in range(3):
        shuffled = [records[i] for i in np.random.default_rng(seed).permutation(len(records))]
        assert published(shuffled) == first


def test_exact_intervals_leave_one_place_and_wide_ones_all():
    exact, wide = (published(drawn(6, spread=size)[0]) for size in (0.0, 50.0))
    behind = [sum(other.mean_rank <= row.mean_rank for other in exact.rows) for row in exact.rows]
    assert [(row.low, row.high) for row in exact.rows] == [
        (row.rank, last) for row, last in zip(exact.rows, behind, strict=True)
    ]
    assert {row.group for row in wide.rows} == {1}
    assert all(row.low == 1 and row.high == 6 for row in wide.rows)


def test_models_without_intervals_have_no_range_but_a_rank():
    records, _ = drawn(4)
    bare = [score("o/z", "face", face(-0.5, 0.5)), score("o/z", "ncti", ncti(0.5, 0.5, 0.5))]
    made = published(records + bare)
    rows = {row.label: row for row in made.rows}
    assert rows["o/z"].rank is not None
    assert (rows["o/z"].low, rows["o/z"].high, rows["o/z"].group) == (None, None, None)
    assert all(row.group is not None for row in made.rows if row.label != "o/z")
    assert "1 of 5 models have no intervals" in made.notes[0]


def test_a_model_without_both_metrics_comes_last_without_a_rank():
    records, _ = drawn(3)
    made = published([*records, score("o/half", "face", face(9.0, 0.9))])
    assert made.rows[-1].label == "o/half"
    assert made.rows[-1].rank is None
    assert made.rows[-1].ranks == {"face": 1}
    assert made.notes == ("1 of 4 models have no rank: they lack face and ncti.",)


def test_without_the_two_the_first_score_decides_never_a_baseline():
    made = published([score("o/a", "parameter_count", 2.0), score("o/b", "parameter_count", 1.0)])
    assert made.headline == ()
    assert [row.rank for row in made.rows] == [None, None]
    more = [score("o/a", "knn", 0.1), score("o/b", "knn", 0.2)]
    made = published([score("o/a", "parameter_count", 2.0), *more])
    assert made.headline == ("knn",)
    assert [row.label for row in made.rows] == ["o/b", "o/a"]


def test_the_default_setting_has_the_bare_name_and_others_say_what_differs():
    warm, old = metric("face", temperature=0.1), metric("face", version=9)
    records = [score(f"o/{name}", by, face(-1.0, 0.5)) for name in "ab" for by in (warm, warm, old)]
    records += [score("o/a", "face", face(-1.0, 0.5))]
    made = published(records)
    assert list(made.columns) == ["face", "face (temperature=0.1)", "face (version=9)"]
    assert made.columns["face (temperature=0.1)"].parameters["temperature"] == 0.1


def test_a_metric_that_is_not_installed_follows_its_records():
    down = RecordedMetric("mine", parameters={"k": 3}, directions={"error": -1})
    pair = RecordedMetric("pair", directions={"up": 1, "down": -1})
    made = published(
        [
            score("o/a", down, {"error": 2.0}),
            score("o/b", down, {"error": 1.0}),
            score("o/a", replace(down, parameters={"k": 4, "mode": "x"}), {"error": 5.0}),
            score("o/a", pair, {"up": 10.0, "down": 4.0}),
            score("o/b", pair, {"up": 20.0, "down": 8.0}),
            score("o/c", pair, {"up": 15.0, "down": 5.0}),
        ]
    )
    rows = {row.label: row for row in made.rows}
    assert list(made.columns) == ["mine", "mine (k=4, mode=x)", "pair"]
    assert [rows[f"o/{name}"].scores.get("mine") for name in "abc"] == [-2.0, -1.0, None]
    assert [rows[f"o/{name}"].scores["pair"] for name in "abc"] == pytest.approx([0.0, 0.0, 0.25])


def test_rows_of_one_id_say_what_tells_them_apart():
    six, other = model("o/a", layer="6"), model("o/a", layer="6", commit="1234567" + "0" * 33)
    mean = model("o/b", pooling="mean", details={"size": 224, "crop": 1})
    wide = model("o/b", pooling="mean", details={"size": 384, "crop": 1})
    made = published([score(one, "knn", 0.5) for one in (model("o/a"), six, other, mean, wide, model("o/c"))])
    assert {row.label for row in made.rows} == {
        "o/a [layer last] @ccccccc",
        "o/a [layer 6] @ccccccc",
        "o/a [layer 6] @1234567",
        "o/b size=224",
        "o/b size=384",
        "o/c",
    }


def test_the_newest_of_two_records_of_one_identity_counts():
    old, new = score("o/a", "knn", 0.1, time="2025-01-01T00:00:00+00:00"), score("o/a", "knn", 0.2, time="2025-02-01")
    for records in ([old, new], [new, old]):
        (row,) = published(records).rows
        assert row.terms == {"knn": {"knn": 0.2}}
        assert row.time == "2025-02-01"
