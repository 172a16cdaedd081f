"""Starting a leaderboard from the names of places, on this machine or on a Space."""

from __future__ import annotations

import gc
import inspect
import os
import sys
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hf_transfer_score import memory
from hf_transfer_score.leaderboard.library import POLL_SECONDS, Library
from hf_transfer_score.records.place import FolderPlace, existing, open_place
from hf_transfer_score.records.shipped import shipped_place
from hf_transfer_score.records.store import cache_file

if TYPE_CHECKING:
    import gradio

SHIPPED = "the package itself"
ALLOCATION = {memory.ARENA_MAX: 2, memory.MMAP_THRESHOLD: 4 << 20, memory.TRIM_THRESHOLD: 16 << 20}
"""Settings of glibc: how many memory arenas there are, from which size on arrays have memory of their own, and how much
unused memory is kept. By default, the pages of many arrays of a view are requested anew and given back at once."""

COLLECT_AFTER = 20_000
"""New objects before a garbage collection: a view makes many, nearly all of which live as long as it is needed."""

RESULTS, REQUESTS = "RESULTS", "REQUESTS"
"""Environment variables of a Space that name the places."""


def library_of(results: str | None, *, poll_seconds: float = POLL_SECONDS) -> Library:
    """Return the library of a folder, a dataset repository (OWNER/NAME) or the shipped records, not started yet."""
    if results is None:
        return Library(shipped_place(), poll_seconds=poll_seconds, changed=_settle, name=SHIPPED)
    place = open_place(results)
    if isinstance(place, FolderPlace) and not place.folder.is_dir():  # a repository may be created later
        existing(place)
    return Library(place, cache=cache_file(place), poll_seconds=poll_seconds, changed=_settle)


def build(results: str | None, requests: str | None, *, poll_seconds: float = POLL_SECONDS) -> gradio.Blocks:
    """Return the leaderboard of a place, and start reading its records."""
    tune()
    library = library_of(results, poll_seconds=poll_seconds)
    place = None if requests is None else open_place(requests)
    library.start()
    _load_gradio()
    from hf_transfer_score.leaderboard.pages.app import build_app

    return build_app(library, requests=place)


def tune() -> None:
    """Set threads, memory and garbage collection of this process for many small computations."""
    import pyarrow
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, "blas")  # more threads would mostly wait for each other: boards have small matrices
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # tables and threads share the memory of the system
    gc.set_threshold(COLLECT_AFTER)
    for option, value in ALLOCATION.items():
        memory.set_option(option, value)


def _load_gradio() -> None:
    """Import gradio in half the time, without what only its own developers need.

    Whenever it is imported, it writes type stubs beside its components, from source that it parses anew for each, and
    compiles the same docstrings two hundred times. Before each first answer it would load matplotlib, and for each
    table it would look for polars on the disk.
    """
    import jinja2

    file_of, template = inspect.getfile, jinja2.Template

    def known_file(thing: Any) -> str:
        if type(thing).__module__ == "gradio.component_meta":
            raise OSError("A component without a file gets no stub.")
        return file_of(thing)

    for name in ("matplotlib", "polars"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    inspect.getfile, jinja2.Template = known_file, lru_cache(template)  # type: ignore[assignment, misc]
    try:
        import gradio  # noqa: F401
    finally:
        inspect.getfile, jinja2.Template = file_of, template  # type: ignore[misc]


def _settle() -> None:
    """Give back the memory that reading took, and exclude what was read from later garbage collections.

    Otherwise these would hold up all visitors for 0.2 s now and then.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    memory.give_back()


def run_space(*, results: str | None = None, requests: str | None = None) -> None:
    """Serve the leaderboard of a Space until it is stopped; its variables RESULTS and REQUESTS take precedence."""
    from hf_transfer_score.leaderboard.pages.app import serve

    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    app = build(os.environ.get(RESULTS) or results, os.environ.get(REQUESTS) or requests)
    serve(app)
    threading.Event().wait()
