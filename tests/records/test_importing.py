"""Tables of others become records; what cannot be used is told by its line."""

import os
from pathlib import Path

import pytest

from hf_transfer_score.errors import InputError
from hf_transfer_score.records.importing import Imported, import_table, summary
from hf_transfer_score.records.record import Record, identity

TASK = "image-classification"


@pytest.fixture
def table(tmp_path):
    def take(text: str, *, facts: str | None = None, name: str = "table.csv", **options) -> Imported:
        path = tmp_path / name
        path.write_bytes(text.encode())
        about = None
        if facts is not None:
            about = tmp_path / "facts.csv"
            about.write_text(facts, encoding="utf-8")
        return import_table(path, **{"task": TASK, "source": "them", "facts": about, **options})

    return take


def test_accuracies_say_how_and_by_whom_they_were_measured(table):
    (record,) = table("model,dataset,method,accuracy\na/a,d/d,lora,0.75\n").records
    assert (record.model.id, record.dataset.id, record.dataset.task) == ("a/a", "d/d", TASK)
    assert (record.metric.name, record.metric.kind, record.terms) == ("accuracy", "truth", {"accuracy": 0.75})
    assert record.metric.parameters == {"method": "lora", "seed": 0, "published_by": "them"}
    assert record.source == "them"


def test_scores_of_known_metrics_have_their_terms_and_direction(table):
    text = "model,dataset,metric,value\na/a,d/d,logme,1.5\na/a,d/d,theirs,-3\na/a,d/d,ncti,2\na/a,d/d,downloads,40\n"
    found = {record.metric.name: record for record in table(text).records}
    assert found["logme"].terms == {"logme": 1.5} and found["logme"].metric.directions == {"logme": 1}
    assert found["theirs"].terms == {"theirs": -3.0}
    assert found["ncti"].terms == {"ncti": 2.0}, "one number of a metric with several terms"
    assert (found["downloads"].metric.kind, found["logme"].metric.kind) == ("baseline", "score")


def test_facts_are_kept_with_every_record(table):
    facts = (
        "model,family,architecture,base_model,parameters,license,pretrained_on\n"
        "a/a,vit,ViTModel,b/base,86000000.0,mit,imagenet-21k\n"
    )
    (record,) = table("model,dataset,metric,value\na/a,d/d,logme,1\n", facts=facts).records
    assert record.model.parameters == 86_000_000
    about = record.facts
    assert (about.family, about.architecture, about.base_model) == ("vit", "ViTModel", "b/base")
    assert (about.license, about.pretrained_on) == ("mit", "imagenet-21k")


def test_columns_may_have_other_names_and_others_are_said(table):
    text = "checkpoint\tdata\tmethod\ttest_acc\tnote\na/a\td/d\tfull\t0.5\tx\n"
    columns = {"model": "checkpoint", "dataset": "data", "accuracy": "test_acc"}
    found = table(text, name="runs.tsv", columns=columns)
    assert found.records[0].terms == {"accuracy": 0.5} and found.ignored == {"note"}
    with pytest.raises(InputError, match=r"has no column 'checkpoints'\. Its columns: model"):
        table("model,dataset,method,accuracy\n", columns={"model": "checkpoints"})


def test_repetitions_are_numbered_and_a_second_value_of_a_metric_is_none(table):
    found = table("model,dataset,method,accuracy\na/a,d/d,full,0.5\na/a,d/d,full,0.6\na/a,d/d,full,0.7\n")
    assert [one.metric.parameters["seed"] for one in found.records] == [0, 1, 2]
    seeds = table("model,dataset,method,accuracy,seed\na/a,d/d,full,0.5,7\na/a,d/d,full,0.6,9\n")
    assert [one.metric.parameters["seed"] for one in seeds.records] == [7, 9]
    twice = table("model,dataset,metric,value\na/a,d/d,logme,0.5\na/a,d/d,logme,0.6\n")
    assert [one.terms["logme"] for one in twice.records] == [0.5]
    assert [(one.path, one.reason.split(";")[0]) for one in twice.problems] == [
        ("table.csv:3", "A second value of logme for the same model and dataset")
    ]


