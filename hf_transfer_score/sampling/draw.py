"""Draws a stratified sample in one pass: rows must be kept before the share of each class is known.

Every row has a key, a hash of its number and the seed. At the end a class with a quota of q gives its q smallest keys.
Until then a class keeps as many rows as its quota would be if the stream ended now, plus a margin. On average at most
that many of the rows seen so far are drawn at the end, so the margin of five standard deviations and eight rows is too
small about once in a million draws (the class then gives one row less). The drawn rows make the sample: its table, the
names of its classes, and notes for the user.
"""

from __future__ import annotations

import heapq
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling.columns import is_csv
from hf_transfer_score.sampling.reach import read_media
from hf_transfer_score.sampling.rows import DrawnTruth, ExampleRows, even_quotas
from hf_transfer_score.sampling.sample import LabelledSample, SampleOptions, SampleSource, fingerprint
from hf_transfer_score.sampling.sources import OpenSplit
from hf_transfer_score.text import counted, dataset_name

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ALONE = 20  # a column with more labels than this, all different, holds names or numbers of rows
FEW = 5  # examples per class below which an order says little
LEAST_PER_CLASS = 2
LEAST_GARBAGE = 64 * 1024 * 1024  # the file of kept rows is not rewritten for fewer bytes of dropped rows
PRUNE_EVERY = 64  # number of chunks after which every class drops its surplus rows
WRITTEN_TOGETHER = 32  # examples per batch in the file of a sample
EMPTY_IN_CSV = "in CSV files, words such as NA, None and null mean an empty cell"
FETCHED_TOGETHER = 16  # files that are read in parallel if rows hold paths: each may be a request over the network


