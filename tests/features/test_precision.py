"""The precision of forward passes: exact if asked for or if there is little work, and half only if nothing is lost."""

import json
import sys
import time
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from hf_transfer_score import RankOptions, rank
from hf_transfer_score.backbones import hub_text, timm_images
from hf_transfer_score.backbones.base import BackboneOptions, BatchOutput, MemoryBackbone
from hf_transfer_score.errors import OptionError
from hf_transfer_score.features import extract as extracting
from hf_transfer_score.features import precision, runtimes
from hf_transfer_score.features.batches import Loader, cut
from hf_transfer_score.features.cache import FeatureCache, feature_key
from hf_transfer_score.features.extract import ExtractOptions
from hf_transfer_score.features.precision import EXACT, Precision, TorchForward, agree, possible
from hf_transfer_score.features.runtimes import ConvertedModels, is_installed
from hf_transfer_score.sampling.sample import memory_sample
from tests.checkpoints.images import timm_image
from tests.checkpoints.texts import write_text
from tests.features.extracted import features

needs_openvino = pytest.mark.skipif(not is_installed(), reason="OpenVINO is an extra and not installed")
WORDS = ("a slow cold film", "good", "warm and full of wit, from its first to its last minute")


class Dense(MemoryBackbone):
    """A layer that is slow in float32, as on a processor with a faster half precision."""

    def __init__(self, offset=0.0):
        super().__init__(lambda text: [len(text), *(text.count(letter) for letter in "aeio")])
        torch.manual_seed(0)
        self.module = torch.nn.Linear(5, 8)
        self.offset, self.seen = offset, []

    def forward(self, batch):
        half = torch.is_autocast_enabled("cpu")
        time.sleep(0 if half else 0.03)
        found = self.module(batch["rows"])
        self.seen.append((len(found), found.dtype))
        return BatchOutput({"last": (found.float() + self.offset).to(found.dtype)})


@pytest.fixture
def texts():
    return memory_sample("text-classification", [f"{WORDS[row % 3]} {row}" for row in range(120)], [0, 1] * 60)


@pytest.fixture
def all_is_tried(monkeypatch):
    """Try everything even for little work, and half precision on every processor."""
    monkeypatch.setattr(precision, "LEAST_SAVED", 0.0)
    monkeypatch.setattr(precision, "half_precision", lambda device: "bfloat16")


def test_float32_is_what_the_bare_model_gives_bit_for_bit_and_so_is_small_work(tmp_path):
    images = [Image.effect_noise((40, 40), 90).convert("RGB") for _ in range(10)]
    sample = memory_sample("image-classification", images, [0, 1] * 5)
    backbone = timm_images.KIND.load(timm_image(tmp_path / "model"), sample.task, BackboneOptions())
    loader = Loader(backbone, sample)
    with torch.inference_mode():
        rows = [backbone.forward(loader.prepare(part).inputs).features["last"] for part in cut(np.arange(10), 4)]
    for dtype in ("float32", "auto"):
        found, about = features(backbone, sample, tmp_path / dtype, dtype=dtype, batch_size=4)
        assert np.array_equal(found, torch.cat(rows).numpy()), dtype
        assert (about["dtype"], about["runtime"], "channels_last" in about) == ("float32", "torch", False)


def test_the_faster_precision_is_used_for_all_rows_where_features_agree(texts, tmp_path, all_is_tried):
    expected, _ = features(Dense(), texts, tmp_path / "exact", dtype="float32", batch_size=10)
    backbone = Dense()
    before = backbone.module.weight.clone()
    found, about = features(backbone, texts, tmp_path, batch_size=10, runtime="torch")
    assert (about["dtype"], about["runtime"], about.get("note")) == ("bfloat16", "torch", None)
    assert [kind for _, kind in backbone.seen[-11:]] == [torch.bfloat16] * 11
    tried = [kind for rows, kind in backbone.seen if rows == 8]
    assert tried.count(torch.float32) == 2  # the winner is clear, so it is not timed again
    assert 0 < np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
    assert np.array_equal(found, found.astype(np.float32)) and not np.array_equal(found[:10], expected[:10])
    assert backbone.module.weight.dtype == torch.float32 and torch.equal(backbone.module.weight, before)


@pytest.mark.parametrize("kind", ["offset", "cancelled"])
def test_a_model_that_half_precision_changes_stays_exact(texts, tmp_path, all_is_tried, kind):
    def made():
        backbone = Dense(offset=3e4 if kind == "offset" else -3e4)
        if kind == "cancelled":
            torch.nn.init.constant_(backbone.module.bias, 3e4)
        return backbone

    expected, _ = features(made(), texts, tmp_path / "exact", dtype="float32", batch_size=10)
    found, about = features(made(), texts, tmp_path, batch_size=10, runtime="torch")
    assert np.array_equal(found, expected) and about["dtype"] == "float32"
    note = "torch in bfloat16 gives other features than torch in float32, so it ran by torch in float32"
    assert about["note"] == note


