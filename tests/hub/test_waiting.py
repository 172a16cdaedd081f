"""Asking again, and threads for what waits."""

from __future__ import annotations

import threading
import time

import pytest

from hf_transfer_score.hub.client import patiently
from hf_transfer_score.hub.downloads import Background, map_at_once


def test_patience_ends():
    tried = []

    def fails():
        tried.append(time.monotonic())
        raise ConnectionError(f"attempt {len(tried)}")

    with pytest.raises(ConnectionError, match="attempt 3"):
        patiently(fails, waits=(0.02, 0.04))
    assert tried[2] - tried[0] > 0.05
    with pytest.raises(ZeroDivisionError):
        patiently(lambda: 1 // 0, waits=(60.0,))
    assert patiently(lambda: 5) == 5


def test_things_are_done_in_turn_and_dropped_when_closed():
    background, begun, go, done = Background(), threading.Event(), threading.Event(), []
    first = background.submit(lambda: (begun.set(), go.wait(10), done.append("first")))
    second = background.submit(lambda: done.append("second"))
    assert begun.wait(10)
    background.close()
    go.set()
    first.result(10)
    assert second.cancelled() and done == ["first"]


def test_values_come_in_order_and_failures_are_raised():
    assert map_at_once(lambda number: (time.sleep(0.03 / number), number)[1], [1, 2, 3], 3) == [1, 2, 3]
    assert map_at_once(len, [], 4) == []
    with pytest.raises(ZeroDivisionError):
        map_at_once(lambda number: 1 / number, [1, 0, 2], 2)
