"""Rows of features and labels in the forms in which they come, and their way through Arrow.

Neither makes a Python object for every number, where the rows are not lists to begin with.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hf_transfer_score.errors import FeaturesError, InputError, LabelsError
from hf_transfer_score.features.arrow import is_list, list_matrix
from hf_transfer_score.metrics.checks import as_numpy, check_features


class ArrowRows(NamedTuple):
    """Features (N, D) with one class label a row (N,)."""

    features: NDArray[Any]
    references: NDArray[np.int64]


def is_array(values: Any) -> bool:
    """Return whether `values` holds its numbers in one block: an array or a tensor of any library, not a list."""
    return hasattr(values, "__array__")


def check_rows(features: Any, references: Any) -> ArrowRows:
    """Return one batch as arrays, or raise; whether the classes suffice is judged when all batches are there."""
    if features is None or references is None:
        missing = "features" if features is None else "references"
        raise InputError(
            f"There are no {missing}: pass the features as `predictions` and one class label a row as `references`."
        )
    matrix, labels = _stack(features, "features"), _stack(references, "references")
    if matrix.shape[:1] == labels.shape == (0,):
        return ArrowRows(matrix.reshape(0, 0), np.empty(0, dtype=np.int64))
    matrix = check_features(matrix, allow_constant=True)
    if labels.ndim != 1 or labels.dtype.kind not in "iub":
        raise LabelsError(
            f"References must be class labels of shape (N,): one integer a row. Got {labels.dtype} {labels.shape}."
        )
    if len(labels) != len(matrix):
        raise LabelsError(
            f"Got {len(labels)} references for {len(matrix)} rows of features; they must match one to one."
        )
    return ArrowRows(matrix, labels.astype(np.int64))


def _stack(values: Any, what: str) -> NDArray[Any]:
    """Return rows as one array: of an array or tensor, a column of Arrow, pandas or `datasets`, or a list of rows."""
    if isinstance(values, datasets.Column):
        values = values[:]
    if isinstance(values, datasets.IterableColumn):
        values = list(values)
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return _from_arrow(values, what)
    if not isinstance(values, (list, tuple)):
        array = as_numpy(values, what)
        if array.dtype != object or array.ndim != 1:
            return array
        values = list(array)  # as a column of pandas holds one array or list a row
    return as_numpy([_row(row, what) for row in values], what)


def _row(row: Any, what: str) -> Any:
    """Return one row as NumPy takes it: it knows neither tensors on a GPU or in bfloat16, nor scalars of Arrow."""
    if row is None:
        raise _error(what)(f"The {what} are missing (None) in some rows; drop or fill them.")
    if isinstance(row, pa.Scalar):
        return row.as_py()
    return as_numpy(row, what) if is_array(row) else row


def _from_arrow(column: Any, what: str) -> NDArray[Any]:
    """Return an Arrow column; of a single chunk without a copy, where Arrow allows it."""
    if column.null_count:
        raise _error(what)(
            f"The {what} are missing (null) in {column.null_count} of {len(column)} rows; drop or fill them."
        )
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    arrays = [_chunk_array(chunk, what) for chunk in chunks if len(chunk)]
    widths = sorted({array.shape[1] for array in arrays if array.ndim == 2})
    if len(widths) > 1:
        raise FeaturesError(
            f"The column of {what} is ragged, its lists have {widths[0]} to {widths[-1]} values; "
            "pool each example to one vector first."
        )
    if not arrays:
        return np.empty(0)
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _chunk_array(chunk: Any, what: str) -> NDArray[Any]:
    if isinstance(chunk, pa.FixedShapeTensorArray):
        return np.asarray(chunk.to_numpy_ndarray())
    if isinstance(chunk, pa.ExtensionArray):
        chunk = chunk.storage
    if is_list(chunk.type):
        try:
            return list_matrix(chunk)
        except ValueError as error:
            raise _error(what)(f"The column of {what} {error}.") from error
    if pa.types.is_dictionary(chunk.type):
        chunk = chunk.dictionary_decode()
    return np.asarray(chunk.to_numpy(zero_copy_only=False))


def _error(what: str) -> type[InputError]:
    return LabelsError if what == "references" else FeaturesError


def to_columns(rows: ArrowRows) -> dict[str, pa.Array]:
    """Return rows as Arrow columns, the features as lists of float64; a float64 matrix is not copied."""
    count, width = rows.features.shape
    values = np.ascontiguousarray(rows.features, dtype=np.float64).reshape(-1)
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width, type=pa.int32())
    return {
        "predictions": pa.ListArray.from_arrays(offsets, pa.array(values)),
        "references": pa.array(rows.references),
    }


def from_table(table: pa.Table) -> ArrowRows:
    """Return the rows of an Arrow table; where they lie in one piece they are a view of it, not a copy."""
    column = table.column("predictions")
    widths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(widths) > 1:
        raise FeaturesError(f"The processes added features of different widths, {sorted(widths)}; expected one width.")
    pieces = [
        ArrowRows(batch["predictions"].flatten().to_numpy().reshape(batch.num_rows, -1), batch["references"].to_numpy())
        for batch in table.to_batches()
        if batch.num_rows
    ]
    return concatenate(pieces)


def concatenate(parts: list[ArrowRows]) -> ArrowRows:
    """Return the rows of all parts in order; a single part is returned as it is."""
    if not parts:
        return ArrowRows(np.empty((0, 0)), np.empty(0, dtype=np.int64))
    if len(parts) == 1:
        return parts[0]
    return ArrowRows(
        np.concatenate([part.features for part in parts]), np.concatenate([part.references for part in parts])
    )
