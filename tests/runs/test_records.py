"""From a ranking to records: every number is there, with what it needs to be understood, and nothing private."""

import json
import math
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from hf_transfer_score import rank
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.checkpoints.resolve import Checkpoint
from hf_transfer_score.metrics.registry import Metric, Outcome, Term, all_metrics, get_metric
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.history import History, MeasuredColumn
from hf_transfer_score.ranking.relations import Relations
from hf_transfer_score.records.record import Record, RecordedFacts, RecordedOverlap, identity, record_path
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.records import dataset_id, without_places
from hf_transfer_score.runs.scoring import facts_of
from hf_transfer_score.version import VERSION
from tests.checkpoints.texts import write_text
from tests.cli.pool import write_dataset
from tests.runs.reports import Made, classified, measured, report_of

POOL = [Made("timm/small", 0.7, 2_000_000), Made("timm/large", 1.0, 80_000_000, 16), Made("private/x", kind="gated")]
SOURCE = {"revision": "d" * 40, "config": "plain", "split": "train", "columns": {"input": "text", "label": "kind"}}


@pytest.fixture(scope="module")
def report():
    options = {"max_samples": 60, "input_columns": ("text",), "seed": 0}
    return report_of(POOL, classified(options=options, **SOURCE), metrics=["ncti", "face", "leep"])


@pytest.fixture(scope="module")
def records(report):
    return {(one.model.id, one.metric.name if one.metric else None): one for one in report.records()}


def test_every_number_of_the_ranking_has_a_record(report, records):
    expected = {
        (name, metric) for name in ("timm/small", "timm/large") for metric in report.models[name].scores.results
    }
    assert set(records) == expected | {("private/x", None)}
    for (model, metric), record in records.items():
        if metric is not None:
            result = report.models[model].scores[metric]
            assert (record.status, record.terms, record.warnings) == (result.status, result.terms, result.warnings)
            assert record.run.metric_seconds == (result.seconds if result.status == "ok" else None)


def test_a_record_says_which_model_and_sample(report, records):
    record = records["timm/large", "ncti"]
    model, dataset = record.model, record.dataset
    assert (model.commit, model.library, model.layer) == ("c" * 40, "memory", "last")
    assert (model.pooling, model.dtype, model.details) == ("mean", "float32", {"max_length": 512})
    assert (model.parameters, model.width) == (80_000_000, 16)
    assert (dataset.id, dataset.config, dataset.split, dataset.revision) == ("owner/pets", "plain", "train", "d" * 40)
    assert (dataset.task, dataset.examples, dataset.rows, dataset.classes) == ("text-classification", 60, 60, 4)
    assert dataset.columns == {"input": "text", "label": "kind"}
    assert dataset.options == {"max_samples": 60, "input_columns": ["text"], "seed": 0}
    assert dataset.fingerprint == report.sample.fingerprint


def test_options_are_apart_from_what_follows_from_the_features(records):
    record = records["timm/small", "ncti"]
    metric = get_metric("ncti")
    assert set(record.metric.parameters) == set(vars(metric.options))
    assert set(record.used) == {"pca_components", "shrinkage"}
    assert record.metric.directions == {term.name: term.direction for term in metric.terms}
    assert -1 in record.metric.directions.values()


def test_options_that_were_asked_for_are_recorded_and_change_the_identity():
    plain, warm = (
        next(one for one in report_of(POOL[:2], metrics=[metric]).records() if one.metric.name == "face")
        for metric in (get_metric("face"), get_metric("face", temperature=0.5))
    )
    assert (plain.metric.parameters["temperature"], warm.metric.parameters["temperature"]) == (0.05, 0.5)
    assert identity(plain) != identity(warm)


def test_intervals_come_from_the_bootstrap(report, records):
    for metric in ("face", "ncti"):
        found = records["timm/small", metric].interval
        assert found == report.intervals["timm/small"][metric] != {}
        terms = records["timm/small", metric].terms
        assert all(low < terms[term] < high for term, (low, high) in found.items())
    assert records["timm/small", "parameter_count"].interval == {}


def test_a_level_stands_beside_intervals_only(report, records):
    levels = {key: (one.interval != {}, one.interval_level) for key, one in records.items()}
    assert set(levels.values()) == {(True, 0.9), (False, None)}
    again = replace(report, level=0.5)
    assert {one.interval_level for one in again.records() if one.interval} == {0.5}
    without = report_of(POOL[:1], replicates=0)
    assert without.level is None and {one.interval_level for one in without.records()} == {None}
    assert report.as_dict()["level"] == 0.9


