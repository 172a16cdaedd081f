"""What tests of image backbones share: pictures, loading, and running."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hf_transfer_score.backbones.base import BackboneKind, BackboneOptions
from hf_transfer_score.tasks import Example, Pixels, get_task

WHOLE, PLACES = get_task("image-classification"), get_task("image-segmentation")


def picture(height: int, width: int, seed: int = 0) -> Image.Image:
    """Return smooth colours with some noise, which differ everywhere."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    colours = np.stack([down, across, (down + across) / 2], -1) * 160 + rng.integers(0, 96, (height, width, 3))
    return Image.fromarray(colours.astype(np.uint8))


PICTURES = [picture(32, 32), picture(50, 70, 1), picture(41, 33, 2)]


def loaded(kind: BackboneKind, folder: Path, task=WHOLE, **options):
    return kind.load(folder, task, BackboneOptions(**options))


def outcome(backbone, examples: list[Example]):
    """Return the output of one batch of examples."""
    with torch.inference_mode():
        return backbone.forward(backbone.collate(backbone.encode(examples)))


def features(kind: BackboneKind, folder: Path, task=WHOLE, examples=PICTURES, **options) -> dict[str, torch.Tensor]:
    """Return the features of one batch by layer."""
    return outcome(loaded(kind, folder, task, **options), examples).features


def at_places(maps) -> tuple[list[Pixels], torch.Tensor]:
    """Return pictures with 3, 0 and 4 places, and torch's interpolation there of each picture's map (1, C, H, W)."""
    examples, expected = [], []
    for image, count in zip(PICTURES, (3, 0, 4), strict=True):
        where = np.random.default_rng(count).random((count, 2), dtype=np.float32)
        grid = torch.from_numpy(where[:, ::-1] * 2 - 1).view(1, 1, -1, 2)
        with torch.inference_mode():
            rows = torch.nn.functional.grid_sample(maps(image), grid, align_corners=False, padding_mode="border")
        examples.append(Pixels(image, where))
        expected.append(rows[0, :, 0].T)
    return examples, torch.cat(expected)


def inputs_of(folder, examples=PICTURES):
    """Return inputs from the image processor, one image after another."""
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder)
    return torch.cat([processor(images=image, return_tensors="pt")["pixel_values"] for image in examples])
