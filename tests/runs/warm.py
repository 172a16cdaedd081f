"""The command, or code, in processes of its own that start at once: children of one that has imported heavy libraries.

A child does what `python -m hf_transfer_score` or `python -c` do, from arguments to exit status; signals reach it, and
it has an environment of its own. What is tested about importing needs an interpreter of its own.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE_BYTES = "TEST_FILE_BYTES"
"""In the environment of a child: no file may become larger."""

SOCKET = "forks"

SECONDS = 120
"""After which a child is killed."""

HEAVY = {
    "datasets": ("aiohttp", "pandas"),
    "transformers": ("torch", "accelerate", "PIL.JpegImagePlugin", "PIL.PngImagePlugin", "rich.console"),
    "timm": (),
    "evaluate": ("evaluate.loading",),
    "gradio": (),
}
"""What takes long to import, with parts that are imported late."""

COMMAND = ("datasets", "transformers", "timm")
"""What commands need of it."""


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
        return dict(self.report["pool"])

    @property
    def failures(self) -> dict[str, tuple[str, str]]:
        """Kind and reason of what failed."""
        return {name: (one["kind"], one["reason"]) for name, one in self.models.items() if one["status"] == "failed"}


@dataclass
class Running:
    parent: Parent
    pid: int
    out: Path
    err: Path
    start: float = field(default_factory=time.perf_counter)

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> Done:
        status = self.parent.ask(wait=self.pid)
        seconds = time.perf_counter() - self.start
        written = (path.read_text() if path.exists() else "" for path in (self.out, self.err))  # killed before both
        return Done(status, *written, seconds)


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait for something, not for ever, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


def _start_server(folder: Path, *arguments: str, **streams: Any) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=folder,
        start_new_session=True,
        **streams,
    )
    process.returncode = 0  # nobody waits for it: it ends with what it serves


def _connected(path: Path) -> socket.socket | None:
    found = socket.socket(socket.AF_UNIX)
    with suppress(FileNotFoundError, ConnectionRefusedError):
        found.connect(str(path))
        return found
    found.close()
    return None


class Parent:
    """The process that has imported what commands and code need, and starts them.

    With a shared folder, the first process that asks for one there starts it, and each gets a child of it.
    """

    def __init__(self, folder: Path, shared: Path | None = None) -> None:
        self.folder, self.count = folder, 0
        if shared is None or len(str(shared)) > 90:  # the path of a socket may have about a hundred letters
            here, there = socket.socketpair()
            _start_server(folder, stdin=there, stdout=there)
            there.close()
        else:
            with suppress(FileExistsError):
                (shared / "forking").mkdir()
                with (shared / "forking.log").open("wb") as log:
                    owner = str(os.getppid())
                    _start_server(shared, str(shared / SOCKET), owner, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            here = until(lambda: _connected(shared / SOCKET))
        self.socket, self.pipe = here, here.makefile("rw")

    def ask(self, **question: Any) -> Any:
        print(json.dumps(question), file=self.pipe, flush=True)
        return json.loads(self.pipe.readline())

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)
        self.pipe.read()
        self.pipe.close()
        self.socket.close()

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path | None = None,
        code: str | None = None,
        imports: Sequence[str] = COMMAND,
    ) -> Running:
        """Start `hf-transfer-score` with some arguments, or some code as `python -c` does.

        Args:
            arguments: of the command or the code.
            environment: the whole of it.
            folder: where it runs; None for where the parent is.
            code: what runs in place of the command.
            imports: the keys of `HEAVY` that it needs.
        """
        self.count += 1
        out, err = (self.folder / f"{self.count}.{name}" for name in ("out", "err"))
        told = {"OMP_NUM_THREADS": "1", **environment}
        pid = self.ask(
            start=list(arguments),
            environment=told,
            out=str(out),
            err=str(err),
            folder=None if folder is None else str(folder),
            code=code,
            imports=list(imports),
        )
        return Running(self, pid, out, err)

    def run(self, *arguments: str, environment: Mapping[str, str], folder: Path | None = None) -> Done:
        """Run `hf-transfer-score` to its end."""
        return self.start(arguments, environment, folder=folder).wait()

    def python(self, code: str, environment: Mapping[str, str], *arguments: str, folder: Path | None = None) -> Done:
        """Run Python code to its end."""
        needed = [name for name in HEAVY if name in code or (name in COMMAND and "hf_transfer_score" in code)]
        return self.start(arguments, environment, folder=folder, code=code, imports=needed).wait()


class Warm:
    """Commands that keep samples and features in one folder.

    Attributes:
        home: that folder.
        environment: of each of them.
    """

    def __init__(self, parent: Parent, folder: Path, environment: Mapping[str, str]) -> None:
        self.parent, self.home = parent, folder / "kept"
        self.environment = {**environment, "HF_TRANSFER_SCORE_HOME": str(self.home)}

    @property
    def hub_cache(self) -> Path:
        return Path(self.environment["HF_HOME"]) / "hub"

    def start(self, *arguments: str, **environment: str) -> Running:
        """Start `hf-transfer-score` with some arguments, and with more in its environment."""
        return self.parent.start(arguments, {**self.environment, **environment})

    def run(self, *arguments: str, **environment: str) -> Done:
        """Run `hf-transfer-score` to its end."""
        return self.start(*arguments, **environment).wait()


def _runs(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def share(path: str, owner: int) -> None:
    """Fork a server for each process that connects, until their owner has ended."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(0.5)
        _import(COMMAND)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while _runs(owner):
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    listener.close()
                    os.dup2(connection.fileno(), 0)
                    os.dup2(connection.fileno(), 1)
                    connection.close()
                    serve()
                    os._exit(0)


