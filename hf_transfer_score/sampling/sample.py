"""Sampling options, and the labelled sample: one Arrow file, read once for all candidates."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import DatasetError, OptionError, check_least
from hf_transfer_score.sampling.media import decode_image, decode_sound, encode_input, pixels_of_image
from hf_transfer_score.tasks import Example, Pixels, Task, Waveform, Words, get_task
from hf_transfer_score.text import UNNAMED, dataset_name, in_words

if TYPE_CHECKING:
    import pyarrow as pa

DESCRIPTION_KEY = b"hf_transfer_score.sample"


@dataclass(frozen=True)
class SampleOptions:
    """Which rows and columns of a dataset make the sample.

    Attributes:
        config: the configuration of the dataset, called subset on the Hub; required if there are several.
        split: the split; by default train, or the only one.
        revision: branch, tag or commit of the dataset on the Hub.
        task: the task, such as image-classification; by default determined from the columns.
        label_column: the column with the labels or targets; by default determined from types and names.
        input_columns: the column with the inputs, or two for pairs of texts; by default determined from types and
            names.
        max_samples: maximum number of examples.
        per_class: take this many examples of every class (or all, if it has fewer) instead of the dataset's own
            proportions.
        rows_per_example: maximum number of words of a text or pixels of an image.
        ignore_values: values in a segmentation mask that mean "no label".
        seed: decides which of the eligible rows are drawn.
        full_pass: read all shards, even if some of them hold enough rows.
        max_rows: stop after that many rows; for endless streams.
        dataset_name: what records, cards and boards call a dataset in memory, a folder or a file.
    """

    config: str | None = None
    split: str | None = None
    revision: str | None = None
    task: str | None = None
    label_column: str | None = None
    input_columns: tuple[str, ...] = ()
    max_samples: int = 5000
    per_class: int | None = None
    rows_per_example: int = 16
    ignore_values: tuple[int, ...] = (255,)
    seed: int = 0
    full_pass: bool = False
    max_rows: int | None = None
    dataset_name: str | None = None

    def __post_init__(self) -> None:
        if self.task is not None:
            get_task(self.task)
        check_least(self, max_samples=4, per_class=2, rows_per_example=1, max_rows=1)
        if isinstance(self.input_columns, str) or len(self.input_columns) > 2:
            raise OptionError(f"input_columns={self.input_columns!r}: expected one name, or two for pairs of texts.")
        if self.seed < 0:
            raise OptionError(f"seed={self.seed}: expected a whole number from 0 on.")
        name = self.dataset_name
        if name is not None and (not name.strip() or not name.isprintable() or re.search(r"[/\\]", name)):
            raise OptionError(f"dataset_name={name!r}: expected a few words without slashes, such as 'Birds of Wales'.")

    def plain(self) -> dict[str, Any]:
        """Return the options as JSON values, without the name of the dataset, which changes nothing in a sample."""
        found = asdict(self)
        del found["dataset_name"]
        return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


@dataclass(frozen=True)
class SampleSource:
    """Where a sample came from, as plain values for a record."""

    dataset: str  # the id on the Hub, the folder or file, or a name for a dataset in memory
    split: str | None = None
    config: str | None = None  # the configuration, None if there is only one
    revision: str | None = None  # the full commit on the Hub; None elsewhere
    columns: dict[str, str] = field(default_factory=dict)  # by role: "input", "input_2", "label"
    rows_seen: int = 0  # number of rows that were read
    complete: bool = True  # whether these were all rows of the split
    options: dict[str, Any] = field(default_factory=dict)  # the sampling options


@dataclass(frozen=True)
class LabelledSample:
    """A labelled sample, in memory or mapped from its file.

    The table has a column `input` (encoded images and sound as bytes, texts, lists of words), `input_2` for pairs,
    `positions` for words and pixels (indices of words; down and across alternating for pixels), and `label` (integers)
    or `target` (floats): one value per example, or a list with one per position.

    Attributes:
        label_names: the names of the classes, None if they have none.
        fingerprint: changes with the content and the options.
        notes: for the user, on what was chosen or left out.
    """

    task: Task
    table: pa.Table
    label_names: tuple[str, ...] | None
    source: SampleSource
    fingerprint: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows of features of each example (examples,)."""
        if self.task.unit == "example":
            return np.ones(len(self), dtype=np.int64)
        column = "label" if self.task.truth == "labels" else "target"
        lists = self.table.column(column).combine_chunks()
        offsets: NDArray[np.int64] = np.asarray(lists.offsets, dtype=np.int64)
        return offsets[1:] - offsets[:-1]

    @property
    def rows(self) -> int:
        """Number of rows of features."""
        return int(self.counts.sum())

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """Class index of each row (rows,), or None for regression."""
        return self._flat("label", np.int64) if self.task.truth == "labels" else None

    @property
    def targets(self) -> NDArray[np.float64] | None:
        """Regression target of each row (rows,), or None for classification."""
        return self._flat("target", np.float64) if self.task.truth == "targets" else None

    def _flat(self, name: str, dtype: Any) -> NDArray[Any]:
        values = self.table.column(name).combine_chunks()
        return np.asarray(values if self.task.unit == "example" else values.flatten(), dtype=dtype)

    def examples(self, indices: Sequence[int] | NDArray[np.int64], least_side: int | None = None) -> list[Example]:
        """Return some examples, decoded; large JPEGs of whole images at a size of no less than `least_side`."""
        rows = {name: self._cells(name, indices) for name in self.table.column_names if name not in ("label", "target")}
        inputs, more, places = rows["input"], rows.get("input_2"), rows.get("positions", [])
        if self.task.unit == "word":
            return [
                Words(words, np.asarray(where, dtype=np.int64)) for words, where in zip(inputs, places, strict=True)
            ]
        if self.task.unit == "pixel":
            pairs = [np.asarray(where, dtype=np.float32).reshape(-1, 2) for where in places]
            images = self._decoded(decode_image, inputs, indices)
            return [Pixels(image, where) for image, where in zip(images, pairs, strict=True)]
        if self.task.modality == "image":
            return self._decoded(partial(decode_image, least_side=least_side), inputs, indices)
        if self.task.modality == "audio":
            return self._decoded(decode_sound, inputs, indices)
        return inputs if more is None else list(zip(inputs, more, strict=True))

    def pixels(self, indices: Sequence[int] | NDArray[np.int64], least_side: int | None = None) -> list[int]:
        """Return how many pixels the images of some examples have when decoded, according to their headers."""
        return [pixels_of_image(content, least_side) for content in self._cells("input", indices)]

    def _decoded(self, decode: Callable[[bytes], Any], contents: Sequence[bytes], indices: Any) -> list[Any]:
        found = []
        for content, index in zip(contents, indices, strict=True):
            try:
                found.append(decode(content))
            except DatasetError as error:
                where = f"Example {int(index)} of the sample of the dataset {dataset_name(self.source.dataset)}"
                raise DatasetError(
                    f"{where} is damaged: {error} Remove it from the dataset, or draw with another `seed`."
                ) from None
        return found

    def _cells(self, name: str, indices: Sequence[int] | NDArray[np.int64]) -> list[Any]:
        """Return some values of a column one by one: `take` would first copy all batches into one."""
        column = self.table.column(name)
        return [column[int(index)].as_py() for index in indices]

    def save(self, path: Path) -> None:
        """Write the sample to one Arrow file, not atomically."""
        import pyarrow as pa

        about = {
            "task": self.task.name,
            "label_names": self.label_names,
            "source": asdict(self.source),
            "fingerprint": self.fingerprint,
            "notes": self.notes,
        }
        described = self.table.replace_schema_metadata({DESCRIPTION_KEY: json.dumps(about).encode()})
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, described.schema) as writer:
            writer.write_table(described)

    @classmethod
    def load(cls, path: Path) -> LabelledSample:
        """Map a sample from its file; examples are read when they are needed."""
        import pyarrow as pa

        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        about = json.loads(table.schema.metadata[DESCRIPTION_KEY])
        names = about["label_names"]
        return cls(
            get_task(about["task"]),
            table,
            None if names is None else tuple(names),
            SampleSource(**about["source"]),
            about["fingerprint"],
            tuple(about["notes"]),
        )


