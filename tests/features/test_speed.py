"""The speed of a model on this machine: which passes count, and the result if none does."""

import re

import pytest
import torch

from hf_transfer_score.backbones.base import MemoryBackbone
from hf_transfer_score.features import extract as extracting
from hf_transfer_score.features import runtimes as measuring
from hf_transfer_score.features.runtimes import MOST_PASSES, Speed, machine_name
from hf_transfer_score.sampling.sample import memory_sample
from tests.features.extracted import extracted

CPU = torch.device("cpu")


class Clock:
    """A clock that only advances when told to."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (extracting, measuring):
        monkeypatch.setattr(module, "time", clock)
    return clock


class Slow(MemoryBackbone):
    """Reads slowly, and has a slow first pass; other passes take a millisecond per example; keeps their sizes."""

    def __init__(self, clock, refuses=0):
        super().__init__(lambda text: [float(len(text))])
        self.clock, self.refuses, self.sizes = clock, refuses, []

    def encode(self, examples):
        self.clock.now += 7.0
        return super().encode(examples)

    def forward(self, batch):
        rows = len(batch["rows"])
        if rows == self.refuses:
            raise ValueError("not so few")
        self.clock.now += 0.001 * rows if self.sizes else 1.0
        self.sizes.append(rows)
        return super().forward(batch)


def summary(tmp_path, backbone, rows, **options):
    sample = memory_sample("text-classification", ["x" * (1 + n) for n in range(rows)], [n % 2 for n in range(rows)])
    return extracted(backbone, sample, tmp_path, device="cpu", **options)[1]


@pytest.mark.parametrize("dtype", ["auto", "float32"])
def test_first_passes_and_reading_do_not_count(tmp_path, clock, dtype):
    backbone = Slow(clock)
    found = summary(tmp_path, backbone, 40, batch_size=8, dtype=dtype)["measured_here"]
    assert (found["examples_per_second"], found["example_milliseconds"]) == pytest.approx((1000, 1))
    assert found["machine"] == machine_name(CPU)
    assert sum(size for size in backbone.sizes if size > 1) == 40, "each example went through once, then one alone"
    assert set(backbone.sizes[-2:]) == {1}


def test_a_sample_of_one_batch_tells_nothing(tmp_path, clock):
    backbone = Slow(clock)
    assert "measured_here" not in summary(tmp_path, backbone, 8, batch_size=8)
    assert backbone.sizes == [8]


def test_a_model_that_cannot_read_one_alone_is_read_all_the_same(tmp_path, clock):
    found = summary(tmp_path, Slow(clock, refuses=1), 24, batch_size=8)["measured_here"]
    assert found["example_milliseconds"] is None
    assert found["examples_per_second"] == pytest.approx(1000)


def test_one_alone_is_run_a_few_times_within_its_share(clock):
    pace, calls = Speed(), []

    assert pace.measured(lambda: pytest.fail("nothing counted"), CPU) == {}
    for _ in range(3):
        pace.add(10, 5.0)
    assert (pace.examples, pace.seconds) == (20, 10.0)

    def run(seconds):
        clock.now += seconds
        calls.append(seconds)

    for seconds, times in ((0.001, MOST_PASSES), (0.09, 3), (0.35, 1)):
        calls.clear()
        assert pace.alone(lambda seconds=seconds: run(seconds)) == pytest.approx(seconds)
        assert len(calls) == times


def test_a_machine_has_a_name():
    assert re.fullmatch(r".+ \(\d+ threads?\)", machine_name(CPU))
    assert "," not in machine_name(CPU), "it is a cell of a table"
