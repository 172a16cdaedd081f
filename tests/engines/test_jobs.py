"""Jobs of a Hub on this machine, which runs them as processes: what is sent, what comes back, and what ends early."""

from __future__ import annotations

import json
import os
from threading import Thread

import pytest

from hf_transfer_score.engines.base import Work
from hf_transfer_score.engines.job_runs import taken
from hf_transfer_score.errors import DatasetError
from tests.checkpoints.statics import write_model2vec
from tests.cli.rank_pool import write_dataset
from tests.conftest import clean_environment
from tests.engines.actions import Sent, attempts
from tests.hub.jobs import ROOT
from tests.runs.warm import until

TOKEN = "hf_of_the_owner"

START = """
import os, signal, sys, threading, time
from hf_transfer_score.engines.base import Work, open_engine
from tests.engines.actions import Sent, attempts

place = Path(sys.argv[1])
(place / "sample").write_text("rows")

def engine(**options):
    return open_engine("jobs", {"install": "", "poll": 0.2, "flavor": "t4-small", "confirm": True, **options})

def works(**times):
    return [Work(name, Sent(place, name, *more, read=place / "sample")) for name, more in times.items()]

def run(engine, works, began=lambda work: None):
    return {
        one.work.name: one.value if one.failure is None else [one.failure.kind, str(one.failure)]
        for one in engine.run(works, began)
    }
"""


