"""Shared fixtures; no test sees the caches, the token or the Hub of the user who runs them."""

import gc
import inspect
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.hub.server import LocalHub
from tests.runs.warm import Parent, Warm

NOBODY = "http://127.0.0.1:9"  # an endpoint without a server

LONGEST = (
    "hostile/test_inputs.py",
    "example/test_example.py",
    "leaderboard/browser/test_tabs.py",
    "leaderboard/browser/test_board.py",
    "backbones/test_held.py",
    "engines/test_jobs.py",
    "runs/test_jobs.py",
    "test_notebooks.py",
    "cli/test_worker.py",
    "finetune/test_scl.py",
    "evidence/test_pipeline.py",
    "evidence/test_page.py",
)
"""Files that take about half a minute each; they start first, so that none is left for the end."""

ONE_PROCESS = ("tests/leaderboard/browser/",)  # folders whose files share slow fixtures, and so run in one process

IMPORTS = r"(import|from) (accelerate|evaluate|gradio|playwright|subprocess|timm|torch|transformers)\b"
HEAVY = re.compile(
    rf"^{IMPORTS}|sys\.executable|tests\.(checkpoints|frozen|hostile|finetune)|benchmarks|pages\.app", re.MULTILINE
)
"""What a file of tests names that takes long to import or to run: `--fast` does not look into it."""

SLOW_FILES = (
    "test_docs.py",
    "test_elsewhere.py",
    "test_examples.py",
    "test_flipped_bytes.py",
    "test_held_out.py",
    "test_model_cards.py",
    "test_notebooks.py",
    "test_readme.py",
)
"""Files that run networks without naming any of this; and the pages, which `make check` compares."""

HEAVY_INSIDE = re.compile(rf"^ +{IMPORTS}|score_in_box|shipped_(folder|place)", re.MULTILINE)
"""What a test names in the same way."""

PROCESSES = {"hub", "shared_hub", "parent", "warm", "run_client", "browser"}
"""Fixtures that start processes, browsers or servers: `--fast` leaves out what uses one."""

OURS = ("COLUMNS", "HF_", "HUGGING_FACE_", "HUGGINGFACE_", "XDG_CACHE_HOME", "TRANSFORMERS_CACHE")


def clean_environment(home: Path | str, endpoint: str = NOBODY) -> dict[str, str]:
    """Return the environment without variables of the Hub or the terminal, with its own home and endpoint."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # otherwise hundreds of processes compile the package again
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


gc.disable()  # until all is collected


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Reset the width of tables, which a library may have set."""
    os.environ.pop("COLUMNS", None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="only tests without processes, servers and heavy libraries")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `--fast`, leave out files with slow imports."""
    if not config.getoption("--fast") or not collection_path.name.startswith("test_"):
        return None
    slow = collection_path.name in SLOW_FILES or HEAVY.search(collection_path.read_text(encoding="utf-8"))
    return True if slow else None


def is_slow(item: pytest.Item) -> bool:
    """Whether a test starts processes or servers, or has slow imports."""
    function = getattr(item, "function", None)
    if function is None or PROCESSES & set(getattr(item, "fixturenames", ())):
        return True
    return _is_heavy_inside(inspect.unwrap(function))


@cache
def _is_heavy_inside(function: Callable[..., Any]) -> bool:
    return HEAVY_INSIDE.search(inspect.getsource(function)) is not None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first; with `--fast`, leave out slow tests."""
    if config.getoption("--fast"):
        slow = {item: is_slow(item) for item in items}
        config.hook.pytest_deselected(items=[item for item in items if slow[item]])
        items[:] = [item for item in items if not slow[item]]
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute tests by file, or by folder if its files belong together."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return next((folder for folder in ONE_PROCESS if file.startswith(folder)), file)

    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """Spare the collector of garbage what was imported: it stays to the end, and each search of it takes a second."""
    gc.freeze()
    gc.enable()


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
    """Run Python code in a separate process, since Hub clients read their environment on import.

    The code runs in an empty folder, and its variable `answer` is returned. With `fresh` it runs in a new interpreter.
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
    from tests.runs.pool import fill

    with LocalHub(tmp_path_factory.mktemp("selection") / "hub") as hub:
        fill(hub, tmp_path_factory.mktemp("checkpoints"))
        yield hub


@pytest.fixture(scope="session")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parent]:
    """The process that forks to run commands and code; the processes of a run share what it imports."""
    shared = tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else None
    process = Parent(tmp_path_factory.mktemp("parent"), shared)
    yield process
    process.close()


@pytest.fixture(scope="session")
def shared_environment(shared_hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of commands for the shared Hub, with one HF_HOME for all."""
    return clean_environment(tmp_path_factory.mktemp("home"), shared_hub.endpoint)


@pytest.fixture(scope="module")
def warm(parent: Parent, shared_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Warm:
    """Runs commands for the shared Hub, with separate samples and features for each module."""
    return Warm(parent, tmp_path_factory.mktemp("warm"), shared_environment)
