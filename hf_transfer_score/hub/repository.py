"""Reads and writes one repository on the Hub.

Each commit names the commit that it is based on as its parent. If somebody else was faster, the Hub refuses it, and the
change is computed again from the new state, so that nobody overwrites what they have not seen.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from hf_transfer_score.errors import HubError, StoreError, TransferScoreError
from hf_transfer_score.hub import failures
from hf_transfer_score.hub.client import patiently, quiet_client
from hf_transfer_score.hub.downloads import map_at_once
from hf_transfer_score.hub.settings import RepositoryType, has_token, longest_rest, page_of, question_seconds
from hf_transfer_score.hub.trees import Authors, Trees
from hf_transfer_score.integrity import blob_id
from hf_transfer_score.untrusted import RESULT_BYTES
from hf_transfer_score.version import LIBRARY

if TYPE_CHECKING:
    from pathlib import Path

    from huggingface_hub import HfApi

READERS = 16  # files that are downloaded in parallel
PART = 2**16  # bytes of a file that are read at a time

OF_ONE_FILE = (400, 404, 410, 414, 416, 422)
"""HTTP statuses that concern one file only, which is missing or has an invalid name."""


@dataclass(frozen=True)
class CommitRetries:
    """How long a commit is retried after conflicts and transient failures.

    `seconds` limits the time of commits and of the waits between them, without reading and without pauses that the Hub
    asks for. The waits grow from the first to the longest, with random differences between writers.
    """

    attempts: int = 30
    seconds: float = 120.0
    first_wait: float = 0.4
    longest_wait: float = 10.0

    def wait(self, attempt: int) -> float:
        """Return how many seconds to wait after an attempt."""
        grown: float = min(self.longest_wait, self.first_wait * 1.5 ** (attempt - 1))
        return grown * random.uniform(0.25, 1.75)  # noqa: S311


def stamps_of(content: bytes) -> tuple[str, str]:
    """Return the hashes that a content may have on the Hub: as a git file, and as an LFS file."""
    digest = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
    return blob_id(content), blob_id(pointer.encode())


def operations(changes: Mapping[str, bytes | None], files: Mapping[str, str]) -> list[Any]:
    """Return what to commit, without files that are already as they should be; None removes a file."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    found: list[Any] = []
    for path, content in changes.items():
        stamp = files.get(path)
        if content is None and stamp is not None:
            found.append(CommitOperationDelete(path))
        if content is not None and stamp not in stamps_of(content):
            found.append(CommitOperationAdd(path, content))
    return found


@dataclass
class HubView:
    """A repository at one commit, or an empty one if it does not exist; `attempt` counts the conflicts before it."""

    repository: HubRepository
    version: str
    attempt: int = 0

    @cached_property
    def files(self) -> Mapping[str, str]:
        """The git hash of each file, or of its LFS pointer."""
        return self.repository.listed(self.version) if self.version else {}

    def entries(self) -> Iterable[tuple[str, str]]:
        """Return path and hash of each file."""
        return self.files.items()

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of files by path, without missing ones."""
        return self.repository.contents(self.version, paths) if self.version else {}

    def authors(self, paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return the authors of the last commit of each file."""
        return self.repository.authors(self.version, {path: self.files[path] for path in paths})

    def account(self) -> str | None:
        """Return the account of the token, None without one."""
        return self.repository.account()


