"""Pre-training of one micro network, and writing it as a checkpoint of timm."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.demonstration.material import SourceMaterial
from hf_transfer_score.demonstration.pictures import SIDE, SOURCE_DIGITS, Labelled, Pictures
from hf_transfer_score.demonstration.zoo import BATCH, LEARNING_RATE, SCHOOLINGS, Member, Schooling

QUARTERS = 4
OWN_CONFIG = {
    "input_size": (3, SIDE, SIDE),
    "crop_pct": 1.0,
    "interpolation": "bilinear",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
}
"""Preprocessing that the checkpoint asks for: nothing is scaled or cropped."""


def write_checkpoint(member: Member, material: SourceMaterial, folder: Path, seed: int, steps: int) -> Path:
    """Pre-train a network and write it as `timm.models.push_to_hf_hub` does: config.json and model.safetensors.

    Args:
        member: which network, and what it goes through.
        material: the pictures.
        folder: where its own folder is made.
        seed: of its weights and of what it sees.
        steps: batches that a well pre-trained one sees; schooling with fewer keeps its own number.
    """
    import timm
    import torch

    schooling = SCHOOLINGS[member.schooling]
    own = zlib.crc32(member.name.encode())
    generator = np.random.default_rng([seed, own])
    classes = QUARTERS if schooling.rotations else len(SOURCE_DIGITS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator.integers(2**31)))
        model = timm.create_model(member.architecture, num_classes=classes, pretrained_cfg_overlay=OWN_CONFIG)
        _train(model, _lessons(schooling, material, generator), min(steps, schooling.steps), generator)
    place = folder / member.name
    timm.models.save_for_hf(model.eval(), str(place), safe_serialization=True)
    return place


def _lessons(schooling: Schooling, material: SourceMaterial, generator: np.random.Generator) -> Labelled:
    """Return the pictures and labels that a network is trained on."""
    found = material.augmented if schooling.augmented else material.plain
    pictures, labels = found.pictures, found.labels.copy()
    if schooling.pictures is not None:
        chosen = generator.permutation(len(labels))[: schooling.pictures]
        pictures, labels = pictures[chosen], labels[chosen]
    if schooling.rotations:
        labels = generator.integers(0, QUARTERS, len(labels))
        pictures = _turned(pictures, labels)
    wrong = generator.random(len(labels)) < schooling.wrong_labels
    labels[wrong] = generator.integers(0, len(SOURCE_DIGITS), int(wrong.sum()))
    return Labelled(pictures, labels)


def _turned(pictures: Pictures, quarters: NDArray[np.int64]) -> Pictures:
    return np.stack([np.rot90(one, turns) for one, turns in zip(pictures, quarters.tolist(), strict=True)])


def _train(model: Any, lessons: Labelled, steps: int, generator: np.random.Generator) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    pictures, labels = network_inputs(lessons.pictures), torch.from_numpy(lessons.labels)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps) if steps else None
    model.train()
    for _ in range(steps):
        rows = torch.from_numpy(generator.integers(0, len(lessons), BATCH))
        optimizer.zero_grad()
        cross_entropy(model(pictures[rows]), labels[rows]).backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()


def network_inputs(pictures: Pictures) -> Any:
    """Return pictures (N, 32, 32) as the preprocessing of the checkpoints gives them (N, 3, 32, 32)."""
    import torch

    return torch.from_numpy((pictures[:, None] - 0.5) / 0.5).expand(-1, 3, -1, -1)
