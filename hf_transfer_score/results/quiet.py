"""The Hub's client without its own words: what it comes to is said by whoever calls it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet_client() -> Iterator[None]:
    """Keep the bars of the Hub's client, and what it says about trying again, from writing into ours."""
    from huggingface_hub import utils

    tools: Any = utils
    bars, logger = not tools.are_progress_bars_disabled(), logging.getLogger("huggingface_hub")
    level = logger.level
    tools.disable_progress_bars()
    logger.setLevel(max(level, logging.ERROR))
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars:
            tools.enable_progress_bars()
