"""Checks of the inputs of metrics: one clear error for each kind of bad input, and no silent repair."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import FeaturesError, LabelsError, SourceProbabilitiesError

CHUNK_BYTES = 8 * 1024 * 1024
"""Size of one float64 chunk of rows; every pass over the features works in chunks of this size."""

MOST_POSTERIORS = 2**28
"""The most numbers, one for each row and class, that a metric holds at once: 2 GB in double precision."""

SMALLEST_SCALE, LARGEST_SCALE = 1e-60, 1e60
"""Between these, fourth powers of features summed over any sample neither overflow nor vanish."""


def row_chunks(rows: int, width: int) -> Iterator[slice]:
    """Yield slices over `rows` rows such that a float64 chunk of `width` columns has about CHUNK_BYTES."""
    step = max(64, CHUNK_BYTES // (8 * max(width, 1)))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def as_numpy(values: Any, what: str = "features") -> NDArray[Any]:
    """Return `values` as a NumPy array without changing a number; tensors are detached and moved to the CPU."""
    _refuse_sparse(values, what)
    if np.ma.is_masked(values):
        raise FeaturesError(f"The {what} have masked entries, which cannot be scored. Leave these rows out first.")
    if type(values).__module__.split(".")[0] == "torch":
        tensor = values.detach().cpu()
        values = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise FeaturesError(
            f"The {what} are ragged: every row needs the same number of values ({error}). "
            "Pool each example to one vector first."
        ) from error
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _refuse_sparse(values: Any, what: str) -> None:
    """Raise FeaturesError for a sparse matrix or a list of such rows, which NumPy takes for objects."""
    if isinstance(values, (list, tuple)):
        values = values[0] if values else values
    dense = next((name for name in ("toarray", "todense") if callable(getattr(values, name, None))), None)
    if dense is None and str(getattr(values, "layout", "")).startswith("torch.sparse"):
        dense = "to_dense"
    if dense is not None:
        kind = f"{type(values).__name__} of shape {tuple(getattr(values, 'shape', ()))}"
        raise FeaturesError(
            f"The {what} are a sparse matrix ({kind}); expected dense numbers. Pass the result of its `.{dense}()`."
        )


def check_features(features: Any, *, allow_constant: bool = False) -> NDArray[Any]:
    """Return the features as a finite, non-constant real array (N, D) in its own precision, or raise FeaturesError."""
    array = as_numpy(features)
    if array.dtype == object:
        raise FeaturesError(
            "Features are an object array (ragged rows, or a pickled array), which is refused. "
            "Expected numbers of shape (N, D)."
        )
    if array.dtype.kind not in "fiub":
        raise FeaturesError(f"Features must be real numbers, got dtype {array.dtype}.")
    if array.ndim != 2:
        raise FeaturesError(
            f"Features must have shape (N, D): one row per sample. Got shape {array.shape}. "
            "Pool tokens or patches to one vector per sample first."
        )
    if 0 in array.shape:
        raise FeaturesError(f"Features are empty: got shape {array.shape}.")
    _check_finite(array)
    if not allow_constant and len(array) == 1:
        raise FeaturesError("There is one row of features; classes can only be compared with two rows or more.")
    if not allow_constant and all(bool((array[rows] == array[0]).all()) for rows in row_chunks(*array.shape)):
        raise FeaturesError(
            f"All {len(array)} rows of features are identical, so they say nothing about the labels. "
            "Check that the inputs differ; if they do, check the pooling: the backbone may have returned a padding or "
            "bias vector."
        )
    return array


def _check_finite(array: NDArray[Any]) -> None:
    if array.dtype.kind != "f":
        return
    bad: list[int] = []
    count, largest = 0, 0.0
    for rows in row_chunks(*array.shape):
        chunk_largest = max(float(array[rows].max()), -float(array[rows].min()))
        largest = max(largest, chunk_largest)
        if not np.isfinite(chunk_largest):
            finite = np.isfinite(array[rows])
            count += int(finite.size - finite.sum())
            bad += [rows.start + int(row) for row in np.flatnonzero(~finite.all(axis=1))[:5]]
    if count:
        first = ", ".join(str(row) for row in bad[:5])
        raise FeaturesError(
            f"Features hold {count} non-finite {'values' if count > 1 else 'value'} (NaN or Inf); first rows: {first}. "
            "Half precision often overflows: extract again in bfloat16 or float32."
        )
    if largest and not SMALLEST_SCALE < largest < LARGEST_SCALE:
        raise FeaturesError(
            f"The largest feature is {largest:.3g}, a scale at which squares overflow or vanish. Divide the features "
            "by it first, and check the output of the checkpoint: no trained network gives such numbers."
        )


def check_labels(labels: Any, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the label values (K,) and each row's class index (N,), or raise LabelsError.

    Labels may be any integers, not just 0..K-1.
    """
    array = np.asarray(as_numpy(labels, "labels"))
    if array.ndim != 1:
        raise LabelsError(f"Labels must have shape (N,): one integer per row. Got shape {array.shape}.")
    if len(array) != rows:
        raise LabelsError(f"Got {len(array)} labels for {rows} rows of features; they must match one to one.")
    if array.dtype.kind not in "iub":
        if missing := int(np.sum(array != array)):
            raise LabelsError(f"{missing} of {rows} labels are missing (NaN): leave out these rows and their features.")
        how = "Encode names with `numpy.unique(names, return_inverse=True)[1]`"
        if array.dtype.kind == "f" and (array == np.round(array)).all():
            how = "As they are whole, pass `labels.astype(int)`"
        raise LabelsError(
            f"Labels must be integers, got dtype {array.dtype}. {how}; for regression pass `targets=` instead."
        )
    values = array.astype(np.int64)
    hidden = int((values == -1).sum())
    if hidden == rows:
        raise LabelsError("All labels are -1: this split has no labels, use the train or validation split.")
    if hidden:
        raise LabelsError(
            f"{hidden} of {rows} labels are -1, the mark of a hidden label: this split has no labels for them, "
            "use the train or validation split or drop those rows."
        )
    classes, codes = np.unique(values, return_inverse=True)
    if len(classes) < 2:
        raise LabelsError(f"At least 2 classes are needed, got {len(classes)} (every label is {classes[0]}).")
    if rows * len(classes) > MOST_POSTERIORS:
        raise LabelsError(
            f"{rows:,} rows of {len(classes):,} classes are too many: metrics hold a number for each row and class, at "
            f"most {MOST_POSTERIORS:,}. Score fewer rows or classes."
        )
    return classes, codes.astype(np.int64)


