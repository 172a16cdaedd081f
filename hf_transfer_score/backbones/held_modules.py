"""Modules in memory as backbones: those of timm with their own preprocessing, others with the transform passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_transfer_score.backbones.base import LAST, Backbone, BackboneKind, BackboneOptions, BatchOutput
from hf_transfer_score.backbones.held import MARK, InMemoryModel, model_of_fingerprint, without_own_hooks
from hf_transfer_score.backbones.loading import read_json
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Example, Task

if TYPE_CHECKING:
    import torch

NAMED = ("embeddings", "image_embeds", "text_embeds", "pooler_output", "sentence_embedding", "last_hidden_state")
"""Names of the features in an output that is not a tensor, in order of preference."""

LETTERS_OF_A_TOKEN = 4


def claims_images(repository: Repository) -> bool:
    """Whether a folder stands for a model in memory: of timm, or any module with a transform."""
    return isinstance(repository.config.get(MARK), str)


def claims_texts(repository: Repository) -> bool:
    """Whether a folder stands for a module in memory that may take texts."""
    return claims_images(repository) and repository.config.get("form") == "module"


def files(repository: Repository, options: BackboneOptions) -> list[str]:
    """Return the file that stands for the model."""
    return ["config.json"]


def load(folder: Path, task: Task, options: BackboneOptions) -> Backbone:
    """Return a backbone around a copy of the model."""
    held = model_of_fingerprint(str(read_json(folder).get(MARK)))
    if held.form == "timm":
        return _of_timm(held, task, options)
    if task.unit != "example" or options.pooling != "auto" or options.layer != LAST or options.image_size is not None:
        raise CheckpointError(
            "unsupported", "is a module with a transform: there is no layer, pooling or image_size to choose"
        )
    return ModuleBackbone(held, task)


def _of_timm(held: InMemoryModel, task: Task, options: BackboneOptions) -> Backbone:
    from hf_transfer_score.backbones.images import ImageBackbone, Preparation
    from hf_transfer_score.backbones.timm_images import TimmReader, preparation

    model = without_own_hooks(held.module)
    about = dict(held.module.pretrained_cfg or {})
    config = {"architecture": about.get("architecture") or type(held.module).__name__, "pretrained_cfg": about}
    if held.processor is None:
        prepared = preparation(model, task, options.image_size)
    else:
        prepared = Preparation(
            lambda images: [_of_image(held.processor(one)) for one in images], {"transform": "given"}
        )
    return ImageBackbone(TimmReader(model, config), prepared, task, options)


def _of_image(made: Any) -> dict[str, torch.Tensor]:
    """Return the output of an image's transform as a tensor (C, H, W) by name."""
    value = made["pixel_values"] if isinstance(made, Mapping) else made
    if not hasattr(value, "shape") or value.ndim not in (3, 4) or (value.ndim == 4 and len(value) != 1):
        shape = tuple(getattr(value, "shape", ())) or type(value).__name__
        raise CheckpointError("unsupported", f"has a transform that returns {shape} for an image, not (C, H, W)")
    import torch

    tensor = _single(torch.as_tensor(value))
    return {"pixel_values": tensor[0] if tensor.ndim == 4 else tensor}


def _single(tensor: Any) -> Any:
    """Return floats in single precision, in which the module runs: NumPy makes double ones."""
    return tensor.float() if tensor.is_floating_point() else tensor


class ModuleBackbone:
    """A copy of any module, with the transform that prepares its inputs.

    Images are transformed one by one into tensors (C, H, W). A list of texts is transformed into tensors by name, as a
    tokenizer does, or into one tensor.
    """

    def __init__(self, held: InMemoryModel, task: Task) -> None:
        self.module: torch.nn.Module = without_own_hooks(held.module)
        self.transform, self.name, self.images = held.processor, type(held.module).__name__, task.modality == "image"
        self.details: Mapping[str, Any] = {"pooling": "the module's own", "layer": LAST, "transform": "given"}
        self.source_classes = 0

    def encode(self, examples: Sequence[Example]) -> list[Any]:
        """Return images as tensors, and texts as they are."""
        return [_of_image(self.transform(one)) for one in examples] if self.images else list(examples)

    def length(self, item: Any) -> int:
        """Return about how many tokens a text has; images have one size."""
        return 1 if self.images else 1 + len(str(item)) // LETTERS_OF_A_TOKEN

    def collate(self, items: Sequence[Any]) -> dict[str, Any]:
        """Return stacked images, or transformed texts."""
        import torch

        if self.images:
            return {"pixel_values": torch.stack([one["pixel_values"] for one in items])}
        made = self.transform(list(items))
        return dict(made) if isinstance(made, Mapping) else {"input": _single(torch.as_tensor(made))}

    def forward(self, batch: Mapping[str, Any]) -> BatchOutput:
        """Run the module: one row per example."""
        single = batch.get("pixel_values") if self.images else batch.get("input")
        output = self.module(**batch) if single is None else self.module(single)
        rows, count = self._rows(output, batch.get("attention_mask")), len(next(iter(batch.values())))
        if len(rows) != count:
            raise CheckpointError("unsupported", f"is a {self.name} that returns {len(rows)} rows for {count} examples")
        return BatchOutput({LAST: rows})

    def _rows(self, output: Any, mask: torch.Tensor | None) -> torch.Tensor:
        """Return one row per example (B, D): the mean of tokens (B, T, D) or of places (B, D, H, W)."""
        if not hasattr(output, "ndim"):
            known: Mapping[str, Any] = output if isinstance(output, Mapping) else getattr(output, "__dict__", {})
            output = next((known[name] for name in NAMED if known.get(name) is not None), None)
        if not hasattr(output, "detach") or output.ndim not in (2, 3, 4):
            raise CheckpointError("unsupported", f"is a {self.name} that returns no tensor with one row per example")
        if output.is_complex():
            raise CheckpointError("unsupported", f"is a {self.name} that returns complex numbers: return real ones")
        if output.ndim == 4:
            return output.mean((2, 3))
        if output.ndim == 3:
            weights = output.new_ones(output.shape[:2]) if mask is None else mask.to(output.dtype)
            return (output * weights[..., None]).sum(1) / weights.sum(1, keepdim=True).clamp(min=1)
        return output


IMAGES = BackboneKind("held_images", "image", claims_images, files, load, priority=2, library="memory")
TEXTS = BackboneKind("held_texts", "text", claims_texts, files, load, priority=2, library="memory")
