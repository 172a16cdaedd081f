"""A queue in memory and in a folder: claims, leases, limits and invalid files."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.records.place import FolderPlace, FolderView, MemoryPlace
from hf_transfer_score.records.store import CHUNK
from hf_transfer_score.requests.queue import LARGEST_FILE, MOST_GIVEN_UP, LeaseLostError, QueueLimits, RequestQueue
from hf_transfer_score.requests.request import Request, request_path
from tests.requests.clock import Clock

ONE = Request("a/one", "d/pets", asked_by="ann")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "folder"])
def place(request, tmp_path):
    return MemoryPlace() if request.param == "memory" else FolderPlace(tmp_path / "queue")


@pytest.fixture
def queue(place, clock):
    return RequestQueue(place, clock=clock)


def numbered(number, **more):
    return Request(f"a/m{number}", "d/pets", **more)


def states(queue):
    return {one.model: one.state for one in queue.requests()}


def test_the_same_request_is_one(queue, clock):
    first = queue.submit(ONE)
    clock.pass_by(1)
    again = queue.submit(replace(ONE, asked_by="bob"))
    assert (first.state, again.state) == ("new", "pending") and again.request == first.request
    assert first.request.asked == "2025-01-31T12:00:00.000+00:00" and first.request.asked_by == "ann"
    assert queue.submit(replace(ONE, split="test")).state == "new" and len(queue.requests()) == 2
    claimed = queue.claim("w", 60)
    assert claimed.model == "a/one" and queue.submit(ONE).state == "running"
    queue.finish(claimed, "w", records=5)
    assert queue.submit(ONE).state == "done" and queue.submit(ONE).request.records == 5


@pytest.mark.parametrize("end", ["fail", "refuse"])
def test_failed_and_refused_requests_may_be_submitted_again(queue, clock, end):
    queue.submit(ONE)
    claimed = queue.claim("w", 60)
    ended = getattr(queue, end)(claimed, "w", "no such luck")
    assert (ended.reason, ended.kind) == ("no such luck", "error" if end == "fail" else None)
    clock.pass_by(5)
    assert queue.claim("w", 60) is None
    again = queue.submit(replace(ONE, asked_by="bob"))
    assert again.state == "new" and (again.request.attempts, again.request.reason) == (0, None)
    assert [one.asked_by for one in queue.requests()] == ["bob"]


def test_the_state_in_a_submission_is_ignored(queue):
    queue.submit(replace(ONE, state="done", finished="2020-01-01T00:00:00+00:00", records=9, attempts=2))
    assert [(one.state, one.records, one.attempts) for one in queue.requests()] == [("pending", None, 0)]


def test_the_oldest_comes_first_and_each_once(queue, clock):
    for number in (3, 1, 2):
        queue.submit(numbered(number))
        clock.pass_by(1)
    assert [queue.claim(worker, 60).model for worker in ("v", "w", "v")] == ["a/m3", "a/m1", "a/m2"]
    assert queue.claim("w", 60) is None
    assert {one.claimed_by for one in queue.requests()} == {"v", "w"}


def test_a_claim_that_is_not_renewed_ends(queue, clock):
    queue.submit(ONE)
    mine = queue.claim("v", 60)
    clock.pass_by(40)
    mine = queue.renew(mine, "v", 60)
    assert mine.claimed_until == "2025-01-31T12:01:40.000+00:00"
    clock.pass_by(59)
    assert queue.claim("w", 60) is None
    clock.pass_by(1)
    other = queue.claim("w", 60)
    assert (other.claimed_by, other.attempts) == ("w", 2)
    for call in (
        lambda: queue.renew(mine, "v", 60),
        lambda: queue.finish(mine, "v", records=1),
        lambda: queue.fail(mine, "v", "x"),
        lambda: queue.refuse(mine, "v", "x"),
        lambda: queue.release(mine, "v"),
    ):
        with pytest.raises(LeaseLostError, match=r"v no longer holds the request for a/one on d/pets: it is run"):
            call()
    assert queue.get(ONE) == other


def test_an_expired_claim_that_is_still_free_can_be_renewed(queue, clock):
    queue.submit(ONE)
    mine = queue.claim("v", 60)
    clock.pass_by(600)
    assert queue.renew(mine, "v", 60).state == "running" and queue.claim("w", 60) is None


def test_after_three_workers_that_died_a_request_fails(queue, clock):
    queue.submit(ONE)
    queue.submit(numbered(2))
    seen = []
    for worker in ("u", "v", "w", "x", "y", "z", "last"):
        claimed = queue.claim(worker, 60)
        seen.append(None if claimed is None else (claimed.model, claimed.attempts))
        clock.pass_by(60)
    assert seen == [*(("a/m2", n) for n in (1, 2, 3)), *(("a/one", n) for n in (1, 2, 3)), None]
    failed = queue.get(ONE)
    assert (failed.state, failed.kind, failed.finished) == ("failed", "error", "2025-01-31T12:06:00.000+00:00")
    assert failed.reason.startswith("3 workers claimed it, and none of them finished, z last")


def test_a_released_request_is_free_at_once_without_an_attempt(queue):
    queue.submit(ONE)
    for _ in range(5):
        queue.release(queue.claim("v", 60), "v")
    assert queue.claim("w", 60).attempts == 1
    assert queue.release(queue.get(ONE), "w", tried=True).attempts == 1
    for _ in range(2):
        queue.release(queue.claim("w", 60), "w", tried=True)
    assert queue.claim("w", 60) is None and queue.get(ONE).state == "failed"


def test_all_of_a_worker_is_given_back(queue):
    for number in range(3):
        queue.submit(numbered(number))
    for worker in ("v", "w", "v"):
        queue.claim(worker, 60)
    assert queue.release_all("v") == 2 and queue.release_all("v") == 0
    assert Counter(states(queue).values()) == {"pending": 2, "running": 1}


class Forgetful(MemoryPlace):
    """Loses the answer to every change, and so requests it again."""

    def update(self, change, *, title):
        super().update(change, title=title)
        return super().update(change, title=title)


def test_an_answer_that_was_lost_changes_nothing(clock):
    queue = RequestQueue(Forgetful(), QueueLimits(per_user=1), lambda: clock.pass_by(1) or clock())
    assert queue.submit(ONE).state == "new"
    queue.submit(numbered(2, asked_by="bob"))
    first = queue.claim("v", 60)
    assert first.model == "a/one" and states(queue) == {"a/one": "running", "a/m2": "pending"}
    assert queue.renew(first, "v", 60) == queue.get(first)
    assert queue.finish(first, "v", records=3) == queue.get(first) and states(queue)["a/one"] == "done"
    second = queue.claim("v", 60)
    assert (second.model, second.attempts) == ("a/m2", 1) and queue.release(second, "v").attempts == 0
    queue.claim("v", 60)
    assert queue.release_all("v") == 1 and queue.get(second).attempts == 1


def test_a_claim_far_in_the_future_does_not_hold(queue, clock):
    queue.submit(ONE)
    forged = replace(queue.claim("v", 60), claimed_until="9999-01-01T00:00:00+00:00")
    queue.place.update(lambda _: {str(request_path(forged)): forged.to_json().encode()}, title="forged")
    assert queue.claim("w", 60).claimed_by == "w"


@pytest.mark.parametrize("seconds", [0, -1, 86_401, float("nan")])
def test_invalid_leases_are_refused(queue, seconds):
    with pytest.raises(OptionError, match="expected more than 0 and at most 86400"):
        queue.claim("w", seconds)


def test_a_user_and_the_queue_have_their_limits(place, clock):
    queue = RequestQueue(place, QueueLimits(per_user=2, whole=4), clock)
    for number in range(2):
        queue.submit(numbered(number, asked_by="ann"))
    with pytest.raises(InputError, match="ann has 2 waiting or running requests, and may have 2: wait until one"):
        queue.submit(numbered(2, asked_by="ann"))
    assert queue.submit(numbered(1, asked_by="ann")).state == "pending"  # the same request takes no room
    for number in (2, 3):
        queue.submit(numbered(number))
    with pytest.raises(InputError, match="4 requests are waiting or running, and the queue holds 4: try again later"):
        queue.submit(numbered(4, asked_by="bob"))
    queue.finish(queue.claim("w", 60), "w", records=1)
    assert queue.submit(numbered(4, asked_by="ann")).state == "new"


HOSTILE = {
    "requests/a/one/zz.json": b"{",
    "requests/a/one/binary.json": b"\xff\x00",
    "requests/a/one/long.json": b" " * (LARGEST_FILE + 1),
    "requests/a/one/deep.json": b"[" * 15_000,
    "requests/a/one/script.json": json.dumps({"model": "<script>alert(1)</script>"}).encode(),
    "requests/b/elsewhere/0.json": replace(ONE, asked="2020-01-01T00:00:00+00:00").to_json().encode(),
}


def test_invalid_files_are_ignored_and_reported(queue):
    queue.place.update(lambda _: {**HOSTILE, "README.md": b"# hello", "requests/notes.txt": b"x"}, title="hostile")
    assert queue.requests() == [] and queue.claim("w", 60) is None
    reasons = {one.path: one.reason for one in queue.problems}
    assert set(reasons) == set(HOSTILE)
    assert "is not JSON" in reasons["requests/a/one/zz.json"] and "20,001" in reasons["requests/a/one/long.json"]
    assert f"belongs at {request_path(ONE)}" in reasons["requests/b/elsewhere/0.json"]
    queue.submit(ONE)
    assert queue.claim("w", 60).model == "a/one" and len(queue.problems) == len(HOSTILE)
    assert queue.place.view().read(HOSTILE) == HOSTILE


def test_a_broken_file_of_a_request_is_replaced(queue):
    queue.place.update(lambda _: {str(request_path(ONE)): b"{"}, title="broken")
    assert queue.submit(ONE).state == "new" and queue.problems != () and states(queue) == {"a/one": "pending"}


def test_a_file_of_the_same_size_and_time_is_read_again(tmp_path):
    queue = RequestQueue(FolderPlace(tmp_path))
    queue.submit(ONE)
    path = tmp_path / request_path(queue.claim("v", 60))
    before = path.stat()
    path.write_text(path.read_text().replace('"v"', '"w"'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert queue.requests()[0].claimed_by == "w" and path.stat().st_size == before.st_size


CLAIMING = """
import sys
from pathlib import Path
from hf_transfer_score.requests.queue import RequestQueue
from hf_transfer_score.records.place import FolderPlace
queue = RequestQueue(FolderPlace(Path(sys.argv[1])))
print("ready", flush=True)
sys.stdin.readline()
while (request := queue.claim(sys.argv[2], 60)) is not None:
    print(request.model, flush=True)
