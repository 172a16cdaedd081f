"""Pre-train one image backbone on the source classes, and write it as a timm checkpoint."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.zoo import ARCHITECTURES, BATCH, LEARNING_RATE, SCHOOLINGS, ImageMember, Schooling
from benchmarks.example.networks import OWN_CONFIG, QUARTERS
from benchmarks.example.pictures import SIDE

MARGIN = 4


@dataclass(frozen=True)
class Lesson:
    """A backbone to be pre-trained.

    Attributes:
        member: the backbone.
        material: the file of training images.
        folder: the parent of its folder.
        steps: the largest number of batches.
        device: for the computation.
    """

    member: ImageMember
    material: Path
    folder: Path
    steps: int
    device: str


def pre_train(lesson: Lesson) -> None:
    """Pre-train a backbone unless its checkpoint exists, and write it as `timm.models.push_to_hf_hub` does."""
    import timm
    import torch

    member, place = lesson.member, lesson.folder / lesson.member.name
    if (place / "model.safetensors").is_file():
        return
    architecture, schooling = ARCHITECTURES[member.architecture], SCHOOLINGS[member.schooling]
    with np.load(lesson.material) as found:
        images, labels = _chosen(found["images"], found["labels"], schooling, _generator(member, 0))
    torch.manual_seed(int(_generator(member, 1).integers(2**31)))
    model = timm.create_model(
        architecture.model,
        num_classes=QUARTERS if schooling.rotations else int(labels.max()) + 1,
        pretrained_cfg_overlay=OWN_CONFIG,
        **architecture.arguments,
    ).to(lesson.device)
    steps = min(lesson.steps, schooling.steps)
    if steps:
        _train(model, images, labels, schooling, steps, _generator(member, 2), lesson.device)
    arguments = {"model_args": dict(architecture.arguments)} if architecture.arguments else {}
    timm.models.save_for_hf(model.eval().cpu(), str(place), safe_serialization=True, **arguments)


def _generator(member: ImageMember, number: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(member.name.encode()), number])


def _chosen(
    images: NDArray[np.uint8], labels: NDArray[np.int64], schooling: Schooling, generator: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the training images with their possibly wrong labels."""
    if schooling.images is not None:
        classes = (np.flatnonzero(labels == label) for label in np.unique(labels))
        rows = np.concatenate([generator.permutation(one)[: schooling.images] for one in classes])
        images, labels = images[rows], labels[rows]
    wrong = generator.random(len(labels)) < schooling.wrong_labels
    return images, np.where(wrong, generator.integers(0, labels.max() + 1, len(labels)), labels)


def _train(
    model: Any,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    schooling: Schooling,
    steps: int,
    generator: np.random.Generator,
    device: str,
) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    model.train()
    for _ in range(steps):
        rows = generator.integers(0, len(labels), BATCH)
        batch, truth = _augmented(images[rows], generator), labels[rows]
        if schooling.rotations:
            truth = generator.integers(0, QUARTERS, BATCH)
            batch = np.stack([np.rot90(one, turns) for one, turns in zip(batch, truth.tolist(), strict=True)])
        inputs = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        optimizer.zero_grad()
        logits = model(inputs)
        cross_entropy(logits, torch.from_numpy(truth).to(device), label_smoothing=schooling.smoothing).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def _augmented(images: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return images (B, 32, 32, 3), randomly mirrored and shifted by up to four pixels."""
    padded = np.pad(images, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="reflect")
    moved = np.empty_like(images)
    for place, (top, left, mirrored) in enumerate(
        zip(*generator.integers(0, [[2 * MARGIN + 1]] * 2 + [[2]], (3, len(images))).tolist(), strict=True)
    ):
        part = padded[place, top : top + SIDE, left : left + SIDE]
        moved[place] = part[:, ::-1] if mirrored else part
    return moved
