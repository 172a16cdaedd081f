"""Ray on this machine: the same numbers as in this process, and a killed worker only costs its own candidate."""

import signal

import psutil
import pytest

from hf_transfer_score import RankOptions, SampleOptions, VerifyOptions, rank, verify
from hf_transfer_score.engines.base import Work, open_engine
from hf_transfer_score.runs.listener import Listener
from tests.checkpoints.statics import write_model2vec
from tests.cli.pool import write_dataset
from tests.engines.actions import check_killed_workers

pytest.importorskip("ray", reason="ray is not installed: pip install 'hf-transfer-score[ray]'")

pytestmark = pytest.mark.filterwarnings("default")
OPTIONS = RankOptions(replicates=8)


heard = []
"""The signals that this process heard of."""


@pytest.fixture(scope="module")
def engine():
    """Two workers for all tests of this file, started by a process that has its own way to end."""
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    opened = open_engine("ray", {"workers": 2})
    assert [one.value for one in opened.run([Work("a", int)], lambda _: None)] == [0]
    yield opened
    opened.close()
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A dataset, two different checkpoints, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("pool")
    write_dataset(folder / "bank.jsonl")
    write_model2vec(folder / "plain", normalize=False)
    write_model2vec(folder / "quantised", quantised=True)
    write_model2vec(folder / "damaged")
    (folder / "damaged" / "model.safetensors").write_bytes(b"no weights")
    return folder


NAMES = ("plain", "damaged", "quantised", "absent")


def pool(folder):
    return str(folder / "bank.jsonl"), [str(folder / name) for name in NAMES]


class Hears(Listener):
    def __init__(self):
        self.said = []

    def started(self, model, number, count):
        self.said.append((model.name, number, count))

    def finished(self, model, models):
        self.said.append((model.name, [one.status for one in models]))


def without_times(plain):
    """Return plain values without those that time changes."""
    if isinstance(plain, dict):
        return {name: without_times(one) for name, one in plain.items() if not name.endswith(("seconds", "_here"))}
    return [without_times(one) for one in plain] if isinstance(plain, list) else plain


def test_a_ranking_is_that_of_this_process(engine, folder):
    heard = Hears()
    there = rank(*pool(folder), options=OPTIONS, engine=engine, listener=heard, folder=folder / "there")
    here = rank(*pool(folder), options=OPTIONS, folder=folder / "here")
    assert without_times(there.as_dict()) == without_times(here.as_dict())
    assert set(there.models) == set(NAMES) and set(there.ranks) == {"plain", "quantised"}
    assert there.models["damaged"].kind == here.models["damaged"].kind == "corrupt"
    assert {said for said in heard.said if len(said) == 3} == {(name, at, 4) for at, name in enumerate(NAMES, 1)}
    assert ("plain", ["ok"]) in heard.said and ("absent", ["failed"]) in heard.said
    again = rank(*pool(folder), options=OPTIONS, engine=engine, folder=folder / "there")
    assert all(one.from_cache for one in again.models.values() if one.status == "ok")


def test_a_verification_is_that_of_this_process(engine, folder):
    how = VerifyOptions(method="probe", seeds=(0, 1), test_samples=20)
    options = RankOptions(replicates=0, sample=SampleOptions(max_samples=60))
    found = {}
    for name in ("here", "there"):
        places = {"folder": folder / name, "save": folder / f"saved {name}"}
        where = "here" if name == "here" else engine
        report = verify(*pool(folder), options=options, how=how, engine=where, **places)
        found[name] = {
            model: (one.status, {seed: result.accuracy for seed, result in one.measured.items()})
            for model, one in report.models.items()
        }
        found[f"saved {name}"] = sorted(path.name for path in (folder / f"saved {name}").rglob("*.json"))
    assert found["there"] == found["here"] and len(found["here"]["plain"][1]) == 2
    assert found["saved there"] == found["saved here"]


def test_a_killed_worker_costs_its_own_work_only(engine, tmp_path):
    failure = check_killed_workers(engine, tmp_path)
    assert failure.kind == "error" and str(failure).startswith("its worker ended 3 times: ")


def test_a_process_ends_in_its_own_way_and_its_cluster_reports_nothing(engine):
    signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    (server,) = [one for one in psutil.Process().children(recursive=True) if one.name() == "gcs_server"]
    assert server.environ()["RAY_USAGE_STATS_ENABLED"] == "0"
