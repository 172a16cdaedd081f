"""What all tests share: no test sees the caches, the token or the Hub of whoever runs them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub.server import LocalHub
from tests.selection.warm import Parent, Warm

NOBODY = "http://127.0.0.1:9"
"""An endpoint at which nothing listens."""

LONGEST = (
    "example/test_example.py",
    "leaderboard/browser/test_tabs.py",
    "evidence/test_page.py",
    "evaluate_modules/test_install.py",
)
"""Files of a minute or so each, which begin first, so that no process is left with one of them at the end."""

OURS = ("COLUMNS", "HF_", "HUGGING_FACE_", "HUGGINGFACE_", "XDG_CACHE_HOME", "TRANSFORMERS_CACHE")


def clean_environment(home: Path | str, endpoint: str = NOBODY) -> dict[str, str]:
    """Return the environment without what concerns the Hub or the terminal, with a home and an endpoint of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process of hundreds compiles the package anew
    return kept | {
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def free_port() -> int:
    """Return a port at which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the others need the other cores
_home = tempfile.mkdtemp(prefix="hf-transfer-score-tests-")
_environment = clean_environment(_home)
for _name in set(os.environ) - set(_environment):
    del os.environ[_name]
os.environ.update(_environment)  # before any test module imports a library that reads it once


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Let tables be as wide as they are without a terminal, whatever a library said of one before."""
    os.environ.pop("COLUMNS", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_unconfigure() -> None:
    """Remove the home of this run."""
    shutil.rmtree(_home, ignore_errors=True)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    """A Hub without repositories; `hub.add` fills it."""
    with LocalHub(tmp_path / "hub") as local:
        yield local


@pytest.fixture
def hub_environment(tmp_path: Path, hub: LocalHub) -> dict[str, str]:
    """An environment for subprocesses with a fresh HF_HOME and the local Hub as endpoint."""
    return clean_environment(tmp_path / "home", hub.endpoint)


Client = Callable[..., Any]


@pytest.fixture
def run_client(parent: Parent, tmp_path: Path) -> Client:
    """Run Python code in a process of its own, since Hub clients read their environment on import.

    The code runs in an empty folder, with `answer` for what it wants to return; the rest is as for `subprocess.run`.
    With `fresh` it has an interpreter that has imported nothing.
    """
    folder = tmp_path / "elsewhere"
    folder.mkdir()

    def run(code: str, environment: dict[str, str], *arguments: str, fresh: bool = False) -> Any:
        program = f"answer = None\n{code}\nimport json\nprint(json.dumps(answer))"
        if fresh:
            command = [sys.executable, "-c", program, *arguments]
            ended = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
            status, out, err = ended.returncode, ended.stdout, ended.stderr
        else:
            done = parent.python(program, environment, *arguments, folder=folder)
            status, out, err = done.status, done.out, done.err
        assert status == 0, err
        return json.loads(out.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def shared_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """A Hub with the repositories of `pool`."""
    from tests.selection.pool import fill

    with LocalHub(tmp_path_factory.mktemp("selection") / "hub") as hub:
        fill(hub, tmp_path_factory.mktemp("checkpoints"))
        yield hub


@pytest.fixture(scope="session")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parent]:
    """The process whose children run commands and code."""
    process = Parent(tmp_path_factory.mktemp("parent"))
    yield process
    process.close()


@pytest.fixture(scope="session")
def shared_environment(shared_hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of commands against the shared Hub, all with one HF_HOME."""
    return clean_environment(tmp_path_factory.mktemp("home"), shared_hub.endpoint)


@pytest.fixture(scope="module")
def warm(parent: Parent, shared_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Warm:
    """What runs commands against the shared Hub, with samples and features of a module's own."""
    return Warm(parent, tmp_path_factory.mktemp("warm"), shared_environment)
