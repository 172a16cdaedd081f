"""The files of a repository at one commit, and their authors according to the Hub."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from hf_transfer_score.hub.client import patiently
from hf_transfer_score.version import LIBRARY

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MOST_FOLDERS = 12
"""New folders that are listed one by one; if there are more, everything is listed, a thousand entries per answer."""

AT_ONCE = 50  # files per request for their last commits
MOST_COMMITS = 5000  # commits that are searched for authors; files with an older last commit have none


@dataclass
class Folder:
    """The content of a folder: git hashes of its files and subfolders by name."""

    files: dict[str, str] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)

    def below(self, before: str) -> list[tuple[str, str]]:
        """Return path and hash of each subfolder; `before` is the path of this folder with a slash."""
        return [(f"{before}{name}", tree) for name, tree in self.folders.items()]


@dataclass
class Trees:
    """Lists the files of commits; a folder with a known git hash need not be listed again."""

    api: HfApi
    repository: str
    repo_type: str
    _known: dict[tuple[str, str], Folder] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def files(self, commit: str) -> dict[str, str]:
        """Return the git hash of each file; for a large file, that of its LFS pointer."""
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
        """List the root folder and all new folders below it; return None if these are too many."""
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
            _add(entry, folder)
        return folder

    def _everything(self, commit: str) -> Folder:
        entries = self._entries(commit, None, recursive=True)
        trees = {entry.path: str(entry.tree_id) for entry in entries if not hasattr(entry, "blob_id")}
        inside = {path: Folder() for path in ("", *trees)}
        for entry in entries:
            _add(entry, inside[entry.path.rpartition("/")[0]])
        self._known = {(path, tree): inside[path] for path, tree in trees.items()}
        return inside[""]

    def _entries(self, commit: str, path: str | None, *, recursive: bool) -> list[Any]:
        from huggingface_hub import errors

        more: dict[str, Any] = {"recursive": recursive, "revision": commit, "repo_type": self.repo_type}

        def ask() -> list[Any]:
            return list(self.api.list_repo_tree(self.repository, path, **more))

        # for a moment after a commit, some servers may not know it
        return patiently(ask, also=lambda error: isinstance(error, errors.RevisionNotFoundError))


def _add(entry: Any, folder: Folder) -> None:
    """Add a file or subfolder, as the Hub lists it, to its folder."""
    name = entry.path.rpartition("/")[2]
    if hasattr(entry, "blob_id"):
        folder.files[name] = str(entry.blob_id)
    else:
        folder.folders[name] = str(entry.tree_id)


@dataclass
class Authors:
    """Finds the authors of files, and caches what the Hub answers."""

    api: HfApi
    repository: str
    repo_type: str
    _commits: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)
    _names: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def of(self, revision: str, files: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """Return the authors of the last commit of each file, given by path with its hash."""
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
        """Find the authors of commits in the history, newest first, until all are found."""
        if not commits:
            return
        from huggingface_hub import utils

        tools: Any = utils
        address = f"{self.api.endpoint}/api/{self.repo_type}s/{self.repository}/commits/{revision}"

        def ask() -> None:  # page by page; the client's own method fetches all pages
            headers = tools.build_hf_headers(token=self.api.token, **LIBRARY)
            history = tools.paginate(address, headers=headers, params={})
            for commit in islice(history, MOST_COMMITS):
                users = [one.get("user") for one in commit.get("authors") or () if isinstance(one, dict)]
                self._names[str(commit["id"])] = tuple(one for one in users if isinstance(one, str) and one)
                commits.discard(str(commit["id"]))
                if not commits:
                    break

        patiently(ask)
        self._names |= dict.fromkeys(commits, ())  # of commits that are too old to be found
