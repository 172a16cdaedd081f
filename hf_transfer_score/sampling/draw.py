"""A stratified sample in one pass: the share of every class is known only at the end, the rows must be kept before.

Every row has a key, a hash of its number and the seed. At the end a class with a quota of q gives its q smallest keys.
Until then a class keeps what its quota would be if the stream ended now, and a margin: of the rows seen so far, as many
as that quota are drawn at the end on average, or fewer, so that the margin of five standard deviations and eight rows
is used up about once in a million draws (the class then gives a row less).
"""

from __future__ import annotations

import heapq
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST_OF_A_CLASS = 2
LEAST_GARBAGE = 64 * 1024 * 1024
"""Bytes of dropped rows below which the file of kept rows is not written anew."""

PRUNE_EVERY = 64
"""Chunks between two times at which every class drops what it keeps too much."""


def row_keys(rows: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Return a pseudo-random number for each row number (SplitMix64), the same on every machine."""
    with np.errstate(over="ignore"):
        mixed: NDArray[np.uint64] = rows + np.uint64(0x9E3779B97F4A7C15) * np.uint64(2 * seed + 1)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed


def proportional_quotas(counts: Sequence[int], most: int) -> list[int]:
    """Return how many rows each class gives: its share by largest remainder, and two at least where it has them.

    Example:
        >>> proportional_quotas([6000, 3000, 999, 1], 100)
        [59, 30, 10, 1]
    """
    total = sum(counts)
    if total <= most:
        return list(counts)
    quotas = [count * most // total for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda index: (-(counts[index] * most % total), index))
    for index in by_remainder[: most - sum(quotas)]:
        quotas[index] += 1
    for index, count in enumerate(counts):
        while quotas[index] < min(LEAST_OF_A_CLASS, count):
            quotas[index] += 1
            quotas[max(range(len(counts)), key=lambda one: (quotas[one], -one))] -= 1
    return quotas


def even_quotas(counts: Sequence[int], each: int, most: int) -> list[int]:
    """Return how many rows each class gives if all may give the same number, the largest that fits.

    Example:
        >>> even_quotas([50, 3, 50], 20, 43), even_quotas([50, 3, 50], 30, 43)
        ([20, 3, 20], [20, 3, 20])
    """
    low, high = 0, each
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sum(min(count, middle) for count in counts) <= most else (low, middle - 1)
    return [min(count, low) for count in counts]


class RowFile:
    """Rows that may still be drawn, in a file without a name; only their places are in memory.

    Example:
        >>> with RowFile() as rows:
        ...     number = rows.put([b"bytes", "text", ["some", "words"]])
        ...     rows.get(number)
        [b'bytes', 'text', ['some', 'words']]
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder, self.size = folder, 0
        self._slots: dict[int, tuple[int, int]] = {}
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._live = self._next = 0

    def __enter__(self) -> RowFile:
        """Return the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the file."""
        self._file.close()

    def __len__(self) -> int:
        """Return the number of rows that are kept."""
        return len(self._slots)

    def put(self, values: list[Any]) -> int:
        """Keep a row, and return its number."""
        plain = [{"bytes": len(value)} if isinstance(value, bytes) else value for value in values]
        head = json.dumps(plain).encode()
        parts = [len(head).to_bytes(8, "little"), head, *(value for value in values if isinstance(value, bytes))]
        self._append(self._next, b"".join(parts))
        self._next += 1
        return self._next - 1

    def _append(self, number: int, content: bytes) -> None:
        self._slots[number] = (self.size, len(content))
        self._file.seek(self.size)
        self._file.write(content)
        self.size += len(content)
        self._live += len(content)

    def get(self, number: int) -> list[Any]:
        """Return a row."""
        offset, length = self._slots[number]
        self._file.seek(offset)
        content = self._file.read(length)
        start = 8 + int.from_bytes(content[:8], "little")
        values: list[Any] = []
        for value in json.loads(content[8:start]):
            if isinstance(value, dict) and "bytes" in value:
                values.append(content[start : start + value["bytes"]])
                start += value["bytes"]
            else:
                values.append(value)
        return values

    def drop(self, number: int) -> None:
        """Forget a row; once more than half of the file is garbage it is written anew."""
        self._live -= self._slots.pop(number)[1]
        if self.size - self._live > max(LEAST_GARBAGE, self._live):
            old, self._file = self._file, tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115
            self.size = self._live = 0
            with old:
                for kept, (offset, length) in list(self._slots.items()):
                    old.seek(offset)
                    self._append(kept, old.read(length))


class Drawn(NamedTuple):
    """A row that was drawn: its key, the code of its class, and its number in the file of kept rows."""

    key: int
    stratum: int
    slot: int


class Draw:
    """Takes rows as they come, and keeps those that can still be drawn.

    Args:
        kept: where kept rows go.
        most: rows to draw at most.
        each: rows to draw of every class, None for the classes' own shares.
    """

    def __init__(self, kept: RowFile, most: int, each: int | None = None) -> None:
        self.kept, self.most, self.each = kept, most, each
        self.counts: list[int] = []
        self._heaps: list[list[tuple[int, int]]] = []
        self._chunks = 0

    def offer(self, keys: NDArray[np.uint64], strata: NDArray[np.int64], read: Callable[[int], list[Any]]) -> None:
        """Look at a chunk of rows.

        Args:
            keys: the key of each row (n,).
            strata: the code of the class of each row (n,), below 0 for rows that are out of the question.
            read: returns what is to be kept of a row of the chunk.
        """
        self._count(strata)
        limits = self._limits()
        for place in np.flatnonzero(strata >= 0).tolist():
            stratum, key = int(strata[place]), int(keys[place])
            heap = self._heaps[stratum]
            if len(heap) < limits[stratum] or key < -heap[0][0]:
                heapq.heappush(heap, (-key, self.kept.put(read(place))))
                self._prune(heap, limits[stratum])
        self._chunks += 1
        if self._chunks % PRUNE_EVERY == 0:
            for heap, limit in zip(self._heaps, limits, strict=True):
                self._prune(heap, limit)

    def _count(self, strata: NDArray[np.int64]) -> None:
        new = int(strata.max(initial=-1)) + 1 - len(self.counts)
        self.counts += [0] * max(new, 0)
        self._heaps += [[] for _ in range(new)]
        for stratum, count in enumerate(np.bincount(strata[strata >= 0]).tolist()):
            self.counts[stratum] += count

    def _limits(self) -> list[int]:
        if self.each is not None:
            return [max(limit, 1) for limit in even_quotas(self.counts, self.each, self.most)]
        if len(self.counts) == 1:
            return [self.most]
        share = min(1.0, self.most / max(sum(self.counts), 1))
        return [int(count * share + 5 * (count * share) ** 0.5) + 8 for count in self.counts]

    def _prune(self, heap: list[tuple[int, int]], limit: int) -> None:
        while len(heap) > limit:
            self.kept.drop(heapq.heappop(heap)[1])

    def quotas(self) -> list[int]:
        """Return how many rows each class gives if the stream ends now."""
        if self.each is not None:
            return even_quotas(self.counts, self.each, self.most)
        return proportional_quotas(self.counts, self.most)

    def finish(self) -> list[Drawn]:
        """Return the rows that are drawn, in the order of their keys: shuffled, and the same for the same seed."""
        drawn = [
            Drawn(-key, stratum, slot)
            for stratum, (heap, quota) in enumerate(zip(self._heaps, self.quotas(), strict=True))
            for key, slot in sorted(heap, reverse=True)[:quota]
        ]
        return sorted(drawn)
