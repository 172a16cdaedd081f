"""The files of a repository at one commit; folders that an earlier listing knows are not listed again."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hf_transfer_score.hub.retry import patiently

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MOST_FOLDERS = 12
"""Folders that are listed one by one; beyond, everything is listed at once, a thousand entries an answer."""


@dataclass
class Folder:
    """What lies in a folder: git's names of files and of folders by their own names."""

    files: dict[str, str] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)

    def below(self, before: str) -> list[tuple[str, str]]:
        """Return path and name of the folders in this one, whose own path is what comes before."""
        return [(f"{before}{name}", tree) for name, tree in self.folders.items()]


@dataclass
class Trees:
    """Lists the files of commits; git names a folder by what it holds, so that an equal name need not be listed.

    Attributes:
        api: the client.
        repository: OWNER/NAME.
        repo_type: "dataset", "model" or "space".
    """

    api: HfApi
    repository: str
    repo_type: str
    _known: dict[tuple[str, str], Folder] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def files(self, commit: str) -> dict[str, str]:
        """Return git's name of the content of each file; of a large file, that of its pointer."""
        with self._lock:
            top = self._walk(commit) if self._known else None
            if top is None:
                top = self._everything(commit)
            found: dict[str, str] = {}
            reached: dict[tuple[str, str], Folder] = {}
            waiting = [("", top)]
            while waiting:
                before, folder = waiting.pop()
                found |= {f"{before}{name}": blob for name, blob in folder.files.items()}
                for key in folder.below(before):
                    reached[key] = self._known[key]
                    waiting.append((f"{key[0]}/", self._known[key]))
            self._known = reached
            return found

    def _walk(self, commit: str) -> Folder | None:
        """Return the topmost folder after listing those below it that are new; None where those are many."""
        top = self._listed(commit, "")
        new = [key for key in top.below("") if key not in self._known]
        for _ in range(MOST_FOLDERS):
            if not new:
                return top
            key = new.pop()
            folder = self._known[key] = self._listed(commit, key[0])
            new += [below for below in folder.below(f"{key[0]}/") if below not in self._known]
        return None if new else top

    def _listed(self, commit: str, path: str) -> Folder:
        folder = Folder()
        for entry in self._entries(commit, path or None, recursive=False):
            name = entry.path.rsplit("/", 1)[-1]
            (folder.files if hasattr(entry, "blob_id") else folder.folders)[name] = _name(entry)
        return folder

    def _everything(self, commit: str) -> Folder:
        entries = self._entries(commit, None, recursive=True)
        trees = {entry.path: _name(entry) for entry in entries if not hasattr(entry, "blob_id")}
        top = Folder()
        inside = {"": top} | {path: Folder() for path in trees}
        for entry in entries:
            before, _, name = entry.path.rpartition("/")
            folder = inside[before]
            (folder.files if hasattr(entry, "blob_id") else folder.folders)[name] = _name(entry)
        self._known = {(path, tree): inside[path] for path, tree in trees.items()}
        return top

    def _entries(self, commit: str, path: str | None, *, recursive: bool) -> list[Any]:
        def ask() -> Iterable[Any]:
            return list(
                self.api.list_repo_tree(
                    self.repository, path, recursive=recursive, revision=commit, repo_type=self.repo_type
                )
            )

        return list(patiently(ask, also=_is_new))


def _name(entry: Any) -> str:
    return str(entry.blob_id if hasattr(entry, "blob_id") else entry.tree_id)


def _is_new(error: Exception) -> bool:
    """Whether a commit is not known yet to who answers: that may take a moment after it was made."""
    from huggingface_hub import errors

    return isinstance(error, errors.RevisionNotFoundError)
