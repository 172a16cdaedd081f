"""What of a checkpoint's own training is no part of fine-tuning it: masks, its head's dropout, odd batch norms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.truth.blocks import blocks_of

MOMENTUM = 0.1
"""Of torch's own batch norms: the share of a batch in the moving statistics."""


def leave_unmasked(module: torch.nn.Module) -> None:
    """Turn off the masks that speech models lay over their input in training.

    They are drawn from NumPy's global generator, so that a seed would not repeat a measurement, and sounds shorter than
    a mask (0.2 seconds) are refused.
    """
    for one in module.modules():
        config: Any = getattr(one, "config", None)
        if getattr(config, "apply_spec_augment", False):
            config.apply_spec_augment = False


def move_as_usual(module: torch.nn.Module) -> None:
    """Have batch norms follow the data as torch's do by default.

    Some networks are configured with the momentum of another library, where it means the opposite (0.9997 in
    MobileNetV1): torch then keeps nothing but the last batch. Averages over all batches there ever were do not move.
    """
    for one in module.modules():
        if isinstance(one, _BatchNorm):
            one.momentum = MOMENTUM


def source_dropouts(module: torch.nn.Module, run: Callable[[], object], reached: set[int]) -> list[torch.nn.Module]:
    """Return the dropout between the features of a network and its own head, which is tuned to that head.

    It is what runs behind everything that has parameters on the path, and outside every block. What networks of timm
    do without a module is turned off.

    Args:
        module: the network.
        run: runs it once.
        reached: ids of the parameters that features depend on.
    """
    if getattr(module, "drop_rate", None) and hasattr(module, "pretrained_cfg"):
        module.drop_rate = 0.0
    order: list[torch.nn.Module] = []

    def ran(module: torch.nn.Module, *_: object) -> None:
        order.append(module)

    hooks = [
        one.register_forward_pre_hook(ran) if any(True for _ in one.children()) else one.register_forward_hook(ran)
        for one in module.modules()
    ]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    inside = {id(one) for block in _blocks(module) for one in block.modules()}
    own = [any(id(value) in reached for value in one.parameters(recurse=False)) for one in order]
    behind = len(own) - own[::-1].index(True) if any(own) else 0
    return [one for one in dict.fromkeys(order[behind:]) if isinstance(one, _DropoutNd) and id(one) not in inside]


def _blocks(module: torch.nn.Module) -> list[torch.nn.Module]:
    try:
        return list(blocks_of(module).values())
    except CheckpointError:
        return []
