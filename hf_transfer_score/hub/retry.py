"""Repeats, where that may help, what the Hub's client itself does not repeat within the deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from hf_transfer_score.errors import NoAnswerError
from hf_transfer_score.hub.client import bounded
from hf_transfer_score.hub.failures import is_transient
from hf_transfer_score.hub.settings import pauses, question_seconds

Value = TypeVar("Value")


def patiently(
    action: Callable[[], Value],
    *,
    also: Callable[[Exception], bool] = lambda _: False,
    waits: tuple[float, ...] | None = None,
) -> Value:
    """Return what an action gives, trying again after failures that may pass.

    What the client has tried for long enough is not tried again.

    Args:
        action: asks the Hub; may be done any number of times.
        also: further failures that may pass.
        waits: seconds to wait before each further attempt; None for the usual ones.
    """
    with bounded():
        for wait in pauses() if waits is None else waits:
            start = time.monotonic()
            try:
                return action()
            except Exception as error:
                tried = isinstance(error, NoAnswerError) or time.monotonic() - start > question_seconds() / 3
                if not also(error) and (tried or not is_transient(error)):
                    raise
                time.sleep(wait)
        return action()
