"""A catalogue: which boards there are, whose rows count, what is known of a model, and what a change changes."""

import threading
from dataclasses import replace

import pytest

from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.leaderboard.boards.pooling import MOST_FOREIGN
from hf_transfer_score.records.place import FolderPlace
from hf_transfer_score.records.record import Record, RecordedMetric, RecordedOverlap, record_path
from hf_transfer_score.records.store import load
from hf_transfer_score.records.table import RecordTable
from tests.leaderboard.made import (
    DATASET,
    accuracy,
    board,
    catalogue,
    face,
    facts,
    failed,
    metric,
    model,
    run,
    score,
    table,
    unmeasured,
    write_records,
)


def with_rows(records, **columns):
    """Return a table whose cells were changed behind the back of the checks: values by row for each column."""
    import pyarrow

    data = table(records).data
    for name, changes in columns.items():
        values = data.column(name).to_pylist()
        for row, value in changes.items():
            values[row] = value
        place = data.column_names.index(name)
        data = data.set_column(place, data.schema.field(name), pyarrow.array(values, data.schema.field(name).type))
    return RecordTable(data)


def test_boards_are_listed_with_their_counts():
    small = replace(DATASET, id="owner/tones", config=None, task="audio-regression", classes=None)
    found = catalogue(
        [
            score("o/a", "knn", 0.5),
            score("o/a", "nc1", 0.5),
            score("o/b", "knn", 0.5, time="2025-03-01T00:00:00+00:00"),
            failed("o/c"),
            failed("o/a"),
            accuracy("o/a", 0.9),
            accuracy("o/a", 0.8, seed=1),
            accuracy("o/z", 0.7),
            score("o/a", "knn", 0.5, dataset=small),
        ]
    )
    first, second = found.boards()
    assert first.title == "owner/pets (plain, train) · 4 classes, 60 examples"
    assert (first.models, first.failed, first.records, first.truths) == (3, 1, 8, 2)
    assert first.time == "2025-03-01T00:00:00+00:00"
    assert second.title == "owner/tones (train) · regression, 60 examples"
    assert found.find(second.key.slug) == second
    assert found.find("nothing") is None
    assert found.models() == ["o/a", "o/b", "o/c", "o/z"]
    assert [one.title for one in found.model_boards("o/a")] == [first.title, second.title]
    assert found.model_boards("o/nobody") == found.model_records("o/nobody") == []
    assert (found.problems, len(found)) == (0, 9)


def test_a_board_counts_the_models_that_it_shows():
    ways = [accuracy(f"o/lora{number}", 0.9, method="lora") for number in range(5)]
    records = [
        score("o/a", "logme", 1.0),
        accuracy("o/a", 0.8),
        accuracy("o/b", 0.7),
        accuracy("o/b", 0.6, seed=1),
        *ways,
    ]
    loss = RecordedMetric("loss", kind="truth", directions={"loss": -1})
    records += [replace(accuracy(f"o/loss{number}", 0.1), metric=loss, terms={"loss": 0.1}) for number in range(9)]
    for these in (records, [one for one in records if one.model.id != "o/a"], ways):
        found = catalogue(these)
        (summary,) = found.boards()
        assert summary.models == len(found.board(summary.key).rows) == (5 if len(these) < len(records) else 2)


def test_invented_metrics_do_not_fill_a_board():
    records = [score(f"o/{name}", "logme", 0.5) for name in "ab"]
    records += [score("o/a", f"a-invented-{number}", 0.5) for number in range(50)]
    records += [score(f"o/{name}", "zeta", 0.5) for name in "ab"]
    found = board(records)
    assert {"logme", "zeta", "a-invented-0"} <= found.columns.keys() and len(found.columns) == 1 + MOST_FOREIGN
    assert next(iter(found.columns)) == "logme"
    assert found.notes[0].startswith("31 columns of metrics that this package does not know")


