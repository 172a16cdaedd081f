"""From the names of places to a leaderboard that runs: on this machine, or on a Space."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from hf_transfer_score.errors import OptionError
from hf_transfer_score.leaderboard.library import POLL_SECONDS, Library
from hf_transfer_score.records.place import FolderPlace, Place, open_place
from hf_transfer_score.records.shipped import shipped_place
from hf_transfer_score.records.store import cache_file

if TYPE_CHECKING:
    import gradio

SHIPPED = "the package itself"
ARENA_MAX = -8
"""What glibc calls the setting for how many parts memory has; by default threads have parts of their own."""

RESULTS, REQUESTS = "RESULTS", "REQUESTS"
"""Variables that name the places on a Space."""


def library_of(results: str | None, *, poll_seconds: float = POLL_SECONDS) -> Library:
    """Return the library of a folder, or of a dataset repository as OWNER/NAME, not started yet.

    None means the records that ship with the package.
    """
    if results is None:
        return Library(shipped_place(), poll_seconds=poll_seconds, changed=_settle, name=SHIPPED)
    place = existing(open_place(results), "`results`")
    return Library(place, cache=cache_file(place), poll_seconds=poll_seconds, changed=_settle)


def existing(place: Place, option: str) -> Place:
    """Return a place whose folder has to be there; a repository may be made later."""
    if isinstance(place, FolderPlace) and not place.folder.is_dir():
        raise OptionError(
            f"{option} {place.name}: there is no such folder. `hf-transfer-score rank DATASET --models MODEL ... "
            f"--save {place.name}` makes one with records; OWNER/NAME names a repository on the Hub."
        )
    return place


def build(results: str | None, requests: str | None, *, poll_seconds: float = POLL_SECONDS) -> gradio.Blocks:
    """Return the leaderboard of a place, whose records are being read from now on."""
    import pyarrow

    pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # so that tables and threads share memory of the system,
    with suppress(AttributeError, OSError):  # which gets back what they no longer need
        ctypes.CDLL(None).mallopt(ARENA_MAX, 2)
    library = library_of(results, poll_seconds=poll_seconds)
    place = None if requests is None else open_place(requests)  # else nobody takes any
    library.start()
    from hf_transfer_score.leaderboard.pages.app import build_app

    return build_app(library, requests=place)


def _settle() -> None:
    """Give back the memory that reading took, and look for garbage among what comes later only.

    A look at everything would hold up all visitors for 0.2 s now and then.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def run_space(*, results: str | None = None, requests: str | None = None) -> None:
    """Serve the leaderboard of a Space until it is stopped; its variables RESULTS and REQUESTS count more."""
    from hf_transfer_score.leaderboard.pages.app import serve

    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    app = build(os.environ.get(RESULTS) or results, os.environ.get(REQUESTS) or requests)
    serve(app)
    threading.Event().wait()
