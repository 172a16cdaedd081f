"""Rankings and verifications by jobs of a Hub on this machine, which share no folder with the run."""

import pytest

from tests.checkpoints.statics import write_model2vec
from tests.cli.pool import write_dataset
from tests.conftest import clean_environment
from tests.hub.jobs import ROOT

RANKED = """
import sys
from pathlib import Path
from hf_transfer_score import RankOptions, SampleOptions, VerifyOptions, open_engine, rank, verify

place, data = Path(sys.argv[1]), sys.argv[2]
models = ["org/plain", "org/damaged", "org/quantised", sys.argv[3]]
options = RankOptions(replicates=0, sample=SampleOptions(max_samples=60))
jobs = open_engine("jobs", {"install": "", "poll": 0.2, "confirm": True, "workers": 1, "flavor": "cpu-basic"})
answer = {}
for name, engine in (("there", jobs), ("here", "here")):
    how = VerifyOptions(method="probe", seeds=(0, 1), test_samples=20)
    kept = {"folder": place / name, "save": place / f"saved {name}"}
    report = verify(data, models, options=options, how=how, engine=engine, **kept)
    answer[name] = {
        "terms": {
            one.name: {metric: result.terms for metric, result in one.results.items()}
            for one in report.ranking.models.values()
            if one.status == "ok" and not one.local
        },
        "truths": {one.name: {s: m.accuracy for s, m in one.measured.items()} for one in report.models.values()},
        "failures": {one.name: [one.kind, one.reason] for one in report.ranking.models.values() if one.kind},
    }
again = rank(data, [models[0], models[2]], options=options, engine=jobs, folder=place / "there")
answer["again"] = [one.from_cache for one in again.models.values() if one.status == "ok"]
"""


def test_rank_and_verify_are_those_of_this_process(hub, run_client, tmp_path):
    hub.users["hf_of_the_owner"] = "owner"
    environment = clean_environment(tmp_path / "home", hub.endpoint)
    environment |= {"HF_TOKEN": "hf_of_the_owner", "PYTHONPATH": str(ROOT)}
    for name, known in (("plain", {"normalize": False}), ("quantised", {"quantised": True}), ("damaged", {})):
        folder = write_model2vec(tmp_path / name, **known)
        if name == "damaged":
            (folder / "model.safetensors").write_bytes(b"no weights")
        hub.add(f"org/{name}", folder)
    data, local = write_dataset(tmp_path / "bank.jsonl"), write_model2vec(tmp_path / "local")
    found = run_client(RANKED, environment, str(tmp_path / "kept"), str(data), str(local))
    there, here = found["there"], found["here"]
    assert there["terms"].keys() == {"org/plain", "org/quantised"}
    for name, metrics in there["terms"].items():
        for metric, terms in metrics.items():
            assert terms == pytest.approx(here["terms"][name][metric], rel=1e-6), metric
    assert (
        len(there["truths"]["org/plain"]) == 2 and there["failures"]["org/damaged"] == here["failures"]["org/damaged"]
    )
    for name in ("org/plain", "org/quantised"):
        assert there["truths"][name] == pytest.approx(here["truths"][name])
    assert there["failures"]["local"][0] == "unsupported" and found["again"] == [True, True]
    assert [job.stage for job in hub.jobs] == ["COMPLETED", "COMPLETED"], [job.log.read_text() for job in hub.jobs]
    jobs = hub.repository("owner/transfer-score-jobs", "dataset")
    assert sum(path.startswith("files/") for path in jobs.head.files) == 2, "the sample and the test rows, once"