def test_metrics_rank_no_board_of_accuracies_alone():
    bare = [accuracy("o/a", 0.8), accuracy("o/b", 0.7)]
    assert [row.rank for row in board(bare).rows] == [1, 2]
    by_metrics = board(bare, by_metrics=True)
    assert [row.rank for row in by_metrics.rows] == [None, None]
    assert by_metrics.notes[0].startswith("No model of this board has a score")


def test_titles_name_the_sample_only_where_there_are_several():
    other = replace(DATASET, fingerprint="0123456789abcdef", examples=90)
    twin = replace(DATASET, fingerprint="f" * 8 + "0" * 24)
    titles = [one.title for one in catalogue(score("o/a", "knn", 0.5, dataset=d) for d in (DATASET, other)).boards()]
    assert titles == [
        "owner/pets (plain, train) · 4 classes, 60 examples · ffffffff",
        "owner/pets (plain, train) · 4 classes, 90 examples · 01234567",
    ]
    texts = replace(other, task="text-classification")
    assert [one.title for one in catalogue(score("o/a", "knn", 0.5, dataset=d) for d in (DATASET, texts)).boards()] == [
        "owner/pets (plain, train) · 4 classes, 60 examples · image-classification · ffffffff",
        "owner/pets (plain, train) · 4 classes, 90 examples · text-classification · 01234567",
    ]
    alike = catalogue(score("o/a", "knn", 0.5, dataset=d) for d in (DATASET, twin)).boards()
    assert len({one.title for one in alike}) == 2
    assert all(one.title.endswith(f" · ffffffff · {one.key.slug}") for one in alike)


def test_an_empty_table_has_no_boards():
    assert catalogue([]).boards() == catalogue([]).models() == []


def test_failures_stay_until_the_model_is_scored():
    skipped = Record(model("o/s"), DATASET, metric("nc1"), run(), "skipped", reason="nc1 needs class labels")
    made = board(
        [
            failed("o/a", "gated", "old", "2025-01-01T00:00:00+00:00"),
            failed("o/a", "corrupt", "new", "2025-02-01T00:00:00+00:00"),
            failed("o/b"),
            score("o/b", "knn", 0.5),
            replace(skipped, model=model("o/b")),
            skipped,
        ]
    )
    assert [(one.model, one.kind, one.reason) for one in made.failures] == [
        ("o/a", "corrupt", "new"),
        ("o/s", "skipped", "nc1 needs class labels"),
    ]
    assert [(row.label, list(row.scores)) for row in made.rows] == [("o/b", ["knn"])]
    assert made.summary.failed == 2


def test_facts_are_those_of_the_newest_record_that_has_them():
    old = run("2025-01-01T00:00:00+00:00", forward_seconds=30.0, device="cpu")
    new = run("2025-02-01T00:00:00+00:00")
    (row,) = board(
        [
            score("o/a", "knn", 0.5, run=old, facts=facts("mit", 5), warnings=("small", "odd"), source="a table"),
            score("o/a", "nc1", 0.5, run=new, facts=facts(None, 7), warnings=("small",)),
        ]
    ).rows
    assert (row.license, row.downloads, row.throughput, row.device) == ("mit", 7, 2.0, "cpu")
    assert (row.warnings, row.source, row.time) == (("small", "odd"), "a table", new.time)


def test_an_impossibly_short_forward_pass_has_no_speed():
    (row,) = board([score("a/b", "knn", 0.5, run=run(forward_seconds=5e-324))]).rows
    assert row.throughput is None


