"""Trying again where that may help."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

WAITS = (1.0, 4.0)
"""Seconds before the second and the third attempt."""


def patiently(
    action: Callable[[], Value], may_help: Callable[[BaseException, float], bool], waits: tuple[float, ...] = WAITS
) -> Value:
    """Return what an action gives, trying again after failures that may pass.

    Args:
        action: what is tried.
        may_help: whether trying again may help, after an exception and so many seconds that the attempt took.
        waits: seconds to wait before each further attempt.
    """
    for wait in waits:
        start = time.monotonic()
        try:
            return action()
        except Exception as error:
            if not may_help(error, time.monotonic() - start):
                raise
            time.sleep(wait)
    return action()
