"""The rows of a measurement: which are trained on, chosen by and tested on, and what a backbone makes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.backbones.base import Backbone
from hf_transfer_score.errors import DatasetError, HiddenLabelsError, LabelsError, OptionError
from hf_transfer_score.features.batches import Loader, cut
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import LabelledSample, SampleOptions, fingerprint
from hf_transfer_score.sampling.sources import open_source
from hf_transfer_score.text import one_line

Rows = NDArray[np.int64]

KEPT_BYTES = 2**31
"""Encoded examples are kept up to so many bytes; those of larger samples are made again each time."""

ENCODED_AT_ONCE = 64

LONGEST_NAME = 40
"""Letters of a class's name that a note shows."""

SPLITS = ("test", "validation", "valid", "val", "dev", "eval")
"""Splits that are tested on where none is named, the first there is with labels."""

FEW = 100
"""Below as many test rows an accuracy is a matter of a few examples."""

CLEARLY_APART = 0.1
"""From this distance between the proportions of classes on, beyond what the draw of the rows makes, it is said."""


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
    """Return the rows to train on and those to choose by: a share of each class, at least one of it on each side."""
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


def other_proportions(train: LabelledSample, test: LabelledSample) -> tuple[str, ...]:
    """Return a note where the test rows hold the classes in clearly other proportions than the training rows.

    The distance is half the sum of the differences of all shares: the part of the rows that would have to be of
    another class. What a draw of so many test rows from the training rows' proportions makes on average is left out.
    """
    codes, tested, classes = codes_of(train, test)
    own, other = (np.bincount(one, minlength=classes) / len(one) for one in (codes, tested))
    by_luck = 0.5 * np.sqrt(2 / np.pi * own * (1 - own) / len(tested)).sum()
    if 0.5 * np.abs(own - other).sum() - by_luck < CLEARLY_APART:
        return ()
    widest, counts = int(np.abs(own - other).argmax()), np.bincount(codes)
    names, number = train.label_names, int(np.unique(np.asarray(train.labels))[widest])
    name = one_line(names[number], LONGEST_NAME) if names and number < len(names) else f"class {number}"
    balanced = "balanced " if counts.max() - counts.min() <= 1 else ""
    note = (
        f"The test rows hold the classes in other proportions than the {balanced}training sample ({name}: "
        f"{own[widest]:.0%} of the sample, {other[widest]:.0%} of the test rows). Accuracy is measured on the "
        "proportions of the test rows, and the models were trained on those of the sample."
    )
    return (note,)


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


def held_out(
    dataset: Any,
    train: LabelledSample,
    options: SampleOptions,
    *,
    split: str | None = None,
    count: int = 1000,
    folder: Path | None = None,
    refresh: bool = False,
) -> LabelledSample:
    """Return rows to test on, in the classes of the training rows by the same numbers, and none of these rows.

    They are drawn in the dataset's own proportions: from the split that is named, else from one called test or
    validation that has labels, else from the rows of the sample's own split that are not in it. Rows with the content
    of a training row are left out wherever they come from. Where nothing is left a DatasetError says what to do.
    """
    told = train.source.columns
    inputs = tuple(told[role] for role in ("input", "input_2") if role in told)
    asked = replace(options, task=train.task.name, label_column=told.get("label"), input_columns=inputs, per_class=None)

    def draw(name: str | None, most: int) -> LabelledSample:
        return load_sample(
            dataset, replace(asked, split=name, max_samples=max(most, 4)), folder=folder, refresh=refresh
        )

    if split is not None:
        return _apart(draw(split, count), train, count)
    splits = open_source(dataset, options).splits
    for name in SPLITS:
        if name in splits and name not in (train.source.split or "").split("+"):
            with suppress(HiddenLabelsError):
                return _apart(draw(name, count), train, count)
    return _apart(draw(options.split, len(train) + count), train, count)


def _apart(found: LabelledSample, train: LabelledSample, count: int) -> LabelledSample:
    """Return the rows that are no training rows and of classes that these have, by their numbers."""
    import pyarrow as pa

    taken = set(_contents(train))
    new = np.array([content not in taken for content in _contents(found)], dtype=bool)
    codes, own = found.labels, train.labels
    assert codes is not None and own is not None
    if found.label_names and train.label_names:  # classes by the numbers of the training rows
        numbers = {name: number for number, name in enumerate(train.label_names)}
        codes = np.array([numbers.get(name, -1) for name in found.label_names], dtype=np.int64)[codes]
    known = np.isin(codes, own)
    keep = np.flatnonzero(new & known)[:count]
    if not len(keep):
        raise DatasetError(
            f"No row is left to test on: all {len(found)} rows of the split {found.source.split or 'that there is'} "
            f"of {found.source.dataset} are in the sample or of classes that it lacks. Draw fewer rows with "
            "`per_class` or `max_samples`, or name another split with `test_split`."
        )
    notes, strange = [], int((new & ~known).sum())
    if not new.all() and found.source.split != train.source.split:
        notes.append(f"{int((~new).sum())} test rows are in the training sample too, and were left out.")
    if strange:
        notes.append(f"{strange} test rows are of classes that the training sample lacks, and were left out.")
    if len(keep) < FEW:
        notes.append(f"There are {len(keep)} test rows only: differences of a few hundredths say nothing.")
    table = found.table.filter(np.isin(np.arange(len(found)), keep))
    place = table.column_names.index("label")
    table = table.set_column(place, "label", pa.chunked_array([pa.array(codes[keep])]))
    known_by = fingerprint(table, {"trained on": train.fingerprint})
    return replace(found, table=table, label_names=train.label_names, fingerprint=known_by, notes=tuple(notes))


def _contents(sample: LabelledSample) -> list[bytes]:
    """Return a hash of the inputs of each row."""
    columns = [sample.table.column(name) for name in ("input", "input_2") if name in sample.table.column_names]
    hashes = []
    for row in range(len(sample)):
        digest = hashlib.blake2b(digest_size=16)
        for cell in (column[row].as_py() for column in columns):
            part = cell if isinstance(cell, bytes) else str(cell).encode("utf-8", "surrogatepass")
            digest.update(len(part).to_bytes(8, "little") + part)
        hashes.append(digest.digest())
    return hashes