def serve() -> None:
    """Start children until the pipe is closed, and import what they need before the first that does."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            answer = _wait(question["wait"])
        else:
            _import(question["imports"])
            answer = os.fork()
            if answer == 0:
                _become(question)
        print(json.dumps(answer), file=answers, flush=True)


def _import(names: Sequence[str]) -> None:
    """Import libraries, with their parts that are imported late."""
    missing = [name for name in names if name not in sys.modules]
    gc.disable()
    for name in missing:
        for module in (name, *HEAVY[name]):
            importlib.import_module(module)
    if "transformers" in missing:
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer, BertModel, ViTModel  # noqa: F401

        from hf_transfer_score.backbones.base import all_kinds

        all_kinds()
    gc.freeze()
    gc.enable()


def _become(question: dict[str, Any]) -> None:
    """Be the command, or the code, from here on."""
    for name, number, flags in (("/dev/null", 0, os.O_RDONLY), (question["out"], 1, 0), (question["err"], 2, 0)):
        os.dup2(os.open(name, flags or os.O_WRONLY | os.O_CREAT), number)
    os.chdir(question["folder"] or ".")
    os.environ.clear()
    os.environ.update(question["environment"])
    _read_environment_again()
    if FILE_BYTES in os.environ:
        most = int(os.environ[FILE_BYTES])
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = open(0)  # noqa: SIM115
    status = _run_code(question) if question["code"] else _run_command(question["start"])
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)  # taking all modules apart would need seconds


def _run_command(arguments: Sequence[str]) -> int:
    from hf_transfer_score.cli import main

    return main(arguments)


def _run_code(question: dict[str, Any]) -> int:
    sys.argv = ["-c", *question["start"]]
    sys.path.insert(0, "")
    try:
        exec(compile(question["code"], "<code>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # as an interpreter does
        traceback.print_exc()
        return 1
    return 0


def _read_environment_again() -> None:
    """Let the clients of the Hub know the new environment: they read it when they are imported."""
    if (hub := sys.modules.get("huggingface_hub.constants")) is None:
        return
    importlib.reload(hub)
    if "huggingface_hub.hf_api" in sys.modules:
        sys.modules["huggingface_hub.hf_api"].api.endpoint = hub.ENDPOINT
    for name in ("datasets.config", "evaluate.config"):
        if name in sys.modules:
            importlib.reload(sys.modules[name])
    for name in ("transformers.utils", "transformers.utils.hub", "transformers.dynamic_module_utils"):
        if name in sys.modules:
            vars(sys.modules[name])["HF_MODULES_CACHE"] = str(Path(hub.HF_HOME) / "modules")


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
    share(sys.argv[1], int(sys.argv[2])) if sys.argv[1:] else serve()
    os._exit(0)
