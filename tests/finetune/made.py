"""Small samples that can be learned, and functions that load checkpoints."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from hf_transfer_score.backbones.base import Backbone, BackboneOptions, all_kinds
from hf_transfer_score.sampling.sample import LabelledSample, memory_sample
from hf_transfer_score.tasks import get_task

CLASSES = 3
QUICK = {"learning_rates": (3e-3,), "epochs": 3, "precision": "float32", "device": "cpu"}
"""Settings of a quick recipe."""


def pictures(rows: int, seed: int) -> LabelledSample:
    """Return noisy pictures of three classes, each brighter in another channel."""
    generator, labels, made = np.random.default_rng(seed), [row % CLASSES for row in range(rows)], []
    for label in labels:
        values = generator.integers(0, 180, (32, 32, 3))
        values[..., label] += 60
        made.append(Image.fromarray(values.astype(np.uint8)))
    return memory_sample("image-classification", made, labels)


def reviews(rows: int, seed: int) -> LabelledSample:
    """Return texts of two classes, which differ in one word."""
    generator, words = np.random.default_rng(seed), (("bad", "slow", "cold"), ("good", "warm", "wit"))
    labels = [row % 2 for row in range(rows)]
    texts = [f"a {generator.choice(words[label])} film number {generator.integers(10**6)}" for label in labels]
    return memory_sample("text-classification", texts, labels)


class Loads:
    """Loads a checkpoint, and keeps what it loaded."""

    def __init__(self, folder: Path, kind: str, task: str = "image-classification") -> None:
        self.folder, self.kind, self.task = folder, kind, get_task(task)
        self.loaded: list[Backbone] = []

    def __call__(self) -> Backbone:
        self.loaded.append(all_kinds()[self.kind].load(self.folder, self.task, BackboneOptions()))
        return self.loaded[-1]


Loader = Callable[[], Backbone]


def weights(backbone: Backbone) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in backbone.module.state_dict().items()}
