"""Low-rank adapters (LoRA): small matrices that are trained beside layers which stay as they are, and merged at last.

What gets one is told from the network: its linear layers, attention projections among them, and its convolutions, as
far as they stand in blocks and features depend on them. Layers of other classes are left alone, since an adapter would
not do as they do: convolutions that normalise their weights, grouped ones, and what attention reads past its layers.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch

from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.finetune.classifier import Classifier, blocks_of
from hf_transfer_score.finetune.recipe import Recipe

CONVOLUTIONS = (torch.nn.Conv1d, torch.nn.Conv2d)
LEAST_SHARE = 0.5
"""Of what features depend on inside the blocks, layers that get adapters hold this share, else there are too few."""

TOO_FEW = (
    "has hardly any plain linear layer or ungrouped convolution in its blocks that an adapter could stand beside; use "
    "the method full or layer"
)


def layers_to_adapt(module: torch.nn.Module, reached: set[int]) -> list[str]:
    """Return the names of the layers that get adapters, by the ids of the parameters that features depend on.

    CheckpointError where they are only a small part of the network.
    """
    from transformers.pytorch_utils import Conv1D

    blocks = [module]
    with suppress(CheckpointError):
        blocks = list(blocks_of(module).values())
    inside = {id(one) for block in blocks for one in block.modules()}
    for one in module.modules():
        if isinstance(one, torch.nn.MultiheadAttention):
            inside -= set(map(id, one.modules()))
    plain = [
        (name, one)
        for name, one in module.named_modules()
        if type(one) in (torch.nn.Linear, Conv1D, *CONVOLUTIONS) and id(one) in inside and id(one.weight) in reached
    ]
    uses = Counter(id(one.weight) for one in module.modules() if hasattr(one, "weight"))
    found = {name: one for name, one in plain if getattr(one, "groups", 1) == 1 and uses[id(one.weight)] == 1}
    whole = {id(value): value.numel() for block in blocks for value in block.parameters() if id(value) in reached}
    if sum(one.weight.numel() for one in found.values()) < LEAST_SHARE * max(1, sum(whole.values())):
        raise CheckpointError("unsupported", TOO_FEW)
    return list(found)


def add_adapters(
    classifier: Classifier,
    reached: Mapping[str, torch.nn.Parameter],
    batch: Mapping[str, Any],
    recipe: Recipe,
    seed: int,
) -> dict[str, torch.nn.Parameter]:
    """Put adapters into a network, and return their weights by name; they change nothing until they are trained.

    Args:
        classifier: with the network.
        reached: the parameters that its features depend on.
        batch: a few examples, which tell whether adapters are on the way to the features.
        recipe: with their rank and their weight.
        seed: of the values that they begin with.
    """
    from peft import LoraConfig, inject_adapter_in_model

    module = classifier.backbone.module
    names = layers_to_adapt(module, set(map(id, reached.values())))
    exactly = "|".join(map(re.escape, names))
    config = LoraConfig(r=recipe.lora_rank, lora_alpha=recipe.lora_alpha, target_modules=exactly)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that weights of GPT-2 lie the other way round, which it finds by itself
        torch.manual_seed(seed)
        inject_adapter_in_model(config, module)
    for name in names:  # networks ask their convolutions for strides
        layer = module.get_submodule(name)
        for constant in getattr(layer.get_base_layer(), "__constants__", ()):
            if not hasattr(layer, constant):
                setattr(layer, constant, getattr(layer.get_base_layer(), constant))
    found = classifier.on_path(batch)
    if not found:
        raise CheckpointError("unsupported", TOO_FEW)
    return found


def merge_adapters(module: torch.nn.Module) -> None:
    """Add what adapters learned to the layers beside which they stand, and take them out."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, one in list(module.named_modules()):
        if isinstance(one, BaseTunerLayer):
            one.merge(safe_merge=True)
            parent, _, last = name.rpartition(".")
            setattr(module.get_submodule(parent), last, one.get_base_layer())
    if hasattr(module, "peft_config"):
        del module.peft_config