def test_a_model_that_cannot_run_in_half_precision_stays_exact(texts, tmp_path, all_is_tried):
    class Strict(Dense):
        def forward(self, batch):
            if self.module.weight.dtype != torch.float32:
                raise TypeError("float32 only")
            return super().forward(batch)

    found, about = features(Strict(), texts, tmp_path, batch_size=10, runtime="torch")
    assert np.isfinite(found).all() and about["dtype"] == "float32" and "float32 only" in about["note"]


@pytest.mark.parametrize(("slow", "expected"), [(torch.float32, "bfloat16"), (torch.bfloat16, None)])
def test_a_processor_with_slow_instructions_for_half_precision_tries_none(monkeypatch, slow, expected):
    multiply = torch.nn.functional.linear

    def timed(rows, weights):
        time.sleep(0.02 if rows.dtype == slow else 0)
        return multiply(rows[:8], weights[:8])

    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.nn.functional, "linear", timed)
    assert precision.half_precision.__wrapped__(torch.device("cpu")) == expected


def test_every_row_has_to_agree():
    rows = np.random.default_rng(0).normal(size=(32, 16)).astype(np.float32)
    other = rows * 1.5
    assert agree({"last": rows}, {"last": other})
    alike = rows[[0, 0]] * (1 + np.asarray([[0], [1e-6]], np.float32))
    assert agree({"last": alike}, {"last": alike[::-1]}), "rows of the same text differ by rounding"
    other[7, 3] += 1
    assert not agree({"last": rows}, {"last": other})
    other[7] = np.nan
    assert not agree({"last": rows}, {"last": other})


def test_shared_weights_and_layers_of_another_kind_are_not_cast():
    class Standardised(torch.nn.Conv2d):
        def forward(self, values):
            return super().forward(values)

    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.head = torch.nn.Embedding(9, 4), torch.nn.Linear(4, 9)
            self.plain, self.own, self.norm = torch.nn.Conv2d(3, 4, 2), Standardised(3, 4, 2), torch.nn.LayerNorm(4)
            self.head.weight = self.words.weight

    backbone = MemoryBackbone(len)
    backbone.module = Tied()
    before = {name: value.clone() for name, value in backbone.module.state_dict().items()}
    forward = TorchForward(backbone, torch.device("cpu"), precision.in_torch("bfloat16"))
    cast = {name for name, value in backbone.module.named_parameters() if value.dtype == torch.bfloat16}
    assert cast == {"head.bias", "plain.weight", "plain.bias"}
    assert backbone.module.own.weight.is_contiguous(memory_format=torch.channels_last)
    forward.undo()
    assert all(torch.equal(value, before[name]) for name, value in backbone.module.state_dict().items())


def test_keys_of_float32_are_as_they_were_and_others_say_what_they_are():
    assert EXACT.key_parts() == {"dtype": "float32"}
    assert possible("float32", "auto") == (EXACT,)
    for images in (False, True):
        ways = possible("auto", "auto", images=images)
        keys = {feature_key({"model": "m", **one.key_parts()}) for one in ways}
        assert len(keys) == len(ways) and ways[0] == EXACT
    assert {one.runtime for one in ways} == {"torch", "openvino"}
    assert {one.runtime for one in possible("auto", "torch")} == {"torch"}
    assert possible("bfloat16", "openvino")[0] == Precision("bfloat16", "openvino")


def test_records_say_what_ran_and_auto_takes_what_is_there(tmp_path):
    data = tmp_path / "data.jsonl"
    rows = ({"text": f"{WORDS[row % 3]} {row}", "label": row % 2} for row in range(40))
    data.write_text("\n".join(json.dumps(row) for row in rows))
    model = str(write_text(tmp_path / "model"))

    def ranked(dtype):
        options = RankOptions(extract=ExtractOptions(dtype=dtype, runtime="torch"), replicates=0)
        report = rank(str(data), [model], options=options, metrics=["logme"], folder=tmp_path / "home")
        record = report.records()[0]
        return report.best.from_cache, record.model.dtype, {"runtime", "channels_last"} & {*record.model.details}

    assert ranked("bfloat16") == (False, "bfloat16", {"runtime", "channels_last"})
    assert ranked("auto")[:2] == (True, "bfloat16")
    assert ranked("float32") == (False, "float32", set())
    assert ranked("auto") == (True, "float32", set())


def test_openvino_is_asked_for_where_it_can_be(monkeypatch):
    monkeypatch.setattr(extracting, "is_installed", lambda: False)
    with pytest.raises(OptionError, match=r"runtime='openvino' needs OpenVINO: pip install 'hf-transfer-score\[open"):
        ExtractOptions(runtime="openvino")
    for wrong in ({"dtype": "float16"}, {"device": "cuda"}):
        with pytest.raises(OptionError, match="computes on the CPU, in float32 or bfloat16"):
            ExtractOptions(runtime="openvino", **wrong)
    with pytest.raises(OptionError, match="runtime='onnx': expected one of auto, torch, openvino"):
        ExtractOptions(runtime="onnx")


