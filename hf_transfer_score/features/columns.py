"""What features and labels are called in files, and list columns of Arrow as matrices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import FeatureFileError

FEATURE_KEYS = ("features", "X")
LABEL_KEYS = ("labels", "label", "y")
TARGET_KEYS = ("targets", "target")
SOURCE_KEYS = ("source_probs",)


def pick_features_key(path: Path, keys: Sequence[str], key: str | None, hint: str = "") -> str:
    """Return the name of the features among `keys`, or raise FeatureFileError with the names there are."""
    wanted = FEATURE_KEYS if key is None else (key,)
    found = next((name for name in wanted if name in keys), None)
    if found is None:
        advice = "" if key else " Name them with `features_key`."
        raise FeatureFileError(
            f"{path}: no features. Expected {quoted(wanted)}{hint}, found {quoted(keys) or 'nothing'}.{advice}"
        )
    return found


def quoted(names: Sequence[str], most: int = 12) -> str:
    """Return names in quotes, for messages."""
    shown = ", ".join(repr(str(name)) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "nothing"


def is_list(kind: Any) -> bool:
    """Return whether an Arrow type is one of lists, of one size or of any."""
    from pyarrow import types

    kinds = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    return any(is_kind(kind) for is_kind in kinds)


def is_number(kind: Any) -> bool:
    """Return whether an Arrow type is one of whole numbers or fractions."""
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind))


def list_matrix(column: Any) -> NDArray[Any]:
    """Return the lists of an Arrow array without nulls as (N, D), a view of them where Arrow allows it.

    Raises:
        ValueError: the lists are no rows of a matrix; the text goes on after the name of the column.
    """
    import pyarrow.compute as pc

    if not is_number(column.type.value_type):
        raise ValueError(f"must hold lists of numbers, one vector per row; holds {column.type}")
    values = column.flatten()
    if values.null_count:
        raise ValueError(f"holds nulls inside its lists ({values.null_count}); fill them or drop their rows")
    lengths = pc.min_max(pc.list_value_length(column)).as_py()
    if lengths["min"] != lengths["max"]:
        raise ValueError(
            f"is ragged, its lists have {lengths['min']} to {lengths['max']} values; "
            "pool each example to one vector first"
        )
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(column), lengths["max"] or 0)
