"""Long texts of words in overlapping windows, and the window in which each word is read."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

OVERLAP = 4  # windows overlap by a quarter


def window_bounds(starts: NDArray[Any], sizes: NDArray[Any], room: int) -> NDArray[np.int64]:
    """Return windows of whole words as (windows, 2) first token and end."""
    ends = starts + sizes
    bounds, first = [], 0
    while first < len(starts):
        stop = int(np.searchsorted(ends, starts[first] + room, side="right"))
        bounds.append((int(starts[first]), int(ends[stop - 1])))
        if stop == len(starts):
            break
        back = int(np.searchsorted(starts, ends[stop - 1] - room // OVERLAP))
        fits = starts + room >= ends[stop]  # the next window has to reach further than this one
        first = max(back, int(np.argmax(fits)), first + 1)
    return np.asarray(bounds or [(0, 0)], dtype=np.int64)


def central_window(bounds: NDArray[np.int64], starts: NDArray[Any], sizes: NDArray[Any]) -> NDArray[np.int64]:
    """Return for each word the window in which it is farthest from a cut; the ends of the text are not cuts."""
    best, margin = np.zeros(len(starts), dtype=np.int64), np.full(len(starts), -1.0)
    ends, total = starts + sizes, (starts + sizes)[-1] if len(starts) else 0
    for number, (start, stop) in enumerate(bounds):
        left = starts - start if start else np.full(len(starts), np.inf)
        right = stop - ends if stop < total else np.full(len(starts), np.inf)
        found = np.where((starts >= start) & (ends <= stop), np.minimum(left, right), -1.0)
        better = found > margin
        best[better], margin[better] = number, found[better]
    return best