def test_intervals_without_a_value_are_left_out(report):
    intervals = {"timm/small": {"face": {"class_fairness": (math.nan, 1.0), "variance_collapse": (0.5, 1.0)}}}
    face = [one for one in replace(report, intervals=intervals).records() if one.metric and one.metric.name == "face"]
    assert [one.interval for one in face if one.model.id == "timm/small"] == [{"variance_collapse": (0.5, 1.0)}]
    assert [one.interval for one in face if one.model.id == "timm/large"] == [{}]


def test_scores_are_told_from_baselines_and_name_their_version(records):
    kinds = {metric: one.metric.kind for (_, metric), one in records.items() if metric}
    assert kinds.pop("ncti") == kinds.pop("face") == kinds.pop("leep") == "score"
    assert set(kinds) == {"parameter_count", "feature_width", "downloads"} and set(kinds.values()) == {"baseline"}
    versions = {metric: one.metric.version for (_, metric), one in records.items() if metric}
    assert versions.pop("parameter_count") == 2, "the first counted heads too"
    assert versions.pop("face") == 2, "the first took all covariances for one variance"
    assert set(versions.values()) == {1}


def test_another_version_is_another_record(monkeypatch, report, records):
    metrics = {**all_metrics(), "face": replace(get_metric("face"), version=7)}
    monkeypatch.setattr("hf_transfer_score.runs.records.all_metrics", lambda: metrics)
    again = {(one.model.id, one.metric.name if one.metric else None): one for one in report.records()}
    changed = {key for key, one in again.items() if identity(one) != identity(records[key])}
    assert changed == {("timm/small", "face"), ("timm/large", "face")}
    assert again["timm/small", "face"].metric.version == 7


def test_what_the_page_said_is_in_every_record_and_no_part_of_the_identity(report, records):
    outcomes = {name: replace(one, license="apache-2.0", downloads=3) for name, one in report.models.items()}
    for one in replace(report, models=outcomes).records():
        before = records[one.model.id, one.metric.name if one.metric else None]
        assert one.facts == RecordedFacts(license="apache-2.0", downloads=3) != before.facts
        assert identity(one) == identity(before)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("ant", "bee", "<b>cat</b>", "dog"), ("ant", "bee", "<b>cat</b>", "dog")),
        (None, ("0", "1", "2", "3")),
        (("ant", "bee"), ("ant", "bee", "2", "3")),
        (("a\udcff", "b", "c", "d"), ("a?", "b", "c", "d")),
    ],
)
def test_overlaps_are_of_classes_by_name(names, expected):
    sample = replace(classified(), label_names=names)
    report = report_of(POOL[:1], sample, metrics=["face", "ncti"], replicates=0)
    found = {one.metric.name: one for one in report.records()}
    values = report.models["timm/small"].scores["face"].overlap.values
    assert found["face"].overlap == RecordedOverlap(expected, values)
    assert {one.overlap for name, one in found.items() if name != "face"} == {None}
    assert Record.from_json(found["face"].to_json()) == found["face"]
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()


def test_classes_that_are_absent_from_the_sample_do_not_shift_names():
    sample = classified()
    kept = sample.table.filter(np.isin(sample.labels, (1, 3)))
    sample = replace(sample, table=kept, label_names=("ant", "bee", "cat", "dog"))
    found = report_of(POOL[:1], sample, metrics="face", replicates=0).records()
    assert [one.overlap.classes for one in found if one.metric.name == "face"] == [("bee", "dog")]


def test_a_second_run_from_the_cache_says_the_same(tmp_path):
    write_dataset(tmp_path / "bank.jsonl")
    write_text(tmp_path / "bert", seed=0)
    options = RankOptions(replicates=5)
    first, second = (
        rank(f"{tmp_path / 'bank.jsonl'}", [f"{tmp_path / 'bert'}"], options=options, folder=tmp_path / "kept")
        for _ in range(2)
    )
    pairs = list(zip(first.records(), second.records(), strict=True))
    assert [(one.run.from_cache, other.run.from_cache) for one, other in pairs] == [(False, True)] * len(pairs)
    assert all(replace(other, run=one.run) == one for one, other in pairs)
    (overlap,) = (one.overlap for _, one in pairs if one.overlap)
    assert set(overlap.classes) == set(first.sample.label_names)


def test_what_failed_and_what_was_skipped_is_a_record_too(records):
    failed = records["private/x", None]
    assert (failed.status, failed.kind, failed.reason, failed.terms) == ("failed", "gated", "is gated", {})
    skipped = records["timm/small", "leep"]
    assert (skipped.status, skipped.kind, skipped.terms) == ("skipped", None, {})
    assert "needs source-class probabilities" in skipped.reason


