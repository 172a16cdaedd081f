"""What a sample is, in lines for the user."""

from __future__ import annotations

import numpy as np

from hf_transfer_score.sampling.sample import LabelledSample


def describe(sample: LabelledSample) -> list[str]:
    """Return lines that tell a user what a sample is: where from, which columns, how much, and what was chosen.

    Example:
        >>> from hf_transfer_score.sampling.sample import memory_sample
        >>> describe(memory_sample("text-classification", ["good", "bad"], [1, 0]))
        ['dataset: memory', 'task: text-classification', '2 examples of 2 rows read, 2 classes']
    """
    source = sample.source
    parts = [source.config, source.split, source.revision and f"commit {source.revision[:12]}"]
    where = ", ".join(part for part in parts if part)
    lines = [f"dataset: {source.dataset}{f' ({where})' if where else ''}", f"task: {sample.task.name}"]
    rows = "" if sample.task.unit == "example" else f" with {sample.rows:,} {sample.task.unit}s"
    part = "" if source.complete else ", the dataset in part"
    lines.append(f"{len(sample):,} examples{rows} of {source.rows_seen:,} rows read{part}{_classes_of(sample)}")
    return lines + list(sample.notes)


def _classes_of(sample: LabelledSample) -> str:
    labels = sample.labels
    return "" if labels is None else f", {len(np.unique(labels)):,} classes"
