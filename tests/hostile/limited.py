"""A command in a process of its own, stopped at a limit of time and memory, with what it took."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MEGABYTE = 1024 * 1024
LOOK = 0.02
"""Seconds between two looks at the memory of a command."""


@dataclass(frozen=True)
class Finished:
    """How a command ended.

    Attributes:
        code: its exit code, negative for a signal.
        out: what it printed.
        err: what it printed to standard error.
        seconds: how long it ran.
        megabytes: the most resident memory of it and its children together.
        over: "time" or "memory" where it was stopped for that, else "".
    """

    code: int
    out: str
    err: str
    seconds: float
    megabytes: float
    over: str = ""

    @property
    def clean(self) -> bool:
        """Whether it ended by itself, within its limits, by no signal and with no traceback."""
        return not self.over and self.code >= 0 and "Traceback (most recent call last)" not in self.out + self.err


def run_limited(
    command: Sequence[str | Path],
    *,
    seconds: float = 60,
    megabytes: float = 2048,
    environment: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
) -> Finished:
    """Run a command within limits; what goes over one is killed with all its children."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=folder,
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )
        most, over = followed(process.pid, lambda: process.poll() is None, seconds, megabytes)
        if over:
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        took = time.monotonic() - start
        texts = [(file.seek(0), file.read().decode(errors="replace"))[1] for file in (out, err)]
    return Finished(code, texts[0], texts[1], took, most, over)


def followed(
    pid: int, is_running: Callable[[], bool], seconds: float, megabytes: float, *, beyond_start: bool = False
) -> tuple[float, str]:
    """Look at a process until it ends or goes over a limit, and return its most memory and that limit, "" for none.

    Args:
        pid: of the process.
        is_running: whether it has not ended.
        seconds: how long it may run.
        megabytes: how much memory it may take with its children.
        beyond_start: count only what it takes beyond what it begins with.
    """
    start, before, most = time.monotonic(), 0.0, 0.0
    if beyond_start:
        before = resident_bytes(pid) / MEGABYTE
    while is_running():
        most = max(most, resident_bytes(pid) / MEGABYTE - before)
        if most > megabytes:
            return most, "memory"
        if time.monotonic() - start > seconds:
            return most, "time"
        time.sleep(LOOK)
    return most, ""


def run_python(code: str, *arguments: str | Path, **limits: object) -> Finished:
    """Run Python code within limits; see `run_limited`."""
    return run_limited([sys.executable, "-c", code, *arguments], **limits)  # type: ignore[arg-type]


def resident_bytes(pid: int) -> int:
    """Return the resident bytes of a process and of all its children."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for one in family:
        try:
            total += one.memory_info().rss
        except psutil.Error:
            continue
    return total
