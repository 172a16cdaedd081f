"""A backbone with a new linear head, and what of it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from hf_transfer_score.backbones.base import Backbone
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.finetune.blocks import blocks_of, mean_of_tokens, pooled, to_width

MOMENTUM = 0.1
"""Of torch's own batch norms: the share of a batch in the moving statistics."""


class Tap:
    """Remembers what a block gives, pooled to one row per example as its network pools."""

    def __init__(self, block: torch.nn.Module, backbone: Backbone) -> None:
        self._outputs: list[Any] = []
        self._backbone = backbone
        self._handle = block.register_forward_hook(self._remember)

    def _remember(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        self._outputs.append(output)

    def rows(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """Return the rows of the last forward pass, in the order of the batch, and forget them."""
        outputs, self._outputs = self._outputs, []
        groups = batch.get("groups")
        if not groups or len(groups) == 1 or len(outputs) != len(groups):
            return self._pooled(outputs[-1], batch)
        told = {name: batch[name] for name in ("lengths", "real") if name in batch}  # padding from content
        parts = []
        for output, group in zip(outputs, groups, strict=True):
            some = {name: value[torch.as_tensor(group, device=value.device)] for name, value in told.items()}
            parts.append(self._pooled(output, some))
        order = torch.as_tensor([row for group in groups for row in group], device=parts[0].device).argsort()
        return torch.cat(parts)[order]

    def _pooled(self, output: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        own = getattr(self._backbone, "pool_tokens", None)  # a kind of somebody else's may have none
        return pooled(output, mean_of_tokens if own is None else lambda states: own(states, batch))

    def forget(self) -> None:
        """Drop what the last forward pass left."""
        self._outputs = []

    def remove(self) -> None:
        """Listen no longer."""
        self._handle.remove()


class Classifier:
    """A backbone, and a linear head on its features, which are shifted and scaled by two fixed numbers first.

    Attributes:
        backbone: a freshly loaded checkpoint.
        device: where it is.
        skip: the block whose pooled output is added to the features, and how it is brought to their width.
        head: the new classifier; made by `add_head`.
        silent: dropout between the features and the checkpoint's own head; found by `reached`.
    """

    def __init__(self, backbone: Backbone, device: torch.device) -> None:
        self.backbone, self.device = backbone, device
        self.skip: tuple[Tap, str] | None = None
        self.head = torch.nn.Linear(1, 1)
        self.silent: list[torch.nn.Module] = []
        self.centre, self.scale = torch.zeros(1), torch.ones(())
        backbone.module.eval().to(device)

    def batch(self, items: Sequence[Any]) -> dict[str, Any]:
        """Return collated items on the device."""
        return {
            name: value.to(self.device) if isinstance(value, torch.Tensor) else value
            for name, value in self.backbone.collate(items).items()
        }

    def features(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """Return one row per example (B, D), with the skip connection where there is one."""
        if self.skip is not None:
            self.skip[0].forget()
        layers = self.backbone.forward(batch).features
        if len(layers) != 1:
            raise CheckpointError("unsupported", f"was read at {len(layers)} layers, and fine-tuning takes one")
        rows = next(iter(layers.values())).float()
        if self.skip is None:
            return rows
        tap, how = self.skip
        return rows + to_width(tap.rows(batch), rows.shape[1], how)

    def logits(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """Return what the head says of each example (B, K)."""
        rows = (self.features(batch) - self.centre) / self.scale
        answers: torch.Tensor = self.head(rows)
        return answers

    def add_head(self, rows: torch.Tensor, classes: int) -> None:
        """Make the head for features like these (N, D), which decide centre and scale; its weights begin at zero."""
        rows = rows.detach().float().to(self.device)
        if not bool(torch.isfinite(rows).all()):
            raise CheckpointError("non_finite", "gives features that are not finite; its weights may be damaged")
        self.centre = rows.mean(0)
        self.scale = (rows - self.centre).square().mean().sqrt().clamp(min=1e-8)
        self.head = torch.nn.Linear(rows.shape[1], classes).to(self.device)
        for weight in self.head.parameters():
            torch.nn.init.zeros_(weight)

    def reached(self, batch: Mapping[str, Any]) -> dict[str, torch.nn.Parameter]:
        """Return the parameters that features depend on: not the checkpoint's own head, and nothing beside the path."""
        module = self.backbone.module
        module.zero_grad(set_to_none=True)
        with torch.enable_grad():
            self.features(batch).sum().backward()
        found = {name: value for name, value in module.named_parameters() if value.grad is not None}
        module.zero_grad(set_to_none=True)
        self.silent = source_dropouts(module, lambda: self.features(batch), set(map(id, found.values())))
        return found


class Trained:
    """Which part of a classifier is trained; the rest is frozen.

    Attributes:
        weights: the parameters of the backbone that are trained.
        part: the module that is in training mode then; None for none of the backbone.
        silent: modules in it that stay in evaluation mode: dropout between the features and the checkpoint's own head.
    """

    def __init__(
        self, classifier: Classifier, reached: Mapping[str, torch.nn.Parameter], part: torch.nn.Module | None
    ) -> None:
        own = set() if part is None else {id(one) for one in part.parameters()}
        self.classifier, self.part = classifier, part
        self.weights = [value for value in reached.values() if id(value) in own]
        self.silent = classifier.silent
        leave_own_training(classifier.backbone.module)
        for value in classifier.backbone.module.parameters():
            value.requires_grad_(False)
        for value in self.weights:
            value.requires_grad_(True)

    @property
    def count(self) -> int:
        """Numbers that are trained, the head included."""
        return sum(one.numel() for one in (*self.weights, *self.classifier.head.parameters()))

    def train(self) -> None:
        """Set what is trained to training mode: its dropout is at work and its batch norms follow the data."""
        self.classifier.backbone.module.eval()
        if self.part is not None:
            self.part.train()
        for module in self.silent:
            module.eval()

    def state(self) -> dict[str, torch.Tensor]:
        """Return a copy of all that training changes."""
        found = {f"head.{name}": value for name, value in self.classifier.head.state_dict().items()}
        if self.part is not None:
            found |= {f"part.{name}": value for name, value in self.part.state_dict().items()}
        return {name: value.detach().clone() for name, value in found.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Bring a copied state back."""
        own = {name.removeprefix("head."): value for name, value in state.items() if name.startswith("head.")}
        self.classifier.head.load_state_dict(own)
        if self.part is not None:
            rest = {name.removeprefix("part."): value for name, value in state.items() if name.startswith("part.")}
            self.part.load_state_dict(rest)


def leave_own_training(module: torch.nn.Module) -> None:
    """Turn off what of a checkpoint's own training is no part of fine-tuning it.

    Masks that speech models lay over their input are drawn from NumPy's global generator, so that a seed would not
    repeat a measurement, and sounds shorter than a mask (0.2 seconds) are refused. Batch norms follow the data as
    torch's do by default: some networks are configured with the momentum of another library, where it means the
    opposite (0.9997 in MobileNetV1), and torch then keeps nothing but the last batch. Averages over all batches there
    ever were do not move.
    """
    for one in module.modules():
        config: Any = getattr(one, "config", None)
        if getattr(config, "apply_spec_augment", False):
            config.apply_spec_augment = False
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
    blocks: dict[str, torch.nn.Module] = {}
    with suppress(CheckpointError):
        blocks = blocks_of(module)
    inside = {id(one) for block in blocks.values() for one in block.modules()}
    own = [any(id(value) in reached for value in one.parameters(recurse=False)) for one in order]
    behind = len(own) - own[::-1].index(True) if any(own) else 0
    return [one for one in dict.fromkeys(order[behind:]) if isinstance(one, _DropoutNd) and id(one) not in inside]