@pytest.fixture
def owner(hub, tmp_path):
    """The environment of somebody who may start jobs."""
    hub.users[TOKEN] = "owner"
    environment = clean_environment(tmp_path / "home", hub.endpoint)
    return {**environment, "HF_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def client(run_client, owner, tmp_path):
    """Run code as the owner."""
    place = tmp_path / "place"
    place.mkdir()
    return lambda code, *more: run_client(START + code, owner, str(place), *more, fresh=True)


def test_a_job_that_is_killed_costs_the_candidate_it_was_at(hub, client, tmp_path):
    code = "answer = run(engine(workers=1, batch=4), works(a=(), b=(0, 1), c=(), d=(0, 9)))"
    found = client(code)
    assert {name: found[name] for name in "abc"} == {name: [name.upper(), "rows"] for name in "abc"}
    kind, reason = found["d"]
    assert kind == "out_of_memory" and reason.startswith("its worker ended 2 times: its job ended without a result: ")
    begun = {name: attempts(tmp_path / "place", name) for name in "abcd"}
    assert begun == {"a": 1, "b": 2, "c": 1, "d": 2}
    assert [job.stage for job in hub.jobs] == ["ERROR", "ERROR", "COMPLETED", "ERROR"]
    for job in hub.jobs:
        assert job.spec["secrets"] == {"HF_TOKEN": TOKEN} and job.spec["timeoutSeconds"] == 3600
        assert TOKEN not in json.dumps({**job.spec, "secrets": ""}) + job.log.read_text()
    repository = hub.repository("owner/transfer-score-jobs", "dataset")
    assert repository.private and {path.split("/")[0] for path in repository.head.files} == {".gitattributes", "files"}
    everything = [file.content.read_bytes() for commit in repository.commits.values() for file in commit.files.values()]
    assert not any(TOKEN.encode() in content for content in everything)


def job_at(hub, place, name):
    """Return the job that is at some work."""
    (note,) = until(lambda: [path for path in place.glob(f"{name}.*") if path.read_text()])
    group = os.getpgid(int(note.read_text()))
    return next(job for job in hub.jobs if job.process.pid == group)


def test_time_that_is_over_and_somebody_who_cancels(hub, client, tmp_path):
    def end():
        job_at(hub, tmp_path / "place", "late").expire()
        job_at(hub, tmp_path / "place", "unwanted").cancel()

    ending = Thread(target=end)
    ending.start()
    found = client("answer = run(engine(workers=2, batch=1), works(late=(600,), unwanted=(600,), quick=()))")
    ending.join()
    assert found["quick"] == ["QUICK", "rows"] and len(hub.jobs) == 3, "neither is begun again"
    assert "it took longer than a job is given; give it more with `minutes`" in found["late"][1]
    assert "somebody cancelled its job" in found["unwanted"][1]


def test_ctrl_c_cancels_what_runs(hub, client):
    code = """
def press():
    while not (attempts(place, "b") and attempts(place, "c")):
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=press).start()
found = []
try:
    for one in engine(workers=2, batch=2).run(works(a=(), b=(600,), c=(600,), d=()), lambda work: None):
        found.append(one.work.name)
except KeyboardInterrupt:
    answer = found
"""
    assert client(code) == ["a"]
    assert [job.stage for job in hub.jobs] == ["CANCELED", "CANCELED"]
    assert all(job.process.returncode for job in hub.jobs)


def test_nothing_starts_before_its_cost_is_agreed_to(hub, client):
    hub.add("owner/open", {"a.txt": ""}, kind="dataset")
    code = """
def why(act):
    try:
        act()
    except ValueError as error:
        return str(error)

few = works(a=(), b=(), c=())
large = [Work("d", few[0].action, 5 * 10**9), Work("e", few[0].action, 10**11), Work("f", few[0].action, gpu=False)]
local = [Work("g", Sent(place, "g", bound="it lies in a folder of this computer"))]
asked = engine(confirm=False)
asked.ask = lambda told, confirmed: False
answer = [
    why(lambda: run(engine(confirm=False, flavor=None), [*few, *large, *local])),
    why(lambda: run(asked, few)),
    why(lambda: run(engine(flavor="t5"), few)),
    why(lambda: run(engine(to="owner/open"), few)),
    run(engine(flavor=None), [*large[1:2], *local]),
]
"""
    cost, asked, flavor, public, refused = client(code)
    assert cost.splitlines() == [
        "5 candidates in 5 jobs of Hugging Face, 4 at a time:",
        "  3 x t4-small, 60 min at most, $0.40 an hour: $1.20 at most",
        "  1 x l4x1, 60 min at most, $0.80 an hour: $0.80 at most",
        "  1 x cpu-basic, 60 min at most, $0.01 an hour: $0.01 at most",
        "Together at most $2.01; a job that dies is begun again, at most 1 time for each candidate. You pay for the "
        "minutes that are used.",
        "Your sample goes through owner/transfer-score-jobs, a private dataset repository, and so do the results.",
        "Left out, since no job can do them: e and g.",
        "Nobody can be asked here whether that is fine: say so with confirm=True.",
    ]
    assert asked == "Nothing was started."
    assert flavor.startswith("flavor='t5': expected one of cpu-basic, t4-small,")
    assert public.startswith("to='owner/open': this dataset repository is public, and your sample would be, too")
    assert refused["e"][0] == "too_large" and refused["g"][1].startswith("it lies in a folder of this computer, and")
    assert not hub.jobs and not hub.asked("/commit/")


def test_jobs_that_cannot_begin_end_the_run(hub, client):
    code = """
try:
    run(engine(install="--no-index no-such-package-at-all"), works(a=(), b=()))
except ValueError as error:
    answer = str(error)
"""
    said = client(code)
    assert said.startswith("Jobs end before they begin with a candidate: its job ended without a result: ")
    assert "no-such-package-at-all" in said and len(hub.jobs) <= 4


def test_what_comes_back_is_not_trusted(tmp_path):
    work = Work("a", Sent(tmp_path, "a"))
    assert taken(work, tmp_path).failure.kind == "error"
    (tmp_path / "said.json").write_text("{")
    assert "what its job sent back cannot be read" in str(taken(work, tmp_path).failure)
    for told in ("[]", '{"error": "CheckpointError"}', "x" * 10):
        (tmp_path / "raised.json").write_text(told)
        assert "what its job sent back cannot be read" in str(taken(work, tmp_path).failure)
    (tmp_path / "raised.json").write_text('{"error": "DatasetError", "message": "no rows"}')
    with pytest.raises(DatasetError, match="no rows"):
        taken(work, tmp_path)


RANKED = """
from hf_transfer_score import RankOptions, SampleOptions, VerifyOptions, open_engine, rank, verify

place, data = Path(sys.argv[1]), sys.argv[2]
models = ["org/plain", "org/damaged", "org/quantised", sys.argv[3]]
options = RankOptions(replicates=0, sample=SampleOptions(max_samples=60))
jobs = open_engine("jobs", {"install": "", "poll": 0.2, "confirm": True, "workers": 1, "flavor": "cpu-basic"})
answer = {}
for name, engine in (("there", jobs), ("here", "here")):
    how = VerifyOptions(method="probe", seeds=(0, 1), test_samples=20)
    report = verify(data, models, options=options, how=how, engine=engine, folder=place / name, save=place / f"saved {name}")
    answer[name] = {
        "terms": {
            one.name: {metric: result.terms for metric, result in one.results.items()}
            for one in report.ranking.models.values()
            if one.status == "ok" and not one.local
        },
        "truths": {one.name: {s: m.accuracy for s, m in one.measured.items()} for one in report.models.values()},
        "failures": {one.name: [one.kind, one.reason] for one in report.ranking.models.values() if one.kind},
    }
again = rank(data, models[:3], options=options, engine=jobs, folder=place / "there")
answer["again"] = [one.from_cache for one in again.models.values() if one.status == "ok"]
"""


def test_rank_and_verify_are_those_of_this_process(hub, owner, run_client, tmp_path):
    for name, known in (("plain", {"normalize": False}), ("quantised", {"quantised": True}), ("damaged", {})):
        folder = write_model2vec(tmp_path / name, **known)
        if name == "damaged":
            (folder / "model.safetensors").write_bytes(b"no weights")
        hub.add(f"org/{name}", folder)
    data, local = write_dataset(tmp_path / "bank.jsonl"), write_model2vec(tmp_path / "local")
    found = run_client(RANKED, owner, str(tmp_path / "kept"), str(data), str(local))
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
