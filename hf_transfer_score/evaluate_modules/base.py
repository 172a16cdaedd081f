"""The common part of the evaluate modules: how features are collected, and how a metric's result is returned.

Arrays and tensors stay in memory, because writing them to Arrow files as `evaluate` does can take seconds, and the
metric a fraction of one. Lists, single rows and the rows of several processes do go through Arrow files, which keep
memory free and which the processes share.
"""

import contextlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import datasets
import evaluate
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hf_transfer_score.errors import FeaturesError, InputError, LabelsError, TransferScoreError
from hf_transfer_score.features.parquet import is_list, list_matrix
from hf_transfer_score.metrics.checks import as_numpy, check_features, row_chunks
from hf_transfer_score.metrics.registry import MetricResult, get_metric
from hf_transfer_score.version import HOMEPAGE

logger = logging.getLogger(__name__)

NEURAL_COLLAPSE = "https://arxiv.org/abs/2008.08186"
"""Papyan, Han and Donoho on neural collapse, which all of these metrics measure."""


class ArrowRows(NamedTuple):
    """Features (N, D) with one class label per row (N,)."""

    features: NDArray[Any]
    references: NDArray[np.int64]


def is_array(values: Any) -> bool:
    """Return whether `values` is an array or a tensor of any library, not a list."""
    return hasattr(values, "__array__")


def check_rows(features: Any, references: Any) -> ArrowRows:
    """Return one batch as checked arrays; the number of classes is checked once all batches are there."""
    if features is None or references is None:
        missing = "features" if features is None else "references"
        raise InputError(
            f"There are no {missing}: pass the features as `predictions` and one class label per row as `references`."
        )
    matrix, labels = _stack(features, "features"), _stack(references, "references")
    if matrix.shape[:1] == labels.shape == (0,):
        return ArrowRows(matrix.reshape(0, 0), np.empty(0, dtype=np.int64))
    matrix = check_features(matrix, allow_constant=True)
    if labels.ndim != 1 or labels.dtype.kind not in "iub":
        raise LabelsError(
            f"References must be class labels of shape (N,): one integer per row. Got {labels.dtype} {labels.shape}."
        )
    if len(labels) != len(matrix):
        raise LabelsError(
            f"Got {len(labels)} references for {len(matrix)} rows of features; they must match one to one."
        )
    return ArrowRows(matrix, labels.astype(np.int64))


def _stack(values: Any, what: str) -> NDArray[Any]:
    """Return rows as one array, from an array or tensor, a column of Arrow, pandas or `datasets`, or a list of rows."""
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
        values = list(array)  # as a column of pandas holds one array or list per row
    return as_numpy([_row(row, what) for row in values], what)


def _row(row: Any, what: str) -> Any:
    """Return one row for NumPy, which knows neither tensors on a GPU or in bfloat16, nor scalars of Arrow."""
    if row is None:
        raise _error(what)(f"The {what} are missing (None) in some rows; drop or fill them.")
    if isinstance(row, pa.Scalar):
        return row.as_py()
    return as_numpy(row, what) if is_array(row) else row


def _from_arrow(column: Any, what: str) -> NDArray[Any]:
    """Return an Arrow column as an array, without a copy for a single chunk if Arrow allows it."""
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
    return {"predictions": pa.ListArray.from_arrays(offsets, pa.array(values)), "references": pa.array(rows.references)}


def from_table(table: pa.Table) -> ArrowRows:
    """Return the rows of an Arrow table, as a view if they are in one piece."""
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
    """Return the rows of all parts in order."""
    if not parts:
        return ArrowRows(np.empty((0, 0)), np.empty(0, dtype=np.int64))
    return parts[0] if len(parts) == 1 else ArrowRows(*map(np.concatenate, zip(*parts, strict=True)))


def module_info(
    *, description: str, citation: str, inputs_description: str, paper: str, codes: Sequence[str] = ()
) -> evaluate.MetricInfo:
    """Return the information that `evaluate` requires of a module; inputs are float64 so that no digit is lost.

    The inputs have the names under which `evaluate.combine` passes them. Their description becomes the docstring of
    `compute`; codes are addresses of the code of a paper's authors.
    """
    inputs = {"predictions": datasets.Sequence(datasets.Value("float64")), "references": datasets.Value("int64")}
    return evaluate.MetricInfo(
        description=description,
        citation=citation,
        inputs_description=inputs_description,
        features=datasets.Features(inputs),
        homepage=paper,
        license="Apache-2.0",
        codebase_urls=[*codes, HOMEPAGE],
        reference_urls=[paper, NEURAL_COLLAPSE],
    )


