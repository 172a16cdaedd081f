"""Hostile inputs, also thousands of changed ones, are refused with a reason or read correctly, within their limits."""

import json
import shutil
import sys

import pytest

from tests.hostile.checkpoints import checkpoint_cases
from tests.hostile.datasets import dataset_cases
from tests.hostile.feature_files import feature_cases
from tests.hostile.fuzzing import CASES
from tests.hostile.judging import fault_of, judge, same
from tests.hostile.limited import ROOT, run_batch, run_limited, run_python, run_watched
from tests.hostile.trying import (
    MODELS,
    clean_terms,
    judge_dataset,
    judge_feature_file,
    place_dataset,
    place_feature_file,
    ranked,
    write_good,
)

EACH = 2  # every second checkpoint is tried here, all of them by `benchmarks/faults.py`

TRIED = ("card-python-tag", "card-control", "script", "setup", "tar-of", "pickle", "features-", "parquet-cut")
TRIED += ("csv-nul", "csv-clean", "json-clean", "json-nan", "link-", "fifo", "pictures-all", "texts-of-10-megabytes")
"""Prefixes of the names of the datasets that are tried here; those that lead elsewhere are in `test_paths`."""


def test_every_feature_file_is_refused_with_a_reason_or_scored_correctly(tmp_path):
    cases = feature_cases()
    commands = [place_feature_file(case, tmp_path) for case in cases]
    trials = list(map(judge_feature_file, cases, commands, run_batch(commands)))
    assert {trial.name: trial.wrong for trial in trials if trial.wrong} == {}
    assert len(trials) > 200


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_good(tmp_path_factory.mktemp("good"))


def test_hostile_datasets_are_refused_with_a_reason_or_read_correctly(warm, traps, tmp_path, good):
    clean, home = clean_terms(warm, good, "text", MODELS["text"]), tmp_path / "home"
    cases = [case for case in dataset_cases() if case.name.startswith(TRIED)]
    commands = [place_dataset(case, tmp_path, good, traps) for case in cases]
    environment = {**warm.environment, "HF_TRANSFER_SCORE_HOME": str(home), "TMPDIR": str(tmp_path)}
    ended = run_batch(commands, lambda code, told: warm.parent.start(told, environment, code=code))
    assert traps.sprung(home) == ""
    trials = [judge_dataset(case, *of, home, clean, traps) for case, *of in zip(cases, commands, ended, strict=True)]
    assert {trial.name: trial.wrong for trial in trials if trial.wrong} == {}
    assert len(trials) > 25


@pytest.mark.parametrize("modality", ["image", "text", "sound"])
def test_hostile_checkpoints_are_rows_beside_good_ones(warm, traps, tmp_path, modality, good):
    cases = [case for case in checkpoint_cases() if case.modality == modality and not case.accepted][::EACH]
    for case in cases:
        shutil.copytree(good.checkpoints[case.base], tmp_path / case.name)
        case.change(tmp_path / case.name, traps)
    bases = sorted({case.base for case in cases})
    models = [*(tmp_path / case.name for case in cases), *(good.checkpoints[base] for base in bases)]
    done = run_watched(warm, *good.command(good.datasets[modality], *models))
    assert fault_of(done) == ""
    assert traps.sprung(warm.home, said=done.out + done.err) == ""
    found = {case.name: ranked(done, case.name) for case in cases}
    wrong = {case.name: judge(found[case.name][1], found[case.name][0], case.refused, None) for case in cases}
    assert {name: why for name, why in wrong.items() if why} == {}
    for base in bases:
        assert same(ranked(done, base)[0], clean_terms(warm, good, modality, base))


@pytest.fixture(scope="module")
def campaign():
    """All cases, in a separate process with a memory limit, since they reach native code."""
    return run_limited([sys.executable, "-m", "tests.hostile.fuzzing"], seconds=180, megabytes=2048, folder=ROOT)


def told(campaign):
    return {one["kind"]: one for one in map(json.loads, campaign.out.splitlines())}


def test_it_ends_within_its_limits(campaign):
    assert sum(CASES.values()) >= 2000
    assert (campaign.over, campaign.code) == ("", 0), campaign.err[-2000:] + campaign.out[-4000:]


@pytest.mark.parametrize("kind", CASES)
def test_each_is_refused_with_a_reason_or_read_and_valid_input_stays(campaign, kind):
    found = told(campaign)[kind]
    assert found["wrong"] == ""
    assert found["cases"] >= CASES[kind]


def test_a_command_within_its_limits_returns_its_output():
    done = run_python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (done.code, done.out, done.err, done.over) == (3, "out\n", "err\n", "")
    assert done.clean


LARGE = "a = bytearray(400 << 20); import time; time.sleep(30)"


@pytest.mark.parametrize(
    ("code", "seconds", "over"),
    [
        ("import time; time.sleep(30)", 2, "time"),
        (LARGE, 5, "memory"),
        (f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LARGE!r}])", 30, "memory"),
    ],
    ids=["time", "memory", "memory of children"],
)
def test_a_command_that_exceeds_a_limit_is_stopped(code, seconds, over):
    done = run_python(code, seconds=seconds, megabytes=200)
    assert done.over == over and not done.clean and done.seconds < 25


def test_a_traceback_and_a_signal_are_not_clean():
    assert not run_python("1 / 0").clean
    assert not run_python("import os, signal; os.kill(os.getpid(), signal.SIGBUS)").clean
