"""The whole pipeline of the evidence in seconds: from images to checkpoints, scores, accuracies and figures."""

import io
import json
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from benchmarks.evidence import run, tables
from benchmarks.evidence.figures import CHANCE, MEAN_RANK, SOURCE, targets_of
from benchmarks.evidence.material import write_target
from benchmarks.evidence.pretraining import Lesson, pre_train
from benchmarks.evidence.regimes import REGIMES, Regime
from benchmarks.evidence.run import Evidence
from benchmarks.evidence.settings import OPTIONS
from benchmarks.evidence.zoo import IMAGES, TEXTS, ImageMember
from benchmarks.example.networks import one_thread
from hf_transfer_score.finetune.recipe import default_recipe

MEMBERS = tuple(ImageMember("mambaout", one) for one in ("few-images", "untrained"))
RECIPE = replace(default_recipe("image"), learning_rates=(1e-3,), epochs=2)
NAMES = [f"class {number}" for number in range(10)]


def write_images(folder, per_class, seed):
    generator = np.random.default_rng(seed)
    cells, labels = [], []
    for label in range(10):
        for _ in range(per_class):
            pixels = generator.integers(0, 100, (32, 32, 3)) + 15 * label
            stream = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
            cells.append({"bytes": stream.getvalue(), "path": None})
            labels.append(label)
    features = {"img": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}
    table = pa.table({"img": cells, "label": labels})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    (folder / "data").mkdir(parents=True, exist_ok=True)
    split = "train" if seed == 0 else "test"
    parquet.write_table(table.replace_schema_metadata(metadata), folder / "data" / f"{split}-00000-of-00001.parquet")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    write_images(folder, 12, 0)
    write_images(folder, 6, 1)
    return folder


@pytest.fixture(scope="module")
def regime():
    return Regime("tiny", "a few", True, (8, 8, 8, 4, 4), RECIPE, ("layer",))


@pytest.fixture(scope="module")
def evidence(images, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    return Evidence(images, images, images, work, steps=3, seeds=(0, 1), images=MEMBERS)


@pytest.fixture(scope="module")
def records(evidence, regime):
    evidence.measure([regime], 1)
    return evidence.records()


def test_every_model_has_all_settings_and_accuracies(records):
    found = targets_of(records)
    assert set(found) == {"tiny"}
    target = found["tiny"]
    assert set(target.means) == {member.name for member in MEMBERS}
    assert set(target.truths) == {"full", "layer"}
    assert all(len(one.accuracies) == 2 for truths in target.truths.values() for one in truths.values())
    settings = {name for name in target.scores if name.endswith(")")}
    assert len(settings) == sum(map(len, OPTIONS.values())) - len(set(OPTIONS) & {"hscore", "reg_hscore", "transrate"})
    assert {"face (include_self=True)", "ncti (pca=64)", "leep", SOURCE, MEAN_RANK, "parameter_count"} <= set(
        target.scores
    )
    layer, full = (target.truths[method][MEMBERS[0].name] for method in ("layer", "full"))
    assert layer.trained < full.trained == full.total == layer.total


class Here(Executor):
    """Runs the work of helper processes at once in this process."""

    def submit(self, function, *arguments):
        future = Future()
        with one_thread():
            future.set_result(function(*arguments))
        return future


def test_existing_results_are_not_computed_again(evidence, regime, records, monkeypatch):
    monkeypatch.setattr(run, "helpers", lambda _: nullcontext(Here()))
    before = {
        path: path.stat().st_mtime_ns for path in evidence.work.rglob("*") if path.suffix in (".json", ".safetensors")
    }
    assert len(before) > len(records)
    next(path for path in before if '"seed": 1' in path.read_text(errors="ignore")).unlink()
    evidence.measure([regime], 1)
    after = {path: path.stat().st_mtime_ns for path in before if path.is_file()}
    assert sum(after[path] != stamp for path, stamp in before.items() if "home" not in path.parts) == 1
    assert len(evidence.records()) == len(records)


def test_records_are_small_and_contain_no_paths(evidence, records):
    for record in records:
        assert str(evidence.work) not in record.to_json()
        if record.overlap is not None:
            assert record.metric.parameters["include_self"] is False
            assert all(value == round(value, 4) for value in record.overlap.values)


def test_pretraining_is_repeatable(evidence, tmp_path):
    lesson = Lesson(MEMBERS[0], evidence.work / "source.npz", tmp_path, 3, "cpu")
    with one_thread():
        pre_train(lesson)
    again, first = (
        folder / MEMBERS[0].name / "model.safetensors" for folder in (tmp_path, evidence.work / "checkpoints")
    )
    assert again.read_bytes() == first.read_bytes()


def test_larger_targets_contain_the_rows_of_smaller_ones(images, regime, tmp_path):
    def cells(one):
        place = write_target(one, images, tmp_path) / "data"
        tables = {split: parquet.read_table(place / f"{split}-00000-of-00001.parquet") for split in ("train", "test")}
        return {split: [row["bytes"] for row in table["img"].to_pylist()] for split, table in tables.items()}, tables

    small, _ = cells(replace(regime, name="small", counts=(3, 3, 3, 3, 3)))
    large, found = cells(replace(regime, name="large", counts=(9, 9, 9, 9, 9)))
    assert set(small["train"]) < set(large["train"])
    assert len(large["test"]) == 30
    assert np.bincount(found["train"]["label"].to_numpy()).tolist() == [9] * 5
    told = json.loads(found["train"].schema.metadata[b"huggingface"])["info"]["features"]
    assert told["label"]["names"] == NAMES[5:]
    with pytest.raises(ValueError, match="Class 5 has 12 rows, and 13 are needed"):
        cells(replace(regime, name="too large", counts=(13,) * 5))


def test_the_pool_is_as_large_as_promised():
    assert len({member.name for member in IMAGES}) == len(IMAGES) >= 48
    assert len({member.architecture for member in IMAGES}) >= 8
    assert len({member.name for member in TEXTS}) == len(TEXTS) >= 8
    assert len({regime.name for regime in REGIMES.values()}) == len(REGIMES)


def test_tables_show_the_figures(records, regime, monkeypatch):
    target = targets_of(records)["tiny"]
    monkeypatch.setitem(REGIMES, "tiny", regime)
    found = tables.agreements({"tiny": target})
    assert "| metric | a few |" in found
    assert f"| {CHANCE} | 0.00 [" in found
    rows = {line.split(" | ")[0].strip("| *"): line for line in found.splitlines()[2:]}
    for name in ("ncti", "parc", SOURCE):
        assert target.agreement(name).weighted_tau is not None
        assert rows[name].split(" | ")[1].startswith(tables.with_interval(target.agreement(name)))
    means = {method: 100 * np.mean([one.mean for one in truths.values()]) for method, truths in target.truths.items()}
    methods = tables.methods(target, {"all": lambda _: True})
    for method, mean in means.items():
        assert f"| all | {method} | {mean:.1f} |" in methods