class TransferabilityModule(evaluate.Metric):  # type: ignore[misc]  # evaluate has no type hints
    """A metric of the registry as a module of `evaluate`; a subclass names the metric and describes it in `_info`.

    The full last result, with its warnings and the options used, is in `last_result`.
    """

    metric_name: ClassVar[str]

    # State of evaluate's own class, which has no type hints.
    data: Any
    writer: Any
    cache_file_name: Any
    filelock: Any
    filelocks: Any
    file_paths: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.last_result: MetricResult | None = None
        self._parts: list[ArrowRows | int] = []  # in order, arrays in memory or the number of rows in Arrow files
        self._width: int | None = None
        self._handed_over: Path | None = None

    def __len__(self) -> int:
        """Return the number of rows that were added since the last computation."""
        return sum(part if isinstance(part, int) else len(part.references) for part in self._parts)

    def compute(
        self, *, predictions: Any = None, references: Any = None, features: Any = None, **options: Any
    ) -> dict[str, float] | None:
        """Compute the metric on all rows added so far and on those passed here, and remove them.

        A call with invalid arguments changes nothing; after any other call the module is empty.

        Args:
            predictions: the features (N, D): an array, a tensor, a list of rows, or a column of lists or arrays.
            references: one class label per row (N,).
            features: another name for `predictions`.
            **options: options of the metric.

        Returns:
            The headline and the raw terms; None in all processes except the first.
        """
        if "labels" in options:
            raise InputError("There is no option `labels`: pass one class label per row as `references`.")
        get_metric(self.metric_name).configured(**options)
        features = _one_of(predictions, features)
        if self.num_process == 1 and is_array(features) and not self._parts:
            return self._score(check_rows(features, references), options)
        if features is not None or references is not None:
            self.add_batch(features=features, references=references)
        try:
            stored = self._read_back()
            if self.process_id > 0:
                return None
            return self._score(stored if self.num_process > 1 else self._in_order(stored), options)
        finally:
            self._clear()

    def add_batch(self, *, predictions: Any = None, references: Any = None, features: Any = None) -> None:
        """Add a batch of features (B, D) with one class label per row (B,), as for `compute`; arrays are copied.

        `features` is another name for `predictions`.
        """
        features = _one_of(predictions, features)
        rows = check_rows(features, references)
        if not len(rows.references):
            return
        self._check_width(rows)
        if self.num_process == 1 and is_array(features):
            self._parts.append(ArrowRows(np.array(rows.features), rows.references))
            return
        self._open_writer()
        for part in row_chunks(*rows.features.shape):
            self.writer.write_batch(to_columns(ArrowRows(rows.features[part], rows.references[part])))
        self._parts.append(len(rows.references))

    def add(
        self,
        *,
        prediction: Any = None,
        reference: Any = None,
        predictions: Any = None,
        references: Any = None,
        features: Any = None,
    ) -> None:
        """Add one row (D,) with its class label; `evaluate.combine` passes it under the plural names."""
        features, reference = _one_of(prediction, predictions, features), _one_of(reference, references)
        rows = check_rows(None if features is None else [features], None if reference is None else [reference])
        self._check_width(rows)
        self._open_writer()
        self.writer.write(to_columns(rows))
        self._parts.append(1)

    def _compute(self, *, features: Any, references: Any, **options: Any) -> dict[str, float]:
        """Return headline and terms; warnings are logged, so that the result stays numbers that JSON can hold."""
        result = get_metric(self.metric_name).configured(**options)(features, references)
        for warning in result.warnings:
            logger.warning("%s: %s", self.name, warning)
        self.last_result = result
        assert result.headline is not None
        return {self.metric_name: result.headline, **result.terms}

    def _score(self, rows: ArrowRows, options: dict[str, Any]) -> dict[str, float]:
        if not len(rows.references):
            raise InputError("There are no rows: pass `predictions` and `references`, or call `add_batch` first.")
        return self._compute(**rows._asdict(), **options)

    def _in_order(self, stored: ArrowRows) -> ArrowRows:
        """Return the rows in memory and those from Arrow files in the order in which they were added."""
        start, found = 0, []
        for part in self._parts:
            if isinstance(part, int):
                found.append(ArrowRows(*(values[start : start + part] for values in stored)))
                start += part
            else:
                found.append(part)
        return concatenate(found)

    def _check_width(self, rows: ArrowRows) -> None:
        width = rows.features.shape[1]
        if self._width not in (None, width):
            raise FeaturesError(f"Earlier rows have {self._width} features, but these have {width}; expected as many.")
        self._width = width

    def _open_writer(self) -> None:
        """Open the Arrow file, at which several processes wait for each other.

        A process must not overwrite its file for the next round before the first process has read it.
        """
        if self.writer is not None:
            return
        deadline = time.monotonic() + self.timeout
        while self._handed_over is not None and self._handed_over.exists():
            if time.monotonic() > deadline:
                raise TransferScoreError(
                    f"Process 0 has not read {self._handed_over} within {self.timeout} seconds, so this process cannot "
                    "add rows for another round. Call `compute` in process 0 too."
                )
            time.sleep(0.01)
        self._handed_over = None
        self.selected_feature_format = self.features
        self._init_writer()

    def _read_back(self) -> ArrowRows:
        """Return the rows in the Arrow files of all processes; a process without rows takes part too."""
        if self.num_process > 1:
            self._open_writer()
        if self.writer is None:
            return concatenate([])
        self._finalize()
        if self.process_id > 0:
            self._handed_over = Path(self.cache_file_name)
            return concatenate([])
        return from_table(self.data.data.table)

    def _clear(self) -> None:
        """Remove all rows with their files, and release the locks."""
        self._parts, self._width = [], None
        self.data = self.writer = self.buf_writer = self.selected_feature_format = None
        for path in self.file_paths or []:
            with contextlib.suppress(OSError):
                Path(path).unlink()
        for lock in [*reversed(self.filelocks or []), self.filelock]:
            if lock is not None:
                lock.release()
        self.file_paths = self.filelocks = self.filelock = self.cache_file_name = None


def _one_of(*values: Any) -> Any:
    """Return the value that was passed under one of several names, None if there is none."""
    passed = [value for value in values if value is not None]
    if len(passed) > 1:
        raise InputError("The same input was passed under both of its names; pass it once.")
    return passed[0] if passed else None