def test_features_that_cannot_be_scored_are_one_failure(report):
    outcome = replace(
        report.models["timm/small"], status="failed", kind="bad_input", reason="all rows equal", scores=None
    )
    found = replace(report, models={"timm/small": outcome}).records()
    assert [(one.status, one.kind, one.metric) for one in found] == [("failed", "bad_input", None)]


def test_a_record_does_not_name_what_lies_beside_a_misspelt_model(report):
    said = "./modelz is not a folder; a model on the Hub is written owner/name. Did you mean './it's mine'?"
    models = {
        "timm/small": replace(report.models["timm/small"], status="failed", kind="missing", reason=said, scores=None)
    }
    (found,) = replace(report, models=models).records()
    assert found.reason == said.partition(". Did")[0]


def test_a_model_that_was_not_reached_has_no_record(report):
    outcome = replace(report.models["private/x"], status="interrupted", kind=None)
    assert replace(report, models={"private/x": outcome}).records() == []


def test_the_run_is_described(records):
    run = records["timm/small", "face"].run
    assert (run.version, run.device, run.forward_seconds, run.from_cache) == (VERSION, "cpu", 0.5, False)
    assert run.libraries["numpy"] == np.__version__
    age = datetime.now(timezone.utc) - datetime.fromisoformat(run.time)
    assert timedelta(0) <= age < timedelta(minutes=10)


def test_regression_and_a_pool_of_one():
    found = report_of(POOL[:1], measured()).records()
    assert {one.metric.name for one in found} >= {"logme_regression", "parameter_count"}
    assert found[0].dataset.classes is None
    assert found[0].dataset.task == "text-regression"
    assert all(Record.from_json(one.to_json()) == one for one in found)


def test_a_metric_that_is_not_installed_is_recorded_without_directions():
    metric = Metric(
        "spread",
        "Spread",
        "here",
        lambda data, _: Outcome({"spread": 1.0}, used={"rows": np.int64(3)}),
        (Term("spread", ""),),
    )
    record = next(one for one in report_of(POOL[:1], metrics=[metric]).records() if one.metric.name == "spread")
    assert (record.terms, record.metric.directions) == ({"spread": 1.0}, {})
    assert Record.from_json(record.to_json()).metric.parameters == {"rows": 3}


def test_saving_writes_what_can_be_read_again(report, records, tmp_path):
    assert report.save(tmp_path / "new" / "results") == len(records)
    folder = tmp_path / "new" / "results"
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert files == sorted([*(Path(record_path(one)) for one in records.values()), Path("ranking.json")])
    for path in (folder / "records").rglob("*.json"):
        record = Record.from_json(path.read_text(encoding="utf-8"))
        assert path.stem == identity(record)
        known = records[record.model.id, record.metric.name if record.metric else None]
        assert replace(record, run=known.run) == known
    assert json.loads((folder / "ranking.json").read_text(encoding="utf-8")) == json.loads(json.dumps(report.as_dict()))


def test_saving_again_replaces_the_same_and_keeps_the_rest(report, tmp_path):
    report.save(tmp_path)
    before = {path: path.read_text() for path in (tmp_path / "records").rglob("*.json")}
    outcome = report.models["timm/small"]
    face = replace(outcome.scores["face"], terms={"variance_collapse": -0.5, "class_fairness": 0.5})
    changed = replace(outcome, scores=replace(outcome.scores, results={"face": face}))
    assert replace(report, models={"timm/small": changed}, intervals={}).save(tmp_path) == 1
    after = {path: path.read_text() for path in (tmp_path / "records").rglob("*.json")}
    assert set(after) == set(before)
    different = [path for path in after if after[path] != before[path]]
    assert [set(Record.from_json(after[path]).terms.values()) for path in different] == [{-0.5, 0.5}]


def test_the_ranking_holds_no_value_that_json_does_not_know(report, tmp_path):
    replace(report, seconds=math.inf, mean_ranks={"timm/small": math.nan}).save(tmp_path)
    text = (tmp_path / "ranking.json").read_text(encoding="utf-8")
    found = json.loads(text, parse_constant=lambda word: pytest.fail(word))
    assert (found["seconds"], found["mean_ranks"]["timm/small"]) == (None, None)


