"""A Hub on this machine: folders served over HTTP the way the Hub serves repositories, as far as its clients ask.

A repository is a folder ROOT/KIND/OWNER/NAME with KIND one of models, datasets and spaces, and that folder is its
branch main: files that are changed there make a new commit, and the older commits stay readable.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.hub import describing, files, jobs, uploads
from tests.hub.exchange import Exchange
from tests.hub.faults import Fault, FaultKind, Request
from tests.hub.repositories import KINDS, Files, Repository, write_files


@dataclass
class LocalHub:
    """A Hub on this machine, for as long as the `with` block lasts.

    Attributes:
        root: where the repositories lie.
        users: who has which token; whoever comes with another one is refused.
        members: which users may write in the namespace of an organization.
        page_size: how many entries lists and trees have on a page.
        requests: every request so far; `method, path = request` takes one apart.
        faults: what goes wrong from now on, see `fault`.
        jobs: that were started, in this order.
        crashes: tracebacks of what this server could not answer; leaving the `with` block complains about them.
    """

    root: Path
    users: dict[str, str] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    page_size: int = 1000
    requests: list[Request] = field(default_factory=list, repr=False)
    faults: list[Fault] = field(default_factory=list)
    jobs: list[jobs.Job] = field(default_factory=list, repr=False)
    crashes: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _known: dict[tuple[str, str], Repository] = field(default_factory=dict, repr=False)

    def __enter__(self) -> LocalHub:
        handler = type("BoundExchange", (Exchange,), {"hub": self, "routes": ROUTES})
        self._server = Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for job in self.jobs:
            job.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        assert not self.crashes, "the local Hub crashed:\n" + "\n".join(self.crashes)

    @property
    def endpoint(self) -> str:
        """What to put into HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(
        self,
        name: str,
        files: Files,
        *,
        kind: str = "model",
        created: datetime | str = "2024-01-01",
        modified: datetime | str | None = None,
        tags: Iterable[str] = (),
        readers: Iterable[str] = (),
        gated: bool | str = False,
        **known: Any,
    ) -> Path:
        """Serve a copy of a folder, or of contents by file name, and return the folder that is served.

        Args:
            name: OWNER/NAME.
            files: the folder or the contents.
            kind: "model", "dataset" or "space".
            created: when it was made, such as "2024-01-31".
            modified: when the first commit was made, unless that was the same time.
            tags: tags besides those that its card and files tell.
            readers: users who may read it although it is gated or private, besides its owner.
            gated: whether files are for `readers` only; True is "auto", and "manual" is shown as such.
            known: other fields of `Repository`: private, disabled, downloads, likes, trending, pipeline_tag, library,
                license, parameters (what the Hub counts, instead of what the weights hold), extra.
        """
        plural = kind if kind in KINDS else f"{kind}s"
        assert plural in KINDS, f"no such kind of repository: {kind!r}"
        assert not (self.root / plural / name).exists(), f"{name} is there already; change the files in its folder"
        write_files(self.root / plural / name, files)
        repository = self._register(plural, name)
        repository.created = day(created)
        repository.modified = None if modified is None else day(modified)
        repository.tags, repository.readers = tuple(tags), set(readers)
        repository.gated = "auto" if gated is True else gated
        for key, value in known.items():
            assert hasattr(repository, key), f"repositories have no {key!r}"
            setattr(repository, key, value)
        return repository.folder

    def repository(self, name: str, kind: str = "model") -> Repository:
        """Return a repository, to look at it or to change what is known about it."""
        found = self.find(f"{kind.removesuffix('s')}s", name)
        assert found is not None, f"there is no {kind} {name}"
        return found

    def find(self, kind: str, name: str) -> Repository | None:
        """Return a repository, None if there is none; a folder that lies there is one."""
        with self.lock:
            if (kind, name) in self._known:
                return self._known[kind, name]
            folder = self.root / kind / name
            inside = folder.resolve().is_relative_to((self.root / kind).resolve())
            return self._register(kind, name) if "/" in name and inside and folder.is_dir() else None

    def all(self, kind: str) -> list[Repository]:
        """Return all repositories of a kind, in the order in which they came."""
        with self.lock:
            for folder in sorted(path for path in (self.root / kind).glob("*/*") if path.is_dir()):
                self.find(kind, f"{folder.parent.name}/{folder.name}")
            return [repository for (known, _), repository in self._known.items() if known == kind]

    def namespaces(self, user: str | None) -> set[str]:
        """Return where a user may write."""
        return {name for name, users in self.members.items() if user in users} | ({user} if user else set())

    def fault(
        self,
        pattern: str,
        kind: FaultKind,
        *,
        times: int | None = 1,
        skip: int = 0,
        method: str | None = None,
        seconds: float = 0.0,
        after: int = 0,
        retry_after: int | None = None,
    ) -> Fault:
        """Let something go wrong with requests whose path the pattern is found in; see `Fault` for the arguments."""
        fault = Fault(pattern, kind, times, skip, method, seconds, after, retry_after)
        self.faults.append(fault)
        return fault

    def asked(self, pattern: str = "", method: str | None = None) -> list[Request]:
        """Return the requests whose path the pattern is found in."""
        return [one for one in self.requests if re.search(pattern, one.path) and method in (None, one.method)]

    def sent(self, pattern: str = "") -> int:
        """Return how many bytes of bodies were sent in answer to such requests."""
        return sum(request.sent for request in self.asked(pattern))

    def _register(self, kind: str, name: str) -> Repository:
        with self.lock:
            repository = Repository(kind, name, self.root / kind / name, self.root / ".objects")
            self._known[kind, name] = repository
            return repository


class Server(ThreadingHTTPServer):
    """One thread for each connection."""

    daemon_threads = True
    request_queue_size = 128


ROUTES = [*jobs.ROUTES, *uploads.ROUTES, *files.ROUTES, *describing.ROUTES]


def day(date: datetime | str) -> datetime:
    """Return a date that may be written as "2024-01-31"."""
    found = datetime.fromisoformat(date) if isinstance(date, str) else date
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
