"""The drawn rows as a sample: its table, the names of its classes, and what the user should know."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling.draw import Draw, Drawn
from hf_transfer_score.sampling.media import read_media
from hf_transfer_score.sampling.options import SampleOptions
from hf_transfer_score.sampling.rows import Rows, Truth
from hf_transfer_score.sampling.sample import LabelledSample, SampleSource, fingerprint
from hf_transfer_score.sampling.sources import Source

if TYPE_CHECKING:
    import pyarrow as pa

WRITTEN_TOGETHER = 32
"""Examples of a batch in the file of a sample."""

FETCHED_TOGETHER = 16
"""Files that are read at the same time, where rows have paths: each may be a request over the network."""


@dataclass
class Pass:
    """What one pass over a source has seen.

    Attributes:
        seen: rows read.
        labelled: rows that could be drawn.
        shards_read: shards read to their end.
        shards: all shards.
        stopped: whether the pass ended within a shard.
        mixtures: labelled rows and number of classes of each shard that was read to its end.
    """

    seen: int = 0
    labelled: int = 0
    shards_read: int = 0
    shards: int = 0
    stopped: bool = False
    mixtures: list[tuple[int, int]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether all rows were read."""
        return self.shards_read == self.shards and not self.stopped


@dataclass
class Drawing:
    """What was drawn.

    Attributes:
        drawn: the rows.
        truths: their labels or targets, and places.
        draw: where they come from.
        scratch: a folder for the table.
    """

    drawn: list[Drawn]
    truths: list[Truth]
    draw: Draw
    scratch: Path


def in_split(source: Source) -> str:
    """Return which split, for messages."""
    return "" if source.split is None else f" in the split {source.split}"


def draw_truths(source: Source, options: SampleOptions, rows: Rows, draw: Draw) -> tuple[list[Drawn], list[Truth]]:
    """Return the rows that are drawn, with their labels; rows that turn out to have none are left out."""
    drawn, truths = [], []
    for one, kept in _with_content(source, rows, draw):
        truth = rows.truth(kept, one.stratum, np.random.default_rng([options.seed, one.key]))
        if truth is not None:
            drawn.append(one)
            truths.append(truth)
    return drawn, truths


def _with_content(source: Source, rows: Rows, draw: Draw) -> Iterator[tuple[Drawn, list[Any]]]:
    """Yield the rows that are drawn; files that are known by their path only are read now, several at a time."""
    order = draw.finish()
    with ThreadPoolExecutor(FETCHED_TOGETHER) as pool:
        for start in range(0, len(order), FETCHED_TOGETHER):
            some = order[start : start + FETCHED_TOGETHER]
            keeps = [draw.spool.get(one.slot) for one in some]
            for one, kept, full in zip(some, keeps, pool.map(partial(_content, source, rows), keeps), strict=True):
                if full != kept:
                    draw.spool.drop(one.slot)
                    one = one._replace(slot=draw.spool.put(full))
                yield one, full


def _content(source: Source, rows: Rows, kept: list[Any]) -> list[Any]:
    if rows.columns.task.modality == "text":
        return kept
    media = [read_media(value, source.dataset, source.reach) for value in kept[: rows.media]]
    return [*media, *kept[rows.media :]]


def assemble(source: Source, options: SampleOptions, rows: Rows, passed: Pass, drawing: Drawing) -> LabelledSample:
    """Return the sample: the table is written to a file, and the fingerprint taken of what was written."""
    if not drawing.truths:
        raise DatasetError(f"No row of {source.dataset}{in_split(source)} can be used: {rows.why_lost}.")
    indices, names = _indices(source, options, rows, drawing.truths)
    table = _write(rows, drawing, indices)
    about = SampleSource(
        source.dataset,
        source.split,
        source.config,
        source.revision,
        rows.columns.by_role,
        passed.seen,
        passed.complete,
        options.plain(),
    )
    task = rows.columns.task
    mark = fingerprint(table, {"task": task.name, "names": names, "options": options.plain()})
    notes = (*source.notes, *rows.columns.notes, *_notes(options, rows, passed, drawing, names))
    return LabelledSample(task, table, names, about, mark, notes)


def _indices(
    source: Source, options: SampleOptions, rows: Rows, truths: list[Truth]
) -> tuple[dict[int, int], tuple[str, ...] | None]:
    """Return class indices by code for the classes in the sample, and their names, or refuse a single class."""
    if rows.classes is None:
        return {}, None
    codes = [code for truth in truths for code in (truth.value if isinstance(truth.value, list) else [truth.value])]
    indices, names = rows.classes.order(codes)
    if len(names) < 2:
        only = f"the only one is {names[0]!r}" if names else "there is none"
        hint = f" Values left out: {list(options.ignore_values)} (`ignore_values`)." if _is_pixel(rows) else ""
        raise DatasetError(
            f"At least 2 classes are needed, and in column {rows.columns.label!r} of {source.dataset}"
            f"{in_split(source)} {only}.{hint}"
        )
    return indices, names


