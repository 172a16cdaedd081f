"""Image checkpoints of transformers: classifiers, self-supervised backbones, and the image towers of models like CLIP.

With a classification head, features are that head's input. Without one they are the class token after the final norm,
or else the model's own pooling, or the mean over all places. Layers are the hidden states, numbered from 0, the
embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_transfer_score.backbones import loading
from hf_transfer_score.backbones.base import BackboneKind, BackboneOptions
from hf_transfer_score.backbones.image_sizes import not_taken, processor_arguments
from hf_transfer_score.backbones.repository import PREPROCESSORS, Repository
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Task

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from hf_transfer_score.backbones.images import ImageBackbone, Preparation, VisionReader

NO_PREPROCESSOR = (
    "has no preprocessor_config.json, so the size and normalisation of its images are unknown; add the one of the "
    "checkpoint it was trained from"
)

NOT_BACKBONES = frozenset({
    *("detr", "conditional_detr", "dab-detr", "deformable_detr", "table-transformer", "yolos"),  # detect objects
    *("timesformer", "videomae", "vivit", "videoprism", "videoprism_vision_model"),  # take videos
    *("imagegpt", "llama4", "mllama", "cohere2_vision", "depth_pro", "pp_lcnet", "timm_backbone"),
})  # fmt: skip
"""Types that transformers lists among image models, but whose output is not a feature of an image."""


@cache
def _image_types() -> frozenset[str]:
    from transformers.models.auto import modeling_auto as auto

    lists = ("IMAGE", "IMAGE_CLASSIFICATION", "ZERO_SHOT_IMAGE_CLASSIFICATION")
    names = [name for each in lists for name in getattr(auto, f"MODEL_FOR_{each}_MAPPING_NAMES", {})]
    return frozenset(names) | {"clip_vision_model", "siglip_vision_model", "siglip2_vision_model"}


def claims(repository: Repository) -> bool:
    """Whether config.json names an architecture for images, or an unknown one comes with an image processor."""
    config = repository.config
    if "pretrained_cfg" in config or not config.get("model_type"):
        return False
    if config["model_type"] in NOT_BACKBONES:
        return False
    if config["model_type"] in _image_types():
        return True
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    if config["model_type"] in CONFIG_MAPPING_NAMES:
        return False
    processor = repository.descriptions.get(PREPROCESSORS[0])
    return isinstance(processor, dict) and bool({"image_processor_type", "image_mean"} & set(processor))


def files(repository: Repository, options: BackboneOptions) -> list[str]:
    """Return weights, configuration and image processor; code too where that is trusted."""
    loading.check_model_type(repository.config, options)
    if not any(name in repository for name in PREPROCESSORS):
        raise CheckpointError("no_preprocessor", NO_PREPROCESSOR)
    small = [name for name in ("config.json", *PREPROCESSORS) if name in repository]
    code = repository.code if options.trust_remote_code else ()
    return [*repository.weights(allow_pickle=options.allow_pickle), *small, *code]


def load(folder: Path, task: Task, options: BackboneOptions) -> ImageBackbone:
    """Return a backbone from a folder with a checkpoint of transformers."""
    from hf_transfer_score.backbones.images import ImageBackbone

    if not loading.check_preprocessors(folder):
        raise CheckpointError("no_preprocessor", NO_PREPROCESSOR)
    config = loading.load_config(folder, options)
    Repository.from_folder(folder).weights(allow_pickle=options.allow_pickle)
    preparation = _preparation(folder, task, options)
    return ImageBackbone(_reader(folder, config, options), preparation, task, options)


def _reader(folder: Path, config: Any, options: BackboneOptions) -> VisionReader:
    from transformers import MODEL_MAPPING, AutoModel, AutoModelForImageClassification

    from hf_transfer_score.backbones.images import VisionReader

    architectures = getattr(config, "architectures", None) or loading.read_json(folder).get("architectures") or []
    if any("ForImageClassification" in name for name in architectures):
        loaded = loading.load_transformers(AutoModelForImageClassification, folder, config, options)
        loaded.require(_is_pooler)
        return VisionReader(loaded, with_head=True, image_size=options.image_size)
    tower = getattr(config, "vision_config", None)
    if tower is not None and type(tower) not in MODEL_MAPPING:
        raise CheckpointError(
            "unsupported", f"is a {config.model_type}, whose image tower transformers does not load by itself"
        )
    if config.model_type == "vit_mae":
        config.mask_ratio = 0.0  # all patches are seen
    loaded = loading.load_transformers(AutoModel, folder, config if tower is None else tower, options)
    loaded.require(_is_pooler)
    return VisionReader(loaded, with_head=False, image_size=options.image_size)


def _is_pooler(name: str) -> bool:
    return name.split(".")[0] == "pooler" or ".pooler." in name


def _preparation(folder: Path, task: Task, options: BackboneOptions) -> Preparation:
    from PIL import Image
    from transformers import AutoImageProcessor

    from hf_transfer_score.backbones.images import Preparation

    processor, pixels = loading.from_folder(AutoImageProcessor, folder, options), options.image_size
    blank = Image.new("RGB", (640, 480))
    sizes: dict[str, dict[str, int]] = {}
    if pixels is not None:
        size, crop = (plain(getattr(processor, name, None) or {}) for name in ("size", "crop_size"))
        sizes = processor_arguments(size, crop if getattr(processor, "do_center_crop", False) else None, pixels)
    with loading.quietly(), loading.loading_errors("transformers"):
        prepare = _Prepare(processor, sizes)
        if pixels is not None:
            found = tuple(prepare([blank])[0]["pixel_values"].shape[1:])
            if found != (pixels, pixels):
                raise not_taken(pixels, f"its image processor resizes them to {' x '.join(map(str, found))}")
        if task.unit == "pixel":  # whole images are resized to the model's size, so that places stay where they are
            sample = prepare([blank])[0]["pixel_values"]
            if sample.ndim != 3:
                raise CheckpointError("unsupported", "cuts images into patches, so places in them cannot be followed")
            height, width = sample.shape[1:]
            prepare = _Prepare(processor, {"do_resize": False, "do_center_crop": False}, (width, height))
    shown = ("size", "crop_size", "crop_pct", "do_center_crop", "resample", "image_mean", "image_std")
    details = {name: plain(getattr(processor, name)) for name in shown if getattr(processor, name, None) is not None}
    return Preparation(prepare, {"image_processor": type(processor).__name__, **details, **sizes})


def plain(value: Any) -> Any:
    """Return a setting of an image processor as a value for JSON."""
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if hasattr(value, "value"):
        return plain(value.value)
    if isinstance(value, Mapping) or hasattr(value, "items"):
        return {str(name): plain(one) for name, one in value.items() if one is not None}
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(one) for name, one in vars(value).items() if one is not None}
    return value if isinstance(value, (bool, int, float, str)) else str(value)


class _Prepare:
    """Runs an image processor, on images that are first resized where a size is given."""

    def __init__(self, processor: Any, arguments: Mapping[str, Any], size: tuple[int, int] | None = None) -> None:
        self.processor, self.arguments, self.size = processor, arguments, size

    def __call__(self, images: list[Image]) -> list[dict[str, torch.Tensor]]:
        from PIL.Image import Resampling

        if self.size is not None:
            how = Resampling(int(getattr(self.processor, "resample", None) or Resampling.BILINEAR))
            images = [image.resize(self.size, how) for image in images]
        found = self.processor(images=images, return_tensors="pt", **self.arguments)
        return [{name: value[row] for name, value in found.items()} for row in range(len(images))]


KIND = BackboneKind("hub_vision", "image", claims, files, load, library="transformers")
