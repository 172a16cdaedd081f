"""The memory of a network is known before it is built."""

import threading

import pytest
import torch

from hf_transfer_score.backbones import budgets
from hf_transfer_score.backbones.budgets import check_skeleton
from hf_transfer_score.errors import CheckpointError

SHAPES = {"weight": (8, 8)}


def deep(count):
    return torch.nn.ModuleList([torch.nn.Linear(1, 1) for _ in range(count)])


def test_a_network_as_large_as_its_weights_passes():
    check_skeleton(lambda: torch.nn.Linear(20_000, 20_000), {"weight": (20_000, 20_000)})
    check_skeleton(lambda: torch.nn.Linear(4000, 4000), SHAPES)  # some parts may be new


def of_buffers():
    module = torch.nn.Module()
    module.register_buffer("places", torch.arange(10**10))
    return module


def broken_later():
    _parts = [torch.nn.Linear(16_000, 16_000) for _ in range(2)]
    return torch.nn.Linear(10**9, 10**12)


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (lambda: torch.nn.Linear(10**6, 10**6), r"4,\d{3} GB"),
        (lambda: torch.nn.Embedding(10**9, 1024), r"4,\d{3} GB"),
        (of_buffers, "80 GB"),
        (broken_later, r"2\.048 GB"),
    ],
)
def test_one_far_larger_is_refused_also_if_building_fails_later(make, size):
    with pytest.raises(CheckpointError, match=rf"asks for a network of {size}, and its weights hold 0\.000 GB"):
        check_skeleton(make, SHAPES)


def test_parts_without_end_are_refused(monkeypatch):
    monkeypatch.setattr(budgets, "MOST_PARTS", 2000)
    check_skeleton(lambda: deep(400), SHAPES)
    with pytest.raises(CheckpointError, match="asks for a network of more than 2,000 parts"):
        check_skeleton(lambda: deep(10**9), SHAPES)


def test_building_takes_no_longer_than_it_may(monkeypatch):
    monkeypatch.setattr(budgets, "MOST_SECONDS", 0.2)
    with pytest.raises(CheckpointError, match="takes more than 0 s to build"):
        check_skeleton(lambda: deep(10**9), SHAPES)


def test_other_threads_build_what_they_like(monkeypatch):
    monkeypatch.setattr(budgets, "MOST_PARTS", 10)

    def made():
        other = threading.Thread(target=deep, args=(100,))
        other.start()
        other.join()
        return deep(2)

    check_skeleton(made, SHAPES)


def test_what_cannot_be_built_is_told_by_whoever_builds_it():
    def broken():
        raise ZeroDivisionError

    check_skeleton(broken, SHAPES)


def test_the_generator_and_the_device_stay_as_they_are():
    before = torch.get_rng_state()
    check_skeleton(lambda: torch.nn.Linear(5, 5), SHAPES)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.nn.Linear(5, 5).weight.device.type == "cpu"
    torch.set_rng_state(before)
