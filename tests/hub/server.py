"""A local Hub: folders served over HTTP like repositories on the Hub, as far as its clients need it.

A repository is a folder ROOT/KIND/OWNER/NAME with KIND one of models, datasets and spaces. The folder is its branch
main: files that are changed there make a new commit, and older commits stay readable.
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
    """A local Hub during a `with` block.

    Attributes:
        root: the folder of the repositories.
        users: the user of each token; other tokens are refused.
        members: the users who may write in the namespace of each organization.
        page_size: number of entries per page of lists and trees.
        requests: every request so far; `method, path = request` unpacks one.
        faults: the active faults, see `fault`.
        jobs: the jobs in order of their start.
        crashes: tracebacks of this server, which fail the test at the end of the `with` block.
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
        """Serve a copy of a folder, or of contents by file name, and return the served folder.

        Args:
            name: OWNER/NAME.
            files: the folder or the contents.
            kind: "model", "dataset" or "space".
            created: the date of its creation, such as "2024-01-31".
            modified: the date of the first commit; by default the same.
            tags: tags besides those from its card and files.
            readers: users who may read it although it is gated or private, besides its owner.
            gated: whether files are for `readers` only; True means "auto".
            known: other fields of `Repository`: private, disabled, downloads, likes, trending, pipeline_tag, library,
                license, parameters (instead of those in the weights), extra.
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
        """Return a repository, to inspect or change it."""
        found = self.find(f"{kind.removesuffix('s')}s", name)
        assert found is not None, f"there is no {kind} {name}"
        return found

    def find(self, kind: str, name: str) -> Repository | None:
        """Return a repository, None if there is none; any folder in its place is one."""
        with self.lock:
            if (kind, name) in self._known:
                return self._known[kind, name]
            folder = self.root / kind / name
            inside = folder.resolve().is_relative_to((self.root / kind).resolve())
            return self._register(kind, name) if "/" in name and inside and folder.is_dir() else None

    def all(self, kind: str) -> list[Repository]:
        """Return all repositories of a kind, oldest first."""
        with self.lock:
            for folder in sorted(path for path in (self.root / kind).glob("*/*") if path.is_dir()):
                self.find(kind, f"{folder.parent.name}/{folder.name}")
            return [repository for (known, _), repository in self._known.items() if known == kind]

    def namespaces(self, user: str | None) -> set[str]:
        return {name for name, users in self.members.items() if user in users} | ({user} if user else set())

    def fault(self, pattern: str, kind: FaultKind, **options: Any) -> Fault:
        """Make requests fail whose path contains the pattern; see `Fault` for the options."""
        fault = Fault(pattern, kind, **options)
        self.faults.append(fault)
        return fault

    def asked(self, pattern: str = "", method: str | None = None) -> list[Request]:
        """Return the requests whose path contains the pattern."""
        return [one for one in self.requests if re.search(pattern, one.path) and method in (None, one.method)]

    def sent(self, pattern: str = "") -> int:
        """Return the number of bytes sent in answer to such requests."""
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
    found = datetime.fromisoformat(date) if isinstance(date, str) else date
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