def row_keys(rows: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Return a pseudo-random number for each row number (SplitMix64), the same on every machine."""
    with np.errstate(over="ignore"):
        mixed: NDArray[np.uint64] = rows + np.uint64(0x9E3779B97F4A7C15) * np.uint64(2 * seed + 1)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed


def proportional_quotas(counts: Sequence[int], most: int) -> list[int]:
    """Return how many rows each class gives: its share by largest remainder, but at least two if it has them."""
    total = sum(counts)
    if total <= most:
        return list(counts)
    quotas = [count * most // total for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda index: (-(counts[index] * most % total), index))
    for index in by_remainder[: most - sum(quotas)]:
        quotas[index] += 1
    for index, count in enumerate(counts):
        while quotas[index] < min(LEAST_PER_CLASS, count):
            quotas[index] += 1
            quotas[max(range(len(counts)), key=lambda one: (quotas[one], -one))] -= 1
    return quotas


class RowFile:
    """Rows that may still be drawn, in an unnamed temporary file; only their positions are in memory."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder, self.size = folder, 0
        self._slots: dict[int, tuple[int, int]] = {}
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._live = self._next = 0

    def __enter__(self) -> RowFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        """Return the number of kept rows."""
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
        """Drop a row; once more than half of the file is garbage, it is rewritten."""
        self._live -= self._slots.pop(number)[1]
        if self.size - self._live > max(LEAST_GARBAGE, self._live):
            old, self._file = self._file, tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115
            self.size = self._live = 0
            with old:
                for kept, (offset, length) in list(self._slots.items()):
                    old.seek(offset)
                    self._append(kept, old.read(length))


class Drawn(NamedTuple):
    """A drawn row: its key, the code of its class, and its number in the file of kept rows."""

    key: int
    stratum: int
    slot: int


class Draw:
    """Receives the rows of a stream and keeps those that may be drawn: `most` in total, `each` of every class."""

    def __init__(self, kept: RowFile, most: int, each: int | None = None) -> None:
        self.kept, self.most, self.each = kept, most, each
        self.counts: list[int] = []
        self._heaps: list[list[tuple[int, int]]] = []
        self._chunks = 0

    def offer(self, keys: NDArray[np.uint64], strata: NDArray[np.int64], read: Callable[[int], list[Any]]) -> None:
        """Add a chunk of rows by their keys (n,) and classes (n,); rows with a class below 0 cannot be drawn.

        `read` returns the values to keep of a row, by its number in the chunk.
        """
        new = int(strata.max(initial=-1)) + 1 - len(self.counts)
        self.counts += [0] * max(new, 0)
        self._heaps += [[] for _ in range(new)]
        for stratum, count in enumerate(np.bincount(strata[strata >= 0]).tolist()):
            self.counts[stratum] += count
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
        """Return the drawn rows in the order of their keys: shuffled, but the same for the same seed."""
        drawn = [
            Drawn(-key, stratum, slot)
            for stratum, (heap, quota) in enumerate(zip(self._heaps, self.quotas(), strict=True))
            for key, slot in sorted(heap, reverse=True)[:quota]
        ]
        return sorted(drawn)


@dataclass
class Drawing:
    """The state of one pass over a source."""

    source: OpenSplit
    options: SampleOptions
    rows: ExampleRows
    draw: Draw
    seen: int = 0
    labelled: int = 0  # number of rows seen that may be drawn
    shards_read: int = 0
    shards: int = 0
    stopped: bool = False  # whether the pass ended within a shard
    mixtures: list[tuple[int, int]] = field(default_factory=list)  # labelled rows and classes of each complete shard
    drawn: list[tuple[Drawn, DrawnTruth]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether all rows were read."""
        return self.shards_read == self.shards and not self.stopped


def assemble(drawing: Drawing, scratch: Path) -> LabelledSample:
    """Return the sample, with a table that is written to a file in `scratch`."""
    source, options, rows = drawing.source, drawing.options, drawing.rows
    for one, kept in _usable(drawing):
        truth = rows.truth(kept, one.stratum, np.random.default_rng([options.seed, one.key]))
        if truth is not None:
            drawing.drawn.append((one, truth))
    if not drawing.drawn:
        raise DatasetError(
            f"No row of the dataset {dataset_name(source.dataset)}{source.in_split} can be used: {rows.why_lost}."
        )
    if drawing.seen == 1 and source.dataset.endswith(".json"):  # columns as lists would be one text of many words
        raise DatasetError(
            f"The dataset {dataset_name(source.dataset)} has one row; JSON has to hold one object per row."
        )
    indices, names = _indices(drawing)
    table, task, plain = _write(drawing, indices, scratch / "examples.arrow"), rows.columns.task, options.plain()
    where = (source.dataset, source.split, source.config, source.revision)
    about = SampleSource(*where, rows.columns.by_role, drawing.seen, drawing.complete, plain)
    mark = fingerprint(table, {"task": task.name, "names": names, "options": plain})
    notes = (*source.notes, *rows.columns.notes, *_notes(drawing, names))
    return LabelledSample(task, table, names, about, mark, notes)


def _usable(drawing: Drawing) -> Iterator[tuple[Drawn, list[Any]]]:
    """Yield the drawn rows that can be used; several are checked, and their files read, at the same time."""
    source, rows, file = drawing.source, drawing.rows, drawing.draw.kept
    media, name = 0 if rows.columns.task.modality == "text" else rows.media, dataset_name(source.dataset)

    def content(kept: list[Any]) -> tuple[list[Any], bool]:
        full = [*(read_media(value, name, source.reach) for value in kept[:media]), *kept[media:]]
        return full, rows.usable(full)

    order = drawing.draw.finish()
    with ThreadPoolExecutor(FETCHED_TOGETHER) as pool:
        for start in range(0, len(order), FETCHED_TOGETHER):
            some = order[start : start + FETCHED_TOGETHER]
            keeps = [file.get(one.slot) for one in some]
            for one, kept, (full, usable) in zip(some, keeps, pool.map(content, keeps), strict=True):
                if full != kept:
                    file.drop(one.slot)
                    one = one._replace(slot=file.put(full))
                if usable:
                    yield one, full


def _indices(drawing: Drawing) -> tuple[dict[int, int], tuple[str, ...] | None]:
    """Return the class index of each code in the sample, and the names; a single class is refused."""
    rows, source = drawing.rows, drawing.source
    values = [truth.value for _, truth in drawing.drawn]
    where = f"{rows.columns.label!r} of the dataset {dataset_name(source.dataset)}{source.in_split}"
    if rows.classes is None:
        if len(set(values)) < 2:
            raise DatasetError(f"All targets in column {where} are {values[0]:g}, so there is nothing to predict.")
        return {}, None
    indices, names = rows.classes.order(
        code for value in values for code in (value if isinstance(value, list) else [value])
    )
    if len(names) < 2:
        only = f"the only one is {names[0]!r}" if names else "there is none"
        left_out = ""
        if rows.columns.task.unit == "pixel":
            left_out = f" Ignored values: {list(drawing.options.ignore_values)} (`ignore_values`)."
        elif is_csv(source.dataset) and drawing.seen > drawing.labelled:
            left_out = f" Some rows have no label: {EMPTY_IN_CSV}."
        raise DatasetError(f"At least 2 classes are needed, and in column {where} {only}.{left_out}")
    if len(names) == len(values) > MOST_ALONE:
        raise DatasetError(
            f"Each of the {len(values)} rows has its own label in column {where}, so it tells no classes: "
            "name another `label_column`, or, if these are numbers, a `task` that ends in -regression."
        )
    return indices, names


def _write(drawing: Drawing, indices: dict[int, int], path: Path) -> pa.Table:
    """Write the examples to a file, a few at a time, and return it as a memory-mapped table."""
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
            batch = []
            for one, truth in drawing.drawn[start : start + WRITTEN_TOGETHER]:
                kept, found = drawing.draw.kept.get(one.slot), truth.value
                if task.truth == "labels":
                    found = [indices[code] for code in found] if isinstance(found, list) else indices[found]
                record = dict(zip(("input", "input_2"), kept[: len(columns.inputs)], strict=False))
                batch.append({**record, "positions": truth.positions, schema.names[-1]: found})
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _notes(drawing: Drawing, names: tuple[str, ...] | None) -> list[str]:
    """Return notes for the user on how the sample was drawn."""
    rows, unit, notes = drawing.rows, drawing.rows.columns.task.unit, []
    values = [truth.value for _, truth in drawing.drawn]
    if drawing.seen > drawing.labelled:
        empty = f" ({EMPTY_IN_CSV})" if is_csv(drawing.source.dataset) else ""
        without = f"rows without a label or input{empty} were left out"
        notes.append(f"{drawing.seen - drawing.labelled} of {drawing.seen} {without}")
    if not drawing.complete:
        files = f"{drawing.shards_read} of {drawing.shards} files"
        part = f"{drawing.seen} rows" if drawing.stopped else files
        notes.append(f"read in part: {part}, which hold enough; full_pass=True reads all")
    lost = sum(drawing.draw.quotas()) - len(drawing.drawn)
    if lost:
        left_out = f"{counted(lost, 'drawn example')} {'was' if lost == 1 else 'were'} left out"
        notes.append(f"{left_out}: {rows.why_lost}")
    if rows.classes is not None:
        notes += _class_notes(drawing, names or ())
    elif len(set(values)) <= 20 and all(float(value).is_integer() for value in values):
        task = rows.columns.task.name.replace("regression", "classification")
        notes.append(f"all targets are whole numbers; if they are classes, ask for the task {task}")
    if unit != "example":
        how = "rare labels more likely" if unit == "word" else "spread evenly over the classes of an image"
        most = drawing.options.rows_per_example
        notes.append(f"{sum(map(len, values))} {unit}s drawn, at most {most} per example, {how}")
    return notes


def _class_notes(drawing: Drawing, names: tuple[str, ...]) -> list[str]:
    """Return what to know about the classes of a sample."""
    rows, count, notes = drawing.rows, len(drawing.drawn), list[str]()
    classes = rows.classes
    assert classes is not None
    absent = classes.absent(names)
    if absent:
        few = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        notes.append(f"{len(absent)} of the dataset's classes did not occur: {few}")
    alone = [classes.name(code) for code, count in enumerate(drawing.draw.counts) if count == 1]
    if alone and rows.stratified:
        have = "1 class has" if len(alone) == 1 else f"{len(alone)} classes have"
        notes.append(f"{have} a single row: {', '.join(alone[:5])}{', ...' if len(alone) > 5 else ''}")
    if rows.columns.task.unit == "example" and count < FEW * len(names):
        few = f"{count} examples of {len(names)} classes"
        notes.append(f"only {few}: too few to trust the order; {FEW} per class are the least, and 20 are better")
    plain = Counter(name.strip().casefold() for name in names)
    alike = [repr(name) for name in names if plain[name.strip().casefold()] > 1]
    if alike:
        notes.append(f"some classes differ only in case or blanks, and may be meant as one: {', '.join(alike[:6])}")
    return notes
