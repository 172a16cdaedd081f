"""Weights of image networks in the formats of several libraries, and their conversion to timm networks."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.archives import Archive

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float32]
CROP, CROPS = 64, 128


@dataclass(frozen=True)
class Convolution:
    """The weights of a convolution or a classifier, and of the norm behind it.

    Attributes:
        kernel: in PyTorch's layout: (out, in, height, width), or (out, in) for a classifier.
        norm: weight, bias, running mean and variance of the norm; empty if it was folded into the convolution.
        bias: of a classifier, or of a convolution with a folded norm.
    """

    kernel: Array
    norm: tuple[Array, Array, Array, Array] | None = None
    bias: Array | None = None


def fill(
    model: torch.nn.Module, found: Sequence[Convolution], mean: Sequence[float], deviation: Sequence[float]
) -> None:
    """Put weights into a network in the order of its modules; each shape must match.

    If a norm was folded, the network's norm is set so that the values stay the same: the mean and variance of its
    inputs come from images of scikit-learn, and are undone by its own bias and weight.
    """
    import torch

    layers = [one for one in model.modules() if isinstance(one, (torch.nn.Conv2d, torch.nn.Linear))]
    norms = iter([one for one in model.modules() if isinstance(one, torch.nn.BatchNorm2d)])
    if len(layers) > len(found):
        raise ValueError(f"The network has {len(layers)} layers, and {len(found)} were found.")
    folded = {}
    for layer, one in zip(layers, found, strict=False):
        _set(layer.weight, one.kernel)
        if layer.bias is not None:
            _set(layer.bias, one.bias)
            continue
        norm = next(norms)
        if one.norm is None:
            folded[norm] = torch.from_numpy(np.asarray(one.bias))
            continue
        for target, values in zip((norm.weight, norm.bias, norm.running_mean, norm.running_var), one.norm, strict=True):
            _set(target, values)
    if folded:
        _unfold(model, folded, (_crops() - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(deviation).view(3, 1, 1))


def _set(target: Any, values: Array | None) -> None:
    import torch

    if values is None or tuple(target.shape) != values.shape:
        got = None if values is None else values.shape
        raise ValueError(f"Expected weights of the shape {tuple(target.shape)}, got {got}.")
    with torch.no_grad():
        target.copy_(torch.from_numpy(np.ascontiguousarray(values)))


def _unfold(model: torch.nn.Module, biases: Mapping[torch.nn.BatchNorm2d, torch.Tensor], images: torch.Tensor) -> None:
    """Make norms that only add a bias, with the statistics of their inputs on images."""
    import torch

    def settle(norm: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        rows = inputs[0].transpose(0, 1).flatten(1)
        mean, variance = rows.mean(1), rows.var(1).clamp_min(1e-6)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(biases[norm] + mean)

    hooks = [norm.register_forward_pre_hook(settle) for norm in biases]
    with torch.no_grad():
        model.eval()(images)
    for hook in hooks:
        hook.remove()


def _crops() -> torch.Tensor:
    """Return crops of scikit-learn's two photographs (CROPS, 3, CROP, CROP), from 0 to 1."""
    import torch
    from sklearn.datasets import load_sample_images

    photographs, generator = load_sample_images().images, np.random.default_rng(0)
    parts = []
    for number in range(CROPS):
        whole = photographs[number % 2]
        top, left = generator.integers(0, whole.shape[0] - CROP), generator.integers(0, whole.shape[1] - CROP)
        parts.append(whole[top : top + CROP, left : left + CROP])
    return torch.from_numpy(np.stack(parts)).permute(0, 3, 1, 2).float() / 255


def from_state(archive: Archive, member: str) -> list[Convolution]:
    """Read PyTorch weights, in which each norm follows its convolution."""
    import torch

    state = torch.load(io.BytesIO(archive.read(member)), weights_only=True, map_location="cpu")
    values = [np.asarray(value) for value in state.values() if value.ndim]
    starts = [number for number, value in enumerate(values) if value.ndim > 1]
    found = []
    for start, end in zip(starts, [*starts[1:], len(values)], strict=True):
        kernel, *others = values[start:end]
        norm = (others[0], others[1], others[2], others[3]) if len(others) == 4 else None
        found.append(Convolution(kernel, norm, others[0] if len(others) == 1 else None))
    return found


