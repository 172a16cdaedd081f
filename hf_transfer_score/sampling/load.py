"""Opens a dataset, draws a labelled sample in one pass, and stores it for the next time."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hf_transfer_score.errors import DatasetError, HiddenLabelsError, OptionError
from hf_transfer_score.home import Notify, alone, make_folder, room_for, whole, write_text
from hf_transfer_score.hub.settings import endpoint_of, hub_id
from hf_transfer_score.integrity import checksum, sealed, unsealed
from hf_transfer_score.sampling.columns import find_columns
from hf_transfer_score.sampling.draw import Draw, Drawing, RowFile, assemble, row_keys
from hf_transfer_score.sampling.guarded import explained, explained_items
from hf_transfer_score.sampling.media import sound_library
from hf_transfer_score.sampling.memory import known_form
from hf_transfer_score.sampling.rows import MISSING, rows_for
from hf_transfer_score.sampling.sample import LabelledSample, SampleOptions
from hf_transfer_score.sampling.sources import OpenSplit, files_in, local_path, name_of, open_source
from hf_transfer_score.text import dataset_name

DRAWING = 2  # version of the drawing: increased when the same request would draw another sample
ENOUGH = 3  # labelled rows that are read for each row to draw before the remaining files are skipped

DEVIATIONS = 4
"""A shard is unlike the others if its number of classes is this many standard deviations below the expected one."""

SHARD_BITS = 40
"""The lower bits of a row number are its position in its shard, the higher bits the number of the shard."""

COPIES = 3  # copies of a sample on disk at one time: the drawn rows, the table, and the stored sample

Progress = Callable[[int], None]


def load_sample(
    dataset: Any,
    options: SampleOptions | None = None,
    *,
    folder: Path | None = None,
    refresh: bool = False,
    progress: Progress | None = None,
    waiting: Notify = lambda _: None,
) -> LabelledSample:
    """Return a stratified labelled sample of a dataset, read once and stored for the next time.

    Args:
        dataset: an id on the Hub, a folder or file; a `Dataset` or `IterableDataset` of `datasets`, or a dictionary of
            splits or columns; a pandas DataFrame, a map-style dataset of torch or a list with items (image or text,
            label), or (inputs, labels).
        options: what to draw; None for the defaults.
        folder: where samples are stored, so that a second call with the same request reads nothing of the dataset.
            None for memory only.
        refresh: draw again, even if the sample is stored.
        progress: called with the number of rows read so far.
        waiting: called with the name of another process that draws the same sample, before waiting for it.

    Example:
        >>> import datasets
        >>> rows = datasets.Dataset.from_dict({"text": ["good", "bad", "fine", "poor"], "label": [1, 0, 1, 0]})
        >>> sample = load_sample(rows)
        >>> sample.task.name, sorted(sample.labels.tolist()), sample.label_names
        ('text-classification', [0, 0, 1, 1], ('0', '1'))
    """
    options = options or SampleOptions()
    sample = _loaded(dataset, options, folder, refresh, progress, waiting)
    if options.dataset_name is None:
        return sample
    if sample.source.revision is not None:
        raise OptionError(f"`dataset_name` is for data in memory, folders and files; {dataset} has a name on the Hub.")
    return replace(sample, source=replace(sample.source, dataset=options.dataset_name))


def _loaded(
    dataset: Any,
    options: SampleOptions,
    folder: Path | None,
    refresh: bool,
    progress: Progress | None,
    waiting: Notify,
) -> LabelledSample:
    """Return a stored sample, or draw it."""
    dataset = dataset if isinstance(dataset, (str, Path)) else known_form(dataset)
    dataset = hub_id(dataset) if isinstance(dataset, str) and "://" in dataset else dataset
    store = None if folder is None else SampleStore(folder)
    request = None if store is None else request_of(dataset, options)
    if store is None or request is None:
        return _drawn(dataset, options, store, request, progress)
    kept = None if refresh else store.find(request)
    if kept is not None:
        return kept
    with store.alone(request, waiting):  # another process may have drawn it meanwhile
        kept = None if refresh else store.find(request)
        return kept or _drawn(dataset, options, store, request, progress)


def _drawn(
    dataset: Any,
    options: SampleOptions,
    store: SampleStore | None,
    request: dict[str, Any] | None,
    progress: Progress | None,
) -> LabelledSample:
    """Draw a sample, and store it if there is a store."""
    import pyarrow as pa

    parent = Path(tempfile.gettempdir()) if store is None else store.folder
    with room_for(f"the sample of the dataset {dataset_name(name_of(dataset))}", parent):
        make_folder(parent)
        with tempfile.TemporaryDirectory(prefix=".drawing-", dir=parent, ignore_cleanup_errors=True) as scratch:
            sample = _draw(open_source(dataset, options), options, Path(scratch), progress)
            sample = sample if store is None else store.keep(request, sample)
    # free what Arrow keeps in its pool: the models that come next need it more
    pa.default_memory_pool().release_unused()
    return sample


def _draw(source: OpenSplit, options: SampleOptions, scratch: Path, progress: Progress | None) -> LabelledSample:
    name = dataset_name(source.dataset)
    if not source.features:
        raise DatasetError(f"The dataset {name} is empty: it has no rows.")
    columns = find_columns(source.features, options, name)
    rows = rows_for(columns, options, name)
    if columns.task.modality == "audio":
        sound_library()
    if options.per_class is not None and not rows.stratified:
        raise OptionError(f"per_class={options.per_class}: examples of {columns.task.name} have no class each.")
    kept = RowFile(scratch)
    with room_for(f"the sample of the dataset {name}", scratch.parent, lambda: COPIES * kept.size), kept:
        drawing = Drawing(source, options, rows, Draw(kept, options.max_samples, options.per_class))
        _read(drawing, progress)
        _refuse_unlabelled(drawing)
        return assemble(drawing, scratch)


def _read(drawing: Drawing, progress: Progress | None) -> None:
    """Offer the rows of a source to the draw: all of them, or those of enough shards in random order."""
    source, options, rows, draw = drawing.source, drawing.options, drawing.rows, drawing.draw
    with explained(dataset_name(source.dataset)):
        shards = list(enumerate(source.shards(rows.columns.all)))
    whole = options.full_pass or source.cheap or len(shards) == 1
    if not whole:
        order = np.random.default_rng(options.seed).permutation(len(shards))
        shards = [shards[place] for place in order]
    drawing.shards = len(shards)
    for number, shard in shards:
        before = list(draw.counts)
        start = drawing.seen if whole else number << SHARD_BITS
        for chunk in explained_items(shard, source.dataset):
            strata, read = rows.strata(chunk), len(chunk)
            if options.max_rows is not None and drawing.seen + read >= options.max_rows:
                read = options.max_rows - drawing.seen
                strata[read:] = MISSING
                drawing.stopped = True
            numbers = np.arange(start, start + len(chunk), dtype=np.uint64)
            draw.offer(row_keys(numbers, options.seed), strata, partial(rows.keep, chunk))
            drawing.seen += read
            drawing.labelled += int((strata >= 0).sum())
            start += len(chunk)
            if progress is not None:
                progress(drawing.seen)
            if drawing.stopped:
                return
        drawing.shards_read += 1
        added = np.asarray(draw.counts) - np.pad(before, (0, len(draw.counts) - len(before)))
        drawing.mixtures.append((int(added.sum()), int((added > 0).sum())))
        if not whole and _is_enough(drawing, len(before)):
            return


def _is_enough(drawing: Drawing, classes_before: int) -> bool:
    """Return whether the shards read so far suffice: enough labelled rows, all classes, and similar shards.

    Each shard must have about as many classes as rows in random order would give it, unlike shards of sorted rows.
    """
    options, rows, counts = drawing.options, drawing.rows, drawing.draw.counts
    wanted = options.max_samples
    if rows.stratified and options.per_class is not None:
        wanted = min(wanted, options.per_class * len(counts))
        if min(counts, default=0) < options.per_class:
            return False
    if drawing.labelled < ENOUGH * wanted:
        return False
    if not rows.stratified:
        return True
    names = rows.columns.class_names
    if len(counts) != (len(names) if names else classes_before):
        return False
    shares = np.asarray(counts) / max(sum(counts), 1)
    for size, found in drawing.mixtures:
        present = 1 - (1 - shares) ** size
        if found < present.sum() - DEVIATIONS * np.sqrt((present * (1 - present)).sum()) - 0.5:
            return False
    return len(counts) > 1


def _refuse_unlabelled(drawing: Drawing) -> None:
    source, rows = drawing.source, drawing.rows
    if drawing.seen == 0:
        raise DatasetError(f"The dataset {dataset_name(source.dataset)} is empty: it has no rows{source.in_split}.")
    no_class = rows.columns.task.unit != "pixel" and rows.classes is not None and rows.classes.hidden
    if drawing.labelled and not no_class:
        return
    label, better = rows.columns.label, []
    for split in source.splits:
        values: list[Any] = []
        with suppress(DatasetError), explained(dataset_name(source.dataset)):
            values = [] if split == source.split else source.peek(split, label)
        flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
        if any(value is not None and value != -1 and value == value for value in flat):
            better.append(split)
    advice = f"use the split {' or '.join(better)}" if better else "name another `label_column`, or another dataset"
    raise HiddenLabelsError(
        f"All {drawing.seen} labels{source.in_split} of the dataset {dataset_name(source.dataset)} are hidden (column "
        f"{label!r} holds -1 or nothing): {advice}."
    )


def request_of(dataset: Any, options: SampleOptions) -> dict[str, Any] | None:
    """Return what identifies a request, None for streams, which have no identity.

    Files are identified by name, size and modification time; a Dataset by its own fingerprint; a dataset on the Hub by
    id and options, so that a changed branch is read again only on request.
    """
    asked: dict[str, Any] = {"drawing": DRAWING, "options": options.plain()}
    if isinstance(dataset, (str, Path)):
        path = local_path(dataset)
        if path is None:
            return {**asked, "hub": endpoint_of(), "id": str(dataset)}
        files = sorted(files_in(path)) if path.is_dir() else [path]
        stats = [(one.relative_to(path).as_posix(), one.stat()) for one in files]
        about = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
        return {**asked, "path": str(path.resolve()), "files": about}
    if isinstance(dataset, Mapping):
        marks = {split: getattr(one, "_fingerprint", None) for split, one in dataset.items()}
        return {**asked, "fingerprints": marks} if marks and None not in marks.values() else None
    mark = getattr(dataset, "_fingerprint", None)
    return None if mark is None else {**asked, "fingerprint": mark, "split": str(getattr(dataset, "split", None))}


class SampleStore:
    """Samples in a folder that several processes may share.

    Each request is stored in request-HASH.json, which names the file of the sample, FINGERPRINT-HASH.arrow, and its
    checksum: a sample whose bytes changed is drawn again. Two datasets with the same rows have a file each, which says
    where the rows are from. All files are written atomically.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def find(self, request: Mapping[str, Any]) -> LabelledSample | None:
        """Return the stored sample for a request, None if there is none that can be read."""
        import pyarrow as pa

        try:
            known = unsealed(self._index(request))
            path = self.folder / known["sample"]
            if known.get("checksum_of_sample") not in (None, checksum(path)):
                return None
            return LabelledSample.load(path)
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            return None

    def alone(self, request: Mapping[str, Any], waiting: Notify = lambda _: None) -> AbstractContextManager[None]:
        """Keep other processes from drawing this sample during a block; `waiting` is called with one that does."""
        return alone(self._index(request).with_suffix(".lock"), waiting)

    def keep(self, request: Mapping[str, Any] | None, sample: LabelledSample) -> LabelledSample:
        """Store a sample and its request, and return the sample mapped from its file."""
        asked = "" if request is None else f"-{_hash(request)}"
        path = self.folder / f"{sample.fingerprint}{asked}.arrow"
        with whole(path, sample.table.nbytes) as aside:
            sample.save(aside)
        if request is not None:
            about = {"sample": path.name, "request": request, "source": asdict(sample.source)}
            about["checksum_of_sample"] = checksum(path)
            write_text(self._index(request), sealed(json.loads(json.dumps(about, default=str))))
        return LabelledSample.load(path)

    def file_of(self, sample: LabelledSample) -> Path:
        """Return the file of a sample, which is stored now if it was not."""
        for path in sorted(self.folder.glob(f"{sample.fingerprint}*.arrow")):
            if LabelledSample.load(path).source == sample.source:
                return path
        self.keep(None, sample)
        return self.folder / f"{sample.fingerprint}.arrow"

    def _index(self, request: Mapping[str, Any]) -> Path:
        return self.folder / f"request-{_hash(request)}.json"


def _hash(request: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(request, sort_keys=True).encode(), digest_size=16).hexdigest()