"""


def test_processes_claim_each_request_once(tmp_path):
    queue = RequestQueue(FolderPlace(tmp_path))
    for number in range(20):
        queue.submit(numbered(number))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([sys.executable, "-c", CLAIMING, tmp_path, name], **pipes) for name in ("v", "w")]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    got = {}
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for name, worker in zip(("v", "w"), workers, strict=True):
        got |= {name: worker.communicate()[0].split()}
        assert worker.returncode == 0
    assert sorted(got["v"] + got["w"]) == sorted(f"a/m{number}" for number in range(20))
    assert {one.model: one.claimed_by for one in queue.requests()} == {m: name for name in got for m in got[name]}


def test_a_claim_in_a_folder_reads_each_file_once(tmp_path, clock, monkeypatch):
    queue, read = RequestQueue(FolderPlace(tmp_path / "queue"), clock=clock), []
    for number in range(3):
        queue.submit(numbered(number))
    before = FolderView.read
    monkeypatch.setattr(FolderView, "read", lambda view, paths: read.extend(paths) or before(view, paths))
    assert queue.claim("w", 60) is not None and len(read) == 3
    assert RequestQueue(FolderPlace(tmp_path / "none"), clock=clock).claim("w", 60) is None
    assert not (tmp_path / "none").exists()


def test_very_many_files_are_read_in_parts(place):
    queue, parts = RequestQueue(place), []
    place.update(lambda _: {f"requests/a/b/{number}.json": b"{" for number in range(CHUNK + 1)}, title="hostile")
    view = place.view()
    read, view.read = view.read, lambda paths: parts.append(list(paths)) or read(parts[-1])
    assert queue._read(view) == {} and [len(one) for one in parts] == [CHUNK, 1]
    assert len(queue.problems) == CHUNK + 1


def test_no_commit_gives_up_very_many_requests(queue, clock):
    old = [numbered(number, attempts=3, asked="2020-01-01T00:00:00+00:00") for number in range(MOST_GIVEN_UP + 5)]
    queue.place.update(lambda _: {str(request_path(one)): one.to_json().encode() for one in old}, title="hostile")
    queue.submit(ONE)
    assert queue.claim("w", 60).model == "a/one"
    assert Counter(one.state for one in queue.requests()) == {"failed": MOST_GIVEN_UP, "pending": 5, "running": 1}
    assert queue.claim("w", 60) is None and "pending" not in states(queue).values()
