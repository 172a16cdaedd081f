"""Middleware in front of a gradio app: it admits requests of known kinds and sizes, and receives uploads itself.

gradio reads a whole request before checking it, keeps form fields of any size in memory, downloads files that a request
names by a URL, and has a single limit for its queue, which one visitor can fill. All of this is prevented here, before
gradio sees the request; each page and each visitor has a limited share of the queue.
"""

from __future__ import annotations

import ipaddress
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from starlette.datastructures import Headers, QueryParams
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hf_transfer_score.errors import InputError, UnreadableError
from hf_transfer_score.untrusted import parse_json
from hf_transfer_score.uploads import limits
from hf_transfer_score.uploads.ledger import Form, FormError, Ledger, Upload, open_ledger

API = "/gradio_api"
UPLOAD, PROGRESS, JOIN, CALL = f"{API}/upload", f"{API}/upload_progress", f"{API}/queue/join", f"{API}/call/"
POSTED = (JOIN, f"{API}/cancel", f"{API}/reset")  # other paths that pages post to, apart from uploads and calls

NOT_SERVED = ("/proxy=", "/file=http:", "/file=https:", "/file/http", "/deep_link", "/vibe-", "/run-history", "/dev/")
"""Parts of gradio that our pages do not use: they download files, write files, or are for developers."""

FRESH = {"cache-control": "no-store"}
PROGRESS_SECONDS = 0.3
LATEST_SECONDS = 3.0  # how long to wait for the start of an upload whose progress is requested
SPACE_VARIABLE = "SPACE_ID"  # set on a Space, where all requests come from a proxy that names the visitor