def check_targets(targets: Any, rows: int) -> NDArray[np.float64]:
    """Return regression targets as finite float64 columns (N, T), or raise LabelsError."""
    array = as_numpy(targets, "targets")
    if array.dtype.kind not in "fiub":
        raise LabelsError(f"Targets must be real numbers, got dtype {array.dtype}.")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or len(array) != rows:
        raise LabelsError(f"Targets must have shape ({rows},) or ({rows}, T), got {np.shape(targets)}.")
    columns = array.astype(np.float64)
    if not np.isfinite(columns).all():
        bad = np.flatnonzero(~np.isfinite(columns).all(axis=1))
        raise LabelsError(f"{len(bad)} targets are not finite; first rows: {', '.join(map(str, bad[:5]))}.")
    if (columns == columns[:1]).all():
        raise LabelsError("All targets are the same, so there is nothing to predict. Check which column holds them.")
    return columns


def check_source_probabilities(probabilities: Any, rows: int) -> NDArray[Any]:
    """Return source-class probabilities (N, S) whose rows sum to one, or raise SourceProbabilitiesError."""
    array = as_numpy(probabilities, "source probabilities")
    if array.ndim != 2 or len(array) != rows or array.dtype.kind != "f":
        raise SourceProbabilitiesError(
            f"Source probabilities must be floats of shape ({rows}, S), got {array.dtype} {array.shape}."
        )
    for part in row_chunks(*array.shape):
        chunk = array[part].astype(np.float64)
        if not np.isfinite(chunk).all() or (chunk < 0).any():
            raise SourceProbabilitiesError("Source probabilities must be finite and not negative.")
        if (np.abs(chunk.sum(axis=1) - 1) > 1e-2).any():
            raise SourceProbabilitiesError(
                "Rows of the source probabilities do not sum to one. Apply a softmax to the head's logits first."
            )
    return array
