"""List columns of Arrow as matrices, from a file or from memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


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
        raise ValueError(f"must hold lists of numbers, one vector a row; holds {column.type}")
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
