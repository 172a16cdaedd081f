"""The upload component of an app: its files are removed after use, and when the page is closed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from hf_transfer_score.uploads.ledger import Ledger


@dataclass(frozen=True)
class FileBox:
    """An upload component (`files`, a File) with the ledger of its app; create it within the `with` block of the app.

    Events that read it need `preprocess=False`: otherwise gradio leaves an empty file for each upload.
    """

    ledger: Ledger
    files: Any

    def __post_init__(self) -> None:
        """Connect uploads to the ledger."""

        def hold(held: Any, request: gr.Request) -> None:
            self.ledger.belong(str(request.session_hash or ""), paths_of(held))

        self.files.upload(hold, inputs=self.files, preprocess=False, show_progress="hidden", api_visibility="private")

    @contextmanager
    def used(self, held: Any) -> Iterator[list[Path]]:
        """Yield the files of an event, and remove uploaded ones afterwards."""
        paths = paths_of(held)
        try:
            yield paths
        finally:
            self.ledger.release(paths)

    def empty_after(self, event: Any) -> None:
        """Clear the component after an event if none of its files exists any more; it may hold new ones by then."""

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
    """Return the paths in the value of a File component: nothing, one file, or several.

    Example:
        >>> paths_of(None), paths_of({"path": "a.npz"}), paths_of([{"path": "a.npz"}])
        ([], [PosixPath('a.npz')], [PosixPath('a.npz')])
    """
    if held is None:
        return []
    return [Path(one["path"]) for one in (held if isinstance(held, list) else [held])]


def remove_with_page(app: gr.Blocks, ledger: Ledger) -> None:
    """Remove the files of a page when it is closed; call it within the `with` block of the app."""

    def leave(request: gr.Request) -> None:
        ledger.leave(str(request.session_hash or ""))

    app.unload(leave)
