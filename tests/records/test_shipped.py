"""The reference records that ship with the package: valid, true to their sources, and there once it is installed."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from benchmarks import shipped_records as script
from benchmarks.digit_extractors import stratified
from hf_transfer_score.metrics.face import FaceOptions, in_components, overlaps
from hf_transfer_score.metrics.labelled import LabelledFeatures, ModelFacts
from hf_transfer_score.metrics.registry import get_metric
from hf_transfer_score.metrics.resampling import bootstrap_terms
from hf_transfer_score.ranking.agreement import weighted_kendall
from hf_transfer_score.records.record import Record, record_path
from hf_transfer_score.records.shipped import REFERENCE, ShippedView, read_shipped, shipped_folder, write_shipped
from tests.records.test_schema import VALIDATOR

ROOT = Path(__file__).parents[2]
PUBLISHED = json.loads((ROOT / "tests" / "golden" / "published_ncti_cifar10.json").read_text(encoding="utf-8"))
CIFAR, DIGITS = "uoft-cs/cifar10", "scikit-learn digits 5-9"
BY_FITTING = ("nleep", "linear_probe")
"""Metrics that fit something step by step, whose last digits follow the library's version."""


@pytest.fixture(scope="module")
def texts() -> dict[str, bytes]:
    view = ShippedView("", (shipped_folder() / REFERENCE,))
    return view.read(view.files)


@pytest.fixture(scope="module")
def records(texts) -> list[Record]:
    return [Record.from_json(text) for text in texts.values()]


def values_of(records: list[Record], dataset: str, metric: str) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for one in records:
        if one.dataset.id == dataset and one.metric.name == metric:
            found.setdefault(one.model.id, []).append(one)
    return found


def test_all_are_valid_and_named_by_their_identity(texts, records):
    for (path, text), record in zip(texts.items(), records, strict=True):
        assert PurePosixPath(path) == record_path(record)
        assert record.to_json().encode() == text
        assert VALIDATOR.is_valid(json.loads(text)), path
    assert {one.dataset.id for one in records} == {CIFAR, DIGITS}
    assert len({(one.dataset.id, one.dataset.fingerprint) for one in records}) == 2


def test_they_are_small(texts):
    assert 100 < len(texts) < 400
    assert sum(map(len, texts.values())) < 600_000


def test_the_published_table_is_there_as_published(records):
    scores, truth = values_of(records, CIFAR, "ncti_published"), values_of(records, CIFAR, "accuracy")
    assert {name: one.terms for name, [one] in scores.items()} == {
        name: {"score": value} for name, value in PUBLISHED["ncti_score"].items()
    }
    for name, [one] in truth.items():
        assert one.terms["accuracy"] * 100 == pytest.approx(PUBLISHED["finetuned_accuracy"][name], abs=1e-9)
        assert (one.metric.kind, one.metric.parameters["method"]) == ("truth", "full")
    assert scores.keys() == truth.keys()
    cited = {one.source for found in (scores, truth) for [one] in found.values()}
    assert len(cited) == 2 and all(text in PUBLISHED["source"] for text in cited)


def test_the_published_agreement_follows_from_the_records(records):
    scores, truth = values_of(records, CIFAR, "ncti_published"), values_of(records, CIFAR, "accuracy")
    pairs = [(one.terms["score"], truth[name][0].terms["accuracy"]) for name, [one] in scores.items()]
    assert weighted_kendall(*zip(*pairs, strict=True)) == pytest.approx(0.8425559364958011, abs=1e-12)
    assert weighted_kendall(*zip(*pairs, strict=True)) == pytest.approx(PUBLISHED["exact_weighted_kendall_tau"])


def test_parameters_and_widths_are_those_of_torchvision_without_its_heads(records):
    torch, models = pytest.importorskip("torch"), pytest.importorskip("torchvision.models")
    found = {one.model.id: one.model for one in records if one.dataset.id == CIFAR}
    for name, model in found.items():
        beside = 1000 * (model.width + 1) + (3_326_696 if name == "inception_v3" else 0)  # that one has two heads
        assert model.parameters == models.get_model_weights(name).DEFAULT.meta["num_params"] - beside
    for name in ("resnet34", "mobilenet_v2"):
        with torch.device("meta"):  # weights are not needed, and take seconds to draw
            made = models.get_model(name, weights=None)
        assert sum(one.numel() for one in made.parameters()) == found[name].parameters + 1000 * (found[name].width + 1)
        assert [one.in_features for one in made.modules() if hasattr(one, "in_features")][-1] == found[name].width
    for name in ("parameter_count", "feature_width"):
        baselines = values_of(records, CIFAR, name)
        assert len(baselines) == 11
        attribute = "parameters" if name == "parameter_count" else "width"
        assert all(one.terms == {name: getattr(one.model, attribute)} for [one] in baselines.values())
        assert {one.metric.kind for [one] in baselines.values()} == {"baseline"}


@pytest.fixture(scope="module")
def components():
    """Features of `pca_16`, made by scikit-learn: all rows, the rows of the sample, and all labels."""
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA

    data = load_digits()
    images, digits = data.data / 16, data.target
    fitted = PCA(16, svd_solver="full").fit(images[digits < 5])
    largest = [row[np.abs(row).argmax()] for row in fitted.components_]
    features = fitted.transform(images[digits >= 5]) * np.sign(largest)
    return features, stratified(digits[digits >= 5]), digits[digits >= 5]


