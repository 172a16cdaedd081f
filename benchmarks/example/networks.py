"""The networks of the example, their pre-training, and writing them as checkpoints."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.example.pictures import SIDE, SOURCE_DIGITS, Labelled, Pictures, Warp, source_digits, warped

STEPS, BATCH, LEARNING_RATE = 600, 64, 2e-3
COPIES = 10
"""Warped copies of each picture in the training data."""

QUARTERS = 4
MEAN = STD = 0.5
OWN_CONFIG = {
    "input_size": (3, SIDE, SIDE),
    "crop_pct": 1.0,
    "interpolation": "bilinear",
    "mean": (MEAN,) * 3,
    "std": (STD,) * 3,
}
"""Preprocessing of a timm checkpoint that neither scales nor crops."""


@dataclass(frozen=True)
class Architecture:
    """How a network is built.

    Attributes:
        title: its name in cards.
        library: "timm" or "transformers".
        name: the timm model, or the model type of transformers.
        arguments: those that make it small.
    """

    title: str
    library: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Schooling:
    """How a network is pre-trained.

    Attributes:
        words: its description.
        steps: number of batches; 0 leaves the network untrained.
        warped: whether it sees warped copies of the pictures, or only the pictures themselves.
        pictures: number of different pictures, None for all.
        wrong_labels: share of random labels.
        rotations: whether it predicts the rotation of a picture in quarter turns instead of the digit.
    """

    words: str
    steps: int = STEPS
    warped: bool = True
    pictures: int | None = None
    wrong_labels: float = 0.0
    rotations: bool = False


@dataclass(frozen=True)
class Member:
    """One network: a name of `ARCHITECTURES`, and one of `SCHOOLINGS`."""

    architecture: str
    schooling: str

    @property
    def name(self) -> str:
        """Return its name, which is also that of its folder."""
        return f"{self.architecture}-{self.schooling}"


ARCHITECTURES: Mapping[str, Architecture] = {
    "convnext": Architecture("ConvNeXt", "timm", "test_convnext", {"depths": (1, 1, 2, 1), "dims": (16, 24, 32, 64)}),
    "mambaout": Architecture("MambaOut", "timm", "test_mambaout", {"depths": (1, 1, 2, 1), "dims": (16, 24, 32, 64)}),
    "efficientnet": Architecture("EfficientNet", "timm", "test_efficientnet", {"channel_multiplier": 0.75}),
    "resnet": Architecture(
        "ResNet",
        "transformers",
        "resnet",
        {"embedding_size": 16, "hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 1, 1], "layer_type": "basic"},
    ),
    "vit": Architecture(
        "ViT",
        "timm",
        "test_vit",
        {"img_size": SIDE, "patch_size": 4, "embed_dim": 48, "depth": 3, "num_heads": 3},
    ),
}

WELL = "pretrained"
SCHOOLINGS: Mapping[str, Schooling] = {
    WELL: Schooling("all pictures of the digits 0 to 4, warped"),
    "rotations": Schooling("tells how far a picture was turned, never which digit it shows", rotations=True),
    "few-images": Schooling("60 pictures, as they are", warped=False, pictures=60),
    "few-steps": Schooling("stopped after 15 steps", steps=15),
    "noisy-labels": Schooling("labels drawn by lot", wrong_labels=1.0),
    "untrained": Schooling("as it was initialised", steps=0),
}

MEMBERS: tuple[Member, ...] = tuple(
    Member(architecture, schooling)
    for architecture, worse in {
        "convnext": "noisy-labels",
        "mambaout": "untrained",
        "efficientnet": "few-images",
        "resnet": "rotations",
        "vit": "few-steps",
    }.items()
    for schooling in (WELL, worse)
)
"""Each architecture twice: well pre-trained, and with a realistic flaw."""


def material(seed: int) -> tuple[Labelled, Labelled]:
    """Return the pictures of the digits 0 to 4, and warped copies of them."""
    plain, generator = source_digits(), np.random.default_rng([seed, 0])
    copies = [warped(plain.pictures, generator, Warp()) for _ in range(COPIES)]
    return plain, Labelled(np.concatenate(copies), np.tile(plain.labels, COPIES))


def write_checkpoint(member: Member, pictures: tuple[Labelled, Labelled], folder: Path, seed: int, steps: int) -> Path:
    """Pre-train a network, and write it in the format of its library.

    Args:
        member: the network and its pre-training.
        pictures: from `material`.
        folder: the parent of its folder.
        seed: of its weights and its batches.
        steps: the largest number of batches.
    """
    import torch

    architecture, schooling = ARCHITECTURES[member.architecture], SCHOOLINGS[member.schooling]
    generator = np.random.default_rng([seed, zlib.crc32(member.name.encode())])
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator.integers(2**31)))
        model = build(architecture, QUARTERS if schooling.rotations else len(SOURCE_DIGITS))
        _train(model, _lessons(schooling, pictures, generator), min(steps, schooling.steps), generator)
    place = folder / member.name
    _save(model.eval(), architecture, place)
    return place


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, so that no number depends on the number of threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def build(architecture: Architecture, classes: int) -> Any:
    """Return a network with weights drawn by torch's generator."""
    if architecture.library == "timm":
        import timm

        own = {**OWN_CONFIG, "tag": "digits"}  # instead of timm's own source
        return timm.create_model(
            architecture.name, num_classes=classes, pretrained_cfg_overlay=own, **architecture.arguments
        )
    from transformers import AutoConfig, AutoModelForImageClassification

    config = AutoConfig.for_model(architecture.name, num_labels=classes, **architecture.arguments)
    return AutoModelForImageClassification.from_config(config)


def _save(model: Any, architecture: Architecture, place: Path) -> None:
    if architecture.library == "timm":
        import timm

        timm.models.save_for_hf(model, str(place), model_args=dict(architecture.arguments), safe_serialization=True)
        return
    from transformers import ConvNextImageProcessor

    model.save_pretrained(place)
    ConvNextImageProcessor(
        size={"shortest_edge": SIDE}, crop_pct=1.0, image_mean=[MEAN] * 3, image_std=[STD] * 3
    ).save_pretrained(place)


def _lessons(schooling: Schooling, pictures: tuple[Labelled, Labelled], generator: np.random.Generator) -> Labelled:
    """Return the pictures and labels that a network is trained on."""
    found = pictures[1 if schooling.warped else 0]
    shown, labels = found.pictures, found.labels.copy()
    if schooling.pictures is not None:
        chosen = generator.permutation(len(labels))[: schooling.pictures]
        shown, labels = shown[chosen], labels[chosen]
    if schooling.rotations:
        labels = generator.integers(0, QUARTERS, len(labels))
        shown = _turned(shown, labels)
    wrong = generator.random(len(labels)) < schooling.wrong_labels
    labels[wrong] = generator.integers(0, len(SOURCE_DIGITS), int(wrong.sum()))
    return Labelled(shown, labels)


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
        told = model(pictures[rows])
        cross_entropy(getattr(told, "logits", told), labels[rows]).backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()


def network_inputs(pictures: Pictures) -> Any:
    """Return pictures (N, 32, 32) in the form that the checkpoints' preprocessing gives (N, 3, 32, 32)."""
    import torch

    return torch.from_numpy((pictures[:, None] - MEAN) / STD).expand(-1, 3, -1, -1)
