"""The pictures that networks are pre-trained on, in one file that all processes read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hf_transfer_score.demonstration.pictures import Labelled, Warp, source_digits, warped

COPIES = 3
"""Warped copies of each picture in the augmented material."""


@dataclass(frozen=True)
class SourceMaterial:
    """Pictures of the digits 0 to 4.

    Attributes:
        plain: as they are.
        augmented: warped copies of them.
    """

    plain: Labelled
    augmented: Labelled

    @classmethod
    def make(cls, seed: int) -> SourceMaterial:
        """Return the pictures and their warped copies."""
        plain, generator = source_digits(), np.random.default_rng([seed, 0])
        copies = [warped(plain.pictures, generator, Warp()) for _ in range(COPIES)]
        return cls(plain, Labelled(np.concatenate(copies), np.tile(plain.labels, COPIES)))

    def write(self, path: Path) -> Path:
        """Write everything to a file of NumPy."""
        np.savez(
            path,
            plain=self.plain.pictures,
            plain_labels=self.plain.labels,
            augmented=self.augmented.pictures,
            augmented_labels=self.augmented.labels,
        )
        return path

    @classmethod
    def read(cls, path: Path) -> SourceMaterial:
        """Return what `write` wrote."""
        with np.load(path) as found:
            return cls(
                Labelled(found["plain"], found["plain_labels"]), Labelled(found["augmented"], found["augmented_labels"])
            )
