"""Low-rank adapters (LoRA): small matrices that are trained beside frozen layers, and merged into them at the end.

Adapters are added to the linear layers (including attention projections) and convolutions in the network's blocks, as
far as features depend on them. Other layers do not work with adapters: convolutions that normalise their weights,
grouped ones, and attention that reads weights without calling their layers.
"""

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
"""Layers with adapters must hold this share of the blocks' parameters that features depend on."""

TOO_FEW = (
    "has too few plain linear layers or ungrouped convolutions in its blocks for adapters; use the method full or layer"
)


def layers_to_adapt(module: torch.nn.Module, reached: set[int]) -> list[str]:
    """Return the names of the layers that get adapters, given the ids of the parameters that features depend on.

    Raises CheckpointError where they are only a small part of the network.
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

    The parameters that its features depend on are `reached`; a few examples show whether they depend on the adapters.
    """
    from peft import LoraConfig, inject_adapter_in_model

    module = classifier.backbone.module
    names = layers_to_adapt(module, set(map(id, reached.values())))
    exactly = "|".join(map(re.escape, names))
    config = LoraConfig(r=recipe.lora_rank, lora_alpha=recipe.lora_alpha, target_modules=exactly)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that weights of GPT-2 are transposed, which peft handles
        torch.manual_seed(seed)
        inject_adapter_in_model(config, module)
    for name in names:  # some networks read the strides of their convolutions
        layer = module.get_submodule(name)
        for constant in getattr(layer.get_base_layer(), "__constants__", ()):
            if not hasattr(layer, constant):
                setattr(layer, constant, getattr(layer.get_base_layer(), constant))
    found = classifier.on_path(batch)
    if not found:
        raise CheckpointError("unsupported", TOO_FEW)
    return found


def merge_adapters(module: torch.nn.Module) -> None:
    """Merge adapters into their layers, and remove them."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, one in list(module.named_modules()):
        if isinstance(one, BaseTunerLayer):
            one.merge(safe_merge=True)
            parent, _, last = name.rpartition(".")
            setattr(module.get_submodule(parent), last, one.get_base_layer())
    if hasattr(module, "peft_config"):
        del module.peft_config
