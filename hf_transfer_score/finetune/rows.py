"""The rows of a measurement: for training, for choices and for the test, and encoded by a backbone."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.backbones.base import Backbone
from hf_transfer_score.errors import HiddenLabelsError, LabelsError, NoTestRowsError, OptionError
from hf_transfer_score.features.batches import Loader, cut
from hf_transfer_score.sampling.load import Progress, load_sample
from hf_transfer_score.sampling.sample import LabelledSample, SampleOptions, fingerprint
from hf_transfer_score.sampling.sources import open_source
from hf_transfer_score.text import one_line

Rows = NDArray[np.int64]

KEPT_BYTES = 2**31
"""Encoded examples are kept up to so many bytes; those of larger samples are encoded again each time."""

ENCODED_AT_ONCE = 64

LONGEST_NAME = 40  # of a class in a note

SPLITS = ("test", "validation", "valid", "val", "dev", "eval")
"""Splits for the test if none is named, in order of preference."""

KEPT_FOR_TEST = 0.2  # share of the rows, where the sample would hold all of them
FEW = 100  # test rows, below which a note says so

CLEARLY_APART = 0.1
"""Distance between the proportions of classes, beyond chance, from which a note says so."""


def check_task(sample: LabelledSample) -> None:
    """Refuse tasks that cannot be fine-tuned here."""
    task = sample.task
    if task.truth != "labels":
        raise OptionError(f"{task.name} has targets; only classification can be fine-tuned, to measure an accuracy.")
    if task.unit != "example":
        raise OptionError(f"{task.name} has labels per {task.unit}; only tasks with one per example can be fine-tuned.")


def codes_of(train: LabelledSample, test: LabelledSample) -> tuple[Rows, Rows, int]:
    """Return the classes of both samples as numbers from 0 without gaps, and how many there are."""
    own, other = train.labels, test.labels
    assert own is not None
    if other is None or not len(other):
        raise LabelsError("There are no test rows with labels, so nothing can be measured.")
    known, codes = np.unique(own, return_inverse=True)
    unknown = np.setdiff1d(other, known)
    if len(unknown):
        raise LabelsError(
            f"The test rows have {len(unknown)} classes that the training rows lack (the first is {int(unknown[0])}); "
            "leave out these rows, or train on a sample that has them."
        )
    return codes.astype(np.int64), np.searchsorted(known, other).astype(np.int64), len(known)


def split_rows(codes: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """Return the rows to train on and those to choose by: a share of each class, at least one row on each side.

    The row of a class that has no other is trained on.
    """
    generator, held = np.random.default_rng([seed, 1]), []
    for code in range(int(codes.max()) + 1):
        rows = np.flatnonzero(codes == code)
        count = min(max(1, round(share * len(rows))), len(rows) - 1)
        held.append(generator.permutation(rows)[:count])
    chosen = np.sort(np.concatenate(held))
    if not len(chosen):
        raise LabelsError(
            "Every class of the training rows has a single row, so none is left to choose the learning rate by. Draw "
            "more rows."
        )
    return np.setdiff1d(np.arange(len(codes)), chosen), chosen


def other_proportions(train: LabelledSample, test: LabelledSample) -> tuple[str, ...]:
    """Return a note if the test rows have the classes in clearly other proportions than the training rows.

    The distance is half the sum of the differences of all shares: the share of rows that would have to be of another
    class. The average distance of random draws with the training rows' proportions is subtracted.
    """
    codes, tested, classes = codes_of(train, test)
    own, other = (np.bincount(one, minlength=classes) / len(one) for one in (codes, tested))
    by_chance = 0.5 * np.sqrt(2 / np.pi * own * (1 - own) / len(tested)).sum()
    if 0.5 * np.abs(own - other).sum() - by_chance < CLEARLY_APART:
        return ()
    widest, counts = int(np.abs(own - other).argmax()), np.bincount(codes)
    names, number = train.label_names, int(np.unique(np.asarray(train.labels))[widest])
    name = one_line(names[number], LONGEST_NAME) if names and number < len(names) else f"class {number}"
    balanced = "balanced " if counts.max() - counts.min() <= 1 else ""
    note = (
        f"The test rows hold the classes in other proportions than the {balanced}training sample ({name}: "
        f"{own[widest]:.0%} of the sample, {other[widest]:.0%} of the test rows). Accuracy is measured with the "
        "proportions of the test rows, but the models were trained with those of the sample."
    )
    return (note,)


class Encoded:
    """The encoded examples of a sample, kept for all loads of one checkpoint unless they are too large."""

    def __init__(self, sample: LabelledSample) -> None:
        self.sample = sample
        self._items: list[Any] | None = None

    def are_kept(self, backbone: Backbone) -> bool:
        """Encode all examples and keep them if they are not too large; return whether they are kept."""
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
        """Return the encoded examples of rows."""
        if self.are_kept(backbone) and self._items:
            return [self._items[row] for row in rows.tolist()]
        return backbone.encode(self.sample.examples(rows))


def _bytes(value: Any) -> int:
    """Estimate the memory of an encoded example."""
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
    """Return rows to test on, with the training rows' numbers of classes, and without any training row.

    They are drawn in the dataset's own proportions: from the split that is named, else from a test or validation split
    with labels, else from the rest of the sample's own split. Rows with the contents of a training row are left out
    wherever they come from. Raises NoTestRowsError if no row is left.
    """
    columns = train.source.columns
    inputs = tuple(columns[role] for role in ("input", "input_2") if role in columns)
    task, label = train.task.name, columns.get("label")
    asked = replace(options, task=task, label_column=label, input_columns=inputs, per_class=None)

    def draw(name: str | None, most: int) -> LabelledSample:
        own = replace(asked, split=name, max_samples=max(most, 4))
        return load_sample(dataset, own, folder=folder, refresh=refresh)

    if split is not None:
        return _apart(draw(split, count), train, count)
    splits = open_source(dataset, options).splits
    for name in SPLITS:
        if name in splits and name not in (train.source.split or "").split("+"):
            with suppress(HiddenLabelsError):
                return _apart(draw(name, count), train, count)
    return _apart(draw(options.split, len(train) + count), train, count)


def training_and_test(
    dataset: Any,
    asked: SampleOptions,
    *,
    split: str | None,
    count: int,
    progress: Progress | None = None,
    ordered: Callable[[LabelledSample], LabelledSample] = lambda sample: sample,
    **places: Any,
) -> tuple[SampleOptions, LabelledSample, LabelledSample]:
    """Return the options with which the training rows were drawn, these rows in order, and rows to test on.

    Of a dataset that the sample would hold whole, some rows are kept for the test; a note says so. `places` are the
    arguments `folder` and `refresh` of `load_sample`.
    """

    def drawn(options: SampleOptions) -> LabelledSample:
        sample = load_sample(dataset, options, progress=progress, **places)
        check_task(sample)
        return ordered(sample)

    train = drawn(asked)
    try:
        return asked, train, held_out(dataset, train, asked, split=split, count=count, **places)
    except NoTestRowsError:
        if split is not None or asked.per_class is not None:
            raise
    every = len(train)
    fewer = replace(asked, max_samples=max(4, int((1 - KEPT_FOR_TEST) * every)))
    train = drawn(fewer)
    test = held_out(dataset, train, fewer, split=split, count=count, **places)
    note = f"{len(test)} of {every} rows are kept for the test; the ranking and the training use the others."
    return fewer, train, replace(test, notes=(note, *test.notes))


def _apart(found: LabelledSample, train: LabelledSample, count: int) -> LabelledSample:
    """Return the rows that are not training rows, and have their classes, with the same numbers."""
    import pyarrow as pa

    taken = set(_contents(train))
    new = np.array([content not in taken for content in _contents(found)], dtype=bool)
    codes, own = found.labels, train.labels
    assert codes is not None and own is not None
    if found.label_names and train.label_names:
        numbers = {name: number for number, name in enumerate(train.label_names)}
        codes = np.array([numbers.get(name, -1) for name in found.label_names], dtype=np.int64)[codes]
    known = np.isin(codes, own)
    keep = np.flatnonzero(new & known)[:count]
    if not len(keep):
        raise NoTestRowsError(
            f"No row is left to test on: all {len(found)} rows of the split {found.source.split or '(only one)'} of "
            f"{found.source.dataset} are in the sample, equal to rows of it, or of classes that it lacks. Draw fewer "
            "rows with `per_class` or `max_samples`, or name another split with `test_split`."
        )
    notes, unknown = [], int((new & ~known).sum())
    if not new.all() and found.source.split != train.source.split:
        notes.append(f"{int((~new).sum())} test rows are also in the training sample, and were left out.")
    if unknown:
        notes.append(f"{unknown} test rows are of classes that the training sample lacks, and were left out.")
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
