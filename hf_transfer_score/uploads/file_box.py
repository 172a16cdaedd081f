"""The box of an app that takes files: what lies in it is removed once it was used, and when the page is closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from hf_transfer_score.uploads.ledger import Ledger


@dataclass(frozen=True)
class FileBox:
    """A component that takes files, within the `with` block of its app.

    Events that read it have `preprocess=False`: otherwise gradio leaves an empty file for each file it hands over.

    Attributes:
        ledger: of the app's uploads.
        files: the component (File).
    """

    ledger: Ledger
    files: Any

    def __post_init__(self) -> None:
        """Note which page holds the files."""

        def hold(held: Any, request: gr.Request) -> None:
            self.ledger.belong(str(request.session_hash or ""), paths_of(held))

        self.files.upload(hold, inputs=self.files, preprocess=False, show_progress="hidden", api_visibility="private")

    @contextmanager
    def used(self, held: Any) -> Iterator[list[Path]]:
        """Yield the files that an event was called with, and remove those that were uploaded at the end."""
        paths = paths_of(held)
        try:
            yield paths
        finally:
            self.ledger.release(paths)

    def empty_after(self, event: Any) -> None:
        """Empty the component after an event, if none of its files is there any more; others may lie in it by then."""

        def look(held: Any) -> Any:
            paths = paths_of(held)
            return None if paths and not any(path.exists() for path in paths) else gr.skip()

        event.then(
            look,
            inputs=self.files,
            outputs=self.files,
            preprocess=False,
            show_progress="hidden",
            api_visibility="private",
        )


def paths_of(held: Any) -> list[Path]:
    """Return the paths of what gradio holds in a component of files: nothing, one file, or several.

    Example:
        >>> paths_of(None), paths_of({"path": "a.npz"}), paths_of([{"path": "a.npz"}])
        ([], [PosixPath('a.npz')], [PosixPath('a.npz')])
    """
    if held is None:
        return []
    return [Path(one["path"]) for one in (held if isinstance(held, list) else [held])]


def remove_with_page(app: gr.Blocks, ledger: Ledger) -> None:
    """Remove the files of a page when it is closed; within the `with` block of the app."""

    def leave(request: gr.Request) -> None:
        ledger.leave(str(request.session_hash or ""))

    app.unload(leave)
