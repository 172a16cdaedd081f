"""Image checkpoints of timm: every architecture, with the checkpoint's own preprocessing.

Features are the pre-logits, `forward_head(forward_features(x), pre_logits=True)`: the input of the classifier. Layers
are those of `forward_intermediates`, numbered from 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_transfer_score.backbones import loading
from hf_transfer_score.backbones.base import LAST, BackboneKind, BackboneOptions
from hf_transfer_score.backbones.budgets import check_asked, check_skeleton
from hf_transfer_score.backbones.image_sizes import not_taken, timm_arguments
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Task

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from hf_transfer_score.backbones.images import ImageBackbone, ImageOutput, Layer, Preparation


def claims(repository: Repository) -> bool:
    """Whether config.json is timm's, or that of transformers' wrapper around timm, which keeps timm's keys."""
    config = repository.config
    return isinstance(config.get("architecture"), str) and ("pretrained_cfg" in config or "model_type" not in config)


def files(repository: Repository, options: BackboneOptions) -> list[str]:
    """Return the weights and the configuration."""
    weights = repository.weights(allow_pickle=options.allow_pickle)
    _check_weights(weights)
    return [*weights, "config.json"]


def load(folder: Path, task: Task, options: BackboneOptions) -> ImageBackbone:
    """Return a backbone from a folder with a checkpoint of timm."""
    from hf_transfer_score.backbones.images import ImageBackbone

    config = loading.read_json(folder)
    _check_weights(Repository.from_folder(folder).weights(allow_pickle=options.allow_pickle))
    check_asked("config.json", config, len(loading.weight_shapes(folder)))
    model = _model(folder, options.image_size)
    return ImageBackbone(TimmReader(model, config), preparation(model, task, options.image_size), task, options)


def _check_weights(files: list[str]) -> None:
    """Refuse weights in parts: timm reads a single file, and would look for others."""
    if files[0] not in ("model.safetensors", "pytorch_model.bin"):
        raise CheckpointError("unsupported", f"has its weights in parts ({files[0]}), which timm does not put together")


def _model(folder: Path, pixels: int | None) -> torch.nn.Module:
    import timm
    import torch

    def untrained() -> torch.nn.Module:
        return timm.create_model(f"local-dir:{folder}", pretrained=False)

    shapes = loading.weight_shapes(folder)
    with loading.quietly(), loading.loading_errors("timm"):
        check_skeleton(untrained, shapes)
        more: dict[str, Any] = {}
        if pixels is not None:
            with torch.random.fork_rng(devices=[]), torch.device("meta"):
                more = timm_arguments(untrained(), pixels)
        try:
            model: torch.nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True, **more)
        except (RuntimeError, AssertionError) as error:
            missing = re.search(r"Missing key\(s\) in state_dict: (.*?)\. *(?:\n|$)", str(error))
            if missing is None and pixels is not None and more:  # such as a mixer, whose weights fit only one size
                raise not_taken(pixels, loading.one_line(error)) from error
            if missing is None:
                raise
            total = len(untrained().state_dict())
            raise loading.lacking_weights(re.findall(r'"([^"]+)"', missing[1]), total) from error
    _require_weights(model, shapes)
    return model.float().eval()


