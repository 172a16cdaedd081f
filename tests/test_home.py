"""Locks between processes, and names that are near."""

import signal
import subprocess
import sys
import time

import pytest

from hf_transfer_score.errors import OptionError
from hf_transfer_score.home import alone, near_name
from hf_transfer_score.sampling.load import load_sample

HOLD = """
import sys, time
from pathlib import Path
from hf_transfer_score.home import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
COUNT = """
import sys
from pathlib import Path
from hf_transfer_score.home import alone
for _ in range(30):
    with alone(Path(sys.argv[1])):
        place = Path(sys.argv[2])
        place.write_text(str(int(place.read_text()) + 1))
"""


def test_a_lock_ends_with_its_holder(tmp_path):
    path, told = tmp_path / "folder" / "a.lock", []
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"

    def waiting(who):
        told.append(who)
        holder.send_signal(signal.SIGKILL)

    start = time.monotonic()
    with alone(path, waiting):
        assert told == [f"process {holder.pid}"]
    assert time.monotonic() - start < 10
    assert not path.exists()
    holder.communicate()


def test_none_is_in_a_block_with_another(tmp_path):
    counter = tmp_path / "count"
    counter.write_text("0")
    command = [sys.executable, "-c", COUNT, str(tmp_path / "a.lock"), str(counter)]
    assert [one.wait() for one in [subprocess.Popen(command) for _ in range(3)]] == [0, 0, 0]
    assert counter.read_text() == "90"


def test_nobody_waits_without_locks(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with alone(tmp_path / "file" / "a.lock"):
        pass


def test_a_home_that_cannot_be_written_is_said_with_what_to_do(tmp_path):
    (tmp_path / "file").write_text("no folder")
    said = (
        r"/file/samples, for samples and features, cannot be written \(Not a directory\). Set HF_TRANSFER_SCORE_HOME to"
    )
    with pytest.raises(OptionError, match=said):
        load_sample((["a", "b"] * 4, [0, 1] * 4), folder=tmp_path / "file" / "samples")


def test_a_name_is_near_another_by_itself_and_not_by_the_folder_that_both_are_in(tmp_path):
    folder = tmp_path / "a folder with a long name"
    (folder / "results").mkdir(parents=True)
    assert near_name(f"{folder}/resluts") == f" Did you mean '{folder}/results'?"
    assert near_name(f"{folder}/RESULT") == f" Did you mean '{folder}/results'?"
    cached = ["own/results", "other/model"]
    assert near_name("resluts", cached) == near_name("one/results", cached) == " Did you mean 'own/results'?"
    assert near_name("own/results", cached) == "", "it is there, but something else about it is wrong"
    assert near_name(f"{folder}/none") == near_name(f"{tmp_path}/nowhere/results") == ""
