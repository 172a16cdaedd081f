"""A backbone with a new linear head, the part of it that is trained, and the blocks of a network in order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from hf_transfer_score.backbones.base import Backbone
from hf_transfer_score.errors import CheckpointError

CONTAINERS = (torch.nn.Sequential, torch.nn.ModuleList)
LEAST_SHARE = 0.5
"""A module's own sequences contain its blocks if they have this share of all parameters in sequences inside it."""


def blocks_of(module: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """Return the blocks of a network by name, from the input to the output.

    Blocks are the elements of its sequences: residual blocks, encoder layers; stages are opened. In a network without
    such sequences they are its children that have children. Raises CheckpointError for fewer than two.
    """
    found = dict(_descend(module, ""))
    composite = {name: block for name, block in found.items() if _has_children(block)}
    chosen = composite if len(composite) > 1 else found
    if len(chosen) < 2:
        chosen = {name: one for name, one in module.named_children() if _size(one) and _has_children(one)}
    if len(chosen) < 2:
        raise CheckpointError(
            "unsupported", f"is a {type(module).__name__}, in which no sequence of blocks was found; use another method"
        )
    return chosen


def _descend(module: torch.nn.Module, name: str) -> Iterator[tuple[str, torch.nn.Module]]:
    """Yield the blocks of a module's own sequences, or else of its largest child."""
    if isinstance(module, CONTAINERS):
        yield from _opened(module, name)
        return
    children = {_joined(name, key): child for key, child in module.named_children() if _size(child)}
    sequences = {key: child for key, child in children.items() if isinstance(child, CONTAINERS)}
    inside = _size_in_sequences(module)  # without embeddings, which can be larger than all blocks
    if sequences and sum(map(_size, sequences.values())) >= LEAST_SHARE * inside:
        for key, child in sequences.items():
            yield from _opened(child, key)
    elif inside:
        largest = max(children, key=lambda key: _size_in_sequences(children[key]))
        yield from _descend(children[largest], largest)


def _opened(sequence: torch.nn.Module, name: str) -> Iterator[tuple[str, torch.nn.Module]]:
    for key, child in sequence.named_children():
        full = _joined(name, key)
        if isinstance(child, CONTAINERS):
            yield from _opened(child, full)
        elif "stage" in type(child).__name__.lower() and any(isinstance(one, CONTAINERS) for one in child.children()):
            yield from _descend(child, full)
        elif _size(child):
            yield full, child


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _has_children(module: torch.nn.Module) -> bool:
    return next(module.children(), None) is not None


def _size(module: torch.nn.Module) -> int:
    return sum(one.numel() for one in module.parameters())


def _size_in_sequences(module: torch.nn.Module) -> int:
    """Return how many parameters are in sequences anywhere inside a module."""
    if isinstance(module, CONTAINERS):
        return _size(module)
    return sum(map(_size_in_sequences, module.children()))


def pooled(output: Any, pool_tokens: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Return one row per example (B, C) from a block's output: the mean over places, or pooled tokens.

    Args:
        output: of a block, alone or first in a tuple: (B, C), (B, T, C), (B, C, H, W) or (B, H, W, C); the last two are
            distinguished by their equal sides.
        pool_tokens: pools tokens (B, T, C) to rows (B, C) as the network itself does: the class token, or the mean.
    """
    states = output[0] if isinstance(output, (tuple, list)) else output
    for name in ("last_hidden_state", "encoder_last_hidden_state"):  # the latter is used where there are both
        states = getattr(output, name, None) if getattr(output, name, None) is not None else states
    values = states.float()
    if values.ndim == 4:
        last = values.shape[1] == values.shape[2] != values.shape[3]
        return values.mean((1, 2)) if last else values.mean((2, 3))
    if values.ndim == 3:
        return pool_tokens(values)
    if values.ndim != 2:
        raise CheckpointError("unsupported", f"has a block whose output is {tuple(values.shape)}, not one row or map")
    return values


def to_width(rows: torch.Tensor, width: int, how: str) -> torch.Tensor:
    """Return rows (B, C) at another width (B, width): padded with zeros, or interpolated if asked for or too wide."""
    if rows.shape[1] == width:
        return rows
    if how == "pad" and rows.shape[1] < width:
        return torch.nn.functional.pad(rows, (0, width - rows.shape[1]))
    return torch.nn.functional.interpolate(rows[:, None], width, mode="linear", align_corners=False)[:, 0]


class Tap:
    """Remembers a block's outputs, and pools them to one row per example as its network does."""

    def __init__(self, block: torch.nn.Module, backbone: Backbone) -> None:
        self._outputs: list[Any] = []
        self._backbone = backbone
        self._handle = block.register_forward_hook(lambda _block, _inputs, output: self._outputs.append(output))

    def rows(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """Return the rows of the last forward pass, in the order of the batch, and forget them."""
        outputs, self._outputs = self._outputs, []
        groups = batch.get("groups")
        if not groups or len(groups) == 1 or len(outputs) != len(groups):
            return self._pooled(outputs[-1], batch)
        lengths = {name: batch[name] for name in ("lengths", "real") if name in batch}  # to ignore padding
        parts = []
        for output, group in zip(outputs, groups, strict=True):
            some = {name: value[torch.as_tensor(group, device=value.device)] for name, value in lengths.items()}
            parts.append(self._pooled(output, some))
        order = torch.as_tensor([row for group in groups for row in group], device=parts[0].device).argsort()
        return torch.cat(parts)[order]

    def _pooled(self, output: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        own = getattr(self._backbone, "pool_tokens", None)  # other packages' kinds may have none
        return pooled(output, lambda states: states.mean(1) if own is None else own(states, batch))

    def forget(self) -> None:
        """Drop the outputs of the last forward pass."""
        self._outputs = []

    def __enter__(self) -> "Tap":
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()


class Classifier:
    """A backbone, and a linear head on its features, which are first shifted and scaled by fixed numbers.

    A skip connection adds the pooled output of a block to the features; `skip` also says how to match their width.
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
        """Return the head's logits for each example (B, K)."""
        rows = (self.features(batch) - self.centre) / self.scale
        logits: torch.Tensor = self.head(rows)
        return logits

    def add_head(self, rows: torch.Tensor, classes: int) -> None:
        """Make the head, with its centre and scale from these features (N, D)."""
        rows = rows.detach().float().to(self.device)
        if not bool(torch.isfinite(rows).all()):
            raise CheckpointError("non_finite", "gives features that are not finite; its weights may be damaged")
        centre = rows.mean(0)
        self.add_head_at(centre, (rows - centre).square().mean().sqrt().clamp(min=1e-8), classes)

    def add_head_at(self, centre: torch.Tensor, scale: torch.Tensor, classes: int) -> None:
        """Make the head, with weights of zero, for features with a known centre (D,) and scale ()."""
        self.centre, self.scale = centre.to(self.device), scale.to(self.device)
        self.head = torch.nn.Linear(len(centre), classes).to(self.device)
        for weight in self.head.parameters():
            torch.nn.init.zeros_(weight)

    def reached(self, batch: Mapping[str, Any]) -> dict[str, torch.nn.Parameter]:
        """Return the parameters that features depend on, and note the dropout that comes after them."""
        found = self.on_path(batch)
        self.silent = source_dropouts(self.backbone.module, lambda: self.features(batch), set(map(id, found.values())))
        return found

    def on_path(self, batch: Mapping[str, Any]) -> dict[str, torch.nn.Parameter]:
        """Return the parameters that get a gradient from the features."""
        module = self.backbone.module
        module.zero_grad(set_to_none=True)
        with torch.enable_grad():
            self.features(batch).sum().backward()
        found = {name: value for name, value in module.named_parameters() if value.grad is not None}
        module.zero_grad(set_to_none=True)
        return found


class Trained:
    """The part of a classifier's backbone that is trained, or None; the rest is frozen.

    Dropout between the features and the checkpoint's own head stays in evaluation mode. If adapters are given, they are
    trained instead of the part's own weights.
    """

    def __init__(
        self,
        classifier: Classifier,
        reached: Mapping[str, torch.nn.Parameter],
        part: torch.nn.Module | None,
        adapters: Mapping[str, torch.nn.Parameter] | None = None,
    ) -> None:
        own = set() if part is None else {id(one) for one in part.parameters()}
        self.classifier, self.part, self.adapters = classifier, part, adapters
        self.weights = [value for value in reached.values() if id(value) in own]
        if adapters is not None:
            self.weights = list(adapters.values())
        self.silent = classifier.silent
        leave_own_training(classifier.backbone.module)
        for value in classifier.backbone.module.parameters():
            value.requires_grad_(False)
        for value in self.weights:
            value.requires_grad_(True)

    @property
    def count(self) -> int:
        """The number of trained parameters, including the head."""
        return sum(one.numel() for one in (*self.weights, *self.classifier.head.parameters()))

    def train(self) -> None:
        """Set the trained part to training mode, but for its batch norms, which keep the checkpoint's statistics.

        Those of a batch of few images differ so much that a network learns less by them than a probe on its features.
        """
        self.classifier.backbone.module.eval()
        if self.part is not None:
            self.part.train()
            for module in self.part.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        for module in self.silent:
            module.eval()

    def state(self) -> dict[str, torch.Tensor]:
        """Return a copy of everything that training changes."""
        found = {f"head.{name}": value for name, value in self.classifier.head.state_dict().items()}
        if self.adapters is not None:
            found |= {f"part.{name}": value for name, value in self.adapters.items()}
        elif self.part is not None:
            found |= {f"part.{name}": value for name, value in self.part.state_dict().items()}
        return {name: value.detach().clone() for name, value in found.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore a copied state."""
        own = {name.removeprefix("head."): value for name, value in state.items() if name.startswith("head.")}
        self.classifier.head.load_state_dict(own)
        rest = {name.removeprefix("part."): value for name, value in state.items() if name.startswith("part.")}
        if self.adapters is not None:
            with torch.no_grad():
                for name, value in self.adapters.items():
                    value.copy_(rest[name])
        elif self.part is not None:
            self.part.load_state_dict(rest)


def leave_own_training(module: torch.nn.Module) -> None:
    """Turn off settings of a checkpoint's own training that do not suit fine-tuning.

    Speech models mask parts of their input by NumPy's global generator, so that a seed would not repeat a measurement,
    and refuse sounds shorter than a mask (0.2 seconds).
    """
    for one in module.modules():
        config: Any = getattr(one, "config", None)
        if getattr(config, "apply_spec_augment", False):
            config.apply_spec_augment = False


def source_dropouts(module: torch.nn.Module, run: Callable[[], object], reached: set[int]) -> list[torch.nn.Module]:
    """Return the dropout between the features of a network and its own head, which was tuned for that head.

    It runs after all modules with a parameter that features depend on, and outside of blocks. Dropout that timm applies
    without a module is turned off.
    """
    if getattr(module, "drop_rate", None) and hasattr(module, "pretrained_cfg"):
        module.drop_rate = 0.0
    order: list[torch.nn.Module] = []

    def ran(module: torch.nn.Module, *_: object) -> None:
        order.append(module)

    hooks = [
        one.register_forward_pre_hook(ran) if _has_children(one) else one.register_forward_hook(ran)
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
    first = len(own) - own[::-1].index(True) if any(own) else 0
    return [one for one in dict.fromkeys(order[first:]) if isinstance(one, _DropoutNd) and id(one) not in inside]
