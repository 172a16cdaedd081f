"""The command in processes of its own that start at once: children of one that has imported the heavy libraries.

A child does what `python -m hf_transfer_score` does, from its arguments to its exit status; signals reach it as any
other process. What libraries read from the environment on import (HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE) is that of the
parent for all.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE_BYTES = "TEST_FILE_BYTES"
"""In the environment of a child: no file may become larger."""

SECONDS = 120
"""After which a child is killed."""


@dataclass
class Done:
    """A command that ended: its exit status (minus the signal that killed it), and what it wrote."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def report(self) -> dict[str, Any]:
        """What `--json` printed."""
        assert "Traceback" not in self.err, self.err
        return dict(json.loads(self.out))

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """Outcomes by name."""
        return dict(self.report["models"])

    @property
    def failures(self) -> dict[str, tuple[str, str]]:
        """Kind and reason of what failed."""
        return {name: (one["kind"], one["reason"]) for name, one in self.models.items() if one["status"] == "failed"}


@dataclass
class Running:
    """A command that runs."""

    parent: Parent
    pid: int
    out: Path
    err: Path
    start: float = field(default_factory=time.perf_counter)

    def send(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self) -> Done:
        """Wait for its end."""
        status = self.parent.ask({"wait": self.pid})
        seconds = time.perf_counter() - self.start
        written = (path.read_text() if path.exists() else "" for path in (self.out, self.err))  # killed before both
        return Done(status, *written, seconds)


class Parent:
    """The process that has imported what the command does, and starts it."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.environment = {**environment, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**self.environment, "PYTHONPATH": str(Path.cwd())},
            cwd=folder,
            start_new_session=True,
        )

    def ask(self, question: dict[str, Any]) -> Any:
        """Return its answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self.process.communicate()


class Warm:
    """Commands that keep samples and features in one folder.

    Attributes:
        home: that folder.
        environment: for other processes that are to share all that.
    """

    def __init__(self, parent: Parent, folder: Path) -> None:
        self.parent, self.folder, self.count = parent, folder, 0
        self.home = folder / "kept"
        self.environment = {**parent.environment, "HF_TRANSFER_SCORE_HOME": str(self.home)}

    @property
    def hub_cache(self) -> Path:
        """Where the Hub's client keeps files."""
        return Path(self.environment["HF_HOME"]) / "hub"

    def start(self, *arguments: str, **environment: str) -> Running:
        """Start `hf-transfer-score` with some arguments, and with more in its environment."""
        self.count += 1
        out, err = (self.folder / f"{self.count}.{name}" for name in ("out", "err"))
        told = {"HF_TRANSFER_SCORE_HOME": str(self.home), **environment}
        pid = self.parent.ask({"start": arguments, "environment": told, "out": str(out), "err": str(err)})
        return Running(self.parent, pid, out, err)

    def run(self, *arguments: str, **environment: str) -> Done:
        """Run `hf-transfer-score` to its end."""
        return self.start(*arguments, **environment).wait()


def serve() -> None:
    """Import what takes long, then start children until the pipe is closed."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _import_all()
    for line in sys.stdin:
        question = json.loads(line)
        answer = _wait(question["wait"]) if "wait" in question else os.fork()
        if answer == 0 and "start" in question:
            _become(question)
        print(json.dumps(answer), file=answers, flush=True)


def _import_all() -> None:
    import accelerate  # noqa: F401
    import aiohttp  # noqa: F401
    import datasets  # noqa: F401
    import rich.console  # noqa: F401
    import timm  # noqa: F401
    from PIL import JpegImagePlugin, PngImagePlugin  # noqa: F401
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer, BertModel, Dinov2Model, ViTModel  # noqa: F401

    import hf_transfer_score.cli.rank_command  # noqa: F401
    from hf_transfer_score.backbones.base import all_kinds

    all_kinds()
    gc.freeze()


def _become(question: dict[str, Any]) -> None:
    """Be the command from here on."""
    for name, number, flags in (("/dev/null", 0, os.O_RDONLY), (question["out"], 1, 0), (question["err"], 2, 0)):
        os.dup2(os.open(name, flags or os.O_WRONLY | os.O_CREAT), number)
    os.environ.update(question["environment"])
    if FILE_BYTES in os.environ:
        most = int(os.environ[FILE_BYTES])
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = open(0)  # noqa: SIM115
    from hf_transfer_score.cli import main

    status = main(question["start"])
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)  # taking all modules apart would need seconds


def _wait(pid: int) -> int:
    end = time.monotonic() + SECONDS
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


if __name__ == "__main__":
    serve()
    os._exit(0)
