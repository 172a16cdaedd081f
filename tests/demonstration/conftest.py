"""One small demonstration for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from hf_transfer_score.demonstration.options import Demonstration, DemoOptions
from hf_transfer_score.demonstration.run import demonstrate
from hf_transfer_score.demonstration.zoo import Member

MEMBERS = (
    Member("test_convnext3", "pretrained"),
    Member("test_efficientnet_gn", "few-images"),
    Member("test_mambaout", "untrained"),
)
SMALL = DemoOptions(members=MEMBERS, steps=12, per_class=10, epochs=2, repeats=2)


@dataclass
class Seen:
    """A demonstration, its folder, and what it said on the way."""

    found: Demonstration
    folder: Path
    said: list[tuple[str, int, int]] = field(default_factory=list)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A demonstration of three networks, hardly trained."""
    folder, said = tmp_path_factory.mktemp("demo") / "kept", []
    found = demonstrate(SMALL, save=folder, watch=lambda *what: said.append(what))
    return Seen(found, folder, said)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute on one thread, as the demonstration does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
