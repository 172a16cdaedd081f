"""Which engine is meant on the command line."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hf_transfer_score.cli.flags import EngineFlags
from hf_transfer_score.engines.here import Here
from hf_transfer_score.errors import OptionError


def test_options_are_those_of_the_engine():
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'hf-transfer-score[slurm]'")
    given = ("cluster=local", "minutes=5", "partition=a=b")
    with EngineFlags("slurm", 3, given).opened() as engine:
        assert (engine.workers, engine.cluster, engine.minutes, engine.partition) == (3, "local", 5, "a=b")
    with EngineFlags().opened() as engine:
        assert engine == Here()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (EngineFlags("slurm", None, ("minutes=soon",)), "minutes=soon: the engine slurm expects a whole number"),
        (EngineFlags("slurm", None, ("minutes",)), "minutes: expected NAME=VALUE, such as retries=2"),
        (
            EngineFlags("slurm", None, ("hours=5",)),
            "'hours' is not an option of the engine slurm; its options: workers,",
        ),
        (EngineFlags("here", 2), "workers=2: the engine here has none"),
        (EngineFlags("there"), "engine='there': expected one of accelerate, here, "),
    ],
)
def test_what_cannot_be_meant_is_said(flags, words):
    with pytest.raises(OptionError, match=words):
        flags.opened()


def test_what_costs_money_is_asked_for(monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    with EngineFlags("jobs").opened() as engine, EngineFlags("jobs", yes=True).opened() as sure:
        assert (engine.confirm, sure.confirm) == (False, True) and sure.ask("$1 at most", True)
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        with pytest.raises(OptionError, match="There is no terminal to ask whether to start: confirm with `yes`"):
            engine.ask("$1 at most", False)
        for answer, begins in (("y\n", True), ("\n", False), ("no\n", False)):
            monkeypatch.setattr("sys.stdin", Terminal(answer))
            assert engine.ask("$1 at most", False) is begins
    assert "$1 at most" in capsys.readouterr().err


class Terminal(io.StringIO):
    """What somebody types."""

    def isatty(self):
        return True


SCRIPT = Path(sys.executable).with_name("hf-transfer-score")


def test_hf_runs_it(tmp_path):
    pytest.importorskip("huggingface_hub.cli.extensions", reason="extensions came with a later huggingface_hub")
    place = tmp_path / ".local" / "share" / "hf" / "extensions" / "hf-transfer-score"
    place.mkdir(parents=True)
    about = {"owner": "owner", "repo": "hf-transfer-score", "repo_id": "owner/hf-transfer-score", "type": "python"}
    about |= {"short_name": "transfer-score", "installed_at": "2026-01-01T00:00:00+00:00"}
    (place / "manifest.json").write_text(json.dumps({**about, "executable_path": str(SCRIPT)}))
    command = [sys.executable, "-m", "huggingface_hub.cli.hf", "transfer-score", "metrics", "face", "--json"]
    environment = {**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and json.loads(done.stdout)["name"] == "face", done.stderr
