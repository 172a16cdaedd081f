"""The drawn rows as a sample: its table, the names of its classes, and what the user should know."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling.draw import Draw, Drawn
from hf_transfer_score.sampling.options import SampleOptions
from hf_transfer_score.sampling.reach import read_media
from hf_transfer_score.sampling.rows import DrawnTruth, ExampleRows
from hf_transfer_score.sampling.sample import LabelledSample, SampleSource, fingerprint
from hf_transfer_score.sampling.sources import OpenSplit

if TYPE_CHECKING:
    import pyarrow as pa

WRITTEN_TOGETHER = 32
"""Examples of a batch in the file of a sample."""

FETCHED_TOGETHER = 16
"""Files that are read at the same time, where rows have paths: each may be a request over the network."""


@dataclass
class Drawing:
    """One pass over a source: what it has seen so far, and what is drawn of it.

    Attributes:
        source: the split that is read.
        options: what to draw.
        rows: how to look at its rows.
        draw: keeps the rows that can still be drawn.
        seen: rows read.
        labelled: rows that could be drawn.
        shards_read: shards read to their end.
        shards: all shards.
        stopped: whether the pass ended within a shard.
        mixtures: labelled rows and number of classes of each shard that was read to its end.
        drawn: the rows that were drawn, each with its label or target and places.
    """

    source: OpenSplit
    options: SampleOptions
    rows: ExampleRows
    draw: Draw
    seen: int = 0
    labelled: int = 0
    shards_read: int = 0
    shards: int = 0
    stopped: bool = False
    mixtures: list[tuple[int, int]] = field(default_factory=list)
    drawn: list[tuple[Drawn, DrawnTruth]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether all rows were read."""
        return self.shards_read == self.shards and not self.stopped


def assemble(drawing: Drawing, scratch: Path) -> LabelledSample:
    """Return the sample: the table is written to a file in `scratch`, and the fingerprint taken of what was written."""
    source, options, rows = drawing.source, drawing.options, drawing.rows
    for one, kept in _with_content(drawing):
        truth = rows.truth(kept, one.stratum, np.random.default_rng([options.seed, one.key]))
        if truth is not None:  # else it turns out to have no label
            drawing.drawn.append((one, truth))
    if not drawing.drawn:
        raise DatasetError(f"No row of {source.dataset}{source.in_split} can be used: {rows.why_lost}.")
    indices, names = _indices(drawing)
    table = _write(drawing, indices, scratch / "examples.arrow")
    about = SampleSource(
        source.dataset,
        source.split,
        source.config,
        source.revision,
        rows.columns.by_role,
        drawing.seen,
        drawing.complete,
        options.plain(),
    )
    task = rows.columns.task
    mark = fingerprint(table, {"task": task.name, "names": names, "options": options.plain()})
    notes = (*source.notes, *rows.columns.notes, *_notes(drawing, names))
    return LabelledSample(task, table, names, about, mark, notes)


def _with_content(drawing: Drawing) -> Iterator[tuple[Drawn, list[Any]]]:
    """Yield the rows that are drawn; files that are known by their path only are read now, several at a time."""
    source, rows, file = drawing.source, drawing.rows, drawing.draw.kept
    media = 0 if rows.columns.task.modality == "text" else rows.media

    def content(kept: list[Any]) -> list[Any]:
        return [*(read_media(value, source.dataset, source.reach) for value in kept[:media]), *kept[media:]]

    order = drawing.draw.finish()
    with ThreadPoolExecutor(FETCHED_TOGETHER) as pool:
        for start in range(0, len(order), FETCHED_TOGETHER):
            some = order[start : start + FETCHED_TOGETHER]
            keeps = [file.get(one.slot) for one in some]
            for one, kept, full in zip(some, keeps, pool.map(content, keeps), strict=True):
                if full != kept:
                    file.drop(one.slot)
                    one = one._replace(slot=file.put(full))
                yield one, full


