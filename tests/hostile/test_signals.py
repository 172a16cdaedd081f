"""A command that is ended by a signal prints one sentence, exits with the signal's status and leaves no child."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.runs.warm import until

ENDINGS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}

WAITING = """
import signal, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from hf_transfer_score.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)
for ignored in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(ignored, signal.SIG_DFL)  # a suite under nohup hands on that it is ignored
command, module, name = sys.argv[1:4]

def wait(*_, **__):
    threads = ThreadPoolExecutor(1)
    threads.submit(time.sleep, 60)  # as a client does that uploads or downloads
    subprocess.Popen([sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '60'])"])
    sys.stderr.write("waiting\\n")
    threading.Event().wait()

setattr(import_module(f"hf_transfer_score.{module}"), name, wait)
sys.argv[1:] = [*command.split(), *sys.argv[4:]]
sys.exit(main())
"""
"""The program with its work replaced by waiting, with a thread, a child and a grandchild."""

COMMANDS = {
    "rank": ("cli.rank", "run_rank", "data", "--models", "a/b"),
    "verify": ("cli.verify", "run_verify", "data", "--models", "a/b"),
    "layers": ("cli.layers", "layer_profile", "data", "--model", "a/b"),
    "results publish": ("cli.results", "open_place", "records", "--to", "other"),
    "results pull": ("cli.results", "pull", "source", "--into", "target"),
    "score": ("cli.score", "score_files", "a.npz", "b.npz"),
    "leaderboard": ("leaderboard.starting", "build", "--results", "records"),
}


SIGNALS = [("rank", number) for number in ENDINGS]
OTHERS = [(command, signal.SIGTERM) for command in COMMANDS if command != "rank"]


@pytest.mark.parametrize(("command", "number"), SIGNALS + OTHERS)
def test_the_same_for_each_signal_and_each_command(parent, tmp_path, command, number):
    module, name, *arguments = COMMANDS[command]
    for place in ("records/records", "source/records"):
        (tmp_path / place).mkdir(parents=True)
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    arguments = [command, module, name, *arguments]
    program = parent.start(arguments, environment, folder=tmp_path, code=WAITING, imports=())
    until(lambda: program.err.exists() and program.err.read_text() == "waiting\n")
    family = until(lambda: len(found := psutil.Process(program.pid).children(recursive=True)) >= 2 and found)
    program.send(number)
    done = program.wait()
    assert (done.status, done.out) == (ENDINGS[number], "")
    assert done.err == "waiting\ninterrupted: run the same command again to continue\n"
    assert psutil.wait_procs(family, timeout=10)[1] == [] or not any(map(alive, family))


def alive(process):
    """Whether a process exists and is not a zombie."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_ignored_hangups_stay_ignored(tmp_path):
    script = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from hf_transfer_score.cli import main, metrics
def run():
    signal.raise_signal(signal.SIGHUP)
    return []
metrics.all_guides = run
sys.exit(main(["metrics"]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
