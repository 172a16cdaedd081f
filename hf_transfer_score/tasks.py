"""The tasks, and the types of their examples, which sampling produces and backbones take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import OptionError, did_you_mean

if TYPE_CHECKING:
    from PIL.Image import Image

Modality = Literal["image", "text", "audio"]
RowUnit = Literal["example", "word", "pixel"]
Method = Literal["probe", "full", "layer", "scl", "lora"]
METHODS: tuple[str, ...] = get_args(Method)
"""Linear probe, full fine-tuning, Layer-FT, SCL-FT, which adds a skip connection, and low-rank adapters."""


class Waveform(NamedTuple):
    """Sound: samples (T,) in float32, one channel, and their number per second."""

    samples: NDArray[np.float32]
    rate: int


class Words(NamedTuple):
    """The words of a text and the indices of those with a label: positions (n,), ascending."""

    words: list[str]
    positions: NDArray[np.int64]


class Pixels(NamedTuple):
    """An image and the places in it with a label: positions (n, 2) as (down, across), each in [0, 1)."""

    image: Image
    positions: NDArray[np.float32]


Example: TypeAlias = "Image | str | tuple[str, str] | Words | Waveform | Pixels"
"""One input: an RGB image, a text, two texts, the words of a text, sound, or an image with places in it.

It gives one row of features, except for `Words` and `Pixels`, which give one per position.
"""


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        name: the Hub's name for the task, if it has one.
        modality: the kind of the inputs.
        unit: what has a row of features: each example, word or pixel.
        truth: whether rows have class labels or regression targets.
    """

    name: str
    modality: Modality
    unit: RowUnit = "example"
    truth: Literal["labels", "targets"] = "labels"


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("image-classification", "image"),
        Task("text-classification", "text"),
        Task("token-classification", "text", unit="word"),
        Task("audio-classification", "audio"),
        Task("image-segmentation", "image", unit="pixel"),
        Task("image-regression", "image", truth="targets"),
        Task("text-regression", "text", truth="targets"),
        Task("audio-regression", "audio", truth="targets"),
    )
}


def get_task(name: str) -> Task:
    """Return the task of that name.

    Example:
        >>> get_task("token-classification").unit
        'word'
    """
    if name not in TASKS:
        raise OptionError(f"There is no task {name!r}.{did_you_mean(name, TASKS)} Tasks: {', '.join(TASKS)}.")
    return TASKS[name]