def test_no_place_and_no_token_is_recorded():
    token = "hf_" + "a1B2" * 8
    reasons = {"reason": f"/home/me/models/bad cannot be read with {token}: [Errno 2] '/home/me/my models/config.json'"}
    models = [
        Made("/home/me/models/good", 0.7, known={"local": True}),
        Made("/home/me/models/bad", kind="corrupt", known={"local": True, **reasons}),
        Made("C:\\Users\\me\\checkpoint", 0.9, known={"local": True}),
    ]
    found = report_of(models, classified("/home/me/data/pets.parquet")).records()
    text = "".join(one.to_json() for one in found)
    assert not [word for word in ("/home", "Users", token, "my models") if word in text]
    assert {one.model.id for one in found} == {"good", "bad", "checkpoint"}
    assert {one.dataset.id for one in found} == {"pets.parquet"}
    assert [one.reason for one in found if one.status == "failed"] == [
        "bad cannot be read with hf_...: [Errno 2] 'config.json'"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "see https://huggingface.co/owner/name/tree and/or ask",
            "see https://huggingface.co/owner/name/tree and/or ask",
        ),
        ("hf_transfer_score takes owner/name", "hf_transfer_score takes owner/name"),
        ("no ~/models/x.bin, no C:\\a\\b.bin", "no x.bin, no b.bin"),
        (f"in {Path.home()}/a b/c", "in ~/a b/c"),
    ],
)
def test_only_places_are_left_out(text, expected):
    assert without_places(text) == expected


@pytest.mark.parametrize(
    ("model", "known", "expected"),
    [
        ("owner/name@v1", {}, ("owner/name", None)),
        ("owner/name@refs/pr/1", {"commit": None}, ("owner/name", "refs/pr/1")),
        ("gpt2@main", {}, ("gpt2", None)),
        ("my@folder", {"local": True}, ("my@folder", None)),
        ("../up/name@x", {"local": True}, ("name@x", None)),
    ],
)
def test_the_revision_is_not_part_of_the_id(model, known, expected):
    record = report_of([Made(model, known=known)], replicates=0).records()[0]
    assert (record.model.id, record.model.revision) == expected


@pytest.mark.parametrize(
    ("name", "revision", "expected"),
    [
        ("owner/pets", "d" * 40, "owner/pets"),
        ("./data/pets", None, "pets"),
        ("memory", None, "memory"),
        ("https://me:secret@example.org/pets.csv?token=1", None, "https://example.org/pets.csv"),
    ],
)
def test_datasets_are_named_without_their_place(name, revision, expected):
    assert dataset_id(classified(name, revision=revision)) == expected


def checkpoint(config=None, tags=(), **about):
    descriptions = {} if config is None else {"config.json": config}
    return Checkpoint("owner/name", "c" * 40, Repository("owner/name", {}, descriptions, None, tags), **about)


def test_a_model_of_transformers():
    tags = ("base_model:google/vit", "base_model:finetune:google/vit", "dataset:beans", "dataset:food101", "vision")
    config = {"model_type": "vit", "architectures": ["ViTForImageClassification"]}
    assert facts_of(checkpoint(config, tags, license="mit", downloads=7)) == RecordedFacts(
        license="mit",
        downloads=7,
        family="vit",
        architecture="ViTForImageClassification",
        base_model="google/vit",
        pretrained_on="beans, food101",
    )


@pytest.mark.parametrize(
    ("name", "family"),
    [("resnet50", "resnet"), ("tf_efficientnet_lite0", "efficientnet"), ("vit_small_patch16_224", "vit")],
)
def test_a_model_of_timm(name, family):
    found = facts_of(checkpoint({"architecture": name}))
    assert (found.architecture, found.family) == (name, family)


@pytest.mark.parametrize(
    "config",
    [
        *(None, {}, {"model_type": ["vit"], "architectures": "Bert", "architecture": 3}, {"architectures": [[]]}),
        *({"model_type": "x" * 201}, {"model_type": "a\x1b[31m"}, {"model_type": ""}, {"architecture": "50net"}),
    ],
)
def test_what_cannot_be_a_name_is_not_known(config):
    found = facts_of(checkpoint(config, ("base_model:", "dataset:a\nb")))
    assert found in (RecordedFacts(), RecordedFacts(architecture="50net"))
    assert facts_of(None) == RecordedFacts()


def test_a_family_speaks_for_a_model_that_nobody_measured():
    good, bad = {f"good/{n}": 0.9 + n / 100 for n in range(6)}, {f"bad/{n}": 0.5 + n / 100 for n in range(6)}
    history = History(
        tuple(MeasuredColumn(f"data/{n}", "image-classification", "full", {**good, **bad}) for n in range(4)),
        models={name: Relations(family="vit" if name in good else "van") for name in (*good, *bad)},
    )
    own = {name: Relations.of(facts_of(checkpoint({"model_type": name})), None) for name in ("van", "vit")}
    known = Forecaster(history, own).expected(["van", "vit"])
    assert known.mean[1] > known.mean[0] + 0.3


def test_what_a_repository_says_stands_before_what_records_say():
    history = History(models={"a": Relations(family="old", base_model="b", parameters=5)})
    assert Forecaster(history, {"a": Relations(family="new")}).relations.of("a") == Relations("new", None, "b", None, 5)
