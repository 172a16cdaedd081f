"""`rank` from Python, with checkpoints of a kind that this file makes itself: no library, no Hub."""

import json

import datasets
import numpy as np
import pytest
import torch

import hf_transfer_score as public
from hf_transfer_score.backbones import base
from hf_transfer_score.backbones.base import BackboneKind, MemoryBackbone, register_backbone
from hf_transfer_score.errors import CheckpointError, InputError, OptionError, StoreError
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.report import Interrupted
from hf_transfer_score.runs.run import plan_rank, rank

ROWS = 24
OPTIONS = RankOptions(replicates=0)


@pytest.fixture
def loaded(monkeypatch):
    """The folders that were loaded, by a kind of backbone whose config.json says what becomes of it."""
    monkeypatch.setattr(base, "_registered", {})
    names = []

    def load(folder, task, options):
        names.append(folder.name)
        config = json.loads((folder / "config.json").read_text())
        if config["says"] == "crash":
            raise ZeroDivisionError("of all things")
        if config["says"] == "refuse":
            raise CheckpointError("unsupported", "is not for this")
        generator = np.random.default_rng(config["seed"])
        mixed = generator.normal(size=(2, 5))
        return MemoryBackbone(lambda text: np.array([len(text), text.count("o")]) @ mixed)

    register_backbone(
        BackboneKind("says", "text", lambda one: "says" in one.config, lambda one, _: ["config.json"], load)
    )
    return names


@pytest.fixture
def data():
    texts = [("so good, oh so good " if row % 2 else "bad") + "." * (row % 7) for row in range(ROWS)]
    return datasets.Dataset.from_dict({"text": texts, "label": [row % 2 for row in range(ROWS)]})


def checkpoint(tmp_path, name, says="features", seed=0):
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"says": says, "seed": seed}))
    return str(folder)


def checkpoints(tmp_path, *names):
    return [checkpoint(tmp_path, name, seed=seed) for seed, name in enumerate(names)]


def test_failures_of_all_sorts_are_outcomes(tmp_path, loaded, data):
    models = [checkpoint(tmp_path, name, name, seed) for seed, name in enumerate(("crash", "one", "refuse", "two"))]
    report = rank(data, models, options=OPTIONS, folder=tmp_path / "kept")
    assert set(report.ranks) == {"one", "two"} and report.best.name in report.ranks
    kinds = {name: (one.kind, one.reason) for name, one in report.models.items() if one.status == "failed"}
    assert kinds == {
        "crash": ("error", "ZeroDivisionError: of all things"),
        "refuse": ("unsupported", "is not for this"),
    }


def test_what_was_run_is_not_run_again_until_it_changes(tmp_path, loaded, data):
    models = checkpoints(tmp_path, "one", "two")
    for metrics in (None, ["knn"]):
        rank(data, models, options=OPTIONS, metrics=metrics, folder=tmp_path / "kept")
    assert loaded == ["one", "two"]
    checkpoint(tmp_path, "two", seed=7)
    report = rank(data, models, options=OPTIONS, folder=tmp_path / "kept")
    assert loaded == ["one", "two", "two"]
    assert {name: one.from_cache for name, one in report.models.items()} == {"one": True, "two": False}


def test_features_that_are_damaged_are_made_again(tmp_path, loaded, data):
    models = checkpoints(tmp_path, "one", "two")
    before = rank(data, models, options=OPTIONS, folder=tmp_path / "kept")
    damaged = next((tmp_path / "kept" / "features").glob("*/features.0.npy"))
    damaged.write_bytes(damaged.read_bytes()[:200])
    after = rank(data, models, options=OPTIONS, folder=tmp_path / "kept")
    assert sorted(one.from_cache for one in after.models.values()) == [False, True] and len(loaded) == 3
    assert after.mean_ranks == before.mean_ranks


def test_a_full_cache_keeps_what_a_run_needs(tmp_path, loaded, data, monkeypatch):
    monkeypatch.setenv("HF_TRANSFER_SCORE_CACHE_SIZE", "1")
    models = checkpoints(tmp_path, "one", "two", "three")
    rank(data, models[1:], options=OPTIONS, folder=tmp_path / "kept")
    report = rank(data, models, options=OPTIONS, folder=tmp_path / "kept")
    assert len(report.ranks) == 3 and loaded == ["two", "three", "one"]
    rank(data, models[:1], options=RankOptions(replicates=0, seed=1), folder=tmp_path / "kept")
    other = [checkpoint(tmp_path, "four", seed=9)]
    rank(data, other, options=OPTIONS, folder=tmp_path / "kept")
    kept = [path for path in (tmp_path / "kept" / "features").iterdir() if path.name != "locks"]
    assert len(kept) == 1, "else nothing was ever removed"