BAD = {
    "a/a,d/d,full,87": "accuracy: expected a share from 0 to 1, got 87; divide percents by 100.",
    "a/a,d/d,full,high": "accuracy: expected a finite number, got 'high'.",
    "a/a,d/d,full,nan": "accuracy: expected a finite number, got 'nan'.",
    ",d/d,full,0.5": "The column model is empty.",
    "a/a,d/d,,0.5": "The column method is empty.",
    "a/a,d/d,full": "has 3 values, but the table has 4 columns",
    f"{'a' * 2000},d/d,full,0.5": "A record's field 'model.id': expected at most 1,000 letters",
}


@pytest.mark.parametrize("row", BAD)
def test_bad_rows_are_reported_and_left_out(table, row):
    found = table(f"model,dataset,method,accuracy\nb/b,d/d,full,0.9\n{row}\nc/c,d/d,full,0.8\n")
    assert [one.model.id for one in found.records] == ["b/b", "c/c"]
    ((where, reason),) = [(one.path, one.reason) for one in found.problems]
    assert where == "table.csv:3" and reason.startswith(BAD[row])


UNUSABLE = {
    b"": "is empty. It needs a first line with the names of its columns: model and dataset",
    b"a/a,d/d,full,0.5\nb/b,d/d,full,0.6\n": r"The first line of .* looks like data: a/a, d/d, full, 0.5. Put a line",
    b"name,data,how,share\n": "if they have other names, give these with `columns`, as in model=checkpoint",
    b"model,dataset\na/a,d/d\n": "It needs model and dataset, and metric and value or method and accuracy",
    b"model,dataset,method,accuracy\n\xff\xfe,d/d,full,1\n": "is not text in UTF-8",
    "model,dataset,method,accuracy\na/a,d/d,full,1\n".encode("utf-16-le"): "is not text in UTF-8",
    b"model,dataset,accuracy\na/a,d/d,1\n": "Add a column method that says how the models were trained: probe, full, ",
    b"model,pets,cars\na/a,0.5,0.6\n": "A table with one column per dataset has to become one row per",
    b'model,dataset,method,accuracy\n"a/a,d/d,full,1\n': "cannot be read as a table",
}


@pytest.mark.parametrize("content", UNUSABLE)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, content):
    path = Path(tmp_path / "table.csv")
    path.write_bytes(content)
    with pytest.raises(InputError, match=UNUSABLE[content]):
        import_table(str(path), task=TASK, source="them")


def test_files_that_are_no_tables_are_said(tmp_path):
    for path, said in ((tmp_path, "is a folder: name the tables in it"), (tmp_path / "gone.csv", "There is no file")):
        with pytest.raises(InputError, match=said):
            import_table(path, task=TASK, source="them")


def test_what_cannot_be_meant_is_refused(table):
    with pytest.raises(InputError, match="Did you mean 'image-classification'"):
        table("model,dataset,method,accuracy\n", task="image-clasification")
    with pytest.raises(InputError, match="Say who published the table"):
        table("model,dataset,method,accuracy\n", source=" ")
    with pytest.raises(InputError, match="has no column model"):
        table("model,dataset,method,accuracy\na/a,d/d,full,1\n", facts="name,family\na/a,vit\n")
    with pytest.raises(InputError, match="looks like data: a/a, vit, 25. Put .* above it: model, and any of family,"):
        table("model,dataset,method,accuracy\na/a,d/d,full,1\n", facts="a/a,vit,25\n")


def test_the_same_table_gives_the_same_records(table):
    text = "model,dataset,method,accuracy\na/a,d/d,full,0.5\n"
    first, again, theirs = table(text).records, table(text).records, table(text, source="others").records
    assert [identity(one) for one in first] == [identity(one) for one in again] != [identity(one) for one in theirs]
    assert first[0].dataset.fingerprint != theirs[0].dataset.fingerprint, "they may have used other test sets"
    assert Record.from_json(first[0].to_json()) == first[0]


