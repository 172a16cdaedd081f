"""The processes that train: they end with the one that they work for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PARENT = """
import os, sys, time
from pathlib import Path
from hf_transfer_score.demonstration.work import helpers

def note_and_wait(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(120)

if __name__ == "__main__":
    with helpers(2) as pool:
        done = [pool.submit(note_and_wait, sys.argv[1]) for _ in range(2)]
        done[0].result()
"""


def wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(number):
    status = Path(f"/proc/{number}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_they_end_when_the_main_process_is_killed(tmp_path, number):
    script, started = tmp_path / "parent.py", tmp_path / "started"
    script.write_text(PARENT)
    started.mkdir()
    parent = subprocess.Popen([sys.executable, script, started], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: len(list(started.iterdir())) == 2)
        workers = [int(one.name) for one in started.iterdir()]
        assert all(map(is_alive, workers))
    finally:
        os.kill(parent.pid, number)
        parent.wait()
    wait_until(lambda: not any(map(is_alive, workers)), 20)
