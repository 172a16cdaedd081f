"""Reading features, layers and logits off an image model of transformers in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from hf_transfer_score.backbones.base import LAST
from hf_transfer_score.backbones.images import Layer, Seen
from hf_transfer_score.backbones.loading import LoadedModel
from hf_transfer_score.errors import CheckpointError

CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")


class VisionReader:
    """An image model of transformers, with its head or without.

    Hooks remember what passes the body and the head; one batch at a time is in `forward`.
    """

    def __init__(self, loaded: LoadedModel, *, with_head: bool) -> None:
        self.module: Any = loaded.model
        self.name = type(loaded.model).__name__
        self.has_class_token = any(name.endswith(CLASS_TOKENS) for name, _ in self.module.named_parameters())
        self.layer_pooling = "cls" if self.has_class_token and not _leaves_class_token(self.module.config) else "mean"
        self.heads: Sequence[torch.nn.Module] = _heads(self.module) if with_head else []
        self.trusts_pooler = _trusts_pooler(loaded)
        self.default_pooling = self._described()
        self.classes = _exclusive_classes(self.module.config) if with_head else 0
        self._entered: list[torch.Tensor] = []
        self._body: Any = None
        for head in self.heads:
            head.register_forward_pre_hook(self._remember_entered)
        if with_head:
            body(self.module, self.heads).register_forward_hook(self._remember_body)

    def _described(self) -> str:
        if self.heads:
            return "what the classification head sees"
        if self.trusts_pooler:
            return f"the model's own pooling, else {'the class token' if self.has_class_token else 'the mean'}"
        return "class token" if self.has_class_token else "mean"

    def _remember_entered(self, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self._entered.append(inputs[0])

    def _remember_body(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        self._body = output

    def special_tokens(self, states: torch.Tensor, pixels: torch.Tensor) -> int:
        """Return how many of the tokens (B, T, C) that a block gives are class tokens and the like."""
        try:
            down, across = self._grid(states.shape[1], *pixels.shape[-2:])
        except CheckpointError:
            return int(self.has_class_token)
        return int(states.shape[1] - down * across)

    def pooled(self, inputs: Mapping[str, torch.Tensor]) -> Seen:
        """Run the model for its default features."""
        return self._seen(inputs, hidden=False)[0]

    def last(self, inputs: Mapping[str, torch.Tensor]) -> Seen:
        """Run the model for its last layer, behind the final norm."""
        seen, output = self._seen(inputs, hidden=False)
        seen.layers = {LAST: self._layer(output.last_hidden_state, inputs)}
        return seen

    def layers(self, inputs: Mapping[str, torch.Tensor]) -> Seen:
        """Run the model for all layers by number, from 0, the embeddings."""
        seen, output = self._seen(inputs, hidden=True)
        if not output.hidden_states:
            raise CheckpointError("unsupported", f"is a {self.name}, whose layers transformers does not show")
        found = getattr(output, "reshaped_hidden_states", None) or output.hidden_states
        if self.module.config.model_type == "hiera":  # alone in putting channels last
            found = [state.permute(0, 3, 1, 2) for state in found]
        seen.layers = {str(number): self._layer(state, inputs) for number, state in enumerate(found)}
        return seen

    def _seen(self, inputs: Mapping[str, torch.Tensor], *, hidden: bool) -> tuple[Seen, Any]:
        self._entered.clear()
        more = {"output_hidden_states": True} if hidden else {}
        output = self.module(**inputs, **more, **self._order(inputs), return_dict=True)
        if not self.heads:
            return Seen(self._pooled(output, inputs)), output
        rows = torch.stack([_row(one, self.name) for one in self._entered]).mean(0)
        body, self._body = self._body, None
        self._entered.clear()
        if hidden:
            body = output
        return Seen(rows, logits=output.logits), body

    def _order(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if self.module.config.model_type != "vit_mae":
            return {}
        # a masked autoencoder shuffles its patches by noise: ascending noise leaves them where they are
        pixels, patch = inputs["pixel_values"], self.module.config.patch_size
        count = (pixels.shape[-2] // patch) * (pixels.shape[-1] // patch)
        noise = torch.linspace(0, 1, count, device=pixels.device)
        return {"noise": noise.expand(len(pixels), -1)}

    def _pooled(self, output: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        own = getattr(output, "pooler_output", None)
        if self.trusts_pooler and own is not None:
            return own.flatten(1)
        state = output.last_hidden_state
        if state.ndim == 3 and self.has_class_token:
            return state[:, 0]
        return self._layer(state, inputs).places.mean((2, 3))

    def _layer(self, state: torch.Tensor, inputs: Mapping[str, torch.Tensor]) -> Layer:
        if state.ndim == 4:
            return Layer(None, state)
        pixels = inputs["pixel_values"]
        if pixels.ndim != 4:
            raise CheckpointError("unsupported", f"is a {self.name}, which cuts images into patches by itself")
        height, width = pixels.shape[-2:]
        down, across = self._grid(state.shape[1], height, width)
        special = state.shape[1] - down * across
        places = state[:, special:].transpose(1, 2).unflatten(2, (down, across))
        return Layer(state[:, :special] if self.has_class_token else None, places)

    def _grid(self, tokens: int, height: int, width: int) -> tuple[int, int]:
        config = self.module.config
        patch = getattr(getattr(config, "vision_config", config), "patch_size", None)
        if patch is not None:
            patches = patch if isinstance(patch, (tuple, list)) else (patch, patch)
            down, across = height // patches[0], width // patches[1]
            if 0 <= tokens - down * across <= 32:  # class and register tokens
                return down, across
        for special in (0, 1):  # stages of ever larger patches
            down = round(((tokens - special) * height / width) ** 0.5)
            across = round(down * width / height)
            if down * across == tokens - special:
                return down, across
        raise CheckpointError(
            "unsupported", f"is a {self.name} of {tokens} tokens, which make no grid for {height}x{width} pixels"
        )


def _leaves_class_token(config: Any) -> bool:
    """Whether a network has a class token and reads the mean over places all the same, as BEiT and data2vec can."""
    return bool(getattr(config, "use_mean_pooling", False))


def _trusts_pooler(loaded: LoadedModel) -> bool:
    pooler = getattr(loaded.model, "pooler", None)
    if any("pooler." in name for name in loaded.missing):
        return False  # its weights are random
    return not hasattr(pooler, "dense")  # a dense layer from pretraining, which no head of the architecture sees


def _heads(model: Any) -> list[torch.nn.Module]:
    base = getattr(model, model.base_model_prefix, None)
    inside = set(base.modules()) if isinstance(base, torch.nn.Module) else set()
    found = [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module.out_features == model.num_labels and module not in inside
    ]
    if not found:
        raise CheckpointError("unsupported", f"is a {type(model).__name__}, whose classification head was not found")
    return found


def body(model: Any, heads: Sequence[torch.nn.Module]) -> torch.nn.Module:
    """Return the part of a classifier before its heads."""
    named = getattr(model, model.base_model_prefix, None)
    if isinstance(named, torch.nn.Module):
        return named
    rest = [child for child in model.children() if not set(child.modules()) & set(heads)]
    return max(rest, key=lambda child: sum(value.numel() for value in child.parameters()))


def _exclusive_classes(config: Any) -> int:
    if getattr(config, "problem_type", None) in ("multi_label_classification", "regression"):
        return 0
    return int(config.num_labels) if config.num_labels > 1 else 0


def _row(entered: torch.Tensor, name: str) -> torch.Tensor:
    row = entered.flatten(1) if entered.ndim == 4 else entered
    row = row[:, 0] if row.ndim == 3 and row.shape[1] == 1 else row
    if row.ndim != 2:
        raise CheckpointError("unsupported", f"has a head ({name}) that sees {tuple(entered.shape)}, not one row")
    return row
