"""Extraction: every row once and in its place, for any batches, processes and memory."""

import json
import os
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hf_transfer_score.backbones.base import BatchOutput, MemoryBackbone
from hf_transfer_score.errors import CheckpointError, OptionError
from hf_transfer_score.features.batches import Loader, cut
from hf_transfer_score.features.cache import FeatureCache
from hf_transfer_score.features.extract import ExtractOptions
from hf_transfer_score.features.runtimes import Speed
from hf_transfer_score.sampling.sample import memory_sample
from hf_transfer_score.tasks import Words
from tests.features.extracted import extracted, features

TEXTS = [f"{'word ' * (1 + 7 * number % 23)}{number}" for number in range(101)]


def describe(text):
    return [len(text), text.count("o"), float(text.rsplit(" ", 1)[-1])]


class Texts(MemoryBackbone):
    """Counts its examples, and has limited memory."""

    def __init__(self, room=10**9):
        super().__init__(describe)
        self.room = room
        self.sizes = []

    def length(self, item):
        return int(item[0, 0])

    def forward(self, batch):
        rows = len(batch["rows"])
        if rows > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.sizes.append(rows)
        return super().forward(batch)


@pytest.fixture(autouse=True)
def batches_only(monkeypatch):
    """Run no example alone to measure its speed, since these tests count what runs."""
    monkeypatch.setattr(Speed, "alone", lambda pace, run: 0.0)


@pytest.fixture
def texts():
    return memory_sample("text-classification", TEXTS, [number % 3 for number in range(101)])


@pytest.mark.parametrize("size", [1, 7, 32, 1000])
def test_every_row_is_in_its_place_whatever_the_batch_size(texts, tmp_path, size):
    backbone, seen = Texts(), []
    found, about = features(backbone, texts, tmp_path, report=seen.append, batch_size=size)
    assert np.array_equal(found, [describe(text) for text in TEXTS])
    assert sum(backbone.sizes) == sum(seen) == 101 and max(backbone.sizes) <= size
    assert len(backbone.sizes) <= -(-101 // size) + 1  # one batch may be divided, to try a part of it
    assert about["examples"] == 101 and about["batch_size"] == size


def test_texts_run_with_their_like_the_longest_first(texts):
    order = np.concatenate(list(Loader(Texts(), texts).windows()))
    lengths = [len(TEXTS[number]) for number in order]
    assert lengths == sorted(lengths, reverse=True)
    assert Counter(order.tolist()) == Counter(range(101))


@pytest.mark.parametrize(("dtype", "sizes"), [("auto", [1, 2, 128, 32, 96, 42]), ("float32", [32] * 9 + [13])])
def test_batches_of_texts_have_about_as_many_tokens_unless_the_precision_is_fixed(tmp_path, dtype, sizes):
    written = [f"{'x' * length} 1" for length in (1500, 400, 300, *[6] * 298)]
    sample, backbone = memory_sample("text-classification", written, [number % 3 for number in range(301)]), Texts()
    found, about = features(backbone, sample, tmp_path, dtype=dtype)
    assert np.array_equal(found, [describe(text) for text in written])
    assert sorted(backbone.sizes) == sorted(sizes) and about["batch_size"] == max(sizes)


@pytest.mark.parametrize("room", [31, 5, 1])
def test_batches_are_halved_until_they_fit_and_stay_small(texts, tmp_path, room):
    backbone = Texts(room)
    found, about = features(backbone, texts, tmp_path, batch_size=32)
    assert np.array_equal(found, [describe(text) for text in TEXTS])
    assert sum(backbone.sizes) == 101 and max(backbone.sizes) <= room
    assert about["batch_size"] == {31: 16, 5: 4, 1: 1}[room]


def test_an_example_that_does_not_fit_alone_is_a_failure_in_words(texts, tmp_path):
    with pytest.raises(CheckpointError, match="one example alone does not fit into the memory of cpu") as caught:
        features(Texts(0), texts, tmp_path)
    assert caught.value.kind == "out_of_memory"


def test_what_a_library_raises_is_the_failure_of_this_checkpoint(texts, tmp_path):
    def refuse(text):
        raise ValueError("no such\nthing")

    with pytest.raises(CheckpointError, match="ValueError: no such") as caught:
        features(MemoryBackbone(refuse), texts, tmp_path)
    assert caught.value.kind == "error"


def test_words_of_one_text_stay_together(tmp_path):
    words = [Words([f"w{n}" for n in range(size)], np.arange(0, size, 2)) for size in (5, 1, 8, 3)]
    sample = memory_sample("token-classification", words, [[0] * len(one.positions) for one in words])

    class Positions(MemoryBackbone):
        def length(self, item):
            return len(item)

    backbone = Positions(lambda one: [[len(one.words), place] for place in one.positions])
    found, _ = features(backbone, sample, tmp_path, batch_size=2)
    assert found.tolist() == [[len(one.words), place] for one in words for place in one.positions.tolist()]


def test_images_are_decoded_while_others_run_and_stay_in_order(tmp_path):
    images = [Image.new("RGB", (4, 4), (number, 2 * number, 0)) for number in range(100)]
    sample = memory_sample("image-classification", images, [number % 2 for number in range(100)])
    found, _ = features(MemoryBackbone(lambda image: image.getpixel((0, 0))), sample, tmp_path, batch_size=9, threads=3)
    assert found.tolist() == [[number, 2 * number, 0] for number in range(100)]


def test_layers_and_source_probabilities_are_kept(texts, tmp_path):
    class Layers(Texts):
        source_classes = 2

        def forward(self, batch):
            rows = batch["rows"]
            probs = torch.softmax(rows[:, :2] / 10, dim=1)
            return BatchOutput({"0": rows, "1": rows * 2}, probs)

    found, _ = extracted(Layers(), texts, tmp_path, batch_size=10)
    assert np.array_equal(found.features["1"], 2 * found.features["0"])
    expected = torch.softmax(torch.tensor(found.features["0"][:, :2]) / 10, dim=1)
    assert np.allclose(found.source_probs, expected, atol=1e-7)


def test_half_precision_is_asked_for_by_autocast(texts, tmp_path):
    class Linear(Texts):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.module = torch.nn.Linear(3, 4)

        def forward(self, batch):
            self.dtype = self.module(batch["rows"]).dtype
            return BatchOutput({"last": self.module(batch["rows"])})

    whole, half = Linear(), Linear()
    expected, _ = features(whole, texts, tmp_path / "whole")
    found, about = features(half, texts, tmp_path / "half", dtype="bfloat16")
    assert (whole.dtype, half.dtype, about["dtype"]) == (torch.float32, torch.bfloat16, "bfloat16")
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).max() < 0.02 * np.abs(expected).max()


