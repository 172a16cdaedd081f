"""Engines by name, what they share, and one of another package."""

import socket
import sys

import pytest

from hf_transfer_score import rank
from hf_transfer_score.engines.base import NotStartedError, Work, WorkerLostError, hand_out, open_engine
from hf_transfer_score.engines.ray import check_reachable
from hf_transfer_score.errors import CheckpointError, OptionError

THEIRS = """
from dataclasses import dataclass
from hf_transfer_score.engines.base import Finished

@dataclass
class Backwards:
    elsewhere = False
    said: str = ""

    def run(self, works, began):
        for work in reversed(works):
            began(work)
            yield Finished(work, work.action())

    def close(self):
        pass
"""


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("rey", {}, r"engine='rey': expected one of accelerate, here, .*ray.* Did you mean 'ray'\?"),
        ("here", {"workers": 2}, "'workers' is not an option of the engine here; it has no options"),
        ("accelerate", {}, "between the processes of a launcher: start it with `accelerate launch"),
        ("ray", {"worker": 2}, "'worker' is not an option of the engine ray; its options: workers, address, retries"),
        ("ray", {"workers": 0}, "workers=0: expected at least 1"),
        ("jobs", {}, "engine='jobs' starts jobs in your name: log in with"),
    ],
)
def test_what_there_is_not_is_said(name, settings, words):
    with pytest.raises(OptionError, match=words):
        open_engine(name, settings)


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_without_its_extra_an_engine_says_what_to_install(engine, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    words = rf"needs the package {package}, which is not installed: pip install 'hf-transfer-score\[{engine}\]'"
    with pytest.raises(OptionError, match=words):
        open_engine(engine)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install the package `backwards` with entry points of engines."""

    def make(points):
        (tmp_path / "backwards.py").write_text(THEIRS)
        about = tmp_path / "backwards-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: backwards\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[hf_transfer_score.engines]\n{points}\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    return make


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ("mine = no_such:Engine", "engine='mine' cannot be loaded from no_such:Engine: No module named 'no_such'"),
        (
            "mine = backwards:Absent",
            "engine='mine' cannot be loaded from backwards:Absent: .*has no attribute 'Absent'",
        ),
        ("mine = builtins:int", "engine='mine': expected a dataclass at builtins:int, whose fields are its options"),
        ("here = backwards:Backwards", "engine='here' is in several installed packages: backwards:.* and hf_transfer"),
    ],
)
def test_an_engine_of_another_package_that_is_broken_says_how(install, point, words):
    install(point)
    with pytest.raises(OptionError, match=words):
        open_engine(point.split(" ")[0])


def test_an_engine_of_another_package_is_found_by_its_entry_point(install, tmp_path):
    install("backwards = backwards:Backwards")
    assert open_engine("backwards", {"said": "yes"}).said == "yes"
    table = tmp_path / "texts.csv"
    table.write_text("text,label\n" + "".join(f"words {row},{row % 2}\n" for row in range(8)))
    report = rank(str(table), [str(tmp_path / "a"), str(tmp_path / "b")], engine="backwards", folder=tmp_path / "kept")
    assert list(report.models) == ["a", "b"], "in the order they were named, whoever came first"
    assert {one.kind for one in report.models.values()} == {"missing"}


class Frail:
    """Workers in memory; those named end a number of times before they do anything."""

    def __init__(self, **ends: int) -> None:
        self.ends, self.begun, self.cancelled, self.most = dict(ends), [], [], 0

    def start(self, work):
        self.begun.append(work.name)
        return len(self.begun), work

    def over(self, handles):
        self.most = max(self.most, len(handles))
        return handles[:1]

    def value(self, handle):
        name = handle[1].name
        if self.ends.get(name, 0):
            self.ends[name] -= 1
            raise WorkerLostError("of all things", "out_of_memory")
        return handle[1].action()

    def cancel(self, handle):
        self.cancelled.append(handle[1].name)


def works(names):
    return [Work(name, name.upper) for name in names]


def test_work_whose_worker_ended_is_begun_again_and_no_other():
    frail, began = Frail(b=1, d=2), []
    found = list(hand_out(works("abcde"), lambda one: began.append(one.name), frail, most=2, retries=1))
    assert {one.work.name: one.value for one in found} == {"a": "A", "b": "B", "c": "C", "d": None, "e": "E"}
    assert sorted(frail.begun) == list("abbcdde") and began == list("abcde") and frail.most == 2
    (failure,) = [one.failure for one in found if one.failure]
    assert isinstance(failure, CheckpointError) and failure.kind == "out_of_memory"
    assert str(failure) == "its worker ended 2 times: of all things"


def test_who_stops_listening_ends_what_is_under_way():
    frail = Frail()
    coming = hand_out(works("abcde"), lambda _: None, frail, most=3, retries=1)
    next(coming)
    coming.close()
    assert frail.cancelled == ["b", "c"] and frail.begun == ["a", "b", "c"]


class Limited(Frail):
    """Workers of which only some are allowed at a time."""

    def __init__(self, limit):
        super().__init__()
        self.limit, self.running = limit, 0

    def start(self, work):
        if self.running >= self.limit:
            raise NotStartedError("too many jobs")
        self.running += 1
        return super().start(work)

    def value(self, handle):
        self.running -= 1
        return super().value(handle)


def test_work_that_is_refused_waits_for_other_work_to_end():
    limited, began = Limited(2), []
    found = list(hand_out(works("abcde"), lambda one: began.append(one.name), limited, most=4, retries=1))
    assert [one.value for one in found] == list("ABCDE") and began == limited.begun == list("abcde")
    assert limited.most == 2
    with pytest.raises(NotStartedError, match="too many jobs"):
        list(hand_out(works("a"), lambda _: None, Limited(0), most=4, retries=1))


def test_a_cluster_that_does_not_answer_is_refused_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        for one in (address, f"ray://{address}", "127.0.0.1:99999"):
            with pytest.raises(OptionError, match=f"address='{one}': no cluster of Ray can be reached there"):
                check_reachable(one)
        free.listen()
        for one in (address, f"ray://{address}", "auto", "local", ""):
            check_reachable(one)
