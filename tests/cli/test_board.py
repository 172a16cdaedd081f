"""`results import` and `board`: from tables of others to an answer, without a model."""

import csv
import io
import json
import os
import re
import shutil
from contextlib import redirect_stdout

import pytest

from hf_transfer_score import board, read_records
from hf_transfer_score.cli import main
from hf_transfer_score.ranking.agreement import weighted_kendall
from hf_transfer_score.ranking.showing import forecast_rows
from tests.cli.pool import check_printed
from tests.ranking.community import TARGET, Community, write_table

TASK = ("--task", "image-classification", "--source", "The community")


@pytest.fixture(scope="module")
def community() -> Community:
    return Community(3)


@pytest.fixture(scope="module")
def imported(tmp_path_factory, community):
    """A folder of results with the tables of a community, the target's accuracies left out."""
    folder = tmp_path_factory.mktemp("community")
    truth, scores, facts = community.write(folder)
    where = ("--to", str(folder / "results"), *TASK, "--facts", str(facts))
    with redirect_stdout(io.StringIO()) as text:
        assert main(["results", "import", str(truth), str(scores), *where]) == 0
    return folder, text.getvalue()


@pytest.fixture
def results(imported, tmp_path, monkeypatch):
    """A copy of it in a folder to be in."""
    shutil.copytree(imported[0] / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return "./results"


def test_the_import_says_what_it_brought(imported):
    folder, text = imported
    assert f"Imported into {folder / 'results'}: 920 written, 0 unchanged.\n" in text
    assert "40 models, 8 datasets, 640 scores, 280 accuracies by full." in text and "better: theirs." in text


def test_the_answer_is_right_and_says_by_how_much(run, results, community):
    status, text, errors = run("board", TARGET, "--results", results, "--json")
    assert (status, errors) == (0, "")
    found = json.loads(text)
    order = [one["name"] for one in found["models"]]
    assert weighted_kendall([-place for place in range(40)], [community.truth[name] for name in order]) > 0.5
    first = found["models"][0]
    assert found["answer"].startswith(f"Fine-tune {first['name']}.")
    assert sum(one["best_probability"] for one in found["models"]) == pytest.approx(1)
    assert first["rank"] == 1 and first["rank_range"][0] == 1 and first["expected_accuracy"] is None
    assert (
        first["points_below_best"]["low"] <= first["points_below_best"]["value"] <= first["points_below_best"]["high"]
    )
    assert any(" on this dataset" in reason and "in its favour" in reason for reason in first["why"])
    again = json.loads(run("board", TARGET, "--results", results, "--json")[1])
    assert again == found
    check_printed("board", found)


def test_people_read_the_answer_first(run, results, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, text, _ = run("board", TARGET, "--results", results, "--rows", "3")
    lines, said = text.splitlines(), " ".join(text.split())
    assert lines[0].startswith("Fine-tune owner/")
    assert lines[-2] == "To be surer, fine-tune the models that may be the best:"
    assert lines[-1].startswith(f"  hf-transfer-score verify {TARGET} --models owner/")
    table = next(place for place, line in enumerate(lines) if line.startswith("model "))
    assert lines[table].split() == [*("model", "rank", "range", "best", "points", "below", "accuracy", "params")]
    assert [line.split()[1] for line in lines[table + 1 : table + 4]] == ["1", "2", "3"]
    assert max(map(len, lines[:-1])) <= 80 and f"  {lines[table + 1].split()[0]}  " in lines[lines.index("Why:") + 1]
    assert "best          chance to be the best after fine-tuning" in lines
    assert "accuracy      expected after fine-tuning, or as measured on this dataset" in lines
    assert "Accuracies by full fine-tuning on 7 other datasets count: owner/set-1, " in said
    assert "37 more models: --rows N shows more, --csv all of them." in said


def test_the_reasons_stay_beside_names_of_any_length(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    names = (f"{'o' * 60}/{'m' * 90}", "a/b")
    write_table(tmp_path / "t.csv", [{"model": m, "dataset": "d", "method": "full", "accuracy": 0.5} for m in names])
    run("results", "import", "t.csv", "--to", "./r", *TASK)
    lines = run("board", "d", "--results", "./r")[1].splitlines()
    assert all(line.endswith("measured here: 50.0%") for line in lines[lines.index("Why:") + 1 :][:2])


def test_csv_and_chart(run, results, tmp_path):
    _, text, errors = run("board", TARGET, "--results", results, "--csv", "--plot", "chart.svg")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 40 and [row["rank"] for row in rows[:2]] == ["1", "2"]
    assert "Drew chart.svg" in errors
    assert rows[0]["model"] in (tmp_path / "chart.svg").read_text(encoding="utf-8")


def test_measured_models_of_the_dataset_are_anchors(run, results, community, tmp_path):
    name = next(iter(community.truth))
    measured = {"model": name, "dataset": TARGET, "method": "full", "accuracy": community.truth[name]}
    write_table(tmp_path / "more.csv", [measured])
    assert run("results", "import", "more.csv", "--to", results, *TASK)[0] == 0
    found = json.loads(run("board", TARGET, "--results", results, "--json")[1])
    (one,) = [each for each in found["models"] if each["name"] == name]
    assert one["expected_accuracy"]["value"] == pytest.approx(community.truth[name])
    assert one["why"][0].startswith("measured here: ")
    assert "about " in found["answer"].split(".")[0]
    ranking = board(TARGET, results=results)
    shown = re.search(f">{name}<.*?</tr>", ranking._repr_html_(), re.DOTALL)[0]
    assert f">{community.truth[name]:.1%}<" in shown, "no interval"
    assert not ranking.to_pandas()["reason"].any()


def test_a_dataset_of_which_nothing_is_known_is_ranked_by_the_others(run, results, community):
    status, text, _ = run("board", "owner/new", "--results", results, "--json")
    found = json.loads(text)
    assert status == 0 and len(found["models"]) == 40
    assert found["notes"][0] == "Nothing is stored about owner/new: the order comes from other datasets alone."


def test_files_without_a_valid_record_are_said_each_time(run, results, tmp_path):
    first, second, *_ = sorted((tmp_path / "results" / "records").rglob("*.json"))
    first.write_text("{")
    second.write_text(second.read_text().replace('"schema_version": 3', '"schema_version": 9'))
    said = "2 files in results without a valid record left out; `hf-transfer-score results validate results` says why."
    for _ in range(2):
        assert json.loads(run("board", TARGET, "--results", results, "--json")[1])["notes"][-1] == said


def test_several_places_count_together(run, results, tmp_path):
    write_table(tmp_path / "more.csv", [{"model": "new/one", "dataset": TARGET, "metric": "logme", "value": 9.0}])
    run("results", "import", "more.csv", "--to", "./more", *TASK)
    found = json.loads(run("board", TARGET, "--results", results, "./more", "--json")[1])
    assert "new/one" in [one["name"] for one in found["models"]]


def test_a_record_in_two_places_counts_once_and_a_sample_in_two_places_is_one(run, results, tmp_path):
    shutil.copytree("results", "copy")
    assert forecast_rows(board(TARGET, results=[results, "./copy"])) == forecast_rows(board(TARGET, results=results))
    for place, name, accuracy in (("./one", "a/a", 0.8), ("./two", "a/b", 0.9)):
        row = {"model": name, "dataset": "owner/new", "method": "full", "accuracy": accuracy}
        write_table(tmp_path / "half.csv", [row])
        run("results", "import", "half.csv", "--to", place, *TASK)
    both = board("owner/new", results=["./one", "./two"])
    assert [one.why[0] for one in both.forecasts.values()] == ["measured here: 80.0%", "measured here: 90.0%"]


def test_an_import_again_replaces_what_it_brought_before_and_keeps_what_was_told_of_models(run, tmp_path):
    told = write_table(tmp_path / "facts.csv", [{"model": "o/a", "family": "vit", "parameters": 9, "license": "mit"}])
    bare = write_table(tmp_path / "bare.csv", [{"model": "o/a", "license": "apache-2.0"}])
    table, place = tmp_path / "table.csv", str(tmp_path / "results")

    def imported(value: float, second: int, *facts: object) -> dict:
        rows = [("o/a", value), ("o/b", 0.5)]
        write_table(table, [{"model": m, "dataset": "o/d", "method": "full", "accuracy": v} for m, v in rows])
        os.utime(table, (second, second))
        status, text, _ = run("results", "import", str(table), *TASK, "--to", place, *map(str, facts), "--json")
        assert status == 0
        return json.loads(text)

    imported(0.75, 10**9, "--facts", told)
    assert imported(0.25, 10**9 + 1)["replaced"] == 1, "with other facts, the identity is another"
    again = imported(0.25, 10**9 + 2, "--facts", bare)
    assert (again["written"], again["replaced"]) == (2, 2)
    imported(0.25, 10**9 + 3)
    models = json.loads(run("board", "o/d", "--results", place, "--json")[1])["models"]
    assert {one["name"]: one["expected_accuracy"]["value"] for one in models} == {"o/a": 0.25, "o/b": 0.5}
    assert next(one["parameters"] for one in models if one["name"] == "o/a") == 9
    facts = [one.facts for one in read_records(place) if one.model.id == "o/a" and one.model.parameters is None]
    assert [one.license for one in facts] == ["apache-2.0"]


def test_wrong_usage_says_what_to_do(run, results, tmp_path):
    assert "There is no folder" in run("board", TARGET, "--results", "./nowhere")[2]
    write_table(tmp_path / "texts.csv", [{"model": "a/a", "dataset": "d/d", "metric": "logme", "value": 9.0}])
    run("results", "import", "texts.csv", "--to", results, "--task", "text-classification", "--source", "them")
    status, _, errors = run("board", "owner/new", "--results", results)
    assert status == 2 and "of several tasks" in errors and "Choose one with --task" in errors
    assert f"Did you mean '{TARGET}'?" in run("board", TARGET + "s", "--results", results)[2]
    status, _, errors = run("board", TARGET, "--results", results, "--task", TASK[1], "--method", "ful")
    assert status == 2 and "--method 'ful': unknown. Did you mean 'full'? Methods of the results: full." in errors
    assert run("board", TARGET, "--results", results, "--task", TASK[1], "--method", " Full")[0] == 0
    status, _, errors = run("board", TARGET, "--results", results, "--task", "image-clasification")
    assert status == 1 and "no results of image-clasification here. Did you mean 'image-classification'?" in errors
    status, _, errors = run("results", "import", "texts.csv", "--to", results, *TASK, "--column", "model")
    assert status == 2 and "expected NAME=COLUMN, such as model=checkpoint" in errors
    write_table(tmp_path / "bad.csv", [{"model": "a/a", "dataset": "d/d", "method": "full", "accuracy": 187}])
    status, text, errors = run("results", "import", "bad.csv", "--to", results, *TASK)
    assert status == 1 and "No row of bad.csv can be used" in errors and "bad: bad.csv:2: accuracy: expected" in text
    status, text, _ = run("results", "import", "bad.csv", "--to", results, *TASK, "--json")
    assert status == 1 and json.loads(text)["problems"][0]["path"] == "bad.csv:2"


def test_a_table_with_other_names_is_imported_as_the_help_says(run, results, tmp_path):
    write_table(tmp_path / "runs.csv", [{"checkpoint": "a/a", "dataset": "d/d", "method": "full", "test_acc": 0.5}])
    write_table(tmp_path / "facts.csv", [{"model": "a", "family": "vit"}])
    named = ("--column", "model=checkpoint", "accuracy=test_acc")
    status, text, _ = run("results", "import", "runs.csv", "--to", "./theirs", "--facts", "facts.csv", *TASK, *named)
    assert (status, text.splitlines()[1]) == (0, "1 model, 1 dataset, 1 accuracy by full.")
    assert "facts.csv tells nothing about a/a: names have to be the same there.\n" in text


def test_what_an_import_did_not_know_is_said(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_table(
        tmp_path / "runs.csv", [{"model": "a/a", "dataset": "d", "method": one, "accuracy": 0.5} for one in "AB"]
    )
    said = "Methods not known here, which count as methods of their own: a, b. Known: probe, full, layer, scl, lora."
    status, text, _ = run("results", "import", "runs.csv", "--to", "./r", *TASK)
    assert (status, text.splitlines()[-1]) == (0, said)
    found = json.loads(run("results", "import", "runs.csv", "--to", "./r", *TASK, "--json")[1])
    assert found["notes"] == [said]
    check_printed("results", found)
    (tmp_path / "odd.csv").write_text("model,dataset,metric,value\na/a,D,reg hscore,1\nA/a,d,reg hscore,2\n")
    assert json.loads(run("results", "import", "odd.csv", "--to", "./r", *TASK, "--json")[1])["notes"] == [
        "Metrics not known here, of which higher is taken as better: reg hscore (Did you mean 'reg_hscore'?).",
        "Names of datasets that differ in case alone, and count as several: D and d.",
        "Names of models that differ in case alone, and count as several: A/a and a/a.",
    ]
    assert "odd.csv is named twice" in run("results", "import", "odd.csv", "odd.csv", "--to", "./r", *TASK)[2]
    (tmp_path / "runs.csv").write_text("model,data,method,accuracy\n")
    for more, wrong in (
        ((), "if they have other names, give these with --column, as in model=checkpoint"),
        (("--column", "dataset=data"), "There are no rows in runs.csv."),
        (("--column", "dataset=data", "dataset=d"), "--column names two columns for dataset: data and d."),
        (("--column", "data"), "--column 'data': expected NAME=COLUMN"),
    ):
        status, _, errors = run("results", "import", "runs.csv", "--to", "./r", *TASK, *more)
        assert status and wrong in errors


def test_accuracies_of_another_source_on_the_dataset_count_as_a_hint(run, results, tmp_path):
    for source, values in {"one": {"a/a": 0.8, "a/b": 0.85, "a/c": 0.9}, "two": {"b/low": 0.4, "b/top": 0.6}}.items():
        rows = [{"model": name, "dataset": "d/d", "method": "full", "accuracy": one} for name, one in values.items()]
        write_table(tmp_path / f"{source}.csv", rows)
        run("results", "import", f"{source}.csv", "--to", "./both", *TASK[:2], "--source", source)
    found = {one["name"]: one for one in json.loads(run("board", "d/d", "--results", "./both", "--json")[1])["models"]}
    assert found["a/c"]["why"] == ["measured here: 90.0%"] and found["b/top"]["rank"] < found["b/low"]["rank"]
    assert found["b/top"]["why"][0].startswith("accuracy by full (another sample) on this dataset counts")
    notes = json.loads(run("board", "d/d", "--results", "./both", "--json")[1])["notes"]
    assert notes[0].startswith("Accuracies by full fine-tuning on d/d are of several sources or samples")


def test_accuracies_by_one_other_method_are_what_the_board_is_about(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pairs = (("a/a", 0.8), ("a/b", 0.9), ("a/c", 0.7))
    rows = [{"model": name, "dataset": "d", "method": "LoRA", "accuracy": value} for name, value in pairs]
    write_table(tmp_path / "runs.csv", rows)
    run("results", "import", "runs.csv", "--to", "./r", *TASK)
    found = json.loads(run("board", "d", "--results", "./r", "--json")[1])
    assert found["answer"].startswith("Fine-tune a/b: 90.0%, as measured here.")
    assert [one["name"] for one in found["models"]] == ["a/b", "a/a", "a/c"]
    assert "No accuracies by lora fine-tuning on other datasets are stored" in found["notes"][-1]


def test_a_board_of_targets_is_in_the_order_of_its_metric(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pairs = (("a/a", 0.8), ("a/b", 0.9))
    rows = [{"model": m, "dataset": "d", "metric": "logme_regression", "value": value} for m, value in pairs]
    write_table(tmp_path / "runs.csv", rows)
    run("results", "import", "runs.csv", "--to", "./r", "--task", "image-regression", "--source", "them")
    status, text, _ = run("board", "d", "--results", "./r")
    assert (status, text.splitlines()[0].split(":")[0]) == (0, "Fine-tune a/b")
    assert "The order is that of logme_regression: image-regression has no accuracies to forecast." in text
    assert "points" not in text and "Why:" not in text
    status, text, _ = run("board", "e", "--results", "./r")
    assert status == 1 and "Nothing is stored about e." in text


def test_a_misspelt_dataset_is_answered_with_the_nearest(run, results):
    found = json.loads(run("board", TARGET + "s", "--results", results, "--json")[1])
    assert found["notes"][0].endswith(f"Did you mean '{TARGET}'?")
    found = json.loads(run("board", TARGET.upper(), "--results", results, "--json")[1])
    assert found["notes"][0].endswith(f"Did you mean '{TARGET}'?")
