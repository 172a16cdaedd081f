"""Commands within limits of time and memory, with what they took.

`run_limited` starts one in a process of its own; `watch` looks at a child of a process that has all imports; and
`run_batch` runs many one after another in one process.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.runs.warm import Running, Warm

MEGABYTE = 1024 * 1024
LOOK = 0.02
"""Seconds between two looks at the memory of a command."""

SECONDS, MEGABYTES = 60, 2048
"""What a stranger's input may take before it is refused."""

BATCH_SECONDS = 20
"""The same for one command of a batch."""

ALL_SECONDS = 240
"""And for all of its commands."""

ROOT = Path(__file__).parents[2]


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
    seconds: float = SECONDS,
    megabytes: float = MEGABYTES,
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

    With `beyond_start` only the memory counts that it takes beyond what it begins with.
    """
    start, most = time.monotonic(), 0.0
    before = resident_bytes(pid) / MEGABYTE if beyond_start else 0.0
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
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += one.memory_info().rss
    return total


def run_watched(warm: Warm, *arguments: str, **environment: str) -> Finished:
    """Run `hf-transfer-score` within the limits; memory is what it takes beyond the imports that it starts with."""
    return watch(warm.start(*arguments, **environment))


def watch(running: Running, seconds: float = SECONDS, megabytes: float = MEGABYTES) -> Finished:
    """Wait for a command that was started; what goes over a limit is killed with its children."""

    def is_running() -> bool:
        with contextlib.suppress(psutil.Error):
            return psutil.Process(running.pid).status() != psutil.STATUS_ZOMBIE
        return False

    most, over = followed(running.pid, is_running, seconds, megabytes, beyond_start=True)
    if over:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(running.pid)
            for one in (*process.children(recursive=True), process):
                with contextlib.suppress(psutil.Error):
                    one.kill()
    done = running.wait()
    return Finished(done.status, done.out, done.err, done.seconds, most, over)


def run_batch(
    commands: Sequence[Sequence[str]], start: Callable[[str, list[str]], Running] | None = None
) -> list[Finished]:
    """Run `hf-transfer-score` with each list of arguments; one that takes the process down does not take the others.

    Args:
        commands: lists of arguments.
        start: starts code with some arguments; None for a process of its own.
    """
    ended: list[Finished] = []
    with tempfile.TemporaryDirectory() as folder:
        asked, told = Path(folder, "asked"), Path(folder, "told")
        while len(ended) < len(commands):
            asked.write_text(json.dumps([list(command) for command in commands[len(ended) :]]))
            told.write_text("")
            code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from {__name__} import serve; serve(*sys.argv[1:])"
            if start is None:
                whole = run_python(code, asked, told, seconds=ALL_SECONDS, megabytes=MEGABYTES + 400)
            else:
                whole = watch(start(code, [str(asked), str(told)]), ALL_SECONDS, MEGABYTES + 400)
            ended += [Finished(**json.loads(line)) for line in told.read_text().splitlines()]
            if len(ended) < len(commands):
                ended.append(whole)
    return ended


class OverTime(BaseException):
    """A command that took too long; nothing that handles errors of libraries catches it."""


def serve(asked: str, told: str) -> None:
    """Run the commands of a file, and write a line for each to another one."""

    def stop(*_: object) -> None:
        raise OverTime

    signal.signal(signal.SIGALRM, stop)
    with Path(told).open("a") as file:
        for command in json.loads(Path(asked).read_text()):
            print(json.dumps(_one_of_a_batch(command)), file=file, flush=True)


def _one_of_a_batch(command: list[str]) -> dict[str, Any]:
    """Return what becomes of a command, as the fields of Finished; memory is what it takes beyond that before it."""
    from hf_transfer_score.cli import main

    out, err, over, code = io.StringIO(), io.StringIO(), "", 1
    Path("/proc/self/clear_refs").write_text("5")  # the most memory is counted anew
    before, start = _most_megabytes(), time.perf_counter()
    signal.alarm(BATCH_SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(command)
    except OverTime:
        over = "time"
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001  # what a command must not let through
        traceback.print_exc(file=err)
    finally:
        signal.alarm(0)
    megabytes = _most_megabytes() - before
    if megabytes > MEGABYTES:
        over = "memory"
    told = {"code": code, "out": out.getvalue(), "err": err.getvalue(), "over": over}
    return {**told, "seconds": time.perf_counter() - start, "megabytes": megabytes}


def _most_megabytes() -> float:
    known = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(known["VmHWM"].split()[0]) * 1024 / MEGABYTE
