"""A repository on the Hub as a place: its state is a commit, and a change is a commit on top of the one looked at.

Whoever commits names the commit that was looked at as parent. Where somebody else was faster the Hub refuses, and the
change is decided again on what is there now, so that nobody overwrites what they have not seen.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hf_transfer_score.errors import HubError, StoreError
from hf_transfer_score.hub.authors import Authors
from hf_transfer_score.hub.failures import (
    is_conflict,
    is_transient,
    seconds_to_wait,
    status_of,
    underlying,
    was_refused,
)
from hf_transfer_score.hub.retry import patiently
from hf_transfer_score.hub.trees import Trees
from hf_transfer_score.hub.words import endpoint_of, has_token, hub_error, missing, no_token
from hf_transfer_score.results.place import Change, blob_id, most_bytes

if TYPE_CHECKING:
    from huggingface_hub import HfApi

READERS = 16
"""Files that are fetched at a time."""

PART = 2**16
"""Bytes of a file that are taken at a time."""

OF_ONE_FILE = (400, 404, 410, 414, 416, 422)
"""What the Hub answers where it does not have one file, or cannot find it under its name; others are still there."""

READ_SECONDS = 60.0
"""Without an answer for so long, a file is asked for again."""


@dataclass(frozen=True)
class Patience:
    """How long a change is tried against those of others and against failures that may pass.

    Attributes:
        attempts: how often at most.
        seconds: for how long at most.
        first_wait: seconds before the second attempt, on average.
        longest_wait: seconds between attempts at most; they grow, and differ between writers.
    """

    attempts: int = 30
    seconds: float = 120.0
    first_wait: float = 0.4
    longest_wait: float = 10.0

    def wait(self, attempt: int) -> float:
        """Return how long to wait after so many attempts."""
        grown: float = min(self.longest_wait, self.first_wait * 1.5 ** (attempt - 1))
        return grown * random.uniform(0.25, 1.75)  # noqa: S311


def stamps_of(content: bytes) -> tuple[str, str]:
    """Return the stamps that a content may have on the Hub: as a file of git, and as one that LFS keeps."""
    digest = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
    return blob_id(content), blob_id(pointer.encode())


@dataclass
class HubView:
    """A repository at one commit.

    Attributes:
        place: the repository.
        version: the commit, empty where there is no repository yet.
        attempt: how many times the change met one of somebody else.
    """

    place: HubPlace
    version: str
    attempt: int = 0
    _files: dict[str, str] | None = field(default=None, repr=False)

    @property
    def files(self) -> Mapping[str, str]:
        """What git calls each file's content, of large files the pointer; listed when first asked for."""
        if self._files is None:
            self._files = self.place.listed(self.version) if self.version else {}
        return self._files

    def entries(self) -> Iterable[tuple[str, str]]:
        """Return path and stamp of each file."""
        return self.files.items()

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of files by path; one that is gone is absent."""
        return self.place.contents(self.version, paths) if self.version else {}

    def authors(self, paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return who made the last commit of each file."""
        return self.place.authors(self.version, {path: self.files[path] for path in paths})

    def account(self) -> str | None:
        """Return whose token this is, None for nobody's."""
        return self.place.account()


