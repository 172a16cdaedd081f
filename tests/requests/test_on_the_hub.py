"""The queue in a repository of the local Hub, used by real clients: conflicts, lost answers, and few requests."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from hf_transfer_score.errors import InputError
from hf_transfer_score.hub import trees
from hf_transfer_score.hub.repository import CommitRetries
from hf_transfer_score.records.place import HubPlace
from hf_transfer_score.requests.kept import KeptFiles
from hf_transfer_score.requests.queue import LeaseLostError, QueueLimits, RequestQueue
from hf_transfer_score.requests.request import Request, request_path, utc_now
from tests.hub.server import LocalHub
from tests.requests.clock import Clock

QUICK = CommitRetries(attempts=200, first_wait=0.02, longest_wait=0.1)


@pytest.fixture
def hub(tmp_path):
    with LocalHub(tmp_path / "hub", users={"hf_owner": "owner", "hf_guest": "guest"}) as local:
        local.add("owner/requests", {"README.md": "# Requests\n"}, kind="dataset")
        yield local


@pytest.fixture
def queue_of(hub):
    def make(clock=utc_now, kind=HubPlace, vouches=False, limits=None, **more):
        settings = {"token": "hf_owner", "endpoint": hub.endpoint, "retries": QUICK, **more}
        return RequestQueue(kind("owner/requests", **settings), limits or QueueLimits(), clock, vouches)

    return make


def filled(queue, count):
    for number in range(count):
        queue.submit(Request(f"a/m{number}", "d/pets"))
    return queue


class Meanwhile:
    """A clock that makes something happen once, between reading the queue and the commit."""

    def __init__(self, happen, calls, clock=utc_now):
        self.happen, self.calls, self.clock = happen, calls, clock

    def __call__(self):
        self.calls -= 1
        if self.calls == 0:
            self.happen()
        return self.clock()


def test_the_second_commit_claims_another_request(hub, queue_of):
    other = filled(queue_of(), 2)
    taken = []
    slow = queue_of(Meanwhile(lambda: taken.append(other.claim("quick", 60).model), 2))
    assert slow.claim("slow", 60).model == "a/m1" and taken == ["a/m0"]
    assert [one.status for one in hub.asked("/commit/main", "POST")[-3:]] == [200, 412, 200]
    assert {one.model: one.claimed_by for one in other.requests()} == {"a/m0": "quick", "a/m1": "slow"}
    assert other.claim("third", 60) is None


def test_a_claim_that_was_lost_while_it_is_renewed_stays_with_the_other(queue_of):
    clock = Clock()
    other = filled(queue_of(clock), 1)
    mine = queue_of(clock).claim("mine", 60)
    clock.pass_by(61)
    late = queue_of(Meanwhile(lambda: other.claim("other", 60), 1, clock))
    with pytest.raises(LeaseLostError, match="mine no longer holds .* it is running, claimed by other"):
        late.renew(mine, "mine", 60)
    assert other.get(mine).claimed_by == "other"


def test_the_same_request_at_the_same_time_is_one(queue_of):
    other = queue_of()
    request = Request("a/one", "d/pets")
    late = queue_of(Meanwhile(lambda: other.submit(request), 1))
    late.place.update(lambda _: {"x.txt": b"x"}, title="so that the client is there")
    assert late.submit(request).state in ("new", "pending") and len(other.requests()) == 1


def test_many_workers_claim_each_request_once(hub, queue_of):
    filled(queue_of(), 8)
    queues, got = [queue_of() for _ in range(4)], [[] for _ in range(4)]

    def work(index):
        while (request := queues[index].claim(f"w{index}", 60)) is not None:
            got[index].append(request.model)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert sorted(model for models in got for model in models) == [f"a/m{number}" for number in range(8)]
    assert len(hub.repository("owner/requests", "dataset").commits) == 1 + 8 + 8


class Lossy(HubPlace):
    """Commits, and loses the answer the first time."""

    def _commit(self, parent, operations, title):
        import httpx

        done = super()._commit(parent, operations, title)
        if not hasattr(self, "lost"):
            self.lost = True
            raise httpx.ReadError("the connection was lost")
        return done


def test_answers_that_are_lost_change_nothing(hub, queue_of):
    assert queue_of(kind=Lossy).submit(Request("a/m0", "d/pets")).state == "new"
    other = filled(queue_of(), 2)
    claimed = queue_of(kind=Lossy).claim("w", 60)
    assert claimed.model == "a/m0" and [one.state for one in other.requests()] == ["running", "pending"]
    assert queue_of(kind=Lossy).finish(claimed, "w", records=1).state == "done"
    assert len(hub.asked("/commit/main", "POST")) == 4  # two submissions, a claim and an end


def test_files_are_not_read_twice(hub, queue_of):
    queue = filled(queue_of(), 3)
    reader = queue_of()
    assert len(reader.requests()) == 3
    hub.requests.clear()
    assert len(reader.requests()) == 3 and hub.asked("/resolve/") == []
    queue.claim("w", 60)
    hub.requests.clear()
    assert [one.state for one in reader.requests()] == ["running", "pending", "pending"]
    assert len(hub.asked("/resolve/")) == 1


def test_a_restarted_worker_does_not_download_very_many_requests_again(hub, queue_of, monkeypatch):
    monkeypatch.setattr("hf_transfer_score.requests.queue.CHUNK", 2)
    place = queue_of().place
    requests = [Request(f"a/m{number}", "d/pets", asked_by="ann") for number in range(5)]
    place.update(lambda view: {str(request_path(one)): one.to_json().encode() for one in requests}, title="five")
    assert set(queue_of().requests()) == set(requests) and len(hub.asked("/resolve/")) == 5
    hub.requests.clear()
    assert set(queue_of().requests()) == set(requests) and hub.asked("/resolve/") == []
    changed = replace(requests[0], asked="2025-01-01T00:00:00.000+00:00")
    place.update(lambda view: {str(request_path(changed)): changed.to_json().encode()}, title="changed")
    hub.requests.clear()
    assert changed in queue_of().requests() and len(hub.asked("/resolve/")) == 1
    file = KeptFiles(place).file
    for damage in ("[1]", "{", file.read_text().replace("ann", "eve")):
        file.write_text(damage)
        hub.requests.clear()
        assert {one.asked_by for one in queue_of().requests()} == {"ann"} and len(hub.asked("/resolve/")) == 5


def commit(hub, queue_of, token, *requests):
    """Write requests directly, without the queue."""
    place = queue_of(token=token).place
    files = {str(request_path(one)): one.to_json().encode() for one in requests}
    place.update(lambda view: files, title="Add requests")


@pytest.fixture
def open_hub(hub):
    """A repository of an organisation, to which its members can write."""
    hub.members["owner"] = {"owner", "guest"}
    return hub


def asked(number, name, at="2025-01-01T00:00:00.000+00:00"):
    return Request(f"g/m{number}", "d/pets", asked_by=name, asked=at)


def test_a_request_counts_for_the_author_of_its_commit(open_hub, queue_of):
    commit(open_hub, queue_of, "hf_guest", *(asked(number, "victim") for number in range(12)))
    space = queue_of(vouches=True)
    assert space.submit(Request("a/one", "d/pets", asked_by="victim")).state == "new"
    with pytest.raises(InputError, match="guest has 12 waiting or running requests, and may have 10"):
        space.submit(Request("a/two", "d/pets", asked_by="guest"))
    with pytest.raises(InputError, match="guest has 12 waiting or running requests"):
        queue_of(token="hf_guest").submit(Request("a/two", "d/pets", asked_by="somebody else"))


def test_signed_in_visitors_of_a_space_count_by_name(hub, queue_of):
    space = queue_of(vouches=True)
    for number in range(10):
        space.submit(asked(number, "visitor"))
    with pytest.raises(InputError, match="visitor has 10 waiting"):
        space.submit(Request("a/one", "d/pets", asked_by="visitor"))
    assert space.submit(Request("a/one", "d/pets", asked_by="other")).state == "new"
    with pytest.raises(InputError, match="owner has 11 waiting"):
        queue_of().submit(Request("a/two", "d/pets", asked_by="anybody"))


def test_a_flooding_user_fills_only_a_share_of_the_queue(open_hub, queue_of):
    commit(open_hub, queue_of, "hf_guest", *(asked(number, f"name{number}") for number in range(30)))
    space = queue_of(vouches=True, limits=QueueLimits(per_user=2, whole=4))
    assert space.submit(Request("a/one", "d/pets", asked_by="visitor")).state == "new"
    worker = queue_of(limits=QueueLimits(per_user=2, whole=4))
    claimed = [worker.claim("w", 60) for _ in range(4)]
    assert [one.model for one in claimed[:3]] == ["g/m0", "g/m1", "a/one"]
    assert [one.asked_by for one in claimed[:3]] == ["guest", "guest", "visitor"]


def test_authors_are_looked_up_only_when_needed(hub, queue_of):
    queue = filled(queue_of(), 3)
    assert hub.asked("/paths-info/") == hub.asked("/commits/") == []
    queue.claim("w", 60)
    assert len(hub.asked("/paths-info/")) == len(hub.asked("/commits/")) == 1


def test_a_commit_that_is_too_old_is_looked_for_once(hub, queue_of, monkeypatch):
    monkeypatch.setattr(trees, "MOST_COMMITS", 1)
    queue = filled(queue_of(limits=QueueLimits(per_user=1)), 1)
    commit(hub, queue_of, "hf_owner", asked(1, "ann"), asked(2, "ben"))
    queue.place.update(lambda _: {"notes.txt": b"later"}, title="Later")
    hub.requests.clear()
    assert queue.claim("v", 60).model == "g/m1" and len(hub.asked("/commits/")) == 1
    assert queue.claim("w", 60).model == "g/m2" and len(hub.asked("/commits/")) == 2, (
        "only for the first claim's commit"
    )
