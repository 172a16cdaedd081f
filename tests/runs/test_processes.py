"""Several processes rank as one does, and each of them knows the result."""

import json
import os

import pytest

from hf_transfer_score import rank
from tests.checkpoints.texts import write_text
from tests.cli.pool import write_dataset
from tests.conftest import free_port

SCRIPT = """
import json, sys
from pathlib import Path
from hf_transfer_score import rank
from hf_transfer_score.features.batches import Processes

folder = Path(sys.argv[1])
report = rank(str(folder / "bank.jsonl"), sys.argv[2:], folder=folder / "two")
processes = Processes.current()
(folder / f"{processes.index}.json").write_text(json.dumps({**report.as_dict(), "examples": len(report.sample)}))
processes.leave()
"""


@pytest.fixture(scope="module")
def folder(parent, tmp_path_factory):
    """A folder with a dataset, two checkpoints, and what two processes made of them, as a launcher starts them."""
    folder = tmp_path_factory.mktemp("processes")
    write_dataset(folder / "bank.jsonl")
    for seed in range(2):
        write_text(folder / f"bert{seed}", seed=seed)
    both = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    ranks = ({"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2))
    told = [{**os.environ, **both, **rank} for rank in ranks]
    started = [parent.start([str(folder), *names(folder)], one, code=SCRIPT) for one in told]
    done = [one.wait() for one in started]
    assert [one.status for one in done] == [0, 0], done
    return folder


def names(folder):
    return [str(folder / name) for name in ("bert0", "bert1", "absent")]


def read(folder, index):
    return json.loads((folder / f"{index}.json").read_text())


def test_each_process_has_the_whole_report(folder):
    first, second = read(folder, 0), read(folder, 1)
    assert {**first, "seconds": 0} == {**second, "seconds": 0}
    assert first["examples"] == 80 and set(first["ranks"]) == {"bert0", "bert1"}
    assert first["pool"]["absent"]["kind"] == "missing"


def test_the_terms_are_those_of_one_process(folder):
    alone = rank(str(folder / "bank.jsonl"), names(folder), folder=folder / "one")
    together = read(folder, 0)["pool"]
    for name in ("bert0", "bert1"):
        assert together[name]["extraction"]["processes"] == 2
        for metric, result in alone.models[name].scores.results.items():
            assert together[name]["scores"]["results"][metric]["terms"] == pytest.approx(result.terms, rel=1e-6), metric
