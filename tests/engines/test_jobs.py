"""Jobs of a local Hub, which runs them as processes: what is sent, what comes back, and what ends early."""

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from hf_transfer_score.engines.base import Work
from hf_transfer_score.engines.job_runs import Batch, Flavor, JobEnd, JobRun, taken
from hf_transfer_score.errors import DatasetError, HubError, OptionError
from tests.conftest import clean_environment
from tests.engines.actions import Sent, attempts
from tests.hub.jobs import ROOT
from tests.runs.warm import until

TOKEN = "hf_of_the_owner"

START = """
import os, signal, sys, threading, time
from pathlib import Path
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
    """The environment of a user who may start jobs."""
    hub.users[TOKEN] = "owner"
    environment = clean_environment(tmp_path / "home", hub.endpoint)
    return {**environment, "HF_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def client(run_client, owner, tmp_path):
    """Run code as the owner, and return its `answer`."""
    place = tmp_path / "place"
    place.mkdir()
    return lambda code: run_client(f"{START}\n{code}", owner, str(place))


def test_a_job_that_is_killed_costs_the_candidate_it_was_at(hub, client, tmp_path):
    found = client("answer = run(engine(workers=2, batch=3, minutes=9), works(a=(), b=(0, 1), c=())[:3])")
    assert found == {name: [name.upper(), "rows"] for name in "abc"}
    assert {name: attempts(tmp_path / "place", name) for name in "abc"} == {"a": 1, "b": 2, "c": 1}
    assert [job.spec["timeoutSeconds"] for job in hub.jobs] == [540] * len(hub.jobs)
    for job in hub.jobs:
        assert job.spec["secrets"] == {"HF_TOKEN": TOKEN}
        assert TOKEN not in json.dumps({**job.spec, "secrets": ""}) + job.log.read_text()
    repository = hub.repository("owner/transfer-score-jobs", "dataset")
    assert repository.private and {path.split("/")[0] for path in repository.head.files} == {".gitattributes", "files"}
    everything = [file.content.read_bytes() for commit in repository.commits.values() for file in commit.files.values()]
    assert not any(TOKEN.encode() in content for content in everything)


def job_at(hub, place, name):
    """Return the job that is doing a work."""
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
    assert "it took longer than the time limit; raise that with `minutes`" in found["late"][1]
    assert "somebody cancelled its job" in found["unwanted"][1]


def test_ctrl_c_cancels_what_runs(hub, client):
    code = """
def press():
    while not (found and attempts(place, "b") and attempts(place, "c")):
        time.sleep(0.05)
    time.sleep(0.5)  # the answer of "a" is removed, and Ctrl-C in there is reported otherwise
    os.kill(os.getpid(), signal.SIGINT)

found = []
threading.Thread(target=press).start()
try:
    for one in engine(workers=2, batch=2).run(works(a=(), b=(600,), c=(600,), d=()), lambda work: None):
        found.append(one.work.name)
except KeyboardInterrupt:
    answer = found
"""
    assert client(code) == ["a"]
    assert [job.stage for job in hub.jobs] == ["CANCELED", "CANCELED"]
    assert all(job.process.returncode for job in hub.jobs)


def test_a_job_that_was_started_but_whose_answer_was_lost_is_cancelled(hub, client):
    hub.fault("/api/jobs/owner", "cut", after=20, method="POST", times=1)
    code = """
try:
    run(engine(), works(a=(600,)))
except Exception as error:
    answer = [type(error).__name__, str(error)]