def _indices(drawing: Drawing) -> tuple[dict[int, int], tuple[str, ...] | None]:
    """Return class indices by code for the classes in the sample, and their names, or refuse a single class."""
    rows, source = drawing.rows, drawing.source
    if rows.classes is None:
        return {}, None
    values = [truth.value for _, truth in drawing.drawn]
    indices, names = rows.classes.order(
        code for value in values for code in (value if isinstance(value, list) else [value])
    )
    if len(names) < 2:
        only = f"the only one is {names[0]!r}" if names else "there is none"
        left_out = f" Values left out: {list(drawing.options.ignore_values)} (`ignore_values`)."
        raise DatasetError(
            f"At least 2 classes are needed, and in column {rows.columns.label!r} of {source.dataset}"
            f"{source.in_split} {only}.{left_out if rows.columns.task.unit == 'pixel' else ''}"
        )
    return indices, names


def _write(drawing: Drawing, indices: dict[int, int], path: Path) -> pa.Table:
    """Write the examples to a file, a few at a time, and return it as a table that is mapped from there."""
    import pyarrow as pa

    columns = drawing.rows.columns
    task = columns.task
    text: pa.DataType = pa.list_(pa.string()) if task.unit == "word" else pa.string()
    fields = [pa.field("input", text if task.modality == "text" else pa.binary())]
    if len(columns.inputs) == 2:
        fields.append(pa.field("input_2", text))
    value = pa.int64() if task.truth == "labels" else pa.float64()
    if task.unit != "example":
        fields.append(pa.field("positions", pa.list_(pa.int64() if task.unit == "word" else pa.float32())))
        value = pa.list_(value)
    schema = pa.schema([*fields, pa.field("label" if task.truth == "labels" else "target", value)])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for start in range(0, len(drawing.drawn), WRITTEN_TOGETHER):
            some = drawing.drawn[start : start + WRITTEN_TOGETHER]
            batch = [_record(drawing, one, truth, indices) for one, truth in some]
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _record(drawing: Drawing, one: Drawn, truth: DrawnTruth, indices: dict[int, int]) -> dict[str, Any]:
    columns, value = drawing.rows.columns, truth.value
    kept = drawing.draw.kept.get(one.slot)
    record = dict(zip(("input", "input_2"), kept[: len(columns.inputs)], strict=False))
    if truth.positions is not None:
        record["positions"] = truth.positions
    if columns.task.truth == "targets":
        return {**record, "target": value}
    return {**record, "label": [indices[code] for code in value] if isinstance(value, list) else indices[value]}


def _notes(drawing: Drawing, names: tuple[str, ...] | None) -> list[str]:
    """Return what the user should know of how the sample was drawn."""
    rows, unit, notes = drawing.rows, drawing.rows.columns.task.unit, []
    values = [truth.value for _, truth in drawing.drawn]
    if drawing.seen > drawing.labelled:
        notes.append(f"{drawing.seen - drawing.labelled} of {drawing.seen} rows without a label or input were left out")
    if not drawing.complete:
        files = f"{drawing.shards_read} of {drawing.shards} files"
        part = f"{drawing.seen} rows" if drawing.stopped else files
        notes.append(f"read in part: {part}, which hold enough; full_pass=True reads all")
    lost = sum(drawing.draw.quotas()) - len(drawing.drawn)
    if lost:
        notes.append(f"{lost} drawn examples were left out: {rows.why_lost}")
    if rows.classes is not None:
        notes += _class_notes(drawing, rows.classes.absent(names or ()))
    elif len(set(values)) <= 20 and all(float(value).is_integer() for value in values):
        task = rows.columns.task.name.replace("regression", "classification")
        notes.append(f"all targets are whole numbers; if they are classes, ask for the task {task}")
    if unit != "example":
        how = "rare labels more likely" if unit == "word" else "spread evenly over the classes of an image"
        most = drawing.options.rows_per_example
        notes.append(f"{sum(map(len, values))} {unit}s drawn, {most} of an example at most, {how}")
    return notes


def _class_notes(drawing: Drawing, absent: list[str]) -> list[str]:
    rows, notes = drawing.rows, []
    if absent:
        shown = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        notes.append(f"{len(absent)} of the dataset's classes did not occur: {shown}")
    assert rows.classes is not None
    alone = [rows.classes.name(code) for code, count in enumerate(drawing.draw.counts) if count == 1]
    if alone and rows.stratified:
        notes.append(f"{len(alone)} classes have a single row: {', '.join(alone[:5])}")
    return notes