def test_accuracies_are_means_over_seeds_of_the_most_frequent_method():
    records = [score(f"o/{name}", "knn", 0.5) for name in "abc"]
    records += [accuracy("o/a", 0.9, seed=0), accuracy("o/a", 0.8, seed=1), accuracy("o/b", 0.7, seed=0)]
    made = board([*records, accuracy("o/c", 0.1, method="probe"), accuracy("o/z", 0.6)])
    rows = {row.label: row for row in made.rows}
    assert rows["o/a"].accuracy == pytest.approx(0.85)
    assert sorted(rows["o/a"].accuracies) == [0.8, 0.9]
    assert rows["o/c"].accuracy is None
    assert (rows["o/z"].accuracy, dict(rows["o/z"].scores)) == (0.6, {})
    assert [row.label for row in made.rows if row.accuracy is not None] == ["o/a", "o/b", "o/z"]
    assert made.truth.startswith("accuracy (method=full), the most frequent method; another way")
    assert made.truth_exact
    assert made.failures == made.notes == ()


def test_of_ways_to_measure_that_are_as_frequent_full_fine_tuning_counts():
    scored = [score(name, "logme", 1.0 + place) for place, name in enumerate("ab")]
    ways = [accuracy(name, value, **how) for name in "ab" for value, how in ((0.5, {"method": "attached"}), (0.9, {}))]
    made = board([*scored, *ways])
    assert made.truth.startswith("accuracy (method=full)")
    assert {row.accuracy for row in made.rows} == {0.9}


def test_accuracies_of_another_sample_count_where_there_are_no_others():
    elsewhere = replace(DATASET, fingerprint="e" * 32, split="test")
    other = replace(DATASET, id="owner/cars")
    records = [
        score("o/a", "knn", 0.5),
        accuracy("o/a", 0.9, dataset=elsewhere),
        accuracy("o/z", 0.1, dataset=elsewhere),
    ]
    records.append(accuracy("o/a", 0.2, dataset=other))
    cars, pets = catalogue(records).boards()
    assert [(one.key.dataset, one.models) for one in (cars, pets)] == [("owner/cars", 1), ("owner/pets", 1)]
    made = catalogue(records).board(pets.key)
    assert [(row.label, row.accuracy) for row in made.rows] == [("o/a", 0.9)]
    assert (made.truth, made.truth_exact, made.summary.truths) == ("accuracy (method=full)", False, 1)
    assert "another sample" in made.notes[0]
    exact = catalogue([*records, accuracy("o/a", 0.4)]).board(pets.key)
    assert (exact.rows[0].accuracy, exact.truth_exact, exact.notes) == (0.4, True, ())


def test_an_accuracy_of_another_commit_is_not_this_models():
    records = [score(model("o/a", commit="1" * 40), "knn", 0.5), score(model("o/b", commit="1" * 40), "knn", 0.5)]
    made = board([*records, accuracy("o/a", 0.9, commit="2" * 40), accuracy("o/b", 0.8, commit="1" * 40)])
    assert {row.label: row.accuracy for row in made.rows} == {"o/a": None, "o/b": 0.8}


def test_a_measurement_where_lower_is_better_is_no_accuracy():
    loss = RecordedMetric("rmse", kind="truth", directions={"rmse": -1})
    made = board([score("o/a", "knn", 0.5), Record(model("o/a"), DATASET, loss, run(), terms={"rmse": 2.0})])
    assert (made.rows[0].accuracy, made.truth) == (None, None)
    assert "rmse" in made.notes[0]


BAD = {
    "terms": ["[1]", "{}", '{"knn":NaN}', '{"knn":1e999}', '{"knn":"1"}', "{", None, '{"other":1.0}', '{"knn":true}'],
    "interval": ["[]", '{"knn":[1.0]}', '{"knn":[2.0,1.0]}', '{"knn":[NaN,1.0]}', '{"other":[0.0,1.0]}', None],
    "metric_directions": ["[]", '{"knn":2}', '{"knn":-1}', '{"knn":true}', None],
    "metric_parameters": ["[]", "{", None],
    "metric_kind": ["fun", None],
    "metric_version": [None, -1],
    "model_id": [None, ""],
    "model_details": ["3", None],
    "dataset_fingerprint": [None],
    "dataset_task": [""],
    "dataset_examples": [None, -5],
    "run_time": [None],
    "status": ["great", None, "failed", "skipped"],
    "warnings": ["{}", "[1]"],
    "interval_level": [0.0, 1.0, -3.0],
}


