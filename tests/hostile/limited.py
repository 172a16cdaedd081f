"""Runs commands within limits of time and memory, and measures both.

`run_limited` starts a process; `watch` watches a child of a process that has all imports; `run_batch` runs many
commands in one process.
"""

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
LOOK = 0.02  # seconds between two checks of memory
SECONDS, MEGABYTES = 60, 2048  # limits of one command
BATCH_SECONDS, ALL_SECONDS = 20, 240  # limits of one command of a batch, and of all of them
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Finished:
    code: int  # its exit code, negative for a signal
    out: str
    err: str
    seconds: float
    megabytes: float  # the peak resident memory of it and its children
    over: str = ""  # "time" or "memory" if it was stopped for that, else ""

    @property
    def clean(self) -> bool:
        """Whether it ended by itself, within its limits, without a signal or a traceback."""
        return not self.over and self.code >= 0 and "Traceback (most recent call last)" not in self.out + self.err


def run_limited(
    command: Sequence[str | Path],
    *,
    seconds: float = SECONDS,
    megabytes: float = MEGABYTES,
    environment: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
) -> Finished:
    """Run a command, and kill it with its children if it exceeds a limit."""
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
    """Watch a process until it ends or exceeds a limit, and return its peak memory and that limit ("" for none).

    With `beyond_start` only memory beyond that at its start counts.
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
    """Return the resident bytes of a process and its children."""
    total = 0
    with contextlib.suppress(OSError):  # it has ended; psutil would read all processes of the machine for this
        total = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total += sum(resident_bytes(int(child)) for child in (thread / "children").read_text().split())
    return total


def run_watched(warm: Warm, *arguments: str, **environment: str) -> Finished:
    """Run `hf-transfer-score` within the limits; only memory beyond its imports counts."""
    return watch(warm.start(*arguments, **environment))


def watch(running: Running, seconds: float = SECONDS, megabytes: float = MEGABYTES) -> Finished:
    """Wait for a started command, and kill it with its children if it exceeds a limit."""

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
    """Run `hf-transfer-score` with each list of arguments, restarting the process if one crashes it.

    `start` starts code with some arguments; None means a new process.
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
    """A command that took too long; handlers of Exception do not catch it."""


def serve(asked: str, told: str) -> None:
    """Run the commands in a file, and write a line for each to another file."""

    def stop(*_: object) -> None:
        raise OverTime

    signal.signal(signal.SIGALRM, stop)
    with Path(told).open("a") as file:
        for command in json.loads(Path(asked).read_text()):
            print(json.dumps(_one_of_a_batch(command)), file=file, flush=True)


def _one_of_a_batch(command: list[str]) -> dict[str, Any]:
    """Run a command, and return the fields of Finished; only memory beyond that before it counts."""
    from hf_transfer_score.cli import main

    out, err, over, code = io.StringIO(), io.StringIO(), "", 1
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak memory
    before, start = _most_megabytes(), time.perf_counter()
    signal.alarm(BATCH_SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(command)
    except OverTime:
        over = "time"
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001  # commands must not raise any
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
