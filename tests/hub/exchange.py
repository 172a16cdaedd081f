"""One request and its answer: reading, sending, refusing, and the user; the routes are elsewhere."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.hub.faults import Fault, Request
from tests.hub.repositories import Commit, Repository

if TYPE_CHECKING:
    from tests.hub.server import LocalHub

CHUNK = 1 << 16
TRUE = ("1", "true", "True")
PAGE = b"<!DOCTYPE html><html><body><h1>Sign in to the network of this hotel</h1></body></html>"
TELLING = ("ETag", "X-Linked-ETag", "X-Linked-Size", "X-Repo-Commit")  # headers by which clients identify files

Answer = Callable[..., None]
Route = tuple[str, str, Answer]
"""Methods such as "GET|HEAD", a regular expression for the undecoded path, and the function that answers."""


class Refusal(Exception):  # noqa: N818
    """An error as an answer, with the headers by which clients distinguish errors."""

    def __init__(self, status: int, code: str | None, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


class Exchange(BaseHTTPRequestHandler):
    """Answers one request after another on a connection."""

    hub: LocalHub
    routes: list[Route]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def answer(self) -> None:
        """Log the request, apply faults, and answer it."""
        parts = urlsplit(self.path)
        self.query = parse_qs(parts.query, keep_blank_values=True)
        self.body = self._read_body()
        self.request_log = Request(
            self.command,
            unquote(parts.path),
            parts.query,
            self.headers.get("Range"),
            "Authorization" in self.headers,
            self.headers.get("User-Agent", ""),
        )
        self.cut_after: int | None = None
        self.fault: Fault | None = None
        self.hub.requests.append(self.request_log)
        if not self._suffer():
            try:
                self._route(parts.path)
            except Refusal as refusal:
                self.refuse(refusal)
            except (ConnectionError, TimeoutError):
                raise
            except Exception:  # noqa: BLE001
                self.hub.crashes.append(f"{self.command} {self.path}\n{traceback.format_exc()}")
                self.refuse(Refusal(500, None, "This local Hub crashed."))

    do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815

    def log_message(self, *args: Any) -> None:
        """Stay silent; `LocalHub.requests` has the log."""

    def _route(self, path: str) -> None:
        for methods, pattern, answer in self.routes:
            match = re.fullmatch(pattern, path)
            if match and self.command in methods.split("|"):
                groups = {name: unquote(text) if text else text for name, text in match.groupdict().items()}
                return answer(self, **groups)
        raise Refusal(404, None, f"This local Hub has nothing at {self.command} {path}.")

    def _suffer(self) -> bool:
        """Apply the first matching fault; return whether that was the answer."""
        with self.hub.lock:
            log = self.request_log
            fault = next((fault for fault in self.hub.faults if fault.strikes(log.method, log.path)), None)
        if fault is None:
            return False
        if fault.kind == "latency":
            time.sleep(fault.seconds)
        elif fault.kind in ("cut", "stall", "flip", "plain", "drip", "halved", "longer", "shorter"):
            self.fault = fault
            if fault.kind in ("cut", "stall"):
                self.cut_after = fault.after
        else:
            self._answer_wrongly(fault)
            return True
        return False

    def _answer_wrongly(self, fault: Fault) -> None:
        if fault.kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif fault.kind == "loop":
            self.send_elsewhere(self.hub.endpoint + self.path, {})
        elif fault.kind in ("page", "nothing"):
            content = PAGE if fault.kind == "page" else b""
            self._head(200, {"Content-Type": "text/html; charset=utf-8"}, len(content))
            self._write(content)
        else:
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            self.refuse(Refusal(int(fault.kind), None, f"This local Hub was told to answer {fault.kind}.", headers))

    def _read_body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def form(self) -> dict[str, Any]:
        """Return the body's fields, sent as JSON or as a form (lists then)."""
        if "json" in self.headers.get("Content-Type", ""):
            return dict(json.loads(self.body or b"{}"))
        return dict(parse_qs(self.body.decode()))

    def option(self, name: str) -> str | None:
        values = self.query.get(name)
        return values[-1] if values else None

    def flag(self, name: str) -> bool:
        return self.option(name) in TRUE

    def options(self, name: str) -> list[str]:
        """Return all values of a query parameter, also from NAME[] and separated by commas."""
        values = self.query.get(name, []) + self.query.get(f"{name}[]", [])
        return [part for value in values for part in value.split(",")]

    @property
    def user(self) -> str | None:
        header = self.headers.get("Authorization")
        if header is None:
            return None
        name = self.hub.users.get(header.removeprefix("Bearer ").strip())
        if name is None:
            raise Refusal(401, None, "Invalid credentials in Authorization header")
        return name

    def signed_in(self) -> str:
        """Return the user; strangers are refused as if the repository were missing."""
        if (user := self.user) is None:
            raise Refusal(401, "RepoNotFound", "Invalid username or password.")
        return user

    def may_write(self, repository: Repository) -> bool:
        return repository.owner in self.hub.namespaces(self.user)

    def may_read(self, repository: Repository) -> bool:
        return self.may_write(repository) or self.user in repository.readers

    def repository(self, kind: str | None, name: str) -> Repository:
        """Return a repository that the user may see."""
        user = self.user
        found = self.hub.find(kind or "models", name)
        if found is None or (found.private and not self.may_read(found)):
            raise Refusal(401 if user is None else 404, "RepoNotFound", "Repository not found")
        if found.disabled:
            raise Refusal(403, None, "Access to this resource is disabled.")
        return found  # a stranger gets 401 for a missing one, since it might be private

    def files_of(self, kind: str | None, name: str) -> Repository:
        """Return a repository whose files the user may read."""
        found = self.repository(kind, name)
        if found.gated and not self.may_read(found):
            restricted = f"Access to {found.kind.removesuffix('s')} {found.name} is restricted"
            if self.user is None:
                how = "You must have access to it and be authenticated to access it. Please log in."
                raise Refusal(401, "GatedRepo", f"{restricted}. {how}")
            how = f"Visit {self.hub.endpoint}/{found.name} to ask for access."
            raise Refusal(403, "GatedRepo", f"{restricted} and you are not in the authorized list. {how}")
        return found

    def revision(self, repository: Repository, revision: str) -> Commit:
        if (commit := repository.find(revision)) is None:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def refuse(self, refusal: Refusal) -> None:
        headers = {"X-Error-Message": refusal.message, **refusal.headers}
        if refusal.code is not None:
            headers["X-Error-Code"] = refusal.code
        self.send_data({"error": refusal.message}, status=refusal.status, headers=headers)

    def send_data(self, data: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(data).encode()
        self._head(status, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}, len(content))
        self._write(content)

    def send_text(self, text: str, kind: str) -> None:
        content = text.encode()
        self._head(200, {"Content-Type": kind}, len(content))
        self._write(content)

    def send_page(self, items: list[Any], size: int) -> None:
        """Answer with one page of a list, and the URL of the next one in the Link header."""
        start = int(self.option("cursor") or 0)
        headers = {}
        if start + size < len(items):
            rest = [f"{quote(key)}={quote(value)}" for key, values in self.query.items() for value in values]
            query = "&".join([*(part for part in rest if not part.startswith("cursor=")), f"cursor={start + size}"])
            headers["Link"] = f'<{self.hub.endpoint}{urlsplit(self.path).path}?{query}>; rel="next"'
        self.send_data(items[start : start + size], headers=headers)

    def send_file(self, path: Path, headers: dict[str, str]) -> None:
        """Answer with a file or the requested part of it."""
        size = path.stat().st_size
        start, stop = 0, size
        status = 200
        if (wanted := self.headers.get("Range")) is not None and size > 0:
            start, stop = parse_range(wanted, size)
            status = 206
            headers = headers | {"Content-Range": f"bytes {start}-{stop - 1}/{size}"}
        self._head(
            status, {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"} | headers, stop - start
        )
        with path.open("rb") as file:
            file.seek(start)
            while start < stop and self._write(file.read(min(CHUNK, stop - start))):
                start += CHUNK

    def send_elsewhere(self, address: str, headers: dict[str, str]) -> None:
        self._head(302, headers | {"Location": address}, 0)

    def _head(self, status: int, headers: dict[str, str], length: int) -> None:
        kind = "" if self.fault is None or (self.command == "HEAD" and self.fault.kind != "plain") else self.fault.kind
        if kind == "halved":
            length = self.cut_after = length // 2
        promised: dict[Any, int] = {"longer": length + 1000, "shorter": length // 2}
        self.close_connection = self.close_connection or kind in promised
        self.request_log.status = status
        self.send_response(status)
        for name, value in headers.items():
            if not (kind == "plain" and name in TELLING):
                self.send_header(name, value)
        self.send_header("Content-Length", str(promised.get(kind, length)))
        self.end_headers()

    def _write(self, content: bytes) -> bool:
        """Send a part of the body; return whether more can follow."""
        if self.command == "HEAD" or not content:
            return False
        kind, seconds = (None, 0.0) if self.fault is None else (self.fault.kind, self.fault.seconds)
        if kind == "drip":  # byte by byte; the client may leave meanwhile
            for place in range(len(content)):
                self.request_log.sent += 1
                self.wfile.write(content[place : place + 1])
                time.sleep(seconds)
            return True
        left = None if self.cut_after is None else max(0, self.cut_after - self.request_log.sent)
        cut = left is not None and left < len(content)
        part = content[:left] if cut else content
        place = self.fault.after - self.request_log.sent if self.fault is not None and kind == "flip" else -1
        if 0 <= place < len(part):
            part = part[:place] + bytes([part[place] ^ 1]) + part[place + 1 :]
        self.request_log.sent += len(part)
        self.wfile.write(part)
        if cut:
            time.sleep(seconds if kind == "stall" else 0)
            self.close_connection = True
        return not cut


def parse_range(header: str, size: int) -> tuple[int, int]:
    """Return the start and stop of a Range header."""
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", header.replace(" ", ""))
    if match is None or int(match[1]) >= size:
        raise Refusal(416, None, f"Range {header!r} cannot be satisfied.", {"Content-Range": f"bytes */{size}"})
    return int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
