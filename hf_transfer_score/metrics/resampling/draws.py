"""Which rows each replicate draws: the same for every model of a pool."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.metrics.class_stats import Array
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import check_whole

Weights = NDArray[np.uint8]
"""How often each replicate draws each position (B, N)."""


class Draws:
    """Rows drawn with replacement within each class, so that the counts of the classes stay the same.

    They depend only on the labels, the seed and the number of the replicate: replicates of two models on one sample are
    paired, and more replicates keep the first ones. Without labels all rows are one class. `order` has the row numbers,
    class by class (N,); `starts` are the first positions of each class in it, and N (K + 1,).
    """

    def __init__(self, data: LabelledFeatures, replicates: int = 100, seed: int = 0) -> None:
        check_whole("replicates", replicates)
        check_whole("seed", seed, least=0)
        codes = data.codes if data.has_labels else np.zeros(data.rows, np.int64)
        self.order: NDArray[np.int64] = np.argsort(codes, kind="stable")
        self.counts = np.bincount(codes).astype(np.int64)
        self.starts = np.append(0, np.cumsum(self.counts)).astype(np.int64)
        self.replicates, self._seed = replicates, seed

    def positions(self, replicate: int) -> NDArray[np.int64]:
        """Return the positions that a replicate draws, class by class (N,)."""
        uniform = np.random.default_rng((self._seed, replicate)).random(len(self.order))
        picked: NDArray[np.int64] = (uniform * np.repeat(self.counts, self.counts)).astype(np.int64)
        picked += np.repeat(self.starts[:-1], self.counts)
        return picked

    def rows(self, replicate: int) -> NDArray[np.int64]:
        """Return the numbers of the rows that a replicate draws, class by class (N,)."""
        return self.order[self.positions(replicate)]

    def weights(self, replicates: slice = slice(None)) -> Weights:
        """Return how often some replicates draw each position (B, N)."""
        numbers = range(self.replicates)[replicates]
        found = np.empty((len(numbers), len(self.order)), np.uint8)
        for place, replicate in enumerate(numbers):
            found[place] = np.bincount(self.positions(replicate), minlength=len(self.order))
        return found

    def classes(self, part: slice) -> Iterator[tuple[int, slice, slice]]:
        """Yield (class index, its positions, its places in the part) of the classes in a part of the positions."""
        first, last = np.searchsorted(self.starts, [part.start, part.stop - 1], side="right") - 1
        for code in range(int(first), int(last) + 1):
            low, high = max(int(self.starts[code]), part.start), min(int(self.starts[code + 1]), part.stop)
            yield code, slice(low, high), slice(low - part.start, high - part.start)

    def blocks(self, replicate_bytes: int, block_bytes: int) -> Iterator[slice]:
        """Yield slices over the replicates that need about `block_bytes` if one needs `replicate_bytes`."""
        size = max(1, block_bytes // max(replicate_bytes, 1))
        for start in range(0, self.replicates, size):
            yield slice(start, min(start + size, self.replicates))


class Deviations(NamedTuple):
    """Features of one sample minus the mean of their class, class by class.

    means are those of the classes (K, D); deviations are divided by scale.
    """

    data: LabelledFeatures
    draws: Draws
    means: Array
    scale: float = 1.0

    def parts(self, row_bytes: int, part_bytes: int) -> Iterator[tuple[slice, Array]]:
        """Yield (positions, deviations of their rows), as many at a time as fit into `part_bytes`."""
        codes = np.repeat(np.arange(len(self.means)), self.draws.counts)
        step = max(1, part_bytes // row_bytes)
        for start in range(0, len(codes), step):
            part = slice(start, min(start + step, len(codes)))
            rows = self.data.features[self.draws.order[part]].astype(np.float64)
            rows -= self.means[codes[part]]
            rows /= self.scale
            yield part, rows