@pytest.mark.parametrize(("column", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_row_is_left_out_and_counted(column, value):
    records = [score(f"o/{name}", "knn", place / 4) for place, name in enumerate("abcd")]
    found = Catalogue(with_rows(records, **{column: {1: value}}))
    (summary,) = found.boards()
    assert {row.label for row in found.board(summary.key).rows} == {"o/a", "o/c", "o/d"}
    assert found.problems == 1


def test_numbers_beyond_counting_are_no_terms():
    records = [score("o/a", "knn", 0.1), score("o/b", "knn", 1e308), score("o/c", "knn", -1e-300)]
    assert {row.label for row in board(records).rows} == {"o/a", "o/c"}


def test_odd_levels_and_times_are_no_error():
    records = [
        score("o/a", "knn", 0.1, spread=1.0, time="yesterday", interval_level=1e-300),
        score("o/b", "knn", 0.2, spread=1.0, time="2025-01-01", interval_level=1 - 1e-16),
        score("o/b", "knn", 0.3, spread=1.0, time="zzzz"),
    ]
    made = board(records)
    assert [(row.label, row.scores["knn"]) for row in made.rows] == [("o/b", 0.2), ("o/a", 0.1)]


def test_the_records_of_a_model_are_the_newest_first_without_those_that_are_none():
    records = [score("o/a", "knn", 0.1), score("o/a", "nc1", 0.2, time="2025-02-01"), score("o/b", "knn", 0.3)]
    assert catalogue(records).model_records("o/a") == [records[1], records[0]]
    broken = Catalogue(with_rows(records, identity={0: "0" * 32}))
    assert broken.model_records("o/a") == [records[1]]
    assert broken.problems == 1


@pytest.mark.parametrize("light", [False, True])
def test_overlaps_are_read_from_the_record_that_has_them(tmp_path, light):
    overlap = RecordedOverlap(("cat", "dog"), (0.25,))
    records = [
        score("o/a", "face", face(-1.0, 0.5), overlap=overlap),
        score("o/a", "knn", 0.5),
        score("o/b", "knn", 0.5),
    ]
    found = table(records)
    if light:
        found.write(tmp_path / "records.parquet")
        found = RecordTable.read(tmp_path / "records.parquet")
        assert "overlap" not in found.data.column_names
    made = Catalogue(found)
    shown = made.board(made.boards()[0].key)
    rows = {row.label: row for row in shown.rows}
    assert made.overlap(shown, rows["o/a"]) == overlap
    assert made.overlap(shown, rows["o/b"]) is None
    assert catalogue([]).overlap(shown, rows["o/a"]) is None


def test_boards_are_remembered_and_made_once_for_all_threads():
    found = catalogue(score(f"o/{i}", "knn", i / 50, spread=0.1) for i in range(50))
    key, made = found.boards()[0].key, []
    threads = [threading.Thread(target=lambda: made.append(found.board(key))) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(made) == 8 and all(one is made[0] for one in made)
    many = catalogue(score("o/a", "knn", 0.5, dataset=replace(DATASET, fingerprint=f"{i:032x}")) for i in range(20))
    first = many.board(many.boards()[0].key)
    assert many.board(first.key) is first
    for summary in many.boards():
        many.board(summary.key)
    assert many.board(first.key) == first and many.board(first.key) is not first


def test_a_board_that_is_not_there_is_a_key_error():
    with pytest.raises(KeyError):
        catalogue([]).board(board([score("o/a", "knn", 0.5)]).key)


def test_times_are_compared_as_times():
    run_at = {"late": "2025-01-01T01:00:00+00:00", "early": "2025-01-01T02:00:00+05:00"}
    found = catalogue([score("o/a", "knn", 0.1, time=run_at["late"]), score("o/a", "nc1", 0.2, time=run_at["early"])])
    assert found.boards()[0].time == run_at["late"]


def test_an_accuracy_that_could_not_be_measured_is_no_bad_row_no_failure_and_no_accuracy():
    scored = [score("a/a", "logme", 0.5), score("b/b", "logme", 0.7), accuracy("a/a", 0.9, seed=0)]
    made = catalogue([*scored, unmeasured("a/a", seed=1), unmeasured("b/b", seed=0)])
    (summary,) = made.boards()
    found = made.board(summary.key)
    assert made.problems == 0
    assert (summary.models, summary.failed, summary.truths) == (2, 0, 1)
    assert found.failures == ()
    assert {row.model: row.accuracies for row in found.rows} == {"a/a": (0.9,), "b/b": ()}


OVERLAP = RecordedOverlap(("cat", "dog"), (0.25,))


def records_on(name: str, models: int) -> list[Record]:
    dataset = replace(DATASET, id=name)
    found = []
    for number in range(models):
        terms = {"variance_collapse": -float(number), "class_fairness": 0.1 + number / 20}
        mine = replace(OVERLAP, values=(number / 100,))
        found.append(replace(score(f"owner/m{number}", "face", terms, dataset=dataset, spread=0.1), overlap=mine))
        found.append(score(f"owner/m{number}", "logme", float(number), dataset=dataset))
    return found


FIRST, SECOND, THIRD = (records_on(f"owner/{name}", 5) for name in ("cats", "dogs", "oxen"))
TRUTH = score("owner/m1", metric("accuracy", kind="truth", method="full"), {"accuracy": 0.5}, dataset=SECOND[0].dataset)


@pytest.mark.parametrize(
    ("gone", "new", "touched"),
    [
        ([], records_on("owner/new", 2), set()),
        (FIRST[2:4], [], {"owner/cats"}),
        (FIRST, [], {"owner/cats"}),
        (FIRST[:1] + THIRD[4:5], [TRUTH], {"owner/cats", "owner/dogs", "owner/oxen"}),
        (
            [],
            [replace(SECOND[0], terms={"variance_collapse": -9.0, "class_fairness": 0.1}, interval={})],
            {"owner/dogs"},
        ),
        ([], [replace(THIRD[0], dataset=replace(THIRD[0].dataset, fingerprint="a" * 32))], {"owner/oxen"}),
    ],
)
def test_boards_are_those_of_a_fresh_look(tmp_path, gone, new, touched):
    place = FolderPlace(tmp_path)
    write_records(tmp_path, [*FIRST, *SECOND, *THIRD])
    before = load(place)
    earlier = Catalogue(before.table)
    kept = {one.key: earlier.board(one.key) for one in earlier.boards()}
    place.update(lambda view: {str(record_path(one)): None for one in gone}, title="records")
    write_records(tmp_path, new)
    after = load(place, previous=before)
    later, fresh = Catalogue(after.table, previous=earlier, difference=after.difference), Catalogue(load(place).table)
    assert later.boards() == fresh.boards()
    for one in later.boards():
        board = later.board(one.key)
        assert board == fresh.board(one.key)
        assert [later.overlap(board, row) for row in board.rows] == [fresh.overlap(board, row) for row in board.rows]
        assert (board is kept.get(one.key)) is (one.key in kept and one.key.dataset not in touched)


def test_after_a_fresh_load_nothing_is_taken_over(tmp_path):
    place = FolderPlace(tmp_path)
    write_records(tmp_path, FIRST)
    first, second = load(place), load(place)
    earlier = Catalogue(first.table)
    key = earlier.boards()[0].key
    later = Catalogue(second.table, previous=earlier, difference=second.difference)
    assert later.board(key) == earlier.board(key) and later.board(key) is not earlier.board(key)
