"""From what a person writes to the place that is meant."""

from __future__ import annotations

from pathlib import Path

from hf_transfer_score.errors import OptionError
from hf_transfer_score.results.hub import HubPlace
from hf_transfer_score.results.place import HUB_NAME, HUB_PREFIX, FolderPlace, Place, is_hub_name
from hf_transfer_score.results.record import Record
from hf_transfer_score.results.store import load

FORMS = f"a folder (./results), OWNER/NAME on the Hub, or {HUB_PREFIX}OWNER/NAME"


def open_place(text: str, *, token: str | bool | None = None, private: bool = False, create_pr: bool = False) -> Place:
    """Return the place that a text names: a folder, or a dataset repository on the Hub.

    OWNER/NAME means a repository unless there is such a folder; a folder that is still to be made is written ./a/b.

    Args:
        text: the folder, OWNER/NAME, or hf://datasets/OWNER/NAME.
        token: for the Hub; None for the one that its client finds.
        private: make a repository private that is not there yet.
        create_pr: propose changes to a repository as pull requests.

    Example:
        >>> open_place("hf://datasets/owner/results").name, open_place("./results").name
        ('owner/results', 'results')
    """
    if is_hub_name(text):
        name = text.removeprefix(HUB_PREFIX).strip("/")
        if HUB_NAME.fullmatch(name) is None:
            raise OptionError(f"{text!r} names no repository: expected {FORMS}.")
        return HubPlace(name, token=token, private=private, create_pr=create_pr)
    if not text.strip() or "://" in text:
        raise OptionError(f"{text!r} names no place of results: expected {FORMS}.")
    if create_pr or private:
        option = "--create-pr" if create_pr else "--private"
        raise OptionError(f"{option} is for repositories on the Hub, and {text} is a folder.")
    return FolderPlace(local_folder(text))


def read_records(results: str) -> list[Record]:
    """Return the records of a store of results; files that hold none are left out.

    Args:
        results: a folder, or OWNER/NAME of a dataset repository on the Hub.
    """
    return load(open_place(results)).table.records()


def local_folder(text: str | Path) -> Path:
    """Return the folder that a text names; it need not be there yet."""
    folder = Path(text).expanduser()
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{text} is a file; expected {FORMS}.")
    return folder
