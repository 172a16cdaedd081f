"""What records and tables of them say of other datasets."""

from dataclasses import replace
from pathlib import Path

import pytest

from hf_transfer_score.ranking.board import board_of
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.history import History
from hf_transfer_score.ranking.looks import Looks
from hf_transfer_score.ranking.relations import Relations
from hf_transfer_score.records.importing import import_table
from hf_transfer_score.records.record import Record
from hf_transfer_score.records.table import RecordTable, Stored
from tests.leaderboard.made import DATASET, score
from tests.ranking.community import DATASETS, TARGET, Community


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> list[Record]:
    truth, scores, facts = Community(models=12).write(tmp_path_factory.mktemp("tables"), hidden=())
    return [
        record
        for table in (truth, scores)
        for record in import_table(table, task="image-classification", source="them", facts=facts).records
    ]


def table_of(records: list[Record]) -> RecordTable:
    return RecordTable.of(Stored.of(str(number), "", record) for number, record in enumerate(records))


def test_records_and_their_table_say_the_same(records):
    assert History.of(records) == History.of(table_of(records))


def test_columns_hold_what_the_tables_hold(records):
    community, history = Community(models=12), History.of(records)
    assert {one.dataset for one in history.accuracies} == set(DATASETS)
    assert all(one.protocol == "full" and len(one.values) == 12 for one in history.accuracies)
    (target,) = history.on(TARGET).accuracies
    assert target.values == community.truth
    assert {one.protocol for one in history.on(TARGET).scores} == {"logme", "theirs"}
    assert not history.elsewhere(TARGET).on(TARGET).accuracies
    assert history.models["owner/vit-0"].family == "vit"
    assert not history.about("text-classification").accuracies


def test_methods_and_test_sets_are_columns_of_their_own_and_repetitions_are_not(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "model,dataset,method,accuracy\na/a,d/d,full,0.8\na/a,d/d,full,0.6\na/a,d/d,lora,0.5\nb/b,d/d,full,0.9\n",
        encoding="utf-8",
    )
    records = [
        record
        for source in ("them", "others")
        for record in import_table(Path(path), task="image-classification", source=source).records
    ]
    columns = History.of(records).accuracies
    assert sorted((one.protocol, dict(one.values)) for one in columns) == [
        ("full", {"a/a": pytest.approx(0.7), "b/b": 0.9}),
        ("full", {"a/a": pytest.approx(0.7), "b/b": 0.9}),
        ("lora", {"a/a": 0.5}),
        ("lora", {"a/a": 0.5}),
    ]


def test_what_one_record_does_not_know_another_does(records, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("model,dataset,metric,value\nowner/vit-0,d/d,logme,1.5\n", encoding="utf-8")
    more = import_table(path, task="image-classification", source="them").records
    known = History.of([*records, *more]).models["owner/vit-0"]
    assert known == History.of(records).models["owner/vit-0"] != Relations()


def test_an_accuracy_that_could_not_be_measured_says_nothing(records):
    failed = [
        replace(one, status="failed", kind="error", reason="it broke", terms={})
        for one in records
        if one.metric.name == "accuracy"
    ]
    assert failed
    history = History.of([Record.from_json(one.to_json()) for one in failed])
    assert not history.accuracies and not history.scores
    scores = [one for one in records if one.metric.name != "accuracy"]
    assert History.of([*scores, *failed]) == History.of(scores)
    names = [one.name for one in board_of([table_of([*scores, *failed])], TARGET).models.values()]
    assert names == [one.name for one in board_of([table_of(scores)], TARGET).models.values()]
    with_them, without = (board_of([table_of([*records, *more])], "owner/new") for more in ((), new_on(failed)))
    assert (with_them.notes, list(with_them.ranks)) == (without.notes, list(without.ranks))


def new_on(failed):
    """Return failures on a dataset of which nothing else is known."""
    return [replace(one, dataset=replace(one.dataset, id="owner/new")) for one in failed]


def test_models_whose_scores_are_of_another_sample_are_named():
    other = replace(DATASET, fingerprint="e" * 32)
    records = [score(name, "knn", 0.5, dataset=DATASET) for name in ("o/a", "o/b", "o/c")]
    found = board_of([table_of([*records, *(score(name, "knn", 0.9, dataset=other) for name in "ox")])], DATASET.id)
    assert found.notes[0] == "2 models were scored only on another sample, whose scores do not count: o and x."
    assert not found.models["o"].results and found.models["o/a"].results


def test_an_accuracy_without_its_number_says_nothing(records):
    one = next(record for record in records if record.metric.name == "accuracy")
    strange = replace(one, metric=replace(one.metric, directions={}), terms={"other": 0.5})
    assert not History.of([Record.from_json(strange.to_json())]).accuracies
    assert Forecaster(History.of([strange])).forecast(Looks(("a/a", "b/b")))
