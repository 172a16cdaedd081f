"""The example: real numbers, the same every time, said to be what they are, and files to go on with."""

import json
import sys
import time

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from hf_transfer_score import rank_features, weighted_kendall
from hf_transfer_score.cli import main
from hf_transfer_score.cli.example import METRICS, run_example
from hf_transfer_score.cli.tables import number


@pytest.fixture(scope="module")
def example():
    return run_example()


def test_the_features_are_those_of_unseen_digits(example):
    assert len(example.features) == 7
    assert {len(features) for features in example.features.values()} == {150}
    np.testing.assert_array_equal(np.unique(example.labels, return_counts=True), [[5, 6, 7, 8, 9], [30] * 5])
    digits = load_digits()
    unseen = {row.tobytes() for row in digits.data[digits.target >= 5] / 16}
    assert all(row.tobytes() in unseen for row in example.features["pixels"])


def test_the_scores_are_those_of_the_api(example):
    again = rank_features(example.features, example.labels, metrics=METRICS)
    assert {name: pool.scores for name, pool in example.ranking.pools.items()} == {
        name: pool.scores for name, pool in again.pools.items()
    }


def test_the_accuracy_is_measured_on_rows_that_were_not_scored(example):
    digits = load_digits()
    images, labels = digits.data[digits.target >= 5] / 16, digits.target[digits.target >= 5]
    scored = {row.tobytes() for row in example.features["pixels"]}
    held_out = np.array([row.tobytes() not in scored for row in images])
    assert held_out.sum() == example.held_out_rows
    scaler = StandardScaler().fit(example.features["pixels"])
    probe = LogisticRegression(max_iter=2000).fit(scaler.transform(example.features["pixels"]), example.labels)
    accuracy = probe.score(scaler.transform(images[held_out]), labels[held_out])
    assert example.accuracies["pixels"] == pytest.approx(accuracy, abs=1e-12)


def test_what_learns_has_not_seen_the_digits_that_are_scored(monkeypatch):
    def spy(images, digits):
        assert set(digits) == {0, 1, 2, 3, 4}
        assert len(images) == len(digits) == (load_digits().target < 5).sum()
        return {"mean": lambda rows: rows - images.mean(axis=0), "plain": lambda rows: rows}

    monkeypatch.setattr("hf_transfer_score.cli.example._extractors", spy)
    assert list(run_example().features) == ["mean", "plain"]


def test_the_pool_is_worth_ranking(example):
    accuracies = example.accuracies
    assert min(accuracies, key=accuracies.get) == "grey_histogram"
    assert max(accuracies.values()) - min(accuracies.values()) > 0.3
    for metric, value in example.agreement.items():
        scores = [example.ranking.pools[metric].scores[name] for name in accuracies]
        assert value == weighted_kendall(scores, list(accuracies.values()))


def test_it_is_the_same_every_time(example):
    again = run_example()
    assert again.accuracies == example.accuracies
    assert again.agreement == example.agreement
    for name, features in example.features.items():
        np.testing.assert_array_equal(again.features[name], features)


def test_what_is_printed(example, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    start = time.perf_counter()
    assert main(["example"]) == 0
    assert time.perf_counter() - start < 10
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 100
    for name, accuracy in example.accuracies.items():
        assert any(line.split()[:2] == [name, number(accuracy)] for line in out.splitlines())
    for metric, value in example.agreement.items():
        assert [metric, number(value)] in [line.split() for line in out.splitlines()]
    flat = " ".join(out.split())
    assert "is no evidence for any metric: one sample, seven tiny extractors, nothing fine-tuned" in flat
    assert f"measured on {example.held_out_rows} other rows" in flat


def test_json(example, capsys):
    assert main(["example", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["accuracies"] == example.accuracies
    assert found["agreement"] == example.agreement
    assert found["pools"]["face"]["scores"] == example.ranking.pools["face"].scores


def test_saved_files_give_the_same_pool(example, tmp_path, capsys):
    folder = tmp_path / "made for it"
    assert main(["example", "--save", str(folder)]) == 0
    err = capsys.readouterr().err
    assert f"Saved 7 files. Score them: hf-transfer-score score '{folder}'/*.npz" in err
    files = sorted(folder.iterdir())
    assert [path.stem for path in files] == sorted(example.features)
    assert main(["score", *map(str, files), "--metrics", "face,ncti", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["pools"]
    assert found["ncti"]["scores"] == pytest.approx(example.ranking.pools["ncti"].scores, rel=1e-12)
    assert found["face"]["ranks"] == example.ranking.pools["face"].ranks


def test_torch_is_not_needed():
    import subprocess

    code = "import sys; from hf_transfer_score.cli import example; example.run_example(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n", done.stderr
