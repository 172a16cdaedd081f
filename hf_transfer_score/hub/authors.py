"""Who committed files to a repository, which is known to the Hub, whatever the files themselves say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from hf_transfer_score.hub.retry import patiently

if TYPE_CHECKING:
    from huggingface_hub import HfApi

AT_ONCE = 50
"""Files that are asked about at a time."""

MOST_COMMITS = 5000
"""Commits that are looked through for those of files; what is older has nobody's name."""


@dataclass
class Authors:
    """Says who committed files as they are; what was asked once is kept.

    Attributes:
        api: the client.
        repository: OWNER/NAME.
        repo_type: "dataset", "model" or "space".
    """

    api: HfApi
    repository: str
    repo_type: str
    _commits: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)
    _names: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def of(self, revision: str, files: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """Return the names of those who made the last commit of each file.

        Args:
            revision: a commit that has the files.
            files: their stamps by path.
        """
        unknown = [path for path, stamp in files.items() if (path, stamp) not in self._commits]
        for start in range(0, len(unknown), AT_ONCE):
            for path, commit in self._last_commits(revision, unknown[start : start + AT_ONCE]):
                self._commits[path, files[path]] = commit
        commits = {path: self._commits.get((path, stamp), "") for path, stamp in files.items()}
        self._look_up(revision, {commit for commit in commits.values() if commit} - self._names.keys())
        return {path: self._names.get(commit, ()) for path, commit in commits.items()}

    def _last_commits(self, revision: str, paths: list[str]) -> list[tuple[str, str]]:
        def ask() -> list[Any]:
            more: dict[str, Any] = {"expand": True, "revision": revision, "repo_type": self.repo_type}
            return list(self.api.get_paths_info(self.repository, paths, **more))

        return [(one.path, str(one.last_commit.oid)) for one in patiently(ask) if one.last_commit]

    def _look_up(self, revision: str, commits: set[str]) -> None:
        """Find the authors of commits in the history, the newest first, and no further than they are."""
        if not commits:
            return

        def ask() -> None:
            for commit in islice(self._history(revision), MOST_COMMITS):
                self._names[str(commit["id"])] = tuple(_names(commit.get("authors") or ()))
                commits.discard(str(commit["id"]))
                if not commits:
                    break

        patiently(ask)

    def _history(self, revision: str) -> Iterable[dict[str, Any]]:
        """Yield the commits page by page; the client's own method fetches all of them."""
        from huggingface_hub import utils

        tools: Any = utils
        address = f"{self.api.endpoint}/api/{self.repo_type}s/{self.repository}/commits/{revision}"
        found: Iterable[dict[str, Any]] = tools.paginate(
            address, headers=tools.build_hf_headers(token=self.api.token), params={}
        )
        return found


def _names(authors: Iterable[Any]) -> Iterator[str]:
    for one in authors:
        name = one.get("user") if isinstance(one, dict) else None
        if isinstance(name, str) and name:
            yield name
