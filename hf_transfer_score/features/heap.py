"""What forward passes on the CPU free and need again, kept by the process in between."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""Numbers of settings in <malloc.h>."""

MEGABYTE = 2**20
NEVER = 2**31 - 1
USUAL = {MMAP_MAX: 65_536, MMAP_THRESHOLD: 32 * MEGABYTE, TRIM_THRESHOLD: 64 * MEGABYTE}
"""What the library's own adjustment arrives at in a process that frees large blocks."""


@contextmanager
def memory_kept() -> Iterator[None]:
    """Have the C library keep within the block what is freed, where it can be told to (glibc).

    By itself it gives large tensors back to the system, which then clears each of their pages anew for every batch:
    that can take more than a third of the time of a convolutional network. Settings that the user made are left alone.
    """
    library = None if _set_by_user() else _library()
    if library is None:
        yield
        return
    library.mallopt(MMAP_MAX, 0)
    library.mallopt(TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        for setting, value in USUAL.items():
            library.mallopt(setting, value)
        library.malloc_trim(0)


def _set_by_user() -> bool:
    return "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(
        name.startswith("MALLOC_") and name.endswith("_") for name in os.environ
    )


def _library() -> Any:
    """Return the C library, None where it is another one."""
    import ctypes

    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
