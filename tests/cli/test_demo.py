"""The command: the whole demonstration in a process of its own, off line, and what it refuses."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hf_transfer_score import weighted_kendall
from hf_transfer_score.cli import main
from hf_transfer_score.cli.demo_command import _watching
from hf_transfer_score.demonstration.zoo import ZOO
from tests.conftest import clean_environment


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The command as a new user runs it, with nothing to download from."""
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "hf_transfer_score", "demo"]
    return home, subprocess.run(command, env=clean_environment(home), cwd=home, capture_output=True, text=True)


@pytest.fixture(scope="module")
def told(whole):
    """What it wrote beside the records."""
    (path,) = whole[0].rglob("demo.json")
    return json.loads(path.read_text(encoding="utf-8"))


def test_it_ends_well_and_says_what_it_is(whole):
    _, done = whole
    assert (done.returncode, done.stderr) == (0, "pre-training ...\nranking ...\nfine-tuning ...\n")
    assert "It is no evidence for any metric" in re.sub(r"\s+", " ", done.stdout)
    assert done.stdout.startswith("12 micro networks, pre-trained just now on the digits 0 to 4")


def test_all_twelve_are_ranked_and_measured(whole, told):
    assert set(told["ranking"]["ranks"]) == set(told["accuracies"]) == {member.name for member in ZOO}
    assert all(0 < value < 1 for values in told["accuracies"].values() for value in values)
    for name, values in told["accuracies"].items():
        (row,) = [line for line in whole[1].stdout.splitlines() if line.startswith(f"{name} ")]
        assert f"{sum(values) / len(values):.1%}" in row


def test_pre_training_pays(told):
    means = {name: sum(values) / len(values) for name, values in told["accuracies"].items()}
    well = [mean for name, mean in means.items() if name.endswith("-pretrained")]
    worse = [mean for name, mean in means.items() if not name.endswith("-pretrained")]
    assert sum(well) / 6 > sum(worse) / 6 + 0.05
    assert max(means.values()) > 0.5


def test_agreement_has_intervals_and_baselines(whole, told):
    found = told["agreement"]
    assert {"ranking", "ncti", "face", "logme", "parameter_count", "feature_width"} <= set(found)
    for name in ("ncti", "face", "logme"):
        scores = told["ranking"]["pools"][name]["scores"]
        means = {model: sum(values) / len(values) for model, values in told["accuracies"].items()}
        expected = weighted_kendall([scores[model] for model in means], list(means.values()))
        assert found[name]["weighted_tau"] == pytest.approx(expected)
        low, high = found[name]["weighted_tau_interval"]
        assert low < high
        assert f"{expected:.2f} [{low:.2f}, {high:.2f}]" in whole[1].stdout


def test_the_folder_it_names_holds_the_records(whole, capsys):
    home, done = whole
    (command,) = [line.strip() for line in done.stdout.splitlines() if "leaderboard --results" in line]
    folder = Path(shlex.split(command)[-1])
    assert folder.is_relative_to(home)
    assert main(["validate", str(folder), "--json"]) == 0
    records = json.loads(capsys.readouterr().out)["records"]
    assert records == 12 * (2 + 3 + 3)  # accuracies, metrics, and baselines with downloads, which nobody counts


def test_bars_are_for_terminals(capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with _watching() as watch:
        watch("pre-training", 0, 12)
        watch("pre-training", 12, 12)
        watch("ranking", 5, 12)
    shown = capsys.readouterr()
    assert shown.out == ""
    for phase in ("pre-training", "ranking", "fine-tuning"):
        assert phase in shown.err
    assert "12/12" in shown.err


@pytest.mark.parametrize("seed", ["-1", "one"])
def test_a_seed_is_a_whole_number(run, seed):
    status, out, err = run("demo", "--seed", seed)
    assert (status, out) == (2, "")
    assert "seed" in err


def test_a_folder_with_something_else_is_refused(run, tmp_path):
    (tmp_path / "notes").write_text("mine")
    status, _, err = run("demo", "--save", str(tmp_path))
    assert status == 2
    assert err.splitlines()[-1] == f"error: {tmp_path} holds something else than a demonstration; name a new folder."
