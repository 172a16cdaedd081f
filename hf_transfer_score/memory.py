"""Memory of the C library: kept while models run, and given back.

glibc returns every large block to the system as soon as it is freed, and the system fills its pages with zeros when it
is needed again. A network frees and needs such blocks in every layer, which can take a third of a pass on a CPU.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MMAP_THRESHOLD, TRIM_THRESHOLD, ARENA_MAX = -3, -1, -8
"""Options of glibc's `mallopt`: for blocks that are mapped one by one, free memory at the end, and threads' arenas."""

KEPT = {MMAP_THRESHOLD: 1 << 30, TRIM_THRESHOLD: -1}
USUAL = {MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: 64 << 20}
"""What glibc sets by itself for a program that frees large blocks; once set it no longer adapts them."""

OWN_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")
"""Variables of users who tune this themselves."""

_lock = threading.Lock()
_users = 0


def set_option(option: int, value: int) -> None:
    """Set an option of the allocator, if it has options."""
    if (mallopt := _function("mallopt")) is not None:
        mallopt(option, value)


def give_back() -> None:
    """Return free memory to the system."""
    if (trim := _function("malloc_trim")) is not None:
        trim(0)


@contextmanager
def kept() -> Iterator[None]:
    """Keep what is freed for later use, until no thread is in this context any more.

    Example:
        >>> with kept():
        ...     lengths = [len(bytes(count)) for count in (10**7, 10**8)]
    """
    if any(name in os.environ for name in OWN_SETTINGS):
        yield
        return
    _use(1)
    try:
        yield
    finally:
        _use(-1)


def _use(change: int) -> None:
    global _users
    with _lock:
        before, _users = _users, _users + change
        if 0 in (before, _users):
            for option, value in (KEPT if _users else USUAL).items():
                set_option(option, value)
        if not _users:
            give_back()


def _function(name: str) -> Any:
    """Return a function of the C library, None where there is none of that name."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None
