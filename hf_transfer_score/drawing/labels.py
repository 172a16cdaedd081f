"""Labels beside points, the first ones first, so that none covers another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from hf_transfer_score.boxes import Box, Place

GAPS = (9.0, 20.0, 34.0, 50.0)
"""How far a label may stand from its point; the further ones have a line to it."""

DIRECTIONS = ((1, 0), (-1, 0), (1, -1), (1, 1), (-1, -1), (-1, 1), (0, -1), (0, 1))
FURTHER = 0.8
"""What a step further away costs, where a bar that is covered costs 1."""

POINT_RADIUS = 6.0
MARGIN = 1.5


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float] | None],
    bars: Sequence[Box],
    frame: Box,
) -> list[Place | None]:
    """Return a place for each label, None where it has none left.

    Labels never cover a point or another label; bars they cover only where nothing else is free.

    Args:
        points: where the points are, those that matter most first.
        sizes: width and height of each label; None for no label.
        bars: what had better stay free.
        frame: what labels have to stay in.
    """
    taken = [Box(x - POINT_RADIUS, y - POINT_RADIUS, x + POINT_RADIUS, y + POINT_RADIUS) for x, y in points]
    places: list[Place | None] = []
    for (x, y), size in zip(points, sizes, strict=True):
        place = None if size is None else _best(x, y, size, taken, bars, frame)
        places.append(place)
        if place is not None:
            left, top, right, bottom = place.box
            taken.append(Box(left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN))
    return places


def _best(
    x: float, y: float, size: tuple[float, float], taken: Sequence[Box], bars: Sequence[Box], frame: Box
) -> Place | None:
    best: Place | None = None
    least = math.inf
    for box, gap in _places(x, y, size):
        if not box.within(frame) or any(box.meets(other) for other in taken):
            continue
        line = _line(box, x, y) if gap > GAPS[0] else None
        if line is not None and any(_crosses(x, y, line, other) for other in taken):
            continue
        cost = sum(box.meets(bar) for bar in bars) + FURTHER * GAPS.index(gap)
        if cost < least:
            best, least = Place(box, line), cost
    return best


def _places(x: float, y: float, size: tuple[float, float]) -> Iterator[tuple[Box, float]]:
    width, height = size
    for gap in GAPS:
        for across, down in DIRECTIONS if gap == GAPS[0] else DIRECTIONS[:6]:  # a line up or down would be on its bar
            reach = gap if across == 0 or down == 0 else gap * 0.75
            centre_x = x + across * (reach + width / 2)
            centre_y = y + down * (reach + height / 2) * (1 if across == 0 else 0.8)
            yield (
                Box(centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2),
                gap,
            )


def _line(box: Box, x: float, y: float) -> tuple[float, float]:
    """Return the point of a box that is nearest."""
    return min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)


def _crosses(x: float, y: float, end: tuple[float, float], other: Box) -> bool:
    """Whether a line from a point runs through a box that does not hold the point itself."""
    if other.left <= x <= other.right and other.top <= y <= other.bottom:
        return False
    steps = [number / 12 for number in range(13)]
    spots = [(x + (end[0] - x) * step, y + (end[1] - y) * step) for step in steps]
    return any(other.left < across < other.right and other.top < down < other.bottom for across, down in spots)
