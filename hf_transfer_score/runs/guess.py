"""A rough guess of how long forward passes take on a processor, for a first run: nothing was timed yet."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hf_transfer_score.checkpoints.resolve import BYTES_PER_PARAMETER
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.sampling.sample import LabelledSample

if TYPE_CHECKING:
    from hf_transfer_score.runs.plan import PlannedModel

LOW, HIGH = 0.15, 2.0
"""Eighteen networks of timm and transformers took 0.15 to 1.3 times the guess with one thread, the lower values where
the package chose the precision and the engine; a busy machine takes longer."""

IMAGE, SOUND, LETTERS, LONGEST = 200, 250, 4, 512
"""How often a parameter is used: for an image of 224 pixels, and for five seconds of sound; or once for a token of
about four letters, of which a text has 512 at most."""

USUAL_PIXELS, SIDE, PRODUCTS = 224, 1024, 3

ACCELERATORS = ("/dev/nvidiactl", "/dev/kfd")
"""Files of machines with a GPU, whose speed a processor does not tell."""


def guessed_seconds(
    models: Sequence[PlannedModel], sample: LabelledSample, options: RankOptions
) -> tuple[float, float] | None:
    """Return about how many seconds the passes take at least and at most; None where this processor does not tell.

    Each parameter is used once for each token or patch, at the speed of a product of matrices.
    """
    device, elsewhere = options.extract.device, sys.platform == "darwin" or any(map(_exists, ACCELERATORS))
    if device != "cpu" if device else elsewhere:
        return None
    running = [one for one in models if one.state in ("on disk", "download") and one.kind != "static_embeddings"]
    sizes = [one.parameters or one.weight_bytes // BYTES_PER_PARAMETER for one in running]
    if not all(sizes):
        return None
    usual = 2.0 * sum(sizes) * _uses(sample, options) * len(sample) / _speed()
    return LOW * usual, HIGH * usual


def _exists(path: str) -> bool:
    return Path(path).exists()


def _uses(sample: LabelledSample, options: RankOptions) -> float:
    """Return how often a parameter is used for an example."""
    if sample.task.modality == "image":
        return IMAGE * ((options.backbone.image_size or USUAL_PIXELS) / USUAL_PIXELS) ** 2
    if sample.task.modality == "audio":
        return SOUND
    letters = sum(
        sample.table.column(name).nbytes for name in ("input", "input_2") if name in sample.table.column_names
    )
    return min(float(letters) / max(len(sample), 1) / LETTERS, options.backbone.max_length or LONGEST)


def _speed() -> float:
    """Return the operations per second of a product of matrices, which is measured in a tenth of a second."""
    factor = np.ones((SIDE, SIDE), np.float32)
    seconds = []
    for _ in range(PRODUCTS):
        start = time.perf_counter()
        factor @ factor
        seconds.append(time.perf_counter() - start)
    return 2.0 * SIDE**3 / min(seconds)
