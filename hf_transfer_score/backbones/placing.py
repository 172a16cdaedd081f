"""Weights of large models while features are read: in half precision, quantised, or spread over devices and disk."""

from __future__ import annotations

import logging
import re
import shutil
import weakref
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from hf_transfer_score.errors import CheckpointError, OptionError

if TYPE_CHECKING:
    import torch

QUANTIZED = ("8bit", "4bit")
HALF = {"BF16": "bfloat16", "F16": "float16"}
"""Kinds of numbers in files, and their names in torch."""

MEMORY = re.compile(r"(\d+|cpu)=(\d+(?:\.\d+)?[KMG]i?B)")


def check_placing(quantize: str | None, device_map: str | None) -> None:
    """Refuse a way to hold weights that is unknown or not installed; raises OptionError."""
    if quantize is not None and quantize not in QUANTIZED:
        raise OptionError(f"quantize={quantize!r}: expected one of {', '.join(QUANTIZED)}.")
    if quantize is not None and find_spec("bitsandbytes") is None:
        raise OptionError(f"quantize={quantize!r} needs bitsandbytes: pip install 'hf-transfer-score[quantized]'.")
    if device_map is not None:
        most_memory(device_map)


def most_memory(device_map: str) -> dict[int | str, str] | None:
    """Return the most memory to use by device, None for all that is free; raises OptionError.

    Example:
        >>> most_memory("0=20GB,cpu=30GB")
        {0: '20GB', 'cpu': '30GB'}
    """
    if device_map == "auto":
        return None
    parts = [MEMORY.fullmatch(part.strip()) for part in device_map.split(",")]
    if None in parts:
        raise OptionError(
            f"device_map={device_map!r}: expected auto, or the most memory of each GPU and of the CPU, such as "
            "0=20GB,cpu=30GB."
        )
    return {int(one[1]) if one[1].isdigit() else one[1]: one[2] for one in parts if one is not None}


def placed(
    load: Callable[..., tuple[Any, Any]], kinds: Set[str], *, quantize: str | None, device_map: str | None, half: bool
) -> tuple[Any, Any]:
    """Return what transformers loads, a model and what it says about it, with the weights where options want them.

    All are in float32, except those that are quantised or stay in half precision. Weights on disk are read from the
    checkpoint's own files; those whose form differs there are in a folder that is removed with the model. `load` is
    `from_pretrained`, which is called with more arguments; the kinds of numbers in the files are such as "F32".
    """
    stored = HALF.get(next(iter(kinds)), "float32") if half and len(kinds) == 1 else "float32"
    how = {"dtype": torch_type(stored)} if quantize is None else _quantized(quantize)
    if device_map is None:
        model, about = load(**how)
        return _settled(model, quantize, half=half).eval(), about
    folder = mkdtemp(prefix="hf-transfer-score-")
    try:
        model, about = load(**how, device_map="auto", max_memory=most_memory(device_map), offload_folder=folder)
        weakref.finalize(model, shutil.rmtree, folder, ignore_errors=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return _settled(model, quantize, half=half).eval(), about


def _quantized(quantize: str) -> dict[str, Any]:
    from transformers import BitsAndBytesConfig

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it tells of each cast in each layer
    four = quantize == "4bit"
    how: dict[str, Any] = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"} if four else {"load_in_8bit": True}
    return {"dtype": torch_type("float32"), "quantization_config": BitsAndBytesConfig(**how)}


def _settled(model: Any, quantize: str | None, *, half: bool) -> Any:
    if quantize is not None:
        if not any(_is_quantised(one) for one in model.parameters()):
            raise CheckpointError("unsupported", "has no linear layer that can be quantised; leave out quantize")
        return model
    if not half:
        return model.float()
    kept = {id(weight) for weight, cast in usual_weights(model) if cast}
    for one in (*model.parameters(), *model.buffers()):
        if id(one) not in kept and one.is_floating_point():
            one.data = one.data.float()
    return model


def _is_quantised(weight: torch.Tensor) -> bool:
    return not weight.is_floating_point()


def usual_weights(module: torch.nn.Module) -> Iterator[tuple[Any, bool]]:
    """Yield the weights that may change, and whether autocast would cast them in each pass, so they are cast once.

    Weights shared with another kind of layer, such as embeddings, stay; so do those of custom layers.
    """
    from torch import nn

    usual = {nn.Linear.forward, nn.Conv1d.forward, nn.Conv2d.forward, nn.Conv3d.forward}
    found: dict[int, tuple[Any, bool]] = {}
    shared: set[int] = set()
    for layer in module.modules():
        cast = type(layer).forward in usual
        for weight in layer.parameters(recurse=False):
            if cast or isinstance(layer, nn.modules.conv._ConvNd):
                found[id(weight)] = (weight, cast and weight.is_floating_point())
            else:
                shared.add(id(weight))
    yield from (pair for number, pair in found.items() if number not in shared)


@contextmanager
def single_precision(module: torch.nn.Module) -> Iterator[bool]:
    """Let layers with weights in half precision compute in float32, one after the other; yield if there are any."""

    def up(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        _recast(layer, torch_type("float32"))
        return tuple(one.float() for one in inputs)  # some networks cast them to the type of the weights

    handles = []
    for layer in module.modules():
        kept = {one.dtype for one in layer.parameters(recurse=False)} & {torch_type(name) for name in HALF.values()}
        if kept:
            handles.append(layer.register_forward_pre_hook(up))
            handles.append(layer.register_forward_hook(partial(_back, dtype=kept.pop())))
    try:
        yield bool(handles)
    finally:
        for handle in handles:
            handle.remove()


def _back(layer: torch.nn.Module, *_: Any, dtype: torch.dtype) -> None:
    _recast(layer, dtype)


def _recast(layer: torch.nn.Module, dtype: torch.dtype) -> None:
    for one in layer.parameters(recurse=False):
        one.data = one.data.to(dtype)


def torch_type(name: str) -> torch.dtype:
    """Return a type of numbers by its name."""
    import torch

    found: torch.dtype = getattr(torch, name)
    return found


def place_of(module: torch.nn.Module) -> torch.device | None:
    """Return the device for the inputs of a module whose weights must stay where they are; None for any other."""
    import torch

    for hook in (one._hf_hook for one in module.modules() if hasattr(one, "_hf_hook")):
        for one in getattr(hook, "hooks", (hook,)):
            if getattr(one, "execution_device", None) is not None:
                return torch.device(one.execution_device)
    return next((one.device for one in module.parameters() if _is_quantised(one)), None)


def is_elsewhere(module: torch.nn.Module) -> bool:
    """Whether some weights are in memory or on disk, and fetched for each pass."""
    return any(one.is_meta for one in module.parameters())


def numbers_in(weight: Any) -> int:
    """Return how many numbers a weight has, of which several may share a byte."""
    state = getattr(weight, "quant_state", None)
    return int(weight.numel() if state is None else state.shape.numel())
