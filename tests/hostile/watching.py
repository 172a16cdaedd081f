"""Commands that start at once, within limits of time and memory: children of one process that has all imports."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import psutil

from tests.hostile.limited import Finished, followed
from tests.runs.warm import Running, Warm

SECONDS, MEGABYTES = 60, 2048
"""What a stranger's input may take before it is refused."""


def run_watched(warm: Warm, *arguments: str, **environment: str) -> Finished:
    """Run `hf-transfer-score` within the limits; memory is what it takes beyond the imports that it starts with."""
    return watch(warm.start(*arguments, **environment))


def watch(running: Running, seconds: float = SECONDS, megabytes: float = MEGABYTES) -> Finished:
    """Wait for a command that was started; what goes over a limit is killed with its children."""
    most, over = followed(running.pid, lambda: _alive(running.pid), seconds, megabytes, beyond_start=True)
    if over:
        end(running.pid)
    done = running.wait()
    return Finished(done.status, done.out, done.err, done.seconds, most, over)


def end(pid: int) -> None:
    """Kill a process with its children."""
    with suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    """Whether a process has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
