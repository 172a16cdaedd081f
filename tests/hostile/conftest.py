"""Fixtures for the tests of hostile inputs."""

from collections.abc import Iterator

import pytest

from tests.hostile.traps import Traps
from tests.hub.server import LocalHub


@pytest.fixture(scope="session")
def traps(shared_hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traps]:
    """Traps on the shared Hub and beside it."""
    with Traps(tmp_path_factory.mktemp("traps"), shared_hub) as traps:
        yield traps
