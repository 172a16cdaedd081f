"""The promise that padding never changes features: which sequences may run together, and a trial that finds out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hf_transfer_score.backbones.base import Backbone
from hf_transfer_score.backbones.loading import loading_errors
from hf_transfer_score.tasks import Example

LEAK = 3e-5  # relative; rounding stays well below it, and what padding adds is well above


def groups_of(lengths: NDArray[Any], most: int, *, equal: bool) -> list[list[int]]:
    """Return which sequences are run together: at most so many, and only of one length if `equal`.

    Example:
        >>> groups_of(np.array([3, 5, 3]), 2, equal=True)
        [[0, 2], [1]]
        >>> groups_of(np.array([3, 5, 3]), 2, equal=False)
        [[0, 1], [2]]
    """
    everything = np.arange(len(lengths))
    groups = [np.flatnonzero(lengths == length) for length in np.unique(lengths)] if equal else [everything]
    return [group[start : start + most].tolist() for group in groups for start in range(0, len(group), most)]


def back_in_order(groups: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the index that puts what was concatenated by groups back in order."""
    return torch.from_numpy(np.argsort(np.concatenate(groups)))


def padding_matters(backbone: Backbone, short: Example, long: Example) -> bool:
    """Whether the features of a short example change when it is padded to the length of a long one.

    Architectures differ in what they mask: convolutions over tokens, Fourier transforms and norms over time let padding
    through. So the loaded model itself is asked. What a library raises at this first run becomes a CheckpointError.
    """
    items = backbone.encode([short, long])
    with torch.no_grad(), loading_errors("transformers"):
        alone = backbone.forward(backbone.collate(items[:1])).features
        both = backbone.forward(backbone.collate(items)).features
    differences = [((both[name][: len(rows)] - rows).abs().max(), rows.abs().max()) for name, rows in alone.items()]
    return any(bool(difference > LEAK * size) for difference, size in differences)
