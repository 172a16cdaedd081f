"""Names beside points, the first ones first, so that none covers another or leaves the picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.boxes import Box, Place

DIRECTIONS = ((1, 0), (1, -1), (1, 1), (-1, 0), (-1, -1), (-1, 1), (0, -1), (0, 1))
SHIFTS = (-0.4, -0.2, 0.2, 0.4)
"""How far names above and below their points are shifted at larger gaps, as shares of their width."""

GAPS = (9.0, 18.0, 30.0, 46.0)
"""How far a name may stand from its point; the further ones have a line to it."""

ON_POINT, ON_LINE, FURTHER, LEFT = 3.0, 0.15, 0.9, 0.3
"""What it costs to cover a point, a step of a line, to stand one gap further away, and on the left."""

MARGIN = 2.0


class Wanted(NamedTuple):
    """A name that wants a place: its point, its width and height, and whether other names may never cover the point."""

    x: float
    y: float
    width: float
    height: float
    firm: bool = False


def place_labels(
    wanted: Sequence[Wanted], points: NDArray[np.float64], lines: NDArray[np.float64], frame: Box
) -> list[Place | None]:
    """Return a place for each name, None where there is none.

    Names cover no other name, no line to one and no firm point; other points only where nothing else is free.

    Where one of a firm point finds no place, those are tried in another order.

    Args:
        wanted: the names, those that matter most first.
        points: what had better stay free, (N, 2).
        lines: places along drawn lines, which may be covered rather than points, (M, 2).
        frame: what names have to stay in.
    """
    places = _placed(wanted, points, lines, frame)
    firm = [place for place, one in enumerate(wanted) if one.firm]
    if all(places[place] is not None for place in firm):
        return places
    order = sorted(range(len(wanted)), key=lambda place: (not wanted[place].firm, places[place] is not None, place))
    again = _placed([wanted[place] for place in order], points, lines, frame)
    found = dict(zip(order, again, strict=True))
    better = sum(found[place] is not None for place in firm) > sum(places[place] is not None for place in firm)
    return [found[place] for place in range(len(wanted))] if better else places


def _placed(
    wanted: Sequence[Wanted], points: NDArray[np.float64], lines: NDArray[np.float64], frame: Box
) -> list[Place | None]:
    """Return a place for each name, one after the other."""
    own = {place: Box(one.x - 6, one.y - 6, one.x + 6, one.y + 6) for place, one in enumerate(wanted) if one.firm}
    taken: list[Box] = []
    places: list[Place | None] = []
    for place, one in enumerate(wanted):
        others = [box for other, box in own.items() if other != place]
        found = _best(one, [*taken, *others], points, lines, frame)
        places.append(found)
        if found is not None:
            left, top, right, bottom = found.box
            taken.append(Box(left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN))
            taken.extend(_along(one, found.line))
    return places


def _best(
    one: Wanted, taken: Sequence[Box], points: NDArray[np.float64], lines: NDArray[np.float64], frame: Box
) -> Place | None:
    best: tuple[float, Place] | None = None
    for box, step, side in _choices(one):
        if not box.within(frame) or any(box.meets(other) for other in taken):
            continue
        end = (min(max(one.x, box.left), box.right), min(max(one.y, box.top), box.bottom)) if step else None
        if any(part.meets(other) for part in _along(one, end)[1:] for other in taken):
            continue
        cost = ON_POINT * _covered(box, points, 4.0) + ON_LINE * _covered(box, lines, 1.0) + FURTHER * step
        cost += LEFT if side < 0 else 0.0
        if best is None or cost < best[0]:
            best = (cost, Place(box, end))
    return None if best is None else best[1]


def _choices(one: Wanted) -> Iterator[tuple[Box, int, int]]:
    for step, gap in enumerate(GAPS):
        for across, down in DIRECTIONS:
            reach = gap if 0 in (across, down) else gap * 0.7
            x = one.x + across * (reach + one.width / 2)
            y = one.y + down * (reach + one.height / 2) * (1.0 if across == 0 else 0.8)
            yield _around(x, y, one), step, across
        for shift in SHIFTS if step else ():
            for down in (-1, 1):
                y = one.y + down * (gap + one.height / 2)
                yield _around(one.x + shift * one.width, y, one), step, 0


def _around(x: float, y: float, one: Wanted) -> Box:
    return Box(x - one.width / 2, y - one.height / 2, x + one.width / 2, y + one.height / 2)


def _covered(box: Box, points: NDArray[np.float64], room: float) -> int:
    if not len(points):
        return 0
    across = (points[:, 0] > box.left - room) & (points[:, 0] < box.right + room)
    return int((across & (points[:, 1] > box.top - room) & (points[:, 1] < box.bottom + room)).sum())


def _along(one: Wanted, end: tuple[float, float] | None) -> list[Box]:
    """Return small boxes along the line from a point to its name."""
    if end is None:
        return []
    shares = [step / 8 for step in range(9)]
    spots = [(one.x + (end[0] - one.x) * share, one.y + (end[1] - one.y) * share) for share in shares]
    return [Box(x - 0.5, y - 0.5, x + 0.5, y + 0.5) for x, y in spots]