@pytest.mark.parametrize(("field", "value"), [("dtype", "int8"), ("batch_size", 0), ("threads", 0)])
def test_options_that_make_no_sense_are_refused(field, value):
    with pytest.raises(OptionError, match=f"{field}="):
        ExtractOptions(**{field: value})


def test_cut_gives_every_example_once():
    assert [part.tolist() for part in cut(np.arange(5), 2)] == [[0, 1], [2, 3], [4]]


SCRIPT = """
import json, sys, time
from pathlib import Path
import numpy as np
import torch
from hf_transfer_score.features import precision
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.features.cache import FeatureCache
from hf_transfer_score.features.extract import ExtractOptions, extract
from hf_transfer_score.features.batches import Processes
from hf_transfer_score.features.runtimes import Speed
from hf_transfer_score.sampling.sample import memory_sample
from tests.features.test_extract import TEXTS, Texts

processes = Processes.current()
sample = memory_sample("text-classification", TEXTS, [n % 3 for n in range(101)])

class Choosy(Texts):
    def forward(self, batch):  # half precision is faster in process 0 only
        time.sleep(0.05 if torch.is_autocast_enabled("cpu") == bool(processes.index) else 0)
        return super().forward(batch)

def backbone_of(mode):
    if mode == "half":
        precision.LEAST_SAVED, precision.half_precision = 0, lambda device: "bfloat16"
        return Choosy()
    backbone = Texts(3 if mode == "small" and processes.index == 1 else 10**9)
    describe = backbone.function
    def refuse(text):
        if text.endswith(" 17"):
            raise ValueError("number 17")
        return describe(text)
    if mode == "fails":
        backbone.function = refuse
    return backbone

Speed.alone = lambda pace, run: 0.0  # what runs is counted here
for mode in ("well", "small", "fails", "half"):
    folder, backbone, seen, failure, dtype = Path(sys.argv[1]) / mode, backbone_of(mode), [], None, None
    options = ExtractOptions(batch_size=2 if mode == "half" else 8, runtime="torch")
    cache = FeatureCache(folder, 10**9)
    writer = cache.writer("key", sample.rows) if processes.is_main else None
    try:
        about = extract(backbone, sample, writer, options=options, processes=processes, report=seen.append)
        dtype = about["dtype"]
    except CheckpointError as error:
        failure = [error.kind, str(error)]
    if writer is not None and failure is None:
        writer.finish({})
    answer = {"rows": sum(backbone.sizes), "seen": sum(seen), "failure": failure, "count": processes.count}
    answer["dtype"] = dtype
    (folder / f"{processes.index}.json").write_text(json.dumps(answer))
processes.leave()
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Folders with the results of two processes: normal, out of memory early, with a failure, and in half precision."""
    folder = tmp_path_factory.mktemp("shared")
    for mode in ("well", "small", "fails", "half"):
        (folder / mode).mkdir()
    (folder / "script.py").write_text(textwrap.dedent(SCRIPT))
    launch = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    settings = ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command = [sys.executable, "-m", *launch, *settings, str(folder / "script.py"), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_two_processes_run_in_the_precision_that_the_first_one_chooses(shared):
    answers = [json.loads((shared / "half" / f"{index}.json").read_text()) for index in range(2)]
    assert [answer["dtype"] for answer in answers] == ["bfloat16", "bfloat16"]
    found = FeatureCache(shared / "half", 10**9).get("key").features["last"]
    assert np.array_equal(found, [describe(text) for text in TEXTS])


@pytest.mark.parametrize("mode", ["well", "small", "fails"])
def test_two_processes_share_the_rows(shared, mode):
    answers = [json.loads((shared / mode / f"{index}.json").read_text()) for index in range(2)]
    assert [answer["count"] for answer in answers] == [2, 2]
    if mode == "fails":
        assert all(answer["failure"] == ["error", "ValueError: number 17"] for answer in answers)
        return
    assert sum(answer["rows"] for answer in answers) == 101
    assert min(answer["rows"] for answer in answers) > 40
    assert answers[0]["seen"] == 101
    found = FeatureCache(shared / mode, 10**9).get("key").features["last"]
    assert np.array_equal(found, [describe(text) for text in TEXTS])


def test_threads_of_the_caller_are_as_before(texts, tmp_path):
    found = []
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        features(Texts(), texts, tmp_path)
        later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert [torch.get_num_threads(), *found] == [3, 3]
    finally:
        torch.set_num_threads(before)
