"""What all image backbones share: preparing images, pooling layers, and reading features at places in an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch

from hf_transfer_score.backbones.base import ALL, BEFORE_HEAD, LAST, MEAN, BackboneOptions, BatchOutput
from hf_transfer_score.backbones.image_sizes import check_runs, network_arguments
from hf_transfer_score.backbones.loading import LoadedModel
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Example, Pixels, Task

if TYPE_CHECKING:
    from PIL.Image import Image

CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")


class Layer(NamedTuple):
    """The output of a layer: special tokens (B, P, C), None without any, and a feature map (B, C, H, W)."""

    tokens: torch.Tensor | None
    places: torch.Tensor


@dataclass
class ImageOutput:
    """A model's output for a batch of images.

    Default features are pooled (B, D), unless layers were asked for instead: "last", after the final norm, or all by
    their numbers. Logits (B, S) are those of the checkpoint's own classes, if it has a head.
    """

    pooled: torch.Tensor | None = None
    layers: dict[str, Layer] = field(default_factory=dict)
    logits: torch.Tensor | None = None


class Reader(Protocol):
    """How to read a model of some library."""

    module: torch.nn.Module
    heads: Sequence[torch.nn.Module]  # the modules that are its head
    name: str  # the architecture, for messages
    layer_pooling: str  # "cls" or "mean": how single layers are pooled by default
    default_pooling: str  # a description of how the default features are pooled
    classes: int  # exclusive classes of the head, 0 without one

    def special_tokens(self, states: torch.Tensor, pixels: torch.Tensor) -> int:
        """Return how many of a block's tokens (B, T, C) are class tokens and the like, not places of an image."""

    def pooled(self, inputs: Mapping[str, torch.Tensor]) -> ImageOutput:
        """Run the model for its default features."""

    def last(self, inputs: Mapping[str, torch.Tensor]) -> ImageOutput:
        """Run the model for its last layer, after the final norm."""

    def layers(self, inputs: Mapping[str, torch.Tensor]) -> ImageOutput:
        """Run the model for the default features and all layers by number."""


class Item(NamedTuple):
    """One image ready for a model: its inputs by name, and the labelled places in it, None for whole images."""

    inputs: dict[str, torch.Tensor]
    places: torch.Tensor | None


