"""Rows of features and labels, and their way through Arrow without a Python object for every number."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hf_transfer_score.errors import FeaturesError, InputError, LabelsError
from hf_transfer_score.metrics.checks import as_numpy, check_features


class Rows(NamedTuple):
    """Features (N, D) with one class label a row (N,)."""

    features: NDArray[Any]
    references: NDArray[np.int64]


def is_array(values: Any) -> bool:
    """Return whether `values` holds its numbers in one block: an array or a tensor of any library, not a list."""
    return hasattr(values, "__array__")


def check_rows(features: Any, references: Any) -> Rows:
    """Return one batch as arrays, or raise; whether the classes suffice is judged when all batches are there."""
    if features is None or references is None:
        missing = "features" if features is None else "references"
        raise InputError(f"There are no {missing}: pass `features` and `references`, one class label a row.")
    matrix, labels = _stack(features, "features"), _stack(references, "references")
    if matrix.shape[:1] == labels.shape == (0,):
        return Rows(matrix.reshape(0, 0), np.empty(0, dtype=np.int64))
    matrix = check_features(matrix, allow_constant=True)
    if labels.ndim != 1 or labels.dtype.kind not in "iub":
        raise LabelsError(
            f"References must be class labels of shape (N,): one integer a row. Got {labels.dtype} {labels.shape}."
        )
    if len(labels) != len(matrix):
        raise LabelsError(
            f"Got {len(labels)} references for {len(matrix)} rows of features; they must match one to one."
        )
    return Rows(matrix, labels.astype(np.int64))


def _stack(values: Any, what: str) -> NDArray[Any]:
    """Return values as one array; a list may hold tensors, which NumPy alone cannot take from a GPU or in bfloat16."""
    if isinstance(values, (list, tuple)):
        values = [as_numpy(row, what) if is_array(row) else row for row in values]
    return as_numpy(values, what)


def to_columns(rows: Rows) -> dict[str, pa.Array]:
    """Return rows as Arrow columns, the features as lists of float64; a float64 matrix is not copied."""
    count, width = rows.features.shape
    values = np.ascontiguousarray(rows.features, dtype=np.float64).reshape(-1)
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width, type=pa.int32())
    return {
        "features": pa.ListArray.from_arrays(offsets, pa.array(values)),
        "references": pa.array(rows.references),
    }


def from_table(table: pa.Table) -> Rows:
    """Return the rows of an Arrow table; where they lie in one piece they are a view of it, not a copy."""
    column = table.column("features")
    widths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(widths) > 1:
        raise FeaturesError(f"The processes added features of different widths, {sorted(widths)}; expected one width.")
    pieces = [
        Rows(batch["features"].flatten().to_numpy().reshape(batch.num_rows, -1), batch["references"].to_numpy())
        for batch in table.to_batches()
        if batch.num_rows
    ]
    return concatenate(pieces)


def concatenate(parts: list[Rows]) -> Rows:
    """Return the rows of all parts in order; a single part is returned as it is."""
    if not parts:
        return Rows(np.empty((0, 0)), np.empty(0, dtype=np.int64))
    if len(parts) == 1:
        return parts[0]
    return Rows(np.concatenate([part.features for part in parts]), np.concatenate([part.references for part in parts]))
