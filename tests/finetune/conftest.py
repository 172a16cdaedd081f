"""Tiny checkpoints, written once."""

from pathlib import Path

import pytest

from tests.checkpoints import images, texts
from tests.finetune.families import timm_small


@pytest.fixture(scope="package")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of checkpoints by their architecture."""
    folder = tmp_path_factory.mktemp("truth")
    images.vit(folder / "vit")
    timm_small("test_resnet")(folder / "resnet")
    texts.write_text(folder / "bert")
    return folder
