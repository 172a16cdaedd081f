"""Image checkpoints that tests share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checkpoints import images


@pytest.fixture(scope="package")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that writes a checkpoint of `tests.checkpoints.images` once, and returns its folder."""
    made: dict = {}

    def make(name: str, **arguments) -> Path:
        key = (name, *sorted(arguments.items()))
        if key not in made:
            made[key] = getattr(images, name)(tmp_path_factory.mktemp(name), **arguments)
        return made[key]

    return make
