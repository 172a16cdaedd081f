"""Which layer to train: the one choice of `layers` and of `verify`."""

from __future__ import annotations

from collections.abc import Mapping


def most_collapsed(nc1: Mapping[str, float | None]) -> str | None:
    """Return the layer with the smallest NC1, the earlier of equal ones; None where no layer has one.

    Args:
        nc1: by layer, from the input to the output; None where it is not defined.

    Example:
        >>> most_collapsed({"0": 0.4, "1": 0.2, "2": None, "3": 0.2})
        '1'
    """
    known = {layer: value for layer, value in nc1.items() if value is not None}
    return min(known, key=known.__getitem__, default=None)
