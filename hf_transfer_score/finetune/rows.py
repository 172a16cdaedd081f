"""The rows of a measurement: which are trained on, which chosen by, and what a backbone makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.backbones.base import Backbone
from hf_transfer_score.errors import LabelsError, OptionError
from hf_transfer_score.features.batches import Loader, cut
from hf_transfer_score.sampling.sample import LabelledSample

Rows = NDArray[np.int64]

KEPT_BYTES = 2**31
"""Encoded examples are kept up to so many bytes; those of larger samples are made again each time."""

ENCODED_AT_ONCE = 64


def check_task(sample: LabelledSample) -> None:
    """Refuse what cannot be fine-tuned here."""
    task = sample.task
    if task.truth != "labels":
        raise OptionError(
            f"{task.name} has targets, and only classification is fine-tuned: there is no accuracy to measure."
        )
    if task.unit != "example":
        raise OptionError(
            f"{task.name} has a label for each {task.unit}, and only tasks with one label per example are fine-tuned."
        )


def codes_of(train: LabelledSample, test: LabelledSample) -> tuple[Rows, Rows, int]:
    """Return the classes of both samples as numbers from 0 without gaps, and how many there are."""
    own, other = train.labels, test.labels
    assert own is not None
    if other is None or not len(other):
        raise LabelsError("The test rows have no labels, or there are none: nothing can be measured on them.")
    known, codes = np.unique(own, return_inverse=True)
    strange = np.setdiff1d(other, known)
    if len(strange):
        raise LabelsError(
            f"The test rows have {len(strange)} classes that the training rows lack (the first is {int(strange[0])}); "
            "leave these rows out, or train on a sample that has them."
        )
    return codes.astype(np.int64), np.searchsorted(known, other).astype(np.int64), len(known)


def split_rows(codes: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """Return the rows to train on and those to choose by: a share of each class, at least one of it on each side.

    Example:
        >>> [len(part) for part in split_rows(np.repeat([0, 1], 10), 0.2, 0)]
        [16, 4]
    """
    generator, held = np.random.default_rng([seed, 1]), []
    for code in range(int(codes.max()) + 1):
        rows = np.flatnonzero(codes == code)
        if len(rows) < 2:
            raise LabelsError(
                "A class of the training rows has a single row, and one is needed to train on and one to choose by; "
                "draw more rows, or leave that class out."
            )
        count = min(max(1, round(share * len(rows))), len(rows) - 1)
        held.append(generator.permutation(rows)[:count])
    chosen = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(codes)), chosen), chosen


class Encoded:
    """What a backbone makes of the examples of a sample, kept for all loads of one checkpoint while that is little."""

    def __init__(self, sample: LabelledSample) -> None:
        self.sample = sample
        self._items: list[Any] | None = None

    def are_kept(self, backbone: Backbone) -> bool:
        """Whether all examples are kept encoded; they are from now on, if they are not too large."""
        if self._items is None:
            items: list[Any] = []
            first = backbone.encode(self.sample.examples(range(min(8, len(self.sample)))))
            if sum(map(_bytes, first)) / len(first) * len(self.sample) <= KEPT_BYTES:
                parts = cut(np.arange(len(self.sample)), ENCODED_AT_ONCE)
                for part in Loader(backbone, self.sample).prepared(parts, lambda part: part, ahead=False):
                    items += part.items
            self._items = items
        return bool(self._items)

    def items(self, backbone: Backbone, rows: Rows) -> Sequence[Any]:
        """Return the encoded examples of some rows."""
        if self.are_kept(backbone) and self._items:
            return [self._items[row] for row in rows.tolist()]
        return backbone.encode(self.sample.examples(rows))


def _bytes(value: Any) -> int:
    """Return about how much memory an encoded example takes."""
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    if hasattr(value, "__dict__"):
        value = vars(value)
    if isinstance(value, dict):
        return sum(map(_bytes, value.values()))
    return sum(map(_bytes, value)) if isinstance(value, (list, tuple)) else 32