@dataclass
class HubPlace:
    """A repository on the Hub.

    Attributes:
        repository: OWNER/NAME.
        token: None for the one that the Hub's client finds, False for none.
        private: whether the repository is made private, should it not be there yet.
        create_pr: propose changes as pull requests instead of making them.
        repo_type: "dataset", "model" or "space".
        endpoint: another Hub than that of HF_ENDPOINT.
        patience: how long a change is tried.
    """

    repository: str
    _: KW_ONLY
    token: str | bool | None = field(default=None, repr=False)
    private: bool = False
    create_pr: bool = False
    repo_type: Literal["dataset", "model", "space"] = "dataset"
    endpoint: str | None = None
    patience: Patience = Patience()
    _api: HfApi | None = field(default=None, init=False, repr=False)
    _trees: Trees | None = field(default=None, init=False, repr=False)
    _authors: Authors | None = field(default=None, init=False, repr=False)
    _account: str | None = field(default=None, init=False, repr=False)

    @property
    def name(self) -> str:
        """The repository."""
        return self.repository

    @property
    def shared(self) -> bool:
        """True: others write here too."""
        return True

    @property
    def url(self) -> str:
        """Where people see it."""
        kind = "" if self.repo_type == "model" else f"{self.repo_type}s/"
        return f"{endpoint_of(self.endpoint)}/{kind}{self.repository}"

    @property
    def api(self) -> HfApi:
        """The Hub's client."""
        if self._api is None:
            from huggingface_hub import HfApi

            self._api = HfApi(endpoint=self.endpoint, token=self.token)
        return self._api

    def version(self) -> str | None:
        """Return the newest commit, None where there is no such repository, or none that may be seen."""
        from huggingface_hub import errors

        try:
            info = patiently(lambda: self.api.repo_info(self.repository, repo_type=self.repo_type, timeout=30.0))
        except errors.GatedRepoError as error:
            raise self._error(error) from error
        except errors.RepositoryNotFoundError:
            return None
        except Exception as error:
            raise self._error(error) from error
        return str(info.sha)

    def view(self) -> HubView:
        """Return the repository at its newest commit."""
        return HubView(self, self.version() or "")

    def listed(self, commit: str) -> dict[str, str]:
        """Return the stamp of each file of a commit."""
        if self._trees is None:
            self._trees = Trees(self.api, self.repository, self.repo_type)
        try:
            return self._trees.files(commit)
        except Exception as error:
            raise self._error(error) from error

    def authors(self, commit: str, files: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """Return who made the last commit of each file of a commit; files are given by their stamps."""
        if self._authors is None:
            self._authors = Authors(self.api, self.repository, self.repo_type)
        try:
            return self._authors.of(commit, files)
        except Exception as error:
            raise self._error(error) from error

    def account(self) -> str | None:
        """Return whose token is used, None for nobody's."""
        if self._account is None and has_token(self.token):
            try:
                self._account = str(patiently(self.api.whoami)["name"])
            except Exception as error:
                raise self._error(error) from error
        return self._account

    def contents(self, commit: str, paths: Iterable[str]) -> dict[str, bytes]:
        """Return files of a commit by path, many at a time; one that is not there is absent."""
        wanted = list(dict.fromkeys(paths))
        with ThreadPoolExecutor(max(1, min(READERS, len(wanted)))) as pool:
            found = zip(wanted, pool.map(lambda path: self._content(commit, path), wanted), strict=True)
            return {path: content for path, content in found if content is not None}

    def _content(self, commit: str, path: str) -> bytes | None:
        from huggingface_hub import errors, get_session, hf_hub_url, utils

        tools: Any = utils
        where: dict[str, Any] = {"repo_type": self.repo_type, "revision": commit, "endpoint": self.endpoint}
        url, headers = hf_hub_url(self.repository, path, **where), tools.build_hf_headers(token=self.token)

        def ask() -> bytes:
            with _answer(get_session(), url, headers) as (answer, parts):
                tools.hf_raise_for_status(answer)
                return _beginning(parts, most_bytes(path) + 1)

        try:
            return patiently(ask)
        except errors.EntryNotFoundError:
            return None
        except Exception as error:
            if status_of(error) in OF_ONE_FILE:
                return None
            raise self._error(error) from error

    def update(self, change: Change, *, title: str) -> str:
        """Commit what a change comes to, and return the new commit, or the address of the pull request.

        A change that comes to nothing makes no commit. It is called again on the newest commit whenever somebody
        else was faster, and after an answer that was lost, when what it wanted may be there already.
        """
        if not has_token(self.token):
            raise no_token(self.repository)
        start, conflicts = time.monotonic(), 0
        for attempt in range(1, self.patience.attempts + 1):
            view = self._present()
            view.attempt = conflicts
            operations = _operations(view, change(view))
            if not operations:
                return view.version
            try:
                return self._commit(view.version, operations, title)
            except Exception as raised:
                error = underlying(raised)
                wait = max(self.patience.wait(attempt), seconds_to_wait(error))
                last = attempt == self.patience.attempts or time.monotonic() - start + wait > self.patience.seconds
                if (failure := self._failure(error, attempt, last=last)) is not None:
                    raise failure from raised
                conflicts += is_conflict(error)
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _present(self) -> HubView:
        """Return the repository as it is, made where it is not there."""
        view = self.view()
        if view.version:
            return view
        if self.create_pr:
            raise missing(self.repository, self.token)
        try:
            self.api.create_repo(self.repository, repo_type=self.repo_type, private=self.private or None, exist_ok=True)
        except Exception as error:
            raise self._error(error, writing=True) from error
        return self.view()

    def _commit(self, parent: str, operations: list[Any], title: str) -> str:
        done = self.api.create_commit(
            self.repository,
            operations,
            commit_message=title,
            repo_type=self.repo_type,
            parent_commit=parent or None,
            create_pr=self.create_pr,
        )
        return str(done.pr_url if self.create_pr and done.pr_url else done.oid)

    def _failure(self, error: Exception, attempt: int, *, last: bool) -> StoreError | HubError | None:
        """Return what ends a change; None for what may pass. A request whose fate is not known is not made twice."""
        if is_conflict(error):
            return self._overtaken(attempt) if last else None
        if self.create_pr and is_transient(error) and not was_refused(error):
            return HubError(
                f"The answer of the Hub to a pull request on {self.repository} was lost: before you try again, look at "
                f"{self.url}/discussions whether it is there."
            )
        return self._error(error, writing=True) if last or not is_transient(error) else None

    def _overtaken(self, attempt: int) -> StoreError:
        return StoreError(
            f"{self.repository} was changed by others before each of {attempt} attempts to write to it: try again "
            "later, or propose the change with --create-pr."
        )

    def _error(self, error: Exception, *, writing: bool = False) -> HubError:
        if isinstance(error, HubError):
            return error
        doing: Literal["read", "write"] = "write" if writing else "read"
        return hub_error(self.repository, error, doing=doing, token=self.token, endpoint=self.endpoint)


@contextmanager
def _answer(session: Any, url: str, headers: Mapping[str, str]) -> Iterator[tuple[Any, Iterator[bytes]]]:
    """Ask for a file, and yield the answer with its body as it arrives; clients of the Hub are of two libraries."""
    if hasattr(session, "stream"):  # httpx
        with session.stream("GET", url, headers=headers, timeout=READ_SECONDS) as answer:
            if answer.is_error:
                answer.read()
            yield answer, answer.iter_bytes(PART)
    else:
        with session.get(url, headers=headers, timeout=READ_SECONDS, stream=True) as answer:
            yield answer, answer.iter_content(PART)


def _beginning(parts: Iterator[bytes], most: int) -> bytes:
    """Return the first bytes of a body; the rest is not fetched."""
    found = bytearray()
    for part in parts:
        found += part
        if len(found) >= most:
            break
    return bytes(found[:most])


def _operations(view: HubView, changes: Mapping[str, bytes | None]) -> list[Any]:
    """Return what to commit, without what is there already or was never there."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    found: list[Any] = []
    for path, content in changes.items():
        stamp = view.files.get(path)
        if content is None and stamp is not None:
            found.append(CommitOperationDelete(path))
        if content is not None and stamp not in stamps_of(content):
            found.append(CommitOperationAdd(path, content))
    return found