@needs_openvino
@pytest.mark.parametrize("kind", ["text", "image"])
def test_openvino_gives_the_same_features_and_its_model_is_kept(texts, tmp_path, monkeypatch, request, caplog, kind):
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    monkeypatch.setattr(precision, "half_precision", lambda device: None)
    sample, load, folder = texts, hub_text.KIND.load, write_text(tmp_path / "text")
    if kind == "image":
        images = [Image.effect_noise((40, 40), 90).convert("RGB") for _ in range(10)]
        sample = memory_sample("image-classification", images, [0, 1] * 5)
        load, folder = timm_images.KIND.load, timm_image(tmp_path / "image")
    backbone = load(folder, sample.task, BackboneOptions())
    expected, _ = features(backbone, sample, tmp_path / "exact", dtype="float32", batch_size=8)
    kept = ConvertedModels(FeatureCache(tmp_path / "kept", 10**9), {"model": kind})
    assert kept.find() is None
    for run, dtype, threads in (("converts", "float32", 1), ("finds", "auto", 2)):
        torch.set_num_threads(threads)  # two run parts of a batch
        asked = {"dtype": dtype, "runtime": "openvino", "batch_size": 9}  # the last image is alone
        found, about = features(backbone, sample, tmp_path / run, converted=kept, **asked)
        assert (about["runtime"], about["dtype"], about.get("note")) == ("openvino", "float32", None)
        assert np.allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
        if run == "converts":
            written = kept.find().stat().st_mtime_ns
    assert kept.find().stat().st_mtime_ns == written and kept.cache.entries()[0].size > 1000
    assert "openvino_telemetry" not in sys.modules, "nobody is told of it"
    assert not [one.message for one in caplog.records if one.name.startswith("transformers")], "nobody reads of losses"


@needs_openvino
def test_what_openvino_cannot_run_is_run_by_torch_and_said(texts, tmp_path):
    class Numbered(Dense):
        def collate(self, items):
            return {**super().collate(items), "count": len(items)}

    found, about = features(Numbered(), texts, tmp_path, runtime="openvino", batch_size=10)
    assert (about["runtime"], about["dtype"], np.isfinite(found).all()) == ("torch", "float32", True)
    note = "OpenVINO in float32 cannot run it (takes more than tensors (count)), so it ran by torch in float32"
    assert about["note"] == note


@pytest.fixture
def images():
    pictures = [Image.effect_noise((40, 40), 90).convert("RGB") for _ in range(11)]
    return memory_sample("image-classification", pictures, [0, 1] * 5 + [0])


@pytest.fixture
def graphs(monkeypatch):
    """Compile on the CPU, even for little work, by a compiler that notes the graphs and leaves them as they are."""
    found, compiler = [], torch.compile

    def noted(graph, inputs):
        found.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(compiler, backend=noted))
    monkeypatch.setattr(precision, "half_precision", lambda device: None)
    monkeypatch.setattr(precision, "LEAST_SAVED", 0.0)
    monkeypatch.setattr(precision, "CLEARLY", 100.0)  # as it gains nothing here
    monkeypatch.setattr(runtimes, "COMPILED_ON", ("cpu",))
    monkeypatch.setattr(runtimes, "COMPILE_SECONDS", 0.0)
    return found


def test_a_model_is_compiled_once_for_batches_of_all_sizes_and_gives_the_same_features(images, tmp_path, graphs):
    backbone = timm_images.KIND.load(timm_image(tmp_path / "model"), images.task, BackboneOptions())
    before = {name: value.clone() for name, value in backbone.module.state_dict().items()}
    expected, about = features(backbone, images, tmp_path / "exact", dtype="float32", batch_size=4)
    assert "compiled" not in about and not graphs
    found, about = features(backbone, images, tmp_path, batch_size=4, runtime="torch")  # the last has three images
    assert (about["compiled"], about.get("note"), len(graphs)) == (True, None, 1)
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert all(torch.equal(value, before[name]) for name, value in backbone.module.state_dict().items())
    way = Precision.of(about)
    assert way in possible("auto", "torch", images=True) and way.details()["compiled"] is True


def test_what_cannot_be_compiled_runs_as_it_is_and_that_is_said(images, tmp_path, graphs, monkeypatch):
    def without_compiler(module):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", without_compiler)
    backbone = timm_images.KIND.load(timm_image(tmp_path / "model"), images.task, BackboneOptions())
    found, about = features(backbone, images, tmp_path, batch_size=4, runtime="torch")
    note = "compiled torch in float32 cannot run it (no C++ compiler), so it ran by torch in float32"
    assert (np.isfinite(found).all(), "compiled" in about, about["note"]) == (True, False, note)


def test_texts_of_many_lengths_and_short_work_are_not_compiled(texts, images, graphs):
    values = {"pixel_values": torch.zeros(2, 3, 4, 4)}
    assert runtimes.compiling_pays("cpu", values, 1.0) and not runtimes.compiling_pays("mps", values, 1.0)
    assert not runtimes.compiling_pays("cpu", {"input_ids": torch.zeros(2, 9), **values}, 1.0)
    assert not runtimes.compiling_pays("cpu", {**values, "count": 2}, 1.0)