def test_links_are_ids_and_names_can_be_seen(table):
    rows = "https://huggingface.co/a/a,https://huggingface.co/datasets/d/d\n https://hf.co/b/b/tree/main,d/d\na/\u200bb,d/d\n"
    text = "model,dataset,method,accuracy\n" + rows.replace("d/d\n", "d/d,full,0.5\n")
    facts = "model,family\nhttps://huggingface.co/a/a,vit\n"
    found = table(text, facts=facts)
    assert [(one.model.id, one.dataset.id, one.facts.family) for one in found.records] == [
        ("a/a", "d/d", "vit"),
        ("b/b", "d/d", None),
    ]
    assert [one.reason for one in found.problems] == [
        "model: a/\\u200bb has characters that cannot be seen; remove them."
    ]


def test_a_table_of_percents_is_read_as_percents(table):
    rows = "a/a,d/d,full,91.5\nb/b,d/d,full,0.9\nc/c,d/d,full,0\nd/d,d/d,full,0.9%\ne/e,d/d,full,101\nf/f,d/d,full,80\n"
    found = table("model,dataset,method,accuracy\n" + rows)
    assert {one.model.id: one.terms["accuracy"] for one in found.records} == {
        "a/a": pytest.approx(0.915),
        "c/c": 0.0,
        "d/d": pytest.approx(0.009),
        "f/f": 0.8,
    }
    assert [one.reason for one in found.problems] == [
        "accuracy: 0.9 stands among percents; write 0.9% or 90%.",
        "accuracy: expected a percentage from 0 to 100, got 101.",
    ]
    assert found.percents == {"table.csv"}


def test_bars_separate_too(table):
    found = table("| model | dataset | method | accuracy |\n| --- | --- | --- | --- |\n| a/a | d/d | full | 0.5 |\n")
    assert [one.model.id for one in found.records] == ["a/a"] and len(found.problems) == 1


def test_the_summary_counts(table):
    text = "model,dataset,method,accuracy,metric,value\na/a,d/d,full,0.5,logme,1\nb/b,d/e,,,logme,2\n"
    assert summary(table(text).records) == {"models": 2, "datasets": 2, "scores": 2, "accuracies": 1}


def test_tables_of_spreadsheets(table):
    text = "sep=;\nModel;Dataset;Method;Accuracy\na/a;d/d;full;0,75\na/a;d/e;full;62,5 %\n"
    assert [one.terms["accuracy"] for one in table(text).records] == [0.75, 0.625]
    found = table("model,dataset,metric,value\na/a,d/d,loss,0.5\na/a,d/d,logme,0.5\n")
    assert found.unknown == {"loss"} and not found.problems
    with pytest.raises(InputError, match="no column 'modle' to be named. Did you mean 'model'"):
        table("m,dataset,method,accuracy\n", columns={"modle": "m"})


def test_the_first_line_shows_what_separates_and_names_are_read_in_any_case(table):
    for between, name in (("\t", "table.csv"), (";", "table.csv"), (",", "table.tsv")):
        text = "\n\nModel,Dataset,Metric,Value\na/a,d/d,LogME,1\n".replace(",", between)
        found = table(text, name=name, facts="Model,Family,Parameters\na/a,vit,5\n")
        (one,) = found.records
        assert (one.metric.name, one.facts.family, one.model.parameters) == ("logme", "vit", 5)
        assert not found.unknown and not found.ignored
    (problem,) = table("model,dataset,metric,value\na/a,d/d,Accuracy,1\n").problems
    assert problem.reason.startswith("Accuracies belong in the columns method and accuracy")


def test_a_method_is_one_however_it_is_spelt(table):
    names = ("LoRA", "lora", " Lora\t", "BitFit", "bit  fit", "bit fit")
    found = table("model,dataset,method,accuracy\n" + "".join(f"a/a,d/d,{name},0.5\n" for name in names))
    said = [(one.metric.parameters["method"], one.metric.parameters["seed"]) for one in found.records]
    assert said == [("lora", 0), ("lora", 1), ("lora", 2), ("bitfit", 0), ("bit fit", 0), ("bit fit", 1)]
    assert (found.unknown_methods, found.problems) == ({"bitfit", "bit fit"}, [])


