"""The ledger: what it counts, refuses and removes."""

import os
import subprocess
import sys

import pytest

from hf_transfer_score.errors import InputError
from hf_transfer_score.uploads import limits
from hf_transfer_score.uploads.ledger import Ledger, open_ledger


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path, Clock())


def upload(ledger, visitor="a", name="x.npz", size=1):
    made = ledger.begin(visitor, name)
    ledger.grow(made, size)
    made.path.write_bytes(bytes(size))
    ledger.arrived(made)
    return made.path


def test_two_visitors_never_share_a_file(ledger):
    mine, other = upload(ledger, "a"), upload(ledger, "b")
    assert mine != other and mine.name == other.name == "x.npz"
    ledger.release([mine])
    assert not mine.parent.exists() and other.exists()
    assert ledger.waiting == (1, 1)


def test_other_files_stay(ledger, tmp_path):
    example = tmp_path / "example.npz"
    example.touch()
    ledger.release([example, tmp_path, tmp_path / "nowhere"])
    assert example.exists()


def test_files_are_limited_for_each_visitor_and_for_all(ledger, monkeypatch):
    monkeypatch.setattr(limits, "VISITOR_FILES", 2)
    monkeypatch.setattr(limits, "ALL_FILES", 3)
    paths = [upload(ledger, "a"), upload(ledger, "a")]
    with pytest.raises(InputError, match="2 of one visitor and 3 of all visitors"):
        ledger.begin("a", "x.npz")
    upload(ledger, "b")
    with pytest.raises(InputError, match="Too many files"):
        ledger.begin("c", "x.npz")
    ledger.release(paths)
    assert upload(ledger, "c").exists()


def test_bytes_are_limited_for_each_file_visitor_and_all(ledger, monkeypatch):
    for name, value in {"FILE_BYTES": 10, "VISITOR_BYTES": 15, "ALL_BYTES": 20}.items():
        monkeypatch.setattr(limits, name, value)
    with pytest.raises(InputError, match="A file may have"):
        ledger.grow(ledger.begin("z", "x.npz"), 11)
    ledger.release([one.path for one in list(ledger._uploads.values())])
    upload(ledger, "a", size=10)
    more = ledger.begin("a", "x.npz")
    ledger.grow(more, 5)
    with pytest.raises(InputError, match="too large"):
        ledger.grow(more, 1)
    ledger.release([more.path])
    upload(ledger, "b", size=10)
    with pytest.raises(InputError, match="too large"):
        ledger.grow(ledger.begin("c", "x.npz"), 1)


def test_files_go_with_their_page(ledger):
    mine, other, nobodys = upload(ledger), upload(ledger), upload(ledger)
    ledger.belong("page", [mine, "/etc/passwd"])
    ledger.belong("other", [other])
    ledger.leave("")
    ledger.leave("page")
    assert [path.exists() for path in (mine, other, nobodys)] == [False, True, True]


def test_files_go_after_a_time_that_begins_when_they_are_whole(ledger):
    early = upload(ledger)
    slow = ledger.begin("a", "x.npz")
    ledger.clock.now = limits.KEPT_SECONDS + 1
    ledger.arrived(slow)
    ledger.sweep()
    assert not early.exists() and slow.path.exists()
    ledger.clock.now *= 3
    ledger.sweep()
    assert ledger.waiting == (0, 0) and list(ledger.folder.iterdir()) == []


def test_a_file_on_a_full_disk_does_not_count(ledger, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.touch", full)
    with pytest.raises(OSError, match="No space"):
        ledger.begin("a", "x.npz")
    assert ledger.waiting == (0, 0) and list(ledger.folder.iterdir()) == []


LEFT = """
import os, sys
from hf_transfer_score.uploads.ledger import open_ledger
ledger = open_ledger(sys.argv[1])
ledger.begin("a", "x.npz")
if len(sys.argv) > 2:
    os._exit(9)
"""


@pytest.mark.skipif(os.name == "nt", reason="processes are not looked for there")
def test_nothing_is_left_of_a_program_that_ended_or_was_killed(tmp_path):
    subprocess.run([sys.executable, "-c", LEFT, tmp_path], check=True)
    assert list(tmp_path.iterdir()) == []
    assert subprocess.run([sys.executable, "-c", LEFT, tmp_path, "killed"], check=False).returncode == 9
    (left,) = tmp_path.iterdir()
    ledger = open_ledger(tmp_path)
    assert ledger.folder.exists() and not left.exists()
    second = open_ledger(tmp_path)
    assert ledger.folder.exists() and second.folder != ledger.folder


@pytest.mark.parametrize("number", [os.getpid(), 10**30], ids=["of this process", "of none"])
def test_a_program_that_began_after_a_folder_did_not_make_it(tmp_path, number):
    left, strange = tmp_path / f"uploads-{number}-a", tmp_path / "uploads-strange-a"
    for folder in (left, strange):
        folder.mkdir()
        os.utime(folder, (1, 1))
    open_ledger(tmp_path)
    assert strange.exists() and not left.exists()
