"""Jobs of submitit's local executor: processes that start from nothing."""

import pytest

from hf_transfer_score import RankOptions, rank
from hf_transfer_score.engines.base import NotStartedError, Work, open_engine
from hf_transfer_score.errors import OptionError
from tests.checkpoints.statics import write_model2vec
from tests.cli.pool import write_dataset
from tests.engines.actions import check_killed_workers

pytest.importorskip("submitit", reason="submitit is not installed: pip install 'hf-transfer-score[slurm]'")


@pytest.fixture
def engine(tmp_path):
    given = {"workers": 2, "retries": 1, "cluster": "local", "folder": str(tmp_path / "slurm")}
    return open_engine("slurm", given)


def test_a_ranking_is_that_of_this_process(engine, tmp_path):
    data, model = str(write_dataset(tmp_path / "bank.jsonl")), str(write_model2vec(tmp_path / "plain"))
    options = RankOptions(replicates=4)
    there = rank(data, [model, str(tmp_path / "absent")], options=options, engine=engine, folder=tmp_path / "there")
    here = rank(data, [model, str(tmp_path / "absent")], options=options, folder=tmp_path / "here")
    assert there.models["absent"].kind == "missing" and list(there.ranks) == ["plain"]
    for metric, result in here.models["plain"].results.items():
        assert there.models["plain"][metric].terms == pytest.approx(result.terms, rel=1e-6), metric
    assert not there.models["plain"].from_cache


def test_a_killed_job_costs_its_own_work_only(engine, tmp_path):
    failure = check_killed_workers(engine, tmp_path)
    assert str(failure).startswith("its worker ended 2 times: its process ended without a result (job ")


def test_without_slurm_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OptionError, match=r"finds no Slurm on this computer \(no srun\).* cluster='local'"):
        open_engine("slurm")


def test_a_job_that_slurm_refuses_is_told_in_its_words(monkeypatch, tmp_path):
    for name in ("srun", "sbatch"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'invalid partition specified: nope' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    slurm = open_engine("slurm", {"partition": "nope", "folder": str(tmp_path / "slurm")})
    with pytest.raises(NotStartedError, match="Slurm did not take a job: invalid partition specified: nope"):
        list(slurm.run([Work("a", int)], lambda _: None))
