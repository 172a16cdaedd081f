"""Folders served the way the Hub serves repositories, as far as its clients ask for it in these tests.

A repository is a folder ROOT/KIND/OWNER/NAME with KIND one of models, datasets and spaces; it has one branch, main.
A new kind of request is a method of `Handler` and a line in `ROUTES`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

REPOSITORY = r"/(?:(?P<kind>datasets|spaces)/)?(?P<owner>[^/]+)/(?P<name>[^/]+)"


@dataclass
class LocalHub:
    """A Hub on this machine, for as long as the `with` block lasts.

    Attributes:
        root: where the repositories lie.
        missing_status: what a repository that is not there answers; the public Hub says 401 to a stranger, since it
            might be a private one, and 404 to whoever has a token.
        requests: method and path of every request so far.
    """

    root: Path
    missing_status: int = 404
    requests: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> LocalHub:
        hub = self
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"hub": hub}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """What to put into HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, kind: str, repository: str, folder: Path) -> Path:
        """Serve a copy of a folder as OWNER/NAME, and return the copy."""
        return Path(shutil.copytree(folder, self.root / kind / repository))


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._dispatch()

    def do_HEAD(self) -> None:
        self._dispatch()

    def log_message(self, *args: Any) -> None:
        """Stay silent; `LocalHub.requests` has the log."""

    def _dispatch(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        for pattern, answer in ROUTES:
            if match := re.fullmatch(pattern, path):
                return answer(self, **match.groupdict())
        return self._refuse(404, "EntryNotFound", f"This local Hub has nothing at {path}.")

    def resolve(self, kind: str | None, owner: str, name: str, revision: str, file: str) -> None:
        """Answer with one file of a repository."""
        folder = self.hub.root / (kind or "models") / owner / name
        if not folder.is_dir():
            return self._refuse(self.hub.missing_status, "RepoNotFound", "Repository not found")
        commit = commit_of(folder)
        if revision not in ("main", commit):
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        path = folder / file
        if not (path.resolve().is_relative_to(folder.resolve()) and path.is_file()):
            return self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        content = path.read_bytes()
        return self._send(200, content, {"ETag": f'"{blob_of(content)}"', "X-Repo-Commit": commit})

    def _refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        answer = {"X-Error-Code": code, "X-Error-Message": message, "Content-Type": "application/json"}
        self._send(status, json.dumps({"error": message}).encode(), answer | (headers or {}))

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in ({"Content-Type": "text/plain; charset=utf-8"} | headers).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


ROUTES: list[tuple[str, Callable[..., None]]] = [
    (REPOSITORY + r"/resolve/(?P<revision>[^/]+)/(?P<file>.+)", Handler.resolve),
]


def blob_of(content: bytes) -> str:
    """Return the name that git gives this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def commit_of(folder: Path) -> str:
    """Return 40 hexadecimal digits that change whenever a file of the folder does."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = "".join(f"{path.relative_to(folder)} {blob_of(path.read_bytes())}\n" for path in files)
    return hashlib.sha1(names.encode()).hexdigest()
