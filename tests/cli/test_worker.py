"""`hf-transfer-score worker` as its own process: from a request to records, and what happens when it dies."""

import json
import signal
from dataclasses import asdict
from pathlib import Path

import pytest

from hf_transfer_score.records.place import FolderPlace, HubPlace
from hf_transfer_score.records.store import load
from hf_transfer_score.requests.queue import RequestQueue
from hf_transfer_score.requests.request import Request
from tests.checkpoints import images
from tests.checkpoints.statics import write_model2vec
from tests.conftest import clean_environment
from tests.hub.server import LocalHub
from tests.runs.bad import add_own_code
from tests.runs.pool import PICTURES, REVIEWS, again, picture_shards, review_shards
from tests.runs.warm import Warm, until

TOKEN = "hf_owner"
QUICK = ("good/words", "good/more")  # models of words, whose jobs import the least


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worker")
    with LocalHub(folder / "hub", users={TOKEN: "owner"}) as local:
        local.add(PICTURES, picture_shards(), kind="dataset")
        local.add("good/resnet", images.timm_image(folder / "resnet"), license="mit")
        local.add("good/vit", images.vit(folder / "vit"))
        local.add(REVIEWS, review_shards(), kind="dataset")
        for name in QUICK:
            local.add(name, write_model2vec(folder / name))
        path = again(local, "bad/truncated") / "model.safetensors"
        path.write_bytes(path.read_bytes()[:2000])
        again(local, "bad/gated", gated=True)
        for name in ("owner/requests", "owner/results"):
            local.add(name, {"README.md": "# Here\n"}, kind="dataset")
        yield local


@pytest.fixture(scope="module")
def warm(hub, parent, tmp_path_factory):
    folder = tmp_path_factory.mktemp("warm")
    return Warm(parent, folder, clean_environment(folder / "home", hub.endpoint) | {"HF_TOKEN": TOKEN})


@pytest.fixture
def queue(tmp_path):
    return RequestQueue(FolderPlace(tmp_path / "requests"))


@pytest.fixture
def worker(queue, tmp_path):
    """The arguments of a worker on two folders."""
    return ("worker", "--requests", str(tmp_path / "requests"), "--results", str(tmp_path / "results"))


@pytest.fixture
def slow(hub):
    """A dataset whose rows take as long as a test needs."""
    fault = hub.fault(f"{REVIEWS}/resolve/.*parquet$", "latency", method="GET", seconds=60, times=None)
    yield fault
    hub.faults.remove(fault)


WRONG = {
    "bad/truncated": ("failed", "corrupt", 1, "has a model.safetensors of 2,000 bytes where its header says"),
    "bad/gated": ("refused", None, None, "The model bad/gated is gated"),
}


@pytest.fixture(scope="module")
def done(hub, warm):
    """One good request and some bad ones on the Hub, a file that is none, and the worker that took them."""
    place = HubPlace("owner/requests", token=TOKEN, endpoint=hub.endpoint)
    queue = RequestQueue(place)
    place.update(lambda _: {"requests/a/b/0.json": b'{"model": "<script>"}'}, title="hostile")
    for name in ("bad/truncated", "bad/gated"):
        queue.submit(Request(name, PICTURES))
    queue.submit(Request("good/resnet", PICTURES, label_column="label", asked_by="someone"))
    ended = warm.run("worker", "--requests", "owner/requests", "--results", "owner/results", "--once", "--name", "gpu")
    results = HubPlace("owner/results", token=TOKEN, endpoint=hub.endpoint)
    return ended, queue.requests(), load(results).table.records()


def test_a_request_becomes_records(done, warm):
    ended, requests, records = done
    assert ended.status == 0 and ended.out == "", ended.err
    good = next(one for one in requests if one.asked_by == "someone")
    mine = [one for one in records if one.model.id == "good/resnet"]
    assert (good.state, good.attempts, good.claimed_by) == ("done", 1, None) and good.records == len(mine)
    ranked = warm.run("rank", PICTURES, "--models", "good/resnet", "--label", "label", "--json", "--quiet")
    results = ranked.models["good/resnet"]["scores"]["results"]
    assert {one.metric.name: one.terms for one in mine if one.status == "ok"} == {
        name: pytest.approx(one["terms"], rel=1e-6) for name, one in results.items() if one["status"] == "ok"
    }
    assert {one.dataset.fingerprint for one in mine} == {ranked.report["sample"]["fingerprint"]}
    assert {(one.model.commit, one.model.revision) for one in mine} == {(ranked.models["good/resnet"]["commit"], None)}


def test_what_goes_wrong_is_written_back(done):
    _, requests, records = done
    wrong = {one.model: one for one in requests if one.asked_by is None}
    assert set(wrong) == set(WRONG)
    for name, (state, kind, count, reason) in WRONG.items():
        one = wrong[name]
        assert (one.state, one.kind, one.records) == (state, kind, count), one
        assert reason in one.reason
    failed = [(one.model.id, one.kind) for one in records if one.status == "failed"]
    assert failed == [("bad/truncated", "corrupt")]


