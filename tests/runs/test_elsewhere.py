"""Runs whose candidates are worked on elsewhere: what is handed out, and what is made of what comes back."""

import pickle
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hf_transfer_score import RankOptions, SampleOptions, VerifyOptions, verify
from hf_transfer_score.engines.base import Finished
from hf_transfer_score.errors import CheckpointError, OptionError
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.report import Interrupted
from hf_transfer_score.runs.run import rank
from tests.runs.test_rank import OPTIONS, checkpoint, data, loaded  # noqa: F401  # fixtures


@dataclass
class Elsewhere:
    """Does what it is handed, the last first, with nothing but what can be pickled; `lost` has a worker that dies."""

    elsewhere = True
    lost: str = ""
    features: Path | None = None
    handed: list[str] = field(default_factory=list)
    ended: int = 0

    def run(self, works, began):
        self.handed += [work.name for work in works]
        try:
            for work in reversed(works):
                began(work)
                action = pickle.loads(pickle.dumps(work.action))
                if self.features is not None:
                    action = replace(action, features=self.features)
                if work.name == self.lost:
                    yield Finished(work, failure=CheckpointError("out_of_memory", "its worker ended"))
                else:
                    yield Finished(work, action())
        finally:
            self.ended += 1

    def close(self):
        raise AssertionError("whoever opened it closes it")


@pytest.fixture
def models(tmp_path, loaded):  # noqa: F811
    return [checkpoint(tmp_path, name, name, seed) for seed, name in enumerate(("one", "crash", "two", "three"))]


def test_outcomes_are_those_of_this_process(tmp_path, models, data):  # noqa: F811
    engine = Elsewhere(lost="three")
    here = rank(data, models, options=OPTIONS, folder=tmp_path / "here")
    there = rank(data, models, options=OPTIONS, folder=tmp_path / "there", engine=engine)
    for name in ("one", "two"):
        assert {metric: one.terms for metric, one in there.models[name].results.items()} == {
            metric: one.terms for metric, one in here.models[name].results.items()
        }
    assert there.models["crash"] == here.models["crash"] and set(there.ranks) == {"one", "two"}
    lost = there.models["three"]
    assert (lost.status, lost.kind, lost.reason) == ("failed", "out_of_memory", "its worker ended")
    again = rank(data, models, options=OPTIONS, folder=tmp_path / "there", engine=engine)
    assert engine.handed[4:] == ["crash", "three"] and again.models["one"].from_cache


def test_features_that_are_not_shared_end_the_run(tmp_path, models, data):  # noqa: F811
    engine = Elsewhere(features=tmp_path / "of its own")
    with pytest.raises(OptionError, match=r"they are not there: name a folder that all workers share \(HF_TRANSFER"):
        rank(data, models, options=OPTIONS, folder=tmp_path / "kept", engine=engine)
    assert engine.ended == 1


class StopsAfterOne(Listener):
    def finished(self, model, found):
        raise KeyboardInterrupt


def test_an_interruption_ends_what_is_under_way(tmp_path, models, data):  # noqa: F811
    engine = Elsewhere()
    with pytest.raises(Interrupted) as caught:
        rank(data, models, options=OPTIONS, listener=StopsAfterOne(), folder=tmp_path / "kept", engine=engine)
    assert engine.ended == 1
    statuses = {name: one.status for name, one in caught.value.report.models.items()}
    assert statuses == {"three": "ok", "one": "interrupted", "crash": "interrupted", "two": "interrupted"}


def test_candidates_are_fine_tuned_elsewhere_once(tmp_path, models, data):  # noqa: F811
    how = VerifyOptions(method="probe", seeds=(0, 1))
    options = RankOptions(replicates=0, sample=SampleOptions(max_samples=16))
    found, engine = [], Elsewhere()
    for name, chosen in (("here", "here"), ("there", engine), ("there", engine)):
        place = {"folder": tmp_path / name, "save": tmp_path / f"saved {name}"}
        report = verify(data, models, options=options, how=how, engine=chosen, **place)
        assert sum(path.suffix == ".json" for path in place["save"].rglob("*")) > 6
        found.append({model: (one.status, one.mean) for model, one in report.models.items()})
    assert found[0] == found[1] == found[2] and found[0]["one"][1] is not None
    scored, tuned = ["one", "crash", "two", "three"], ["one", "two", "three"]
    assert sorted(engine.handed) == sorted([*scored, "crash", *tuned]), "what was measured is not handed out again"