"""
    kind, said = client(code)
    assert kind == "HubError" and said.startswith("The Hub was asked to start a job on t4-small for owner: ")
    assert [job.stage for job in hub.jobs] == ["CANCELED"]


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
        "Together at most $2.01; a job that fails is repeated, at most once per candidate.",
        "Your sample and the results go through owner/transfer-score-jobs, a private dataset repository.",
        "Left out, since no job can do them: e and g.",
        "Nobody can be asked for confirmation here: give it with confirm=True.",
    ]
    assert asked == "Nothing was started."
    assert flavor.startswith("flavor='t5': expected one of cpu-basic, t4-small,")
    assert public.startswith("to='owner/open': this dataset repository is public, and your sample would be too")
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
    assert said.startswith("Jobs end before they start with a candidate: its job ended without a result: ")
    assert "no-such-package-at-all" in said and len(hub.jobs) <= 4


@dataclass
class Machines:
    """Jobs in memory: for each, the numbers of finished works and how it ended."""

    ends: list
    exchange: Any = None
    most: int = 99
    started: list = field(default_factory=list)
    cancelled: list = field(default_factory=list)

    def start(self, flavor, arguments):
        if len(self.started) == self.most:
            raise HubError("no credit is left")
        self.started.append(arguments[-1])
        return str(len(self.started) - 1)

    def ended(self, job):
        done, end, *later = self.ends[int(job)]
        for number in done:
            self.exchange.back[number] = None
        if later:  # it is asked for again
            self.ends[int(job)] = later
        return end

    def cancel(self, job):
        self.cancelled.append(job)

    def cancel_others(self, run, known):
        pass


@dataclass
class Wires:
    """A repository in memory."""

    folder: Path
    back: dict = field(default_factory=dict)
    repository: Any = field(default_factory=lambda: SimpleNamespace(name="owner/name"))
    run: str = "run"
    cleared: bool = False

    def send(self, works):
        return "".join(action.name for _, action in works)

    @contextmanager
    def arrived(self):
        found, self.back = list(self.back), {}
        for number in found:
            (self.folder / str(number)).mkdir()
            (self.folder / str(number) / "said.json").write_text(str(number))
        yield [(number, self.folder / str(number)) for number in found]

    def clear(self):
        self.cleared = True


def run_of(tmp_path, batches, machines, workers=1, retries=1):
    """Return a run of works in batches of names."""
    wires = machines.exchange = Wires(tmp_path)
    names = iter(range(9))
    planned = [
        Batch(Flavor("f", 0, 1), tuple((next(names), Work(name, Sent(tmp_path, name))) for name in batch))
        for batch in batches
    ]
    return JobRun(wires, machines, planned, lambda _: None, workers=workers, retries=retries, poll=0.001)


def carried_out(tmp_path, batches, ends, retries=1):
    """Return the results of works in batches of names when jobs end as given, and which jobs were started."""
    machines = Machines(ends)
    run = run_of(tmp_path, batches, machines, retries=retries)
    found = {one.work.name: one.value if one.failure is None else str(one.failure) for one in run.results()}
    return found, machines.started, machines.cancelled, machines.exchange.cleared


DIED, COMPLETED = JobEnd("ERROR", "of all things", at=1), JobEnd("COMPLETED", "", at=9)


def test_who_is_to_blame_for_the_end_of_a_job(tmp_path):
    ends = [([0], DIED), ([2], COMPLETED), ([], DIED)]
    found, started, cancelled, cleared = carried_out(tmp_path, ["abc"], ends)
    assert found == {"a": 0, "b": "its worker ended 2 times: of all things", "c": 2}
    assert started == ["abc", "c", "b"] and not cancelled and cleared


def test_time_that_ran_out_in_a_full_job_is_given_once_more(tmp_path):
    late = JobEnd("ERROR", "too long", timed_out=True, at=1)
    found, started, _, _ = carried_out(tmp_path, ["abc"], [([0], late), ([2], COMPLETED), ([], late)], retries=5)
    assert started == ["abc", "c", "b"] and found["b"] == "its worker ended 2 times: too long"


def test_an_end_without_a_log_blames_the_first_that_is_left(tmp_path):
    dark = JobEnd("ERROR", "who knows", at=-1)
    found, started, _, _ = carried_out(tmp_path, ["ab"], [([0], dark), ([], dark)])
    assert started == ["ab", "b"] and found == {"a": 0, "b": "its worker ended 2 times: who knows"}


def test_jobs_finish_though_the_hub_takes_no_further_one(tmp_path):
    machines, found = Machines([([], None, [0], COMPLETED)], most=1), []
    with pytest.raises(HubError, match="no credit is left"):
        found.extend(one.work.name for one in run_of(tmp_path, "ab", machines, workers=2).results())
    assert found == ["a"] and not machines.cancelled


def test_jobs_that_end_before_they_start_leave_those_that_work_alone(tmp_path):
    early = JobEnd("ERROR", "no disk", at=None)
    ends = [([], None, [], None, [], None, [0], COMPLETED), ([], early), ([], early), ([1], COMPLETED)]
    run = run_of(tmp_path, "ab", machines := Machines(ends), workers=2)
    assert [one.work.name for one in run.results()] == ["a", "b"] and machines.started == list("abbb")
    (tmp_path / "alone").mkdir()
    with pytest.raises(OptionError, match="Jobs end before they start with a candidate: no disk"):
        list(run_of(tmp_path / "alone", "a", Machines([([], early)] * 2)).results())


def test_ctrl_c_is_not_hidden_by_a_hub_that_is_away(tmp_path):
    machines = Machines([([], None)])
    run = run_of(tmp_path, "a", machines)

    def press(job):
        machines.exchange.arrived = lambda: (_ for _ in ()).throw(HubError("away"))
        raise KeyboardInterrupt

    machines.ended = press
    with pytest.raises(KeyboardInterrupt):
        list(run.results())
    assert machines.cancelled == ["0"]


def test_what_comes_back_is_not_trusted(tmp_path):
    work = Work("a", Sent(tmp_path, "a"))
    assert taken(work, tmp_path).failure.kind == "error"
    (tmp_path / "said.json").write_text("{")
    assert "the result from its job cannot be read" in str(taken(work, tmp_path).failure)
    for told in ("[]", '{"error": "CheckpointError"}', "x" * 10):
        (tmp_path / "raised.json").write_text(told)
        assert "the result from its job cannot be read" in str(taken(work, tmp_path).failure)
    (tmp_path / "raised.json").write_text('{"error": "DatasetError", "message": "no rows"}')
    with pytest.raises(DatasetError, match="no rows"):
        taken(work, tmp_path)