@dataclass(frozen=True)
class Preparation:
    """How images become inputs.

    Where `prepare` leaves pixels as bytes, these are normalised on the device, by the mean and std of each channel.
    """

    prepare: Callable[[list[Image]], list[dict[str, torch.Tensor]]]  # to the inputs of each, on the CPU, without state
    details: Mapping[str, Any]  # as plain values
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: str = "RGB"  # or "L", the mode that images are converted to

    def normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return normalised pixels (B, C, H, W), on their device."""
        if self.mean is None or pixels.dtype != torch.uint8:
            return pixels
        mean = torch.tensor(self.mean, device=pixels.device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(-1, 1, 1)
        return pixels.float().div_(255).sub_(mean).div_(std)


class ImageBackbone:
    """An image checkpoint of any library."""

    def __init__(self, reader: Reader, preparation: Preparation, task: Task, options: BackboneOptions) -> None:
        if options.pooling == "last":
            raise CheckpointError("unsupported", 'takes images, and pooling="last" is for texts; use auto, cls or mean')
        self.reader, self.preparation, self.options = reader, preparation, options
        self.module = reader.module
        self.source_heads = reader.heads
        self.by_place = task.unit == "pixel"
        self.source_classes = 0 if self.by_place else reader.classes
        pooling = options.pooling
        if self.by_place:
            pooling = "bilinear interpolation at each place"
        elif pooling == "auto":
            pooling = reader.default_pooling if options.layer == LAST else reader.layer_pooling
        self.details: Mapping[str, Any] = {
            "architecture": reader.name,
            "pooling": pooling,
            "layer": options.layer,
            "preprocessing": dict(preparation.details),
            **({} if options.image_size is None else {"image_size": options.image_size}),
        }
        if options.image_size is not None:
            check_runs(self, options.image_size, task)

    def encode(self, examples: Sequence[Example]) -> list[Item]:
        """Return resized images as tensors."""
        images: list[Any] = [one.image if isinstance(one, Pixels) else one for one in examples]
        mode = self.preparation.channels
        inputs = self.preparation.prepare([one if one.mode == mode else one.convert(mode) for one in images])
        places = [torch.as_tensor(one.positions) if isinstance(one, Pixels) else None for one in examples]
        return [Item(*pair) for pair in zip(inputs, places, strict=True)]

    def length(self, item: Item) -> int:
        """Return 1: all images have one size."""
        return 1

    def collate(self, items: Sequence[Item]) -> dict[str, Any]:
        """Return the stacked inputs, and all places with the numbers of their images."""
        batch: dict[str, Any] = {name: torch.stack([item.inputs[name] for item in items]) for name in items[0].inputs}
        if self.by_place:
            places = [torch.zeros(0, 2) if item.places is None else item.places for item in items]
            counts = torch.tensor([len(one) for one in places])
            batch["places"] = torch.cat(places)
            batch["image_of_place"] = torch.repeat_interleave(torch.arange(len(items)), counts)
        return batch

    def forward(self, batch: Mapping[str, Any]) -> BatchOutput:
        """Run the model once."""
        inputs = {name: value for name, value in batch.items() if name not in ("places", "image_of_place")}
        inputs["pixel_values"] = self.preparation.normalised(inputs["pixel_values"])
        if self.options.layer != LAST:
            seen = self.reader.layers(inputs)
            features = self._chosen(seen, batch)
        elif self.options.pooling == "auto" and not self.by_place:
            seen = self.reader.pooled(inputs)
            assert seen.pooled is not None
            features = {LAST: seen.pooled}
        else:
            seen = self.reader.last(inputs)
            features = {LAST: self._reduced(seen.layers[LAST], batch)}
        has_head = seen.logits is not None and self.source_classes
        return BatchOutput(features, seen.logits.float().softmax(-1) if has_head else None)  # type: ignore[union-attr]

    def pool_tokens(self, states: torch.Tensor, batch: Mapping[str, Any]) -> torch.Tensor:
        """Return one row per image (B, C) from a block's tokens (B, T, C), pooled as single layers are."""
        special = self.reader.special_tokens(states, batch["pixel_values"])
        places = states[:, special:].transpose(1, 2)[..., None]
        layer = Layer(states[:, :special] if special else None, places)
        how = self.reader.layer_pooling if self.options.pooling == "auto" else self.options.pooling
        return pool(layer, "mean" if how == "cls" and not special else how, self.reader.name)

    def _chosen(self, seen: ImageOutput, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        wanted = self.options.layer
        if wanted in (ALL, MEAN):
            rows = {name: self._reduced(layer, batch) for name, layer in seen.layers.items()}
            widths = [value.shape[1] for value in rows.values()]
            if wanted == MEAN and len(set(widths)) > 1:
                raise CheckpointError(
                    "unsupported",
                    f"has layers of different widths ({', '.join(map(str, widths))}), which have no mean; "
                    "choose the last layer, all, or one by its number",
                )
            return rows if wanted == ALL else {MEAN: torch.stack(list(rows.values())).mean(0)}
        if str(wanted) not in seen.layers:
            numbers = list(seen.layers)
            raise CheckpointError(
                "unsupported", f"has the layers {numbers[0]} to {numbers[-1]}, and layer {wanted} was asked for"
            )
        return {str(wanted): self._reduced(seen.layers[str(wanted)], batch)}

    def _reduced(self, layer: Layer, batch: Mapping[str, Any]) -> torch.Tensor:
        if self.by_place:
            return at_places(layer.places, batch["image_of_place"], batch["places"])
        how = self.options.pooling
        if how == "auto":
            how = "mean" if layer.tokens is None else self.reader.layer_pooling
        return pool(layer, how, self.reader.name)


def pool(layer: Layer, how: str, name: str) -> torch.Tensor:
    """Return one row per image (B, C): the class token ("cls"), or the "mean" or "max" over all places."""
    if how == "cls":
        if layer.tokens is None or layer.tokens.shape[1] == 0:
            raise CheckpointError("unsupported", f'has no class token ({name}), so pooling="cls" has no meaning')
        return layer.tokens[:, 0]
    return layer.places.amax((2, 3)) if how == "max" else layer.places.mean((2, 3))


def at_places(maps: torch.Tensor, image: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return features (n, C) at places of feature maps, by bilinear interpolation; the border is extended outwards.

    Places are down and across (n, 2) in [0, 1), on the map of `image` (n,); the centre of a map's first cell is at (0.5
    / H, 0.5 / W).
    """
    cells = maps.permute(0, 2, 3, 1)
    size = torch.tensor(cells.shape[1:3], device=places.device)
    exact = torch.minimum((places.float() * size - 0.5).clamp(min=0), size - 1)
    low = exact.floor().long()
    high = torch.minimum(low + 1, size - 1)
    down, across = (exact - low).to(maps.dtype).unsqueeze(-1).unbind(1)
    top = cells[image, low[:, 0], low[:, 1]].lerp(cells[image, low[:, 0], high[:, 1]], across)
    bottom = cells[image, high[:, 0], low[:, 1]].lerp(cells[image, high[:, 0], high[:, 1]], across)
    return top.lerp(bottom, down)


class VisionReader:
    """An image model of transformers, with its head or without.

    Hooks remember the body's output and the head's input; only one batch at a time is in `forward`.
    """

    def __init__(self, loaded: LoadedModel, *, with_head: bool, image_size: int | None = None) -> None:
        self.module: Any = loaded.model
        self._arguments = {} if image_size is None else network_arguments(loaded.model, image_size)
        self.name = type(loaded.model).__name__
        config = self.module.config
        self.has_class_token = any(name.endswith(CLASS_TOKENS) for name, _ in self.module.named_parameters())
        by_mean = bool(getattr(config, "use_mean_pooling", False))  # BEiT and data2vec have a class token too
        self.layer_pooling = "cls" if self.has_class_token and not by_mean else "mean"
        self.heads: Sequence[torch.nn.Module] = _heads(self.module) if with_head else []
        # neither a pooler with random weights is read, nor a dense layer from pretraining, which no head uses
        random = any("pooler." in name for name in loaded.missing)
        self.trusts_pooler = not random and not hasattr(getattr(self.module, "pooler", None), "dense")
        self.default_pooling = "class token" if self.has_class_token else "mean"
        if self.heads:
            self.default_pooling = BEFORE_HEAD
        elif self.trusts_pooler:
            self.default_pooling = f"the model's own pooling, else the {self.default_pooling}"
        several = getattr(config, "problem_type", None) in ("multi_label_classification", "regression")
        self.classes = int(config.num_labels) if with_head and not several and config.num_labels > 1 else 0
        self._entered: list[torch.Tensor] = []
        self._body: Any = None
        for head in self.heads:
            head.register_forward_pre_hook(lambda _head, inputs: self._entered.append(inputs[0]))
        if with_head:
            body(self.module, self.heads).register_forward_hook(self._remember_body)

    def _remember_body(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        self._body = output

    def special_tokens(self, states: torch.Tensor, pixels: torch.Tensor) -> int:
        """Return how many of a block's tokens (B, T, C) are class tokens and the like."""
        try:
            down, across = self._grid(states.shape[1], *pixels.shape[-2:])
        except CheckpointError:
            return int(self.has_class_token)
        return int(states.shape[1] - down * across)

    def pooled(self, inputs: Mapping[str, torch.Tensor]) -> ImageOutput:
        """Run the model for its default features."""
        return self._run(inputs, hidden=False)[0]

    def last(self, inputs: Mapping[str, torch.Tensor]) -> ImageOutput:
        """Run the model for its last layer, after the final norm."""
        seen, output = self._run(inputs, hidden=False)
        seen.layers = {LAST: self._layer(output.last_hidden_state, inputs)}
        return seen

    def layers(self, inputs: Mapping[str, torch.Tensor]) -> ImageOutput:
        """Run the model for all layers by number, from 0, the embeddings."""
        seen, output = self._run(inputs, hidden=True)
        if not output.hidden_states:
            raise CheckpointError("unsupported", f"is a {self.name}, whose layers transformers does not show")
        found = getattr(output, "reshaped_hidden_states", None) or output.hidden_states
        if self.module.config.model_type == "hiera":  # the only one with channels last
            found = [state.permute(0, 3, 1, 2) for state in found]
        seen.layers = {str(number): self._layer(state, inputs) for number, state in enumerate(found)}
        return seen

    def _run(self, inputs: Mapping[str, torch.Tensor], *, hidden: bool) -> tuple[ImageOutput, Any]:
        self._entered.clear()
        more: dict[str, Any] = {**self._arguments, **({"output_hidden_states": True} if hidden else {})}
        if self.module.config.model_type == "vit_mae":
            # a masked autoencoder shuffles its patches by noise: ascending noise keeps their order
            pixels, patch = inputs["pixel_values"], self.module.config.patch_size
            count = (pixels.shape[-2] // patch) * (pixels.shape[-1] // patch)
            more["noise"] = torch.linspace(0, 1, count, device=pixels.device).expand(len(pixels), -1)
        output = self.module(**inputs, **more, return_dict=True)
        if not self.heads:
            return ImageOutput(self._pooled(output, inputs)), output
        rows = torch.stack([_row(one, self.name) for one in self._entered]).mean(0)
        body, self._body = self._body, None
        self._entered.clear()
        return ImageOutput(rows, logits=output.logits), output if hidden else body

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
            "unsupported", f"is a {self.name} of {tokens} tokens, which form no grid for {height}x{width} pixels"
        )


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


def _row(entered: torch.Tensor, name: str) -> torch.Tensor:
    row = entered.flatten(1) if entered.ndim == 4 else entered
    row = row[:, 0] if row.ndim == 3 and row.shape[1] == 1 else row
    if row.ndim != 2:
        raise CheckpointError("unsupported", f"has a head ({name}) that takes {tuple(entered.shape)}, not one row")
    return row