@dataclass
class HubRepository:
    """A repository on the Hub.

    With a token of None the Hub's client looks for one, with False there is none. `private` applies if the repository
    is created. `create_pr` proposes changes as pull requests instead of making them.
    """

    name: str
    _: KW_ONLY
    token: str | bool | None = field(default=None, repr=False)
    private: bool = False
    create_pr: bool = False
    repo_type: RepositoryType = "dataset"
    endpoint: str | None = None
    retries: CommitRetries = field(default_factory=CommitRetries)
    _account: str | None = field(default=None, init=False, repr=False)

    @property
    def url(self) -> str:
        """Its web page."""
        return page_of(self.name, self.repo_type, self.endpoint)

    @cached_property
    def api(self) -> HfApi:
        """The Hub's client."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint, token=self.token, **LIBRARY)

    @cached_property
    def _trees(self) -> Trees:
        return Trees(self.api, self.name, self.repo_type)

    @cached_property
    def _authors(self) -> Authors:
        return Authors(self.api, self.name, self.repo_type)

    def most_bytes(self, path: str) -> int:
        """Return how many bytes of a file are read at most."""
        return RESULT_BYTES

    def version(self) -> str | None:
        """Return the newest commit, None if the repository does not exist or is not visible."""
        from huggingface_hub import errors

        def ask() -> Any:
            return self.api.repo_info(self.name, repo_type=self.repo_type, timeout=question_seconds())

        with self._explained():
            try:
                return str(patiently(ask).sha)
            except errors.GatedRepoError:
                raise
            except errors.RepositoryNotFoundError:
                return None

    def missing(self) -> HubError:
        """Return the error for a repository that does not exist or is not visible."""
        return failures.missing(self.name, self.repo_type, self.token)

    def view(self) -> HubView:
        """Return the repository at its newest commit."""
        return HubView(self, self.version() or "")

    def listed(self, commit: str) -> dict[str, str]:
        """Return the hash of each file of a commit."""
        with self._explained():
            return self._trees.files(commit)

    def authors(self, commit: str, files: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """Return the authors of the last commit of each file, given with its hash."""
        with self._explained():
            return self._authors.of(commit, files)

    def account(self) -> str | None:
        """Return the account of the token, None without one."""
        if self._account is None and has_token(self.token):
            with self._explained():
                self._account = str(patiently(self.api.whoami)["name"])
        return self._account

    def contents(self, commit: str, paths: Iterable[str]) -> dict[str, bytes]:
        """Return files of a commit by path, without missing ones."""
        wanted = list(dict.fromkeys(paths))
        found = map_at_once(partial(self._content, commit), wanted, READERS)
        return {path: content for path, content in zip(wanted, found, strict=True) if content is not None}

    def _content(self, commit: str, path: str) -> bytes | None:
        from huggingface_hub import errors, get_session, hf_hub_url, utils

        tools: Any = utils
        where: dict[str, Any] = {"repo_type": self.repo_type, "revision": commit, "endpoint": self.endpoint}
        url, headers = hf_hub_url(self.name, path, **where), tools.build_hf_headers(token=self.token, **LIBRARY)

        def ask() -> bytes:
            with get_session().stream("GET", url, headers=headers, timeout=question_seconds()) as answer:
                if answer.is_error:
                    answer.read()
                tools.hf_raise_for_status(answer)
                found, most = bytearray(), self.most_bytes(path) + 1
                for part in answer.iter_bytes(PART):
                    found += part
                    if len(found) >= most:  # do not download the rest
                        break
                return bytes(found[:most])

        with self._explained():
            try:
                return patiently(ask)
            except errors.EntryNotFoundError:
                return None
            except Exception as error:
                if failures.status_of(error) in OF_ONE_FILE:
                    return None
                raise

    def pull_requests(self, title: str) -> Iterator[tuple[str, str]]:
        """Yield revision and URL of each open pull request with a title."""
        open_ones: dict[str, Any] = {"discussion_type": "pull_request", "discussion_status": "open"}
        with self._explained():
            found = patiently(
                lambda: list(self.api.get_repo_discussions(self.name, repo_type=self.repo_type, **open_ones))
            )
        for one in found:
            if one.title == title:
                yield f"refs/pr/{one.num}", f"{self.url}/discussions/{one.num}"

    def create(self, **settings: Any) -> None:
        """Create the repository if it does not exist, with settings for the client such as the SDK of a Space."""
        with self._explained("write"):
            self.api.create_repo(
                self.name, repo_type=self.repo_type, private=self.private or None, exist_ok=True, **settings
            )

    def upload(self, folder: Path, *, title: str) -> None:
        """Commit all files of a folder; other files of the repository stay."""
        with self._explained("write"):
            self.api.upload_folder(
                repo_id=self.name, repo_type=self.repo_type, folder_path=folder, commit_message=title
            )

    def update(self, change: Callable[[HubView], Mapping[str, bytes | None]], *, title: str) -> str:
        """Commit the files that a change returns, and return the new commit, or the URL of the pull request.

        An empty change makes no commit. The change is called again with the newest commit if somebody else was faster,
        and after a lost answer, when the files may already be there.
        """
        if not has_token(self.token):
            raise failures.no_token(self.name)
        spent, conflicts = 0.0, 0
        for attempt in range(1, self.retries.attempts + 1):
            view = self.view()
            if not view.version:
                if self.create_pr:
                    raise self.missing()
                self.create()
                view = self.view()
            view.attempt = conflicts
            changes = change(view)
            wanted = operations(changes, view.files) if changes else []
            if not wanted:
                return view.version
            begin = time.monotonic()
            try:
                with quiet_client():
                    done = self.api.create_commit(
                        self.name,
                        wanted,
                        commit_message=title,
                        repo_type=self.repo_type,
                        parent_commit=view.version or None,
                        create_pr=self.create_pr,
                    )
                return str(done.pr_url if self.create_pr and done.pr_url else done.oid)
            except Exception as raised:
                error = failures.underlying(raised)
                asked = failures.seconds_to_wait(error)
                wait = max(self.retries.wait(attempt), asked)
                rests = (
                    failures.status_of(error) == failures.BUSY and 0 < asked <= longest_rest()
                )  # a requested pause is not a failure
                spent += time.monotonic() - begin + (0 if rests else wait)
                last = attempt == self.retries.attempts or spent > self.retries.seconds
                if (failure := self._failure(error, attempt, last=last)) is not None:
                    raise failure from raised
                conflicts += failures.is_conflict(error)
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _failure(self, error: Exception, attempt: int, *, last: bool) -> StoreError | HubError | None:
        """Return the error that ends a change; None to retry. A pull request with unknown outcome is not retried."""
        if failures.is_conflict(error) and not last:
            return None
        if failures.is_conflict(error):
            return StoreError(
                f"{self.name} was changed by others before each of {attempt} attempts to write to it: try again "
                "later, or propose the change with `create_pr`."
            )
        if self.create_pr and failures.is_transient(error) and not failures.was_refused(error):
            return HubError(
                f"The answer of the Hub to a pull request on {self.name} was lost: before you try again, check at "
                f"{self.url}/discussions whether it exists."
            )
        return self._error(error, "write") if last or not failures.is_transient(error) else None

    @contextmanager
    def _explained(self, doing: failures.Doing = "read") -> Iterator[None]:
        try:
            yield
        except TransferScoreError:
            raise
        except Exception as error:
            raise self._error(error, doing) from error

    def _error(self, error: Exception, doing: failures.Doing) -> HubError:
        known: dict[str, Any] = {"repo_type": self.repo_type, "token": self.token, "endpoint": self.endpoint}
        return failures.hub_error(self.name, error, doing=doing, **known)
