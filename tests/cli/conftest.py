"""A folder with a pool of files, and a command that runs in this process."""

import numpy as np
import pytest

from hf_transfer_score.backbones.base import register_backbone, unregister_backbone
from hf_transfer_score.cli import main
from tests.cli.pool import LABELS, POOL, TOY, write_dataset


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the pool, to be in."""
    for name, matrix in POOL.items():
        np.savez(tmp_path / f"{name}.npz", features=matrix, labels=LABELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path


@pytest.fixture
def bank(tmp_path, monkeypatch):
    """A folder to be in, with a dataset of texts, and the kind of checkpoint that counts letters."""
    monkeypatch.setenv("HF_TRANSFER_SCORE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "bank.jsonl")
    register_backbone(TOY)
    yield tmp_path
    unregister_backbone("toy")


@pytest.fixture
def run(capsys):
    """Run a command in this process: exit status, output, error output."""

    def command(*arguments: str) -> tuple[int, str, str]:
        status = main(list(arguments))
        return status, *capsys.readouterr()

    return command