class RefusedError(Exception):
    """A request is refused with an HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Gate:
    """The middleware (ASGI)."""

    def __init__(self, app: ASGIApp, *, ledger: Ledger, turns: Turns) -> None:
        self.app, self.ledger, self.turns = app, ledger, turns
        self.arriving: dict[str, list[Upload]] = {}
        self.writers = anyio.CapacityLimiter(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the app do so."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        path, method = str(scope.get("path", "")).rstrip("/"), scope.get("method")
        try:
            if method not in ("GET", "HEAD", "OPTIONS", "POST"):
                raise RefusedError(405, "This page takes no requests of this kind.")
            if method != "POST" and path.removeprefix(API).startswith(NOT_SERVED):
                raise RefusedError(404, "There is no such page.")
            if method != "POST" and path == PROGRESS:
                told = self._progress(_upload_id(scope))
                await StreamingResponse(told, media_type="text/event-stream", headers=FRESH)(scope, receive, send)
            elif method != "POST":
                await self.app(scope, receive, send)
            elif path == UPLOAD:
                await self._upload(scope, receive, send)
            else:
                await self._ask(path, scope, receive, send)
        except RefusedError as error:
            answer: Any = PlainTextResponse(str(error), error.status, FRESH)
            if method == "POST" and path != UPLOAD:
                answer = JSONResponse({"detail": str(error)}, error.status, FRESH)
            await answer(scope, receive, send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive files, each in a folder of its own; after any error, none is kept.

        A malicious form may take long to parse. One thread parses all forms, so that pages need not wait.
        """
        name = _upload_id(scope)
        try:
            with Form(Headers(scope=scope).get("content-type", ""), self.ledger, visitor_of(scope)) as form:
                if name:
                    self.arriving[name] = form.uploads
                with anyio.fail_after(limits.UPLOAD_SECONDS):
                    async for part in _body(receive):
                        await anyio.to_thread.run_sync(form.write, part, limiter=self.writers)
                paths = form.finish()
        except InputError as error:
            raise RefusedError(413, str(error)) from None
        except FormError as error:
            raise RefusedError(400, str(error)) from None
        except TimeoutError:
            raise RefusedError(408, f"The upload took longer than {limits.UPLOAD_SECONDS} s.") from None
        except OSError:
            raise RefusedError(507, "There is no space for files here now. Come back in a few minutes.") from None
        finally:
            self.arriving.pop(name, None)
        await JSONResponse([str(path) for path in paths], headers=FRESH)(scope, receive, send)

    async def _progress(self, name: str) -> AsyncIterator[str]:
        """Report the progress of an upload, in the format of gradio."""
        with anyio.move_on_after(LATEST_SECONDS):
            while name not in self.arriving:
                await anyio.sleep(PROGRESS_SECONDS)
        told: dict[Path, int] = {}
        while (uploads := self.arriving.get(name)) is not None:
            for upload in list(uploads):
                new = upload.size - told.get(upload.path, 0)
                told[upload.path] = upload.size
                line = {"msg": "update", "orig_name": upload.path.name, "chunk_size": new}
                yield f"data: {json.dumps(line)}\n\n"
            await anyio.sleep(PROGRESS_SECONDS)
        yield 'data: {"msg": "done"}\n\n'

    async def _ask(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app answer a request that is small, names only uploaded files, and has a place in the queue."""
        is_call = path.startswith(CALL)
        if not is_call and path not in POSTED:
            raise RefusedError(404, "This page takes no requests of this kind.")
        data = await _small_body(receive)
        try:
            asked = parse_json(data, what="the request", lenient=True)
        except UnreadableError as error:
            raise RefusedError(400, str(error)) from None
        self._check_files(asked)
        if not is_call and path != JOIN:
            await self.app(scope, _replayed(data, receive), send)
            return
        asked = asked if isinstance(asked, dict) else {}
        function = path.rpartition("/")[2] if is_call else asked.get("fn_index")
        session, visitor = asked.get("session_hash"), visitor_of(scope)
        if not isinstance(function, str if is_call else int) or not isinstance(session, str | None) or session == "":
            raise RefusedError(400, "Expected the number or name of a function, and the name of a page or none.")
        if reason := self.turns.reason_to_wait(function, session or "", visitor):
            raise RefusedError(503, reason)
        with self.turns.entering(function, session or "", visitor) as told:

            async def passed_on(message: Message) -> None:
                with suppress(ValueError, KeyError, TypeError):
                    told(str(json.loads(message["body"])["event_id"]))
                await send(message)

            await self.app(scope, _replayed(data, receive), passed_on)

    def _check_files(self, asked: Any) -> None:
        """Refuse files that were not uploaded here: URLs, which gradio would download, and other local files."""
        around, waiting, paths = self.ledger.folder.parent, [asked], list[str]()
        while waiting:  # without recursion
            value = waiting.pop()
            if isinstance(value, dict):
                if isinstance(value.get("path"), str):
                    paths.append(value["path"])
                waiting += value.values()
            elif isinstance(value, list):
                waiting += value
        for number, path in enumerate(paths):
            if number >= limits.VISITOR_FILES:
                raise RefusedError(413, f"The request names more than {limits.VISITOR_FILES} files.")
            try:
                inside = around in Path(path).resolve().parents
            except (OSError, ValueError, RuntimeError):
                inside = False
            if "://" in path or not inside:
                raise RefusedError(400, "A file was named that was not uploaded here.")


def visitor_of(scope: Scope) -> str:
    """Return the address of the visitor; on a Space, the one that the proxy names.

    Only the entry of the nearest proxy counts, the last address outside its own network: visitors can forge the
    entries before it. Addresses in the same IPv6 /64 network count as one visitor.
    """
    peer = _address((scope.get("client") or ("",))[0])
    if peer is None:
        return ""
    if os.environ.get(SPACE_VARIABLE) and not peer.is_global:
        forwarded = [_address(one) for one in ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")]
        peer = next((one for one in reversed(forwarded) if one is not None and one.is_global), peer)
    if peer.version == 6:
        return str(ipaddress.ip_network((peer, 64), strict=False))
    return str(peer)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _upload_id(scope: Scope) -> str:
    return QueryParams(scope.get("query_string", b"")).get("upload_id", "")


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    """Yield the parts of a body as they arrive; raises FormError if the visitor has left."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise FormError("The visitor has left.")
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def _small_body(receive: Receive) -> bytes:
    data = b""
    try:
        with anyio.fail_after(limits.REQUEST_SECONDS):
            async for part in _body(receive):
                data += part
                if len(data) > limits.REQUEST_BYTES:
                    raise RefusedError(413, f"The request has more than {limits.REQUEST_BYTES:,} bytes.")
    except TimeoutError:
        raise RefusedError(408, f"The request took longer than {limits.REQUEST_SECONDS} s.") from None
    except FormError as error:
        raise RefusedError(400, str(error)) from None
    return data


def _replayed(data: bytes, receive: Receive) -> Receive:
    """Return a receiver that repeats a body that was read already."""
    waiting: list[Message] = [{"type": "http.request", "body": data, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def ledger_of(app: Any) -> Ledger:
    """Return the ledger of a gradio app (Blocks), created on first use."""
    if getattr(app, "ledger", None) is None:
        from gradio.utils import get_upload_folder

        app.ledger = open_ledger(get_upload_folder())
    return app.ledger  # type: ignore[no-any-return]


def guarded(app: Any) -> dict[str, Any]:
    """Return arguments of `launch` that put the gate in front of a gradio app."""
    return {
        "app_kwargs": {"middleware": [Middleware(Gate, ledger=ledger_of(app), turns=Turns(app))]},
        "max_file_size": limits.FILE_BYTES,
        "state_session_capacity": limits.SESSIONS,
    }


SCORING = "scoring"  # the `concurrency_id` of the scorings of an app, which run one after another

LATER = "Try again in a minute."


@dataclass
class Asker:
    """A page or a call without a page, with the time of its last request."""

    visitor: str
    time: float
    is_page: bool


@dataclass
class Turns:
    """The requests in the queue of an app; use it in its event loop only."""

    app: Any
    clock: Callable[[], float] = time.monotonic
    _askers: dict[str, Asker] = field(default_factory=dict)
    _entering: list[tuple[str, bool]] = field(default_factory=list)

    def reason_to_wait(self, function: Any, session: str, visitor: str) -> str:
        """Return why a function (its number or name) cannot be called now, "" if it can.

        The session is that of the page, "" for a call without one.
        """
        self._forget()
        mine = {name for name, asker in self._askers.items() if asker.visitor == visitor}
        if session and session not in mine and sum(self._askers[one].is_page for one in mine) >= limits.VISITOR_PAGES:
            return f"Too many of your pages are open. {LATER}"
        if self._unanswered(session) >= limits.SESSION_EVENTS:
            return f"This page has too many unanswered requests. {LATER}"
        entering = [is_scoring for other, is_scoring in self._entering if other == visitor]
        if sum(map(self._unanswered, mine)) + len(entering) >= limits.VISITOR_EVENTS:
            return f"Your pages have too many unanswered requests. {LATER}"
        return self._reason_not_to_score(session, mine, sum(entering)) if self._is_scoring(function) else ""

    @contextmanager
    def entering(self, function: Any, session: str, visitor: str) -> Iterator[Callable[[str], None]]:
        """Count a request while it is passed to the app, since it is not in the queue yet.

        Yields a function to call with the event of the answer, which identifies a call without a page.
        """

        def answered(event: str) -> None:
            self._askers[session or event] = Asker(visitor, self.clock(), is_page=bool(session))

        if session:
            answered("")
        entry = (visitor, self._is_scoring(function))
        self._entering.append(entry)
        try:
            yield answered
        finally:
            self._entering.remove(entry)

    def _unanswered(self, session: str) -> int:
        """Return the number of requests whose answers were not fetched yet."""
        return len(self.app._queue.pending_event_ids_session.get(session, ()))

    def _is_scoring(self, function: Any) -> bool:
        functions = self.app.fns.values()
        return any(one.concurrency_id == SCORING and function in (one._id, one.api_name) for one in functions)

    def _reason_not_to_score(self, session: str, mine: set[str], entering: int) -> str:
        queue = self.app._queue.event_queue_per_concurrency_id.get(SCORING)
        waiting = [event.session_hash for event in queue.queue] if queue is not None else []
        if waiting.count(session) >= limits.SESSION_SCORINGS:
            return "The files of this page already wait to be scored."
        if sum(one in mine for one in waiting) + entering >= limits.VISITOR_SCORINGS:
            return f"Other pages of yours wait to be scored. {LATER}"
        if len(waiting) + sum(is_scoring for _, is_scoring in self._entering) >= limits.ALL_SCORINGS:
            return f"Many files wait to be scored. {LATER}"
        return ""

    def _forget(self) -> None:
        """Forget inactive pages and calls, and their unfetched answers, which gradio keeps forever."""
        queue, now = self.app._queue, self.clock()
        for name, asker in list(self._askers.items()):
            events = queue.pending_event_ids_session.get(name, ())
            is_done = not asker.is_page and not events
            age = limits.CALL_SECONDS if is_done else limits.KEPT_SECONDS
            if asker.time < now - age and not any(one in queue.event_ids_to_events for one in events):
                del self._askers[name]
                queue.pending_messages_per_session.pop(name, None)
                queue.pending_event_ids_session.pop(name, None)
