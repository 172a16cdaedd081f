"""Labels beside points cover neither one another nor a point."""

from itertools import combinations

import numpy as np
import pytest

from hf_transfer_score.drawing.axes import POINT_RADIUS, Box, place_labels


@pytest.mark.parametrize("seed", range(5))
def test_labels_cover_no_point_and_no_label(seed):
    rng = np.random.default_rng(seed)
    points = [(float(x), float(y)) for x, y in rng.uniform((60, 20), (940, 480), (30, 2))]
    sizes = [(float(width), 14.0) for width in rng.uniform(40, 260, 30)]
    frame = Box(50, 10, 950, 490)
    places = place_labels(points, sizes, [], frame)
    boxes = [place.box for place in places if place is not None]
    assert len(boxes) > 20
    assert all(box.within(frame) for box in boxes)
    assert not any(one.meets(other) for one, other in combinations(boxes, 2))
    for x, y in points:
        point = Box(x - POINT_RADIUS, y - POINT_RADIUS, x + POINT_RADIUS, y + POINT_RADIUS)
        assert not any(box.meets(point) for box in boxes)
    for place, (width, height) in zip(places, sizes, strict=True):
        if place is not None:
            assert place.box.right - place.box.left == pytest.approx(width)
            assert place.box.bottom - place.box.top == pytest.approx(height)


def test_labels_without_room_are_left_out_and_bars_are_avoided():
    frame = Box(0, 0, 300, 100)
    assert place_labels([(150, 50)], [(400, 14)], [], frame) == [None]
    free = place_labels([(150, 50)], [(100, 14)], [], frame)[0]
    assert free.box.left > 150
    assert free.line is None
    beside = place_labels([(150, 50)], [(100, 14)], [Box(180, 0, 184, 100)], frame)[0]
    assert beside.box.right < 150