def from_keras(archive: Archive, member: str) -> list[Convolution]:
    """Read a MobileNetV2 saved by Keras."""
    import h5py

    values: dict[str, Array] = {}

    def take(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            values["/".join(name.split("/")[-2:]).removesuffix(":0")] = np.asarray(item, np.float32)

    with h5py.File(io.BytesIO(archive.read(member))) as file:
        file["model_weights"].visititems(take)
    return _mobilenet(values)


def from_tfjs(archive: Archive, member: str) -> list[Convolution]:
    """Read a TensorFlow.js network with 8-bit weights."""
    values = _manifest(archive, member)
    if any(name.startswith("conv2d_") for name in values):
        return _inception(values)
    short = {re.sub(r".*/MobilenetV2/", "", name): value for name, value in values.items()}
    return _mobilenet_folded(short) if "Conv/Conv2D_weights" in short else _mobilenet(values)


def _manifest(archive: Archive, member: str) -> dict[str, Array]:
    """Return all weights by name."""
    values = {}
    for group in archive.exported(f"{member}/model.min.js")["weightsManifest"]:
        content = b"".join(base64.b64decode(archive.exported(f"{member}/{path}.min.js")) for path in group["paths"])
        start = 0
        for one in group["weights"]:
            kept, count = one["quantization"], int(np.prod(one["shape"]))
            width = np.dtype(kept["dtype"]).itemsize
            numbers = np.frombuffer(content[start : start + count * width], kept["dtype"])
            start += count * width
            values[one["name"]] = (numbers * kept["scale"] + kept["min"]).astype(np.float32).reshape(one["shape"])
    return values


def _kernel(kernel: Array, depthwise: bool) -> Array:
    """Return a TensorFlow kernel in PyTorch's layout."""
    return kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))


def _mobilenet(values: Mapping[str, Array]) -> list[Convolution]:
    """Order the weights of Keras' MobileNetV2, whose blocks are numbered from 1 after an unnumbered first one."""
    blocks = [f"block_{number}_{part}" for number in range(1, 17) for part in ("expand", "depthwise", "project")]
    first = ["Conv1", "expanded_conv_depthwise", "expanded_conv_project"]
    norms = {"Conv1": "bn_Conv1", "Conv_1": "Conv_1_bn"}
    found = []
    for name in (*first, *blocks, "Conv_1"):
        depthwise = name.endswith("depthwise")
        kernel = values[f"{name}/{'depthwise_kernel' if f'{name}/depthwise_kernel' in values else 'kernel'}"]
        found.append(Convolution(_kernel(kernel, depthwise), _norm(values, norms.get(name, f"{name}_BN"))))
    if "dense/kernel" in values:
        found.append(Convolution(values["dense/kernel"].T, bias=values["dense/bias"]))
    return found


def _norm(values: Mapping[str, Array], name: str) -> tuple[Array, Array, Array, Array]:
    bias, mean, variance = (values[f"{name}/{part}"] for part in ("beta", "moving_mean", "moving_variance"))
    return values.get(f"{name}/gamma", np.ones_like(bias)), bias, mean, variance


def _mobilenet_folded(values: Mapping[str, Array]) -> list[Convolution]:
    """Order the weights of a MobileNetV2 of TensorFlow's slim with folded norms."""
    blocks = ["expanded_conv", *(f"expanded_conv_{number}" for number in range(1, 17))]
    parts = ("expand/Conv2D", "depthwise/depthwise", "project/Conv2D")
    names = [f"{block}/{part}" for block in blocks for part in parts]
    found = []
    for name in ("Conv/Conv2D", *names, "Conv_1/Conv2D"):
        if f"{name}_weights" in values:
            kernel = _kernel(values[f"{name}_weights"], name.endswith("/depthwise"))
            found.append(Convolution(kernel, bias=values[f"{name}_bn_offset"]))
    matrix = next(name for name, value in values.items() if value.ndim == 2)
    bias = next(value for name, value in values.items() if value.shape == values[matrix].shape[1:])
    return [*found, Convolution(values[matrix].T, bias=bias)]


def _inception(values: Mapping[str, Array]) -> list[Convolution]:
    """Order the weights of Keras' InceptionV3, whose convolutions are numbered as in timm, each with its norm."""

    def numbered(kind: str) -> list[str]:
        names = {name.split("/")[0] for name in values if name.startswith(f"{kind}_")}
        return sorted(names, key=lambda name: int(name.rsplit("_", 1)[1]))

    pairs = zip(numbered("conv2d"), numbered("batch_normalization"), strict=True)
    return [Convolution(_kernel(values[f"{one}/kernel"], False), _norm(values, norm)) for one, norm in pairs]


def from_onnx(archive: Archive, member: str) -> list[Convolution]:
    """Read the convolutions of an ONNX graph with folded norms, in the order of their nodes."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_model_from_string(archive.read(member)).graph
    values = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    nodes = [one for one in graph.node if one.op_type in ("Conv", "Gemm")]
    return [Convolution(values[one.input[1]], bias=values[one.input[2]]) for one in nodes]