def test_facts_that_contradict_each_other_are_said(table):
    facts = "model,family\na/a,vit\na/a,vit\na/a,swin\n"
    found = table("model,dataset,method,accuracy\na/a,d/d,full,0.5\n", facts=facts)
    assert [one.facts.family for one in found.records] == ["vit"]
    assert [one.path for one in found.problems] == ["facts.csv:4"]
    assert found.problems[0].reason.startswith("Other facts about a/a than in an earlier row")


def test_decimal_commas_count_where_no_comma_separates(table):
    tabs = table("model\tdataset\tmethod\taccuracy\na/a\td/d\tfull\t0,75\n")
    assert [one.terms["accuracy"] for one in tabs.records] == [0.75]
    (problem,) = table('model,dataset,method,accuracy\na/a,d/d,full,"0,75"\n').problems
    assert problem.reason == "accuracy: expected a finite number, got '0,75'; write decimals with a point."


def test_no_value_is_lost_in_silence(table):
    text = "model,dataset,method,accuracy,seed\na/a,d/d,full,0.5,1\na/a,d/d,full,0.6,1\na/a,d/d,full,0.7,\n"
    found = table(text)
    assert [(one.terms["accuracy"], one.metric.parameters["seed"]) for one in found.records] == [(0.5, 1), (0.7, 0)]
    assert found.problems[0].reason.startswith("A second value of full with seed 1 for the same model")
    with pytest.raises(InputError, match="has several columns accuracy"):
        table("model,dataset,method,accuracy,accuracy\na/a,d/d,full,0.5,0.6\n")
    found = table("checkpoint,model,dataset,method,accuracy\no/a,A,d,full,0.6\n", columns={"model": "checkpoint"})
    assert (found.records[0].model.id, found.ignored) == ("o/a", {"the other model"})


@pytest.mark.parametrize(
    ("written", "number"),
    [("5M", 5e6), ("86.5m", 86.5e6), ("1.2 B", 1.2e9), ('"1,200,000"', 1_200_000), ('"1,200,000.0"', 1.2e6)],
)
def test_sizes_are_read_as_people_write_them(table, written, number):
    found = table("model,dataset,method,accuracy\na/a,d,full,0.5\n", facts=f"model,parameters\na/a,{written}\n")
    assert (found.records[0].model.parameters, found.problems) == (number, [])


def test_sizes_may_have_a_decimal_comma_too(table):
    facts = "model;parameters\na/a;86,5M\nb/b;1,200,000\n"
    found = table("model,dataset,method,accuracy\na/a,d,full,0.5\nb/b,d,full,0.5\n", facts=facts)
    assert [one.model.parameters for one in found.records] == [86_500_000, 1_200_000]


def test_wrong_facts_cost_no_accuracy(table):
    for wrong in ("-5", "25.7", "1e30", "nan", "M", "25 apples"):
        found = table("model,dataset,method,accuracy\na/a,d,full,0.5\n", facts=f"model,parameters\na/a,{wrong}\n")
        assert (len(found.records), found.records[0].model.parameters) == (1, None)
        assert [(one.path, wrong in one.reason) for one in found.problems] == [("facts.csv:2", True)]


def test_targets_have_no_accuracies(table):
    text = "model,dataset,method,accuracy,metric,value\na/a,d/d,full,0.5,logme_regression,1\n"
    found = table(text, task="image-regression")
    assert [one.metric.name for one in found.records] == ["logme_regression"]
    assert [one.reason for one in found.problems] == [
        "accuracy: image-regression has no classes, so no accuracies; give metric and value."
    ]


def test_a_table_from_a_clock_that_is_ahead_is_from_now(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("model,dataset,method,accuracy\na/a,d/d,full,0.5\n")
    os.utime(path, (2**32, 2**32))
    found = import_table(path, task=TASK, source="them")
    assert (len(found.records), found.problems) == (1, [])


def test_repetitions_in_several_tables_count_on(table):
    head = "model,dataset,method,accuracy\n"
    found = table(f"{head}a/a,d/d,full,0.5\n")
    assert table(f"{head}a/a,d/d,full,0.6\n", name="second.csv", into=found) is found
    assert [one.metric.parameters["seed"] for one in found.records] == [0, 1]
    assert len({identity(one) for one in found.records}) == 2