class Stops(Listener):
    """Ends the run at the turn of one model, as Ctrl-C does."""

    def started(self, model, number, count):
        if model.name == "two":
            raise KeyboardInterrupt


def test_an_interruption_carries_the_report(tmp_path, loaded, data):
    models = checkpoints(tmp_path, "one", "two", "three")
    with pytest.raises(KeyboardInterrupt, match="interrupted with 1 of 3 models scored") as caught:
        rank(data, models, options=OPTIONS, listener=Stops(), folder=tmp_path / "kept")
    assert isinstance(caught.value, Interrupted) and caught.value.report.interrupted
    statuses = {name: one.status for name, one in caught.value.report.models.items()}
    assert statuses == {"one": "ok", "two": "interrupted", "three": "interrupted"}
    rank(data, models, options=OPTIONS, folder=tmp_path / "kept")
    assert loaded == ["one", "two", "three"]


def test_a_plan_loads_nothing(tmp_path, loaded, data):
    models = [checkpoint(tmp_path, "one"), checkpoint(tmp_path, "two", seed=1), str(tmp_path / "absent")]
    plan = plan_rank(data, models, folder=tmp_path / "kept")
    assert [one.state for one in plan.models] == ["on disk", "on disk", "failed"] and plan.download_bytes == 0
    assert loaded == []
    rank(data, models[:1], options=OPTIONS, folder=tmp_path / "kept")
    assert plan_rank(data, models, folder=tmp_path / "kept").models[0].state == "cached"


def test_streams_and_tables_give_the_same_ranking(tmp_path, loaded, data):
    models = checkpoints(tmp_path, "one", "two")
    reports = [
        rank(rows, models, options=OPTIONS, folder=tmp_path / kind)
        for kind, rows in (("table", data), ("stream", data.to_iterable_dataset(num_shards=2)))
    ]
    for name in ("one", "two"):
        terms = [one.models[name].scores.results["logme"].terms for one in reports]
        assert terms[0] == pytest.approx(terms[1], rel=1e-6)


def test_who_names_no_model_is_told(data):
    with pytest.raises(OptionError, match="No model was named: name ids or folders with `models`, or search the Hub"):
        rank(data)


@pytest.mark.parametrize("function", [public.rank, public.choose, public.rank_adaptively])
def test_results_that_are_not_there_are_refused_before_anything_is_read(function, tmp_path):
    (tmp_path / "results").mkdir()
    said = r"There is no folder .*resluts; a dataset on the Hub is written OWNER/NAME\. Did you mean '.*results'\?"
    with pytest.raises(StoreError, match=said):
        function("no/such", ["no/such"], results=str(tmp_path / "resluts"), folder=tmp_path / "home", progress=False)
    assert not (tmp_path / "home").exists()


def test_records_of_a_place_that_is_not_there(tmp_path):
    with pytest.raises(StoreError, match="There is no folder"):
        public.read_records(tmp_path / "none")
    with pytest.raises(StoreError, match="There are no results in .*: they would be below .*/records/"):
        public.board("o/d", tmp_path)


@pytest.mark.parametrize("function", [public.rank, public.plan_rank, public.choose, public.verify, public.layers])
def test_a_dataset_and_models_that_were_swapped_are_told_apart(function):
    module = torch.nn.Linear(2, 2)
    for models, name in (("example/vit-pretrained", "example/vit-pretrained"), ([("mine", module, len)], "tuple")):
        with pytest.raises(OptionError, match=f"{name} is a model, .*: it comes first, then the models"):
            function(models, "example", progress=False)
    if function is not public.layers:
        with pytest.raises(OptionError, match="A dict was passed as the models: the dataset comes first"):
            function("example", {"train": [1]}, progress=False)


def test_arguments_of_a_wrong_type_are_refused_in_words():
    with pytest.raises(OptionError, match=r"max_samples='5': expected a whole number\."):
        public.rank("example", max_samples="5", progress=False)
    with pytest.raises(OptionError, match="budget=0: expected a time such as 20m"):
        public.choose("example", budget=0, progress=False)
    with pytest.raises(OptionError, match="No model was named"):
        public.rank((["a", "b"] * 5, [0, 1] * 5), None, progress=False)
    with pytest.raises(InputError, match=r"have to be a dictionary, \(N, D\) by model name; got list"):
        public.rank_features([np.zeros((4, 2))], [0, 0, 1, 1])
    features = {"a": np.eye(8)}, [0, 1] * 4
    with pytest.raises(OptionError, match="headline='nct': expected one of face, .* Did you mean 'ncti'"):
        public.rank_features(*features, headline="nct")
    with pytest.raises(OptionError, match="There is no task 'classification'"):
        public.rank_features(*features, dataset="o/d", task="classification")
