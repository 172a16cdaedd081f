"""Images of another size than a checkpoint was trained with: which networks and processors take them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hf_transfer_score.backbones.loading import one_line
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Pixels, Task

if TYPE_CHECKING:
    from hf_transfer_score.backbones.base import Backbone


def not_taken(pixels: int, why: str) -> CheckpointError:
    """Return the error for a checkpoint that does not take images of a size."""
    return CheckpointError("unsupported", f"does not take images of {pixels} x {pixels} pixels: {why}")


def check_patches(pixels: int, patch: Any) -> None:
    """Refuse a size that is not a multiple of a network's patches: one side, two, or None without patches."""
    for side in patch if isinstance(patch, (tuple, list)) else (patch,):
        if isinstance(side, int) and side > 0 and pixels % side:
            raise not_taken(pixels, f"the size is not a multiple of its patches of {side}")


def check_runs(backbone: Backbone, pixels: int, task: Task) -> None:
    """Run a blank image, and refuse a size at which that fails."""
    import numpy as np
    import torch
    from PIL import Image

    blank = Image.new("RGB", (pixels, pixels))
    example = Pixels(blank, np.array([[0.5, 0.5]], np.float32)) if task.unit == "pixel" else blank
    try:
        with torch.no_grad():
            backbone.forward(backbone.collate(backbone.encode([example])))
    except CheckpointError:
        raise
    except Exception as error:  # each library says it in its own way
        raise not_taken(pixels, one_line(error)) from error


def timm_arguments(skeleton: Any, pixels: int) -> dict[str, Any]:
    """Return timm's arguments for a network at a size, given the network without weights.

    Networks with positions need the size, and their positions are interpolated; others take any size.
    """
    check_patches(pixels, getattr(getattr(skeleton, "patch_embed", None), "patch_size", None))
    if "img_size" in inspect.signature(type(skeleton).__init__).parameters:
        return {"img_size": pixels}
    if (getattr(skeleton, "pretrained_cfg", None) or {}).get("fixed_input_size"):
        raise not_taken(pixels, "it is made for one size only")
    return {}


def network_arguments(module: Any, pixels: int) -> dict[str, Any]:
    """Return the arguments with which a network of transformers interpolates its positions, if it has any."""
    config = module.config
    check_patches(pixels, getattr(getattr(config, "vision_config", config), "patch_size", None))
    takes = "interpolate_pos_encoding" in inspect.signature(module.forward).parameters
    return {"interpolate_pos_encoding": True} if takes else {}


def processor_arguments(
    size: Mapping[str, Any] | None, crop: Mapping[str, Any] | None, pixels: int
) -> dict[str, dict[str, int]]:
    """Return the sizes to run an image processor with, by its own size and centre crop, for images of so many pixels.

    Raises CheckpointError for one without a fixed size.

    Example:
        >>> processor_arguments({"shortest_edge": 256}, {"height": 224, "width": 224}, 448)
        {'size': {'shortest_edge': 512}, 'crop_size': {'height': 448, 'width': 448}}
    """
    sides = dict(size or {})
    if not sides or not set(sides) <= {"height", "width", "shortest_edge"}:
        raise not_taken(pixels, "its image processor does not resize images to a fixed size")
    if crop is None or not crop.get("height"):
        return {"size": dict.fromkeys(sides, pixels)}
    larger = {name: round(side * pixels / crop["height"]) for name, side in sides.items()}
    return {"size": larger, "crop_size": {"height": pixels, "width": pixels}}
