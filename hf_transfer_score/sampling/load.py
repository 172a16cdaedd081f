"""From a dataset to a labelled sample: opened, read in one pass, drawn, and kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hf_transfer_score.disk import room_for
from hf_transfer_score.errors import DatasetError, HiddenLabelsError, OptionError
from hf_transfer_score.locks import Told
from hf_transfer_score.sampling.assemble import Drawing, assemble
from hf_transfer_score.sampling.columns import find_columns
from hf_transfer_score.sampling.draw import Draw, RowFile, row_keys
from hf_transfer_score.sampling.library import explained, explained_items
from hf_transfer_score.sampling.options import SampleOptions
from hf_transfer_score.sampling.rows import MISSING, rows_for
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.sampling.sources import OpenSplit, name_of, open_source
from hf_transfer_score.sampling.store import SampleStore, request_of

ENOUGH = 3
"""Labelled rows that are read for each one to be drawn, before the rest of the files is left alone."""

DEVIATIONS = 4
"""A shard with fewer classes than expected, by more than so many standard deviations, is no picture of the others."""

SHARD_BITS = 40
"""Rows are told by their shard above so many bits and by their place in it below."""

COPIES = 3
"""How often the rows of a sample lie in its folder at once: as they were drawn, as a table, and as it is kept."""

Progress = Callable[[int], None]


def load_sample(
    dataset: Any,
    options: SampleOptions | None = None,
    *,
    folder: Path | None = None,
    refresh: bool = False,
    progress: Progress | None = None,
    waiting: Told = lambda _: None,
) -> LabelledSample:
    """Return a stratified labelled sample of a dataset, read once and kept for the next time.

    Args:
        dataset: an id on the Hub, a folder or file, or a `Dataset`, `IterableDataset` or dictionary of splits.
        options: what to draw; None for the defaults.
        folder: where samples are kept: the second call with the same request reads nothing of the dataset. None to
            keep it in memory only.
        refresh: draw it anew, also where it is kept.
        progress: called with the number of rows read so far.
        waiting: is told which other process draws the same sample, while this one waits for it.

    Example:
        >>> import datasets
        >>> rows = datasets.Dataset.from_dict({"text": ["good", "bad", "fine", "poor"], "label": [1, 0, 1, 0]})
        >>> sample = load_sample(rows)
        >>> sample.task.name, sorted(sample.labels.tolist()), sample.label_names
        ('text-classification', [0, 0, 1, 1], ('0', '1'))
    """
    options = options or SampleOptions()
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
    """Return a sample that is drawn now, and kept where there is a place for it."""
    import pyarrow as pa

    parent = Path(tempfile.gettempdir()) if store is None else store.folder
    with room_for(f"the sample of {name_of(dataset)}", parent):
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".drawing-", dir=parent, ignore_cleanup_errors=True) as scratch:
            sample = _draw(open_source(dataset, options), options, Path(scratch), progress)
            sample = sample if store is None else store.keep(request, sample)
    # what Arrow keeps of the stream for later is freed: what comes next are models, which need it more
    pa.default_memory_pool().release_unused()
    return sample


def _draw(source: OpenSplit, options: SampleOptions, scratch: Path, progress: Progress | None) -> LabelledSample:
    if not source.features:
        raise DatasetError(f"The dataset {source.dataset} is empty: there are no rows in it.")
    columns = find_columns(source.features, options, source.dataset)
    rows = rows_for(columns, options, source.dataset)
    if options.per_class is not None and not rows.stratified:
        raise OptionError(f"per_class={options.per_class}: examples of {columns.task.name} have no class each.")
    kept = RowFile(scratch)
    with room_for(f"the sample of {source.dataset}", scratch.parent, lambda: COPIES * kept.size), kept:
        drawing = Drawing(source, options, rows, Draw(kept, options.max_samples, options.per_class))
        _read(drawing, progress)
        _refuse_unlabelled(drawing)
        return assemble(drawing, scratch)


def _read(drawing: Drawing, progress: Progress | None) -> None:
    """Offer the rows of a source to the draw: all of them, or those of some shards in random order that will do."""
    source, options, rows, draw = drawing.source, drawing.options, drawing.rows, drawing.draw
    with explained(source.dataset):
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
    """Return whether the shards read so far do: three rows for each to be drawn, all classes, in all shards alike.

    Each shard has to have as many classes as rows in random order would give it; shards of sorted rows have not.
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
        raise DatasetError(f"The dataset {source.dataset} is empty: there are no rows in it{source.in_split}.")
    no_class = rows.columns.task.unit != "pixel" and rows.classes is not None and rows.classes.hidden
    if drawing.labelled and not no_class:
        return
    label = rows.columns.label
    better = [split for split in source.splits if split != source.split and _has_labels(source, split, label)]
    advice = f"use the split {' or '.join(better)}" if better else "name another label_column, or another dataset"
    raise HiddenLabelsError(
        f"All {drawing.seen} labels{source.in_split} of {source.dataset} are hidden (column {label!r} holds -1 or "
        f"nothing): {advice}."
    )


def _has_labels(source: OpenSplit, split: str, label: str) -> bool:
    values: list[Any] = []
    with suppress(DatasetError), explained(source.dataset):
        values = source.peek(split, label)
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return any(value is not None and value != -1 and value == value for value in flat)