def _require_weights(model: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    # timm loads some families without strictness, and silently drops a head of another width
    values = dict(model.named_parameters())
    names = {*model.state_dict()}
    if not set(shapes) <= names:  # the authors' names, which timm renames and then loads strictly
        return
    heads = model.pretrained_cfg.get("classifier") or ()
    heads = tuple(f"{name}." for name in ([heads] if isinstance(heads, str) else heads))
    lacking = set(values) - set(shapes) if shapes else set()
    lacking |= {
        name for name in set(values) & set(shapes) if name.startswith(heads) and shapes[name] != values[name].shape
    }
    if lacking:
        raise loading.lacking_weights(lacking, len(names))


def preparation(model: torch.nn.Module, task: Task, pixels: int | None) -> Preparation:
    """Return a timm model's preprocessing, at its own size or another one in pixels."""
    import timm.data

    from hf_transfer_score.backbones.images import Preparation

    config = timm.data.resolve_model_data_config(model)
    if pixels is not None:
        config["input_size"] = (config["input_size"][0], pixels, pixels)
    channels = {1: "L", 3: "RGB"}.get(config["input_size"][0])
    if channels is None:
        raise CheckpointError("unsupported", f"takes images of {config['input_size'][0]} channels, not of 3 or 1")
    if task.unit == "pixel":  # nothing is cropped, so that places stay where they are
        config |= {"crop_mode": "squash", "crop_pct": 1.0}
    transform = timm.data.create_transform(**config, is_training=False, normalize=False)

    def prepare(images: list[Image]) -> list[dict[str, torch.Tensor]]:
        return [{"pixel_values": transform(image)} for image in images]

    details = {name: list(value) if isinstance(value, tuple) else value for name, value in config.items()}
    return Preparation(prepare, details, tuple(config["mean"]), tuple(config["std"]), channels)


class TimmReader:
    """A model of timm."""

    def __init__(self, model: torch.nn.Module, config: Mapping[str, Any]) -> None:
        self.module: Any = model
        self.name = str(config["architecture"])
        self.layer_pooling = "cls" if getattr(model, "global_pool", None) == "token" else "mean"
        self.default_pooling = "pre-logits"
        self.classes = own_classes(model, config)
        head = model.get_classifier() if hasattr(model, "get_classifier") else None
        heads = head if isinstance(head, (tuple, list)) else [head]  # distilled networks have two
        self.heads: Sequence[torch.nn.Module] = [one for one in heads if hasattr(one, "parameters")]

    def special_tokens(self, states: torch.Tensor, pixels: torch.Tensor) -> int:
        """Return how many of a block's tokens (B, T, C) are class tokens and the like."""
        special = int(getattr(self.module, "num_prefix_tokens", 0) or 0)
        return special if states.shape[1] > special else 0

    def pooled(self, inputs: Mapping[str, torch.Tensor]) -> ImageOutput:
        """Run the model for its pre-logits."""
        return self._headed(self.module.forward_features(inputs["pixel_values"]))

    def last(self, inputs: Mapping[str, torch.Tensor]) -> ImageOutput:
        """Run the model for its last layer, after the final norm where timm shows that."""
        final, layers = self._intermediates(inputs["pixel_values"], indices=1, norm=True)
        seen = self._headed(final)
        seen.layers = {LAST: layers[-1]}
        return seen

    def layers(self, inputs: Mapping[str, torch.Tensor]) -> ImageOutput:
        """Run the model for the pre-logits and all layers by number, from 1."""
        final, layers = self._intermediates(inputs["pixel_values"], indices=None, norm=False)
        seen = self._headed(final)
        seen.layers = {str(number): layer for number, layer in enumerate(layers, 1)}
        return seen

    def _headed(self, final: Any) -> ImageOutput:
        from hf_transfer_score.backbones.images import ImageOutput

        rows = self.module.forward_head(final, pre_logits=True)
        if not hasattr(rows, "ndim") or rows.ndim not in (2, 4):
            raise CheckpointError("unsupported", f"has pre-logits that are not one row per image ({self.name})")
        rows = rows.mean((2, 3)) if rows.ndim == 4 else rows
        return ImageOutput(rows, logits=self.module.forward_head(final) if self.classes else None)

    def _intermediates(self, pixels: torch.Tensor, *, indices: int | None, norm: bool) -> tuple[Any, list[Layer]]:
        import inspect

        from hf_transfer_score.backbones.images import Layer

        if not hasattr(self.module, "forward_intermediates"):
            raise CheckpointError(
                "unsupported", f"is a {self.name}, whose layers timm does not show; leave pooling and layer as they are"
            )
        takes = inspect.signature(self.module.forward_intermediates).parameters
        special = getattr(self.module, "num_prefix_tokens", 0) and "return_prefix_tokens" in takes
        more = {"return_prefix_tokens": True} if special else {}
        try:
            final, found = self.module.forward_intermediates(
                pixels, indices=indices, norm=norm, output_fmt="NCHW", **more
            )
        except AssertionError as error:  # some architectures have no norm to show
            if norm:
                return self._intermediates(pixels, indices=indices, norm=False)
            raise CheckpointError(
                "unsupported", f"is a {self.name}, whose layers timm does not show: {error}"
            ) from error
        return final, [Layer(one[1], one[0]) if isinstance(one, tuple) else Layer(None, one) for one in found]


def own_classes(model: Any, config: Mapping[str, Any]) -> int:
    """Return how many classes the head distinguishes; 0 without a head, for independent labels, and for a projection.

    The image towers of CLIP are published with their projection as the head, which has no classes: they have the width
    that timm lists for them and no label names, and are not fine-tuned.
    """
    about = config.get("pretrained_cfg") or {}
    kinds = {str(place.get(key, "")) for place in (config, about) for key in ("problem_type", "activation")}
    if kinds & {"multi_label_classification", "regression", "sigmoid"} or model.num_classes < 2:
        return 0
    named = config.get("label_names") or about.get("label_names") or about.get("labels")
    name, tag = str(config["architecture"]), str(about.get("tag") or "")
    if not named and "clip" in name + tag and "ft_in" not in tag:
        import timm

        listed = timm.get_pretrained_cfg(f"{name}.{tag}" if tag else name)
        if listed is not None and listed.num_classes == model.num_classes:
            return 0
    return int(model.num_classes)


KIND = BackboneKind("timm_images", "image", claims, files, load, priority=1, library="timm")