def _is_pixel(rows: Rows) -> bool:
    return rows.columns.task.unit == "pixel"


def _schema(rows: Rows) -> pa.Schema:
    import pyarrow as pa

    task = rows.columns.task
    text: pa.DataType = pa.list_(pa.string()) if task.unit == "word" else pa.string()
    fields = [pa.field("input", text if task.modality == "text" else pa.binary())]
    if len(rows.columns.inputs) == 2:
        fields.append(pa.field("input_2", text))
    value = pa.int64() if task.truth == "labels" else pa.float64()
    if task.unit != "example":
        fields.append(pa.field("positions", pa.list_(pa.int64() if task.unit == "word" else pa.float32())))
        value = pa.list_(value)
    return pa.schema([*fields, pa.field("label" if task.truth == "labels" else "target", value)])


def _write(rows: Rows, drawing: Drawing, indices: dict[int, int]) -> pa.Table:
    """Write the examples to a file, a few at a time, and return it as a table that is mapped from there."""
    import pyarrow as pa

    schema, path = _schema(rows), drawing.scratch / "examples.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in _batches(rows, drawing, indices):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _batches(rows: Rows, drawing: Drawing, indices: dict[int, int]) -> Iterator[list[dict[str, Any]]]:
    both = list(zip(drawing.drawn, drawing.truths, strict=True))
    for start in range(0, len(both), WRITTEN_TOGETHER):
        yield [
            _record(rows, drawing.draw.spool.get(one.slot), truth, indices)
            for one, truth in both[start : start + WRITTEN_TOGETHER]
        ]


def _record(rows: Rows, kept: list[Any], truth: Truth, indices: dict[int, int]) -> dict[str, Any]:
    record = dict(zip(("input", "input_2"), kept[: len(rows.columns.inputs)], strict=False))
    if truth.positions is not None:
        record["positions"] = truth.positions
    if rows.columns.task.truth == "targets":
        return {**record, "target": truth.value}
    value = truth.value
    return {**record, "label": [indices[code] for code in value] if isinstance(value, list) else indices[value]}


def _notes(
    options: SampleOptions, rows: Rows, passed: Pass, drawing: Drawing, names: tuple[str, ...] | None
) -> list[str]:
    notes = []
    if passed.seen > passed.labelled:
        notes.append(f"{passed.seen - passed.labelled} of {passed.seen} rows without a label or input were left out")
    if not passed.complete:
        part = f"{passed.shards_read} of {passed.shards} files" if not passed.stopped else f"{passed.seen} rows"
        notes.append(f"read in part: {part}, which hold enough; full_pass=True reads all")
    lost = sum(drawing.draw.quotas()) - len(drawing.drawn)
    if lost:
        notes.append(f"{lost} drawn examples were left out: {rows.why_lost}")
    return notes + _class_notes(options, rows, drawing, names) + _place_notes(options, rows, drawing)


def _class_notes(options: SampleOptions, rows: Rows, drawing: Drawing, names: tuple[str, ...] | None) -> list[str]:
    if rows.classes is None:
        values = {truth.value for truth in drawing.truths}
        whole = len(values) <= 20 and all(float(value).is_integer() for value in values)
        task = rows.columns.task.name.replace("regression", "classification")
        return [f"all targets are whole numbers; if they are classes, ask for the task {task}"] if whole else []
    absent, notes = rows.classes.absent(names or ()), []
    if absent:
        shown = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        notes.append(f"{len(absent)} of the dataset's classes did not occur: {shown}")
    alone = [rows.classes.name(code) for code, count in enumerate(drawing.draw.counts) if count == 1]
    if alone and rows.stratified:
        notes.append(f"{len(alone)} classes have a single row: {', '.join(alone[:5])}")
    return notes


def _place_notes(options: SampleOptions, rows: Rows, drawing: Drawing) -> list[str]:
    unit = rows.columns.task.unit
    if unit == "example":
        return []
    how = "rare labels more likely" if unit == "word" else "spread evenly over the classes of an image"
    count = sum(len(truth.value) for truth in drawing.truths)
    return [f"{count} {unit}s drawn, {options.rows_per_example} of an example at most, {how}"]