def test_the_terms_of_one_extractor_are_measured_anew(records, components):
    features, chosen, labels = components
    found = {
        one.metric.name: one for one in records if one.model.id == "pca_16" and one.metric.kind in ("score", "baseline")
    }
    data = LabelledFeatures(features[chosen], labels[chosen], facts=ModelFacts("pca_16", 64 + 64 * 16))
    for name in found.keys() - set(BY_FITTING):
        result = get_metric(name).attempt(data)
        assert (found[name].status, found[name].metric.version) == (result.status, get_metric(name).version)
        assert found[name].terms == pytest.approx(result.terms, rel=1e-6), name
    assert {name for name, one in found.items() if one.status == "skipped"} == {"leep", "downloads"}
    assert len(found) == 20


def test_intervals_and_overlaps_are_those_of_the_features(records, components):
    features, chosen, labels = components
    data = LabelledFeatures(features[chosen], labels[chosen])
    found = {one.metric.name: one for one in records if one.model.id == "pca_16"}
    drawn = bootstrap_terms(data, [get_metric("face"), get_metric("ncti")], replicates=100, seed=0)
    for name, terms in drawn.items():
        moved = {term: values - values.mean() + found[name].terms[term] for term, values in terms.items()}
        expected = {term: np.quantile(values, [0.05, 0.95]) for term, values in moved.items()}
        assert found[name].interval.keys() == expected.keys()
        for term, ends in found[name].interval.items():
            assert ends == pytest.approx(expected[term], rel=1e-6)
        assert found[name].interval_level == 0.9
    assert all(one.interval_level is None and not one.interval for name, one in found.items() if name not in drawn)
    expected = overlaps(in_components(data, FaceOptions()), FaceOptions())[np.triu_indices(5, k=1)]
    assert found["face"].overlap.classes == ("5", "6", "7", "8", "9")
    assert found["face"].overlap.values == pytest.approx(expected, abs=1.01e-4)


def test_the_accuracies_are_those_of_rows_that_were_not_fitted(records, components):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features, chosen, labels = components
    found = {one.metric.parameters["seed"]: one for one in values_of(records, DIGITS, "accuracy")["pca_16"]}
    assert sorted(found) == [0, 1, 2]
    assert len({one.terms["accuracy"] for one in found.values()}) == 3
    held_out = np.setdiff1d(np.arange(len(labels)), chosen)
    scaler = StandardScaler().fit(features[chosen])
    probe = LogisticRegression(max_iter=2000).fit(scaler.transform(features[chosen]), labels[chosen])
    accuracy = probe.score(scaler.transform(features[held_out]), labels[held_out])
    assert found[0].terms["accuracy"] == pytest.approx(accuracy, abs=2 / len(held_out))
    assert found[0].used == {"test_rows": len(held_out)}


def test_every_model_of_the_digits_has_the_same_records(records):
    models: dict[str, list[str]] = {}
    for one in records:
        if one.dataset.id == DIGITS:
            models.setdefault(one.model.id, []).append(one.metric.name)
    assert len(models) == 7
    assert len({tuple(sorted(names)) for names in models.values()}) == 1


def test_the_script_makes_the_published_records_that_are_there(texts):
    for record in script.published_records():
        there = Record.from_json(texts[str(record_path(record))])
        assert replace(there, run=record.run) == record


def run_script(monkeypatch, folder: Path, *arguments: str) -> int:
    """Run the script on a folder, with the published records in place of all, which take long to measure."""
    monkeypatch.setattr(script, "shipped_folder", lambda: folder)
    monkeypatch.setattr(script, "digits_records", list)
    monkeypatch.setattr(sys, "argv", ["shipped_records.py", *arguments])
    return script.main()


def test_the_script_writes_the_table_and_checks_it(monkeypatch, tmp_path, capsys):
    assert run_script(monkeypatch, tmp_path) == 0
    content = (tmp_path / REFERENCE).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {REFERENCE}
    assert sorted(read_shipped(tmp_path / REFERENCE), key=record_path) == sorted(
        script.published_records(), key=record_path
    )
    assert run_script(monkeypatch, tmp_path, "--check") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "44 records are as they were"
    write_shipped(script.published_records()[1:], tmp_path / REFERENCE)
    assert run_script(monkeypatch, tmp_path, "--check") == 1
    assert "(resnet152, ncti_published) is not there" in capsys.readouterr().out
    assert run_script(monkeypatch, tmp_path) == 0
    assert (tmp_path / REFERENCE).read_bytes() == content


def files_below(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_they_are_in_the_wheel_as_templates_are(tmp_path):
    pytest.importorskip("setuptools")
    pytest.importorskip("pip")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    hidden = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "hf_transfer_score", tmp_path / "hf_transfer_score", ignore=hidden)
    build = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", "out", "."]
    done = subprocess.run([sys.executable, *build], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "out").glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "installed", "zip")
    code = "from hf_transfer_score.records.shipped import shipped_place; print(shipped_place().folder)"
    environment = {"PYTHONPATH": str(tmp_path / "installed"), "PATH": ""}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "out", env=environment, capture_output=True, text=True, check=True
    )
    folder = Path(found.stdout.strip())
    assert folder.is_relative_to(tmp_path / "installed")
    found = files_below(folder)
    assert {REFERENCE, "example/dataset/README.md", "example/checkpoints/vit-pretrained/model.safetensors"} <= set(
        found
    )
    assert found == files_below(shipped_folder())
    templates = {path.name for path in (ROOT / "hf_transfer_score" / "templates").iterdir()}
    assert templates and {path.name for path in (folder.parent / "templates").iterdir()} == templates