def memory_sample(
    task: str,
    inputs: Iterable[Any],
    truth: Iterable[Any],
    *,
    label_names: Sequence[str] | None = None,
    name: str = UNNAMED,
) -> LabelledSample:
    """Return a sample of examples in memory, in the given order.

    Inputs depend on the task: PIL images, texts, pairs of texts, `Words`, `Pixels` or `Waveform`s. The truth of each
    is a class index or a target; for words and pixels a list with one per position.

    Example:
        >>> sample = memory_sample("text-classification", ["good", "bad"], [1, 0])
        >>> sample.labels.tolist(), sample.examples([1])
        ([1, 0], ['bad'])
    """
    import pyarrow as pa

    known, inputs = get_task(task), list(inputs)
    columns: dict[str, Any] = {"input": [encode_input(one) for one in inputs]}
    if inputs and isinstance(inputs[0], tuple) and not isinstance(inputs[0], (Words, Pixels, Waveform)):
        columns = {"input": [one[0] for one in inputs], "input_2": [one[1] for one in inputs]}
    if known.unit != "example":
        columns["positions"] = [np.asarray(one.positions).ravel().tolist() for one in inputs]
    columns["label" if known.truth == "labels" else "target"] = list(truth)
    table = pa.table(columns)
    source = SampleSource(name, rows_seen=len(inputs))
    return LabelledSample(known, table, tuple(label_names) if label_names else None, source, fingerprint(table, {}))


def fingerprint(table: pa.Table, options: dict[str, Any]) -> str:
    """Return 32 hexadecimal digits that change with the content of a table and with the options."""
    digest = hashlib.blake2b(json.dumps(options, sort_keys=True).encode(), digest_size=16)
    for name in table.column_names:
        digest.update(name.encode())
        column = table.column(name)
        digest.update(str(column.type).encode())
        for value in column:
            part = value.as_py()
            part = part if isinstance(part, bytes) else json.dumps(part).encode()
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    return digest.hexdigest()


def describe(sample: LabelledSample) -> list[str]:
    """Return lines that describe a sample: its source, task, size and notes."""
    source = sample.source
    parts = [source.config, source.split, source.revision and f"commit {source.revision[:12]}"]
    where = ", ".join(part for part in parts if part)
    lines = [f"dataset: {dataset_name(source.dataset)}{f' ({where})' if where else ''}", f"task: {sample.task.name}"]
    part = "" if source.complete else ", the dataset in part"
    lines.append(f"{_examples(sample)} of {source.rows_seen:,} rows read{part}{_classes(sample)}")
    return lines + list(sample.notes)


def sample_line(sample: LabelledSample) -> str:
    """Return a short description of a sample."""
    source = sample.source
    name = in_words(source.dataset)
    where = f"{name} ({source.split})" if source.split else name
    return f"{_examples(sample)} of {where}{_classes(sample)}"


def _examples(sample: LabelledSample) -> str:
    rows = "" if sample.task.unit == "example" else f" with {sample.rows:,} {sample.task.unit}s"
    return f"{len(sample):,} examples{rows}"


def _classes(sample: LabelledSample) -> str:
    return "" if sample.labels is None else f", {len(np.unique(sample.labels)):,} classes"
