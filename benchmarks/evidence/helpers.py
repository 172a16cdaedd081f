"""Training processes with one thread each that end together with the main process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process


@contextmanager
def helpers(count: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of fresh processes; if the block fails, waiting work is dropped."""
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_alone)
    try:
        yield pool
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _alone() -> None:
    """Compute on one thread, so that numbers do not depend on the machine and processes do not slow each other."""
    import signal

    import torch

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it at once; the main process reports
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)


def _end_with_parent() -> None:
    """Wait until the main process is gone, however it ended, and end too."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
