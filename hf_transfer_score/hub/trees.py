"""What is in a repository at one commit, and who put it there, which is known to the Hub, whatever the files say."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from hf_transfer_score.hub.client import patiently
from hf_transfer_score.version import LIBRARY

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MOST_FOLDERS = 12
"""Folders that are listed one by one; beyond, everything is listed at once, a thousand entries an answer."""

AT_ONCE = 50
"""Files that are asked about at a time."""

MOST_COMMITS = 5000
"""Commits that are looked through for those of files; what is older has no author."""


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
    """Lists the files of commits; git names a folder by what it holds, so that an equal name need not be listed."""

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
        from huggingface_hub import errors

        def ask() -> Iterable[Any]:
            return list(
                self.api.list_repo_tree(
                    self.repository, path, recursive=recursive, revision=commit, repo_type=self.repo_type
                )
            )

        # a commit may be unknown to who answers for a moment after it was made
        return list(patiently(ask, also=lambda error: isinstance(error, errors.RevisionNotFoundError)))


def _name(entry: Any) -> str:
    return str(entry.blob_id if hasattr(entry, "blob_id") else entry.tree_id)


@dataclass
class Authors:
    """Says who committed files as they are; what was asked once is kept."""

    api: HfApi
    repository: str
    repo_type: str
    _commits: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)
    _names: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def of(self, revision: str, files: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """Return the names of those who made the last commit of each file, given by path with its stamp."""
        unknown = [path for path, stamp in files.items() if (path, stamp) not in self._commits]
        more: dict[str, Any] = {"expand": True, "revision": revision, "repo_type": self.repo_type}
        for start in range(0, len(unknown), AT_ONCE):
            some = unknown[start : start + AT_ONCE]
            for one in patiently(partial(self.api.get_paths_info, self.repository, some, **more)):
                if one.last_commit:
                    self._commits[one.path, files[one.path]] = str(one.last_commit.oid)
        commits = {path: self._commits.get((path, stamp), "") for path, stamp in files.items()}
        self._look_up(revision, {commit for commit in commits.values() if commit} - self._names.keys())
        return {path: self._names.get(commit, ()) for path, commit in commits.items()}

    def _look_up(self, revision: str, commits: set[str]) -> None:
        """Find the authors of commits in the history, the newest first, and no further than they are."""
        if not commits:
            return
        from huggingface_hub import utils

        tools: Any = utils
        address = f"{self.api.endpoint}/api/{self.repo_type}s/{self.repository}/commits/{revision}"

        def ask() -> None:  # page by page; the client's own method fetches all of them
            headers = tools.build_hf_headers(token=self.api.token, **LIBRARY)
            history = tools.paginate(address, headers=headers, params={})
            for commit in islice(history, MOST_COMMITS):
                users = [one.get("user") for one in commit.get("authors") or () if isinstance(one, dict)]
                self._names[str(commit["id"])] = tuple(one for one in users if isinstance(one, str) and one)
                commits.discard(str(commit["id"]))
                if not commits:
                    break

        patiently(ask)
