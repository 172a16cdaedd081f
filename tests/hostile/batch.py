"""Many commands one after another in one process, each with what it said, took, and whether it had to be stopped."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.hostile.limited import MEGABYTE, Finished, run_limited

SECONDS, MEGABYTES = 20, 2048
"""Limits of one command; memory beyond what the process has before it."""


class OverTime(BaseException):
    """A command that took too long; nothing that handles errors of libraries catches it."""


def run_batch(commands: Sequence[Sequence[str]]) -> list[Finished]:
    """Run `hf-transfer-score` with each list of arguments; one that takes the process down does not take the others."""
    ended: list[Finished] = []
    with tempfile.TemporaryDirectory() as folder:
        asked, told = Path(folder, "asked"), Path(folder, "told")
        while len(ended) < len(commands):
            asked.write_text(json.dumps([list(command) for command in commands[len(ended) :]]))
            told.write_text("")
            module = [sys.executable, "-m", __name__, str(asked), str(told)]
            whole = run_limited(module, seconds=100, megabytes=MEGABYTES + 400, folder=Path(__file__).parents[2])
            ended += [Finished(**json.loads(line)) for line in told.read_text().splitlines()]
            if len(ended) < len(commands):
                ended.append(whole)
    return ended


def serve(asked: str, told: str) -> None:
    """Run the commands of a file, and write a line for each to another one."""
    signal.signal(signal.SIGALRM, _stop)
    with Path(told).open("a") as file:
        for command in json.loads(Path(asked).read_text()):
            print(json.dumps(_run(command)), file=file, flush=True)


def _stop(*_: object) -> None:
    raise OverTime


def _run(command: list[str]) -> dict[str, Any]:
    from hf_transfer_score.cli import main

    out, err, over, code = io.StringIO(), io.StringIO(), "", 1
    before, start = _most(reset=True), time.perf_counter()
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(command)
    except OverTime:
        over = "time"
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001  what a command must not let through
        traceback.print_exc(file=err)
    finally:
        signal.alarm(0)
    megabytes = _most() - before
    if megabytes > MEGABYTES:
        over = "memory"
    seconds = time.perf_counter() - start
    told = {"code": code, "out": out.getvalue(), "err": err.getvalue(), "over": over}
    return {**told, "seconds": seconds, "megabytes": megabytes}


def _most(*, reset: bool = False) -> float:
    """Return the most resident memory in MB since it was last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    known = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(known["VmHWM"].split()[0]) * 1024 / MEGABYTE


if __name__ == "__main__":
    serve(*sys.argv[1:])
