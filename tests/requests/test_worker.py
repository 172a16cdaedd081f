"""Claims and retries of a worker, with queues in memory."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from hf_transfer_score.engines.base import WorkerLostError, hand_out
from hf_transfer_score.errors import HubError, OptionError, StoreError
from hf_transfer_score.records.checks import plain_fields
from hf_transfer_score.records.place import HubPlace, MemoryPlace
from hf_transfer_score.records.store import load
from hf_transfer_score.records.table import COMPACT
from hf_transfer_score.requests import job
from hf_transfer_score.requests import worker as working
from hf_transfer_score.requests.box import BoxResult
from hf_transfer_score.requests.job import JobOutcome
from hf_transfer_score.requests.queue import RequestQueue
from hf_transfer_score.requests.request import Request, request_path
from hf_transfer_score.requests.worker import Lease, Worker, WorkerOptions
from tests.leaderboard.made import DATASET, score
from tests.records.test_record import OK
from tests.runs.warm import until

ONE = Request("a/one", "d/pets")
AT_ONCE = WorkerOptions(once=True, pauses=(0.0,))


class Shaky(MemoryPlace):
    """Fails a number of times before it answers."""

    failures = 0

    def _fail(self):
        if self.failures:
            self.failures -= 1
            raise StoreError("The place is not there.")

    def view(self):
        self._fail()
        return super().view()


@pytest.fixture
def queue():
    made = RequestQueue(Shaky())
    made.submit(ONE)
    return made


def test_a_claim_is_renewed_until_it_is_lost(queue):
    said, seen = [], set()
    claimed = queue.claim("w", 0.3)
    with Lease(queue, claimed, "w", 0.3, said.append) as lease:
        until(lambda: seen.add(queue.get(ONE).claimed_until) or len(seen) > 3)
        assert not lease.lost and said == []
        taken = replace(queue.get(ONE), claimed_by="other").to_json().encode()
        queue.place.update(lambda _: {str(request_path(ONE)): taken}, title="taken")
        until(lambda: lease.lost)
    assert len(said) == 1 and "w no longer holds the request for a/one on d/pets" in said[0]


def test_a_renewal_that_fails_is_tried_again(queue):
    said = []
    claimed = queue.claim("w", 0.3)
    queue.place.failures = 2
    with Lease(queue, claimed, "w", 0.3, said.append) as lease:
        until(lambda: queue.place.failures == 0)
        until(lambda: queue.get(ONE).claimed_until > claimed.claimed_until)
    assert (
        not lease.lost and said == ["The claim could not be renewed, which is tried again: The place is not there."] * 2
    )


def test_the_end_of_a_block_ends_the_renewals(queue):
    claimed = queue.claim("w", 0.3)
    with Lease(queue, claimed, "w", 0.3, print):
        pass
    queue.finish(claimed, "w", records=1)
    time.sleep(0.2)
    assert queue.get(ONE).state == "done"


def test_a_place_that_cannot_be_reached_is_waited_for():
    said = []
    queue = RequestQueue(Shaky())
    queue.place.failures = 5
    worker = Worker(queue, MemoryPlace(), AT_ONCE, said.append)
    assert not worker.run()
    assert said == ["The place is not there. Trying again in 0 s."] * 5


def test_looks_in_vain_grow_rarer_and_workers_ask_apart(monkeypatch):
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(working, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    with pytest.raises(KeyboardInterrupt):
        Worker(RequestQueue(MemoryPlace()), MemoryPlace(), WorkerOptions(poll=30), print).run()
    assert all(15 <= one <= 45 for one in slept[:1]) and all(150 <= one <= 450 for one in slept[8:])
    assert len(set(slept)) == 20


def test_what_may_pass_is_tried_again_after_a_pause(queue, monkeypatch):
    slept = []
    monkeypatch.setattr(working, "time", SimpleNamespace(sleep=slept.append, monotonic=time.monotonic))
    passing = JobOutcome("again", kind="no_network", reason="the Hub did not answer")
    monkeypatch.setattr(working, "carry_out", lambda request, options: passing)
    counts = Worker(queue, MemoryPlace(), WorkerOptions(once=True), print).run()
    assert counts == {"again": 2, "failed": 1} and slept == [pytest.approx(5, abs=1), pytest.approx(15, abs=1)]


def test_pauses_grow(queue):
    worker = Worker(queue, MemoryPlace(), WorkerOptions(), print)
    assert [worker._pause(number) for number in range(6)] == [5, 15, 60, 300, 300, 300]


def test_retries_may_be_limited(queue):
    said, worker = [], None
    worker = Worker(queue, MemoryPlace(), AT_ONCE, said.append)
    queue.place.failures = 9
    with pytest.raises(StoreError, match="The place is not there"):
        worker._patiently(queue.place.view, 3)
    assert len(said) == 2 and queue.place.failures == 6


def test_a_closed_place_ends_the_worker(hub):
    hub.users = {"hf_owner": "owner", "hf_guest": "guest"}
    hub.add("owner/requests", {"README.md": "x"}, kind="dataset")
    RequestQueue(HubPlace("owner/requests", token="hf_owner", endpoint=hub.endpoint)).submit(ONE)
    queue = RequestQueue(HubPlace("owner/requests", token="hf_guest", endpoint=hub.endpoint))
    said = []
    with pytest.raises(HubError, match="This token may not write to owner/requests"):
        Worker(queue, MemoryPlace(), AT_ONCE, said.append).run()
    assert said == [] and queue.get(ONE).state == "pending"


def test_an_interrupted_worker_releases_its_request(queue, monkeypatch):
    said = []
    worker = Worker(queue, MemoryPlace(), AT_ONCE, said.append)

    def end(request, options):
        raise KeyboardInterrupt

    monkeypatch.setattr(working, "carry_out", end)
    with pytest.raises(KeyboardInterrupt):
        worker.run()
    assert said == ["claimed a/one on d/pets, attempt 1 of 3", "gave back 1 request"]
    assert (queue.get(ONE).state, queue.get(ONE).attempts, queue.get(ONE).claimed_by) == ("pending", 1, None)


def deep(depth: int) -> Any:
    return [0] * 40_000 if depth == 0 else [deep(depth - 1)]


LARGE = replace(score("a/one", "knn", 0.5, dataset=replace(DATASET, id="d/pets")), used={"deep": deep(20)})
"""A record that can be read from 100,000 bytes, and takes more than a record may if it is written."""


@pytest.mark.parametrize(
    "answer", [{"kind": "No Kind!"}, {"kind": "a" * 201}, {"records": [COMPACT.encode(plain_fields(LARGE))]}]
)
def test_no_answer_of_a_job_ends_the_worker(answer, queue, monkeypatch):
    def run_in_box(command, folder, limits):
        whole = {"state": "failed", "kind": "error", "reason": "why", "records": [], **answer}
        (folder / "answer.json").write_text(json.dumps(whole))
        return BoxResult(0, None, 1.0)

    monkeypatch.setattr(job, "check_request", lambda *_, **__: "c" * 40)
    monkeypatch.setattr(job, "run_in_box", run_in_box)
    assert Worker(queue, MemoryPlace(), AT_ONCE, print).run() == {"failed": 1}
    assert queue.get(ONE).kind in ("error", "bad_input")


def test_records_count_although_the_claim_was_lost(queue, monkeypatch):
    results, said, taken = MemoryPlace(), [], []

    def carry_out(request, options):
        taken.append(replace(request, claimed_by="other", attempts=2))
        queue.place.update(lambda _: {str(request_path(ONE)): taken[0].to_json().encode()}, title="taken")
        return JobOutcome("done", (OK,))

    monkeypatch.setattr(working, "carry_out", carry_out)
    assert Worker(queue, results, replace(AT_ONCE, limit=1), said.append).run() == {"lost": 1}
    assert load(results).table.records() == [OK] and queue.requests() == taken
    assert said[-1].startswith("left a/one on d/pets as it is, with 1 records published: ")


@dataclass
class Threads:
    """An engine of threads, which keeps how much it ran at a time; what is called `dies` has no worker that lives."""

    elsewhere: ClassVar[bool] = True
    workers: int = 2
    running: int = 0
    most: int = 0
    cancelled: int = 0

    def run(self, works, began):
        with ThreadPoolExecutor(self.workers) as pool:
            yield from hand_out(works, began, Pool(self, pool), most=9, retries=0)

    def close(self):
        """Nothing is held."""


@dataclass
class Pool:
    """Work in threads."""

    engine: Threads
    pool: ThreadPoolExecutor

    def start(self, work):
        self.engine.running += 1
        self.engine.most = max(self.engine.most, self.engine.running)
        return self.pool.submit(work.action), "dies" in work.name

    def over(self, handles):
        done = [handle for handle in handles if handle[0].done()]
        self.engine.running -= len(done)
        return done or time.sleep(0.01) or []

    def value(self, handle):
        if handle[1]:
            raise WorkerLostError("its machine failed")
        return handle[0].result()

    def cancel(self, handle):
        self.engine.cancelled += 1
        handle[0].cancel()


class TestEngine:
    """Requests that an engine runs, several at a time."""

    def queue_of(self, *names):
        made = RequestQueue(MemoryPlace())
        for name in names:
            made.submit(Request(name, "d/pets"))
        return made

    def test_as_many_run_at_a_time_as_it_has_workers_and_what_dies_each_time_fails(self, monkeypatch):
        queue = self.queue_of("a/one", "a/two", "a/dies", "a/four")

        def carry_out(request, options):
            time.sleep(0.05)
            return JobOutcome("failed", kind="error", reason=f"{request.model} has no weights")

        monkeypatch.setattr(working, "carry_out", carry_out)
        engine, said = Threads(), []
        assert Worker(queue, MemoryPlace(), AT_ONCE, said.append, engine).run() == {"failed": 4, "again": 2}
        found = {one.model: (one.state, one.attempts, one.reason) for one in queue.requests()}
        assert engine.most == 2 and found["a/one"] == ("failed", 1, "a/one has no weights")
        assert found["a/dies"] == ("failed", 3, "its worker ended: its machine failed")
        assert any("gave back, to be tried again, a/dies on d/pets" in one for one in said)

    def test_an_interrupted_worker_releases_all_its_requests(self, monkeypatch):
        queue, said, engine = self.queue_of("a/one", "a/two"), [], Threads()
        worker = Worker(queue, MemoryPlace(), AT_ONCE, said.append, engine)

        def carry_out(request, options):
            until(lambda: len(worker.held) == 2)
            raise KeyboardInterrupt

        monkeypatch.setattr(working, "carry_out", carry_out)
        with pytest.raises(KeyboardInterrupt):
            worker.run()
        assert engine.cancelled == 1, "the other one is ended, too"
        assert said[-1] == "gave back 2 requests" and {one.state for one in queue.requests()} == {"pending"}


def test_workers_of_one_name_differ(queue):
    first, second = (Worker(queue, MemoryPlace(), WorkerOptions(name="gpu"), print) for _ in range(2))
    assert first.id != second.id and first.id.startswith("gpu-")


@pytest.mark.parametrize("name", ["", " x", "a\nb", "x" * 101])
def test_invalid_names_are_refused(name):
    with pytest.raises(OptionError, match="cannot name a worker: expected 1 to 100 printable letters"):
        WorkerOptions(name=name)
