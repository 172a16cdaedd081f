"""Nested samples: the first 256 rows are part of the next 1,024, and each part holds the classes in proportion."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.home import whole
from hf_transfer_score.sampling.sample import LabelledSample

LEAST_PER_CLASS = 4
"""Rows per class, on average, that the first part has at least."""


def evenly(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return an order that spreads each class evenly, so that any first part holds the classes in proportion.

    Example:
        >>> evenly(np.array([0, 0, 0, 0, 1, 1])).tolist()
        [0, 4, 1, 2, 5, 3]
    """
    places = np.zeros(len(codes))
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        places[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return np.lexsort((codes, places)).astype(np.int64)


def steps(sample: LabelledSample, first: int, growth: float) -> list[int]:
    """Return after how many rows candidates are compared: `first`, then `growth` times as many, and finally all."""
    assert sample.labels is not None
    return growing(len(sample), len(np.unique(sample.labels)), first, growth)


def growing(rows: int, classes: int, first: int, growth: float) -> list[int]:
    """Return growing numbers of rows, up to all of them.

    Example:
        >>> growing(5000, 10, 256, 4), growing(5000, 100, 256, 4), growing(300, 2, 256, 4)
        ([256, 1024, 5000], [400, 1600, 5000], [300])
    """
    count: float = max(first, LEAST_PER_CLASS * classes)
    found = []
    while round(min(growth, 2) * count) <= rows:
        found.append(round(count))
        count *= growth
    return [*found, rows]


def nested(sample: LabelledSample, path: Path) -> LabelledSample:
    """Return the same sample, mapped from a file, in an order where any first part is a sample too."""
    assert sample.labels is not None
    if not path.exists():
        ordered = replace(sample, table=sample.table.take(evenly(sample.labels)))
        with whole(path, sample.table.nbytes) as aside:
            replace(ordered, fingerprint=_mark(sample, "in order")).save(aside)
    return replace(LabelledSample.load(path), source=sample.source)  # it may have another name now


def part(sample: LabelledSample, start: int, end: int) -> LabelledSample:
    """Return some rows of a sample; all rows are the sample itself."""
    if (start, end) == (0, len(sample)):
        return sample
    mark = _mark(sample, f"rows {start} to {end}")
    return replace(sample, table=sample.table.slice(start, end - start), fingerprint=mark)


def _mark(sample: LabelledSample, what: str) -> str:
    return hashlib.blake2b(f"{sample.fingerprint} {what}".encode(), digest_size=16).hexdigest()
