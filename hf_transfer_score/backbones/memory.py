"""A backbone of one NumPy function: for tests, for docs, and for features of one's own making."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from hf_transfer_score.backbones.base import BatchOutput
from hf_transfer_score.tasks import Example


class MemoryBackbone:
    """Features by a function of one example that returns a row (D,), or rows (n, D) for words and pixels.

    Example:
        >>> backbone = MemoryBackbone(lambda text: [len(text), text.count("e")])
        >>> batch = backbone.collate(backbone.encode(["seven", "two"]))
        >>> backbone.forward(batch).features["last"].tolist()
        [[5.0, 2.0], [3.0, 0.0]]
    """

    source_classes = 0

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.module: torch.nn.Module = torch.nn.Identity()
        self.details: Mapping[str, Any] = {"pooling": "none"}

    def encode(self, examples: Sequence[Example]) -> list[Any]:
        """Return the rows of each example."""
        return [np.atleast_2d(np.asarray(self.function(example), dtype=np.float32)) for example in examples]

    def length(self, item: Any) -> int:
        """Return 1: batches may mix any examples."""
        return 1

    def collate(self, items: Sequence[Any]) -> dict[str, Any]:
        """Return all rows below each other."""
        return {"rows": torch.from_numpy(np.concatenate(items))}

    def forward(self, batch: Mapping[str, Any]) -> BatchOutput:
        """Return the rows."""
        return BatchOutput({"last": self.module(batch["rows"])})
