"""One Hub for all tests here, and one process that has what the command imports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import clean_environment
from tests.hub.server import LocalHub
from tests.selection.pool import fill
from tests.selection.warm import Parent, Warm


@pytest.fixture(scope="session")
def shared_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """A Hub with the repositories of `pool`."""
    with LocalHub(tmp_path_factory.mktemp("selection") / "hub") as hub:
        fill(hub, tmp_path_factory.mktemp("checkpoints"))
        yield hub


@pytest.fixture(scope="session")
def parent(shared_hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parent]:
    """The process whose children run the command against that Hub, all with one HF_HOME."""
    folder = tmp_path_factory.mktemp("parent")
    process = Parent(clean_environment(folder / "home", shared_hub.endpoint), folder)
    yield process
    process.close()


@pytest.fixture(scope="module")
def warm(parent: Parent, tmp_path_factory: pytest.TempPathFactory) -> Warm:
    """What runs commands, with samples and features of a module's own."""
    return Warm(parent, tmp_path_factory.mktemp("warm"))