JOBS = """
import json, sys
from pathlib import Path
from hf_transfer_score.requests.request import Request
from hf_transfer_score.requests.job import scored
for number, (request, commit) in enumerate(json.loads(sys.argv[1])):
    request = Request.from_json(json.dumps(request))
    ended = scored(request, commit, device="cpu", max_parameters=None, folder=Path(f"kept-{number}"))
    print(json.dumps([ended.state, ended.kind, len(ended.records), ended.reason]))
"""

REFUSED = {
    "Python code from its own repository": ("remote_code", 1, Request("bad/remote", PICTURES)),
    "has no split 'nowhere'": ("dataset", 0, Request("good/words", REVIEWS, split="nowhere")),
    "There is no metric 'no_such'": ("bad_input", 0, Request("good/words", REVIEWS, metrics=("no_such",))),
}


def test_a_job_that_cannot_be_done_says_why(hub, parent, warm, tmp_path):
    """What runs in a box, here without one."""
    add_own_code(hub, "bad/remote")
    asked = [(asdict(one), hub.repository(one.model).head.name) for *_, one in REFUSED.values()]
    done = parent.python(JOBS, warm.environment, json.dumps(asked), folder=tmp_path)
    assert done.status == 0, done.err
    for line, (reason, (kind, count, _)) in zip(done.out.splitlines(), REFUSED.items(), strict=True):
        state, *told = json.loads(line)
        assert (state, told[:2]) == ("failed", [kind, count]) and reason in told[2]


def test_the_log_tells_what_was_done_and_no_token(done, hub):
    ended, requests, _ = done
    lines = ended.err.splitlines()
    assert TOKEN not in ended.err and "Traceback" not in ended.err
    assert "takes requests from owner/requests and publishes to owner/results" in lines[0]
    assert sum(" claimed " in line for line in lines) == len(requests) == 3
    assert lines[-1].endswith("1 done, 1 failed, 1 refused")
    assert not any(TOKEN in content.read_text() for content in (hub.root / "datasets").rglob("*.json"))


def test_a_killed_worker_s_request_is_free_again(queue, worker, slow, warm):
    queue.submit(Request("good/words", REVIEWS))
    dying = warm.start(*worker, "--lease", "2", "--name", "first")
    until(lambda: slow.hits)
    dying.send(signal.SIGKILL)
    assert dying.wait().status == -signal.SIGKILL
    assert queue.requests()[0].state == "running" and queue.requests()[0].claimed_by.startswith("first-")
    assert until(lambda: queue.claim("other", 60)).attempts == 2


def test_a_worker_that_is_ended_gives_its_request_back_at_once(queue, worker, slow, warm, tmp_path):
    queue.submit(Request("good/words", REVIEWS))
    running = warm.start(*worker)
    until(lambda: slow.hits)
    running.send(signal.SIGTERM)
    ended = running.wait()
    assert ended.status == 128 + signal.SIGTERM and "gave back 1 request" in ended.err and "Traceback" not in ended.err
    assert [(one.state, one.attempts) for one in queue.requests()] == [("pending", 1)]
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(("name", "package", "local"), [("slurm", "submitit", "cluster=local"), ("ray", "ray", None)])
def test_an_engine_runs_several_requests_at_a_time(name, package, local, queue, worker, warm):
    pytest.importorskip(package, reason=f"{package} is not installed: pip install 'hf-transfer-score[{name}]'")
    for model in QUICK:
        queue.submit(Request(model, REVIEWS, metrics=("ncti",)))
    engine = ("--engine", name, "--workers", "2", *(("--engine-option", local) if local else ()))
    ended = warm.run(*worker, "--once", *engine)
    assert ended.status == 0, ended.err
    assert ", 2 at a time; change it with" in ended.err and ended.err.rstrip().endswith("2 done")
    lines = [line.split(" ", 1)[1].split(" ")[0] for line in ended.err.splitlines()]
    assert lines.index("done") > [place for place, one in enumerate(lines) if one == "claimed"][1]
    assert {one.state for one in queue.requests()} == {"done"}
    records = load(FolderPlace(Path(worker[-1]))).table.records()
    assert {one.model.id for one in records if one.status == "ok"} == set(QUICK)


def test_wrong_usage_is_told(run, tmp_path):
    places = ("--requests", str(tmp_path / "a"), "--results", str(tmp_path / "b"))
    for arguments, message in (
        (("--requests", "./a"), "--results"),
        ((*places, "--lease", "0"), "expected seconds from 0.001 to 86400, got '0'"),
        ((*places, "--name", ""), "cannot name a worker"),
        ((*places, "--engine", "jobs"), "Use here, ray or slurm"),
        (("--requests", "ftp://x/y", "--results", "./b"), "is not a place of results"),
    ):
        status, _, said = run("worker", *arguments)
        assert status == 2 and message in said
    status, _, said = run("worker", "--requests", "me/requests", "--results", "./b")
    assert status == 1 and "Writing to me/requests on the Hub needs a token" in said


def test_a_queue_that_is_empty_ends_a_single_pass(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TRANSFER_SCORE_HOME", str(tmp_path / "home"))
    here = Path.cwd()
    status, out, said = run("worker", "--requests", str(tmp_path / "a"), "--results", str(tmp_path / "b"), "--once")
    assert status == 0 and out == "" and "a does not exist yet" in said and "no request was run" in said
    assert Path.cwd() == here
