"""The client of the Hub as all libraries share it, within one deadline, without messages of its own.

`huggingface_hub`, `datasets` and what builds on them ask by one HTTP client, and each has its own idea of how often and
for how long. Inside `bounded` that client asks again where that may help, ends what takes too long, and refuses answers
that cannot be the Hub's; the libraries get an answer, or an error that none of them tries again. What failed is kept,
since some of them take any failure for a file that is not there.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from hf_transfer_score.errors import NoAnswerError
from hf_transfer_score.hub.failures import (
    BUSY,
    TRANSIENT,
    cut_short,
    gave_up,
    is_transient,
    status_failure,
    too_slow,
    transport_failure,
)
from hf_transfer_score.hub.settings import (
    CONNECT_SECONDS,
    DOWNLOADS,
    ONE_WAIT,
    RESTS,
    Patience,
    longest_rest,
    pauses,
    question_seconds,
)

Key = tuple[str, str, str]

LOG = logging.getLogger(__name__)

IS_JSON = re.compile(r"/api/(models|datasets|spaces)(/[^/]+){0,2}(/(revision|tree|paths-info|refs|commits)(/.*)?)?")
"""Paths whose answers are JSON."""

Value = TypeVar("Value")


@dataclass
class Talk:
    """What was asked since the outermost `bounded` block began: what failed, and what is left for each address."""

    failures: list[NoAnswerError] = field(default_factory=list)
    patience: dict[Key, Patience] = field(default_factory=dict)
    _given_up: dict[Key, tuple[NoAnswerError, float]] = field(default_factory=dict)

    def give_up(self, key: Key, failure: NoAnswerError) -> NoAnswerError:
        """Remember that an address gives no answer, so that it is not asked again at once."""
        self.failures.append(failure)
        self.patience.pop(key, None)
        self._given_up[key] = (failure, monotonic() + question_seconds())
        return failure

    def given_up(self, key: Key) -> NoAnswerError | None:
        """Return why an address is not asked now, None where it is."""
        failure, until = self._given_up.get(key, (None, 0.0))
        return failure if monotonic() < until else None


class _State:
    """The talk of this process; None outside of `bounded`."""

    lock = threading.RLock()
    depth = 0
    talk: Talk | None = None


@contextmanager
def bounded() -> Iterator[Talk]:
    """Keep everything that this process says to the Hub within the deadline, for the length of a block."""
    _install()
    with _State.lock:
        _State.depth += 1
        talk = _State.talk = _State.talk or Talk()
    try:
        yield talk
    finally:
        with _State.lock:
            _State.depth -= 1
            if not _State.depth:
                _State.talk = None


@contextmanager
def quiet_client() -> Iterator[None]:
    """Stay within the deadline, and keep the bars of the Hub's client, and what it says, from writing into ours."""
    from huggingface_hub import utils

    tools: Any = utils
    bars, logger = not tools.are_progress_bars_disabled(), logging.getLogger("huggingface_hub")
    level = logger.level
    tools.disable_progress_bars()
    logger.setLevel(max(level, logging.ERROR))
    try:
        with bounded():
            yield
    finally:
        logger.setLevel(level)
        if bars:
            tools.enable_progress_bars()


def _install() -> None:
    """Have the Hub's client made by us, once; a client before version 1.0 keeps its own deadlines."""
    import huggingface_hub
    from huggingface_hub.utils import _http

    make: Any = getattr(_http, "_GLOBAL_CLIENT_FACTORY", None)
    if make is None or isinstance(make, _Factory):
        return
    with _State.lock:
        huggingface_hub.set_client_factory(_Factory(make))


@dataclass(frozen=True)
class _Factory:
    """Makes clients as before, whose requests go through `_send`."""

    make: Any

    def __call__(self) -> Any:
        client = self.make()
        client.send = partial(_send, client.send)
        return client


def _send(send: Any, request: Any, *, stream: bool = False, **more: Any) -> Any:
    """Send a request as the client does, again where that may help, and not for longer than the deadline."""
    talk = _State.talk
    if talk is None:
        return send(request, stream=stream, **more)
    key = _key(request)
    failure = talk.given_up(key)
    if failure is not None:
        raise failure
    if request.method not in ("GET", "HEAD") and "/paths-info/" not in request.url.path:
        _limit(request, 4 * question_seconds())  # a change is made once; whoever makes it decides what comes then
        return send(request, stream=stream, **more)
    return _Question(send, request, more, stream, talk, key).answer()


@dataclass
class _Question:
    """One request, on its way to an answer or to a failure, sent as the client does.

    A stream's body is read by whoever asks.
    """

    send: Any
    request: Any
    more: dict[str, Any]
    stream: bool
    talk: Talk
    key: Key

    def __post_init__(self) -> None:
        seconds = question_seconds() * (DOWNLOADS if self.stream else 1)
        self.patience = self.talk.patience.setdefault(self.key, Patience(seconds))

    def answer(self) -> Any:
        """Return a response; raise NoAnswerError where there is none."""
        while True:
            found = self._attempt()
            if not isinstance(found, NoAnswerError):
                return found
            self._pause(found)

    def _attempt(self) -> Any:
        """Return a response, or the failure after which the request may be sent again."""
        self.patience.attempts += 1
        _limit(self.request, min(self.patience.left, self.patience.seconds * ONE_WAIT))
        try:
            return self._response()
        except NoAnswerError:
            raise
        except Exception as error:
            failure = transport_failure(error, self.request, self.patience)
            if failure is None:
                raise
            if failure.offline:  # the client looks for what it has on disk, once
                self.talk.give_up(self.key, failure)
                raise
            return failure

    def _response(self) -> Any:
        with self.patience.counted():
            response = self.send(self.request, stream=True, **self.more)
        if response.status_code in TRANSIENT:
            response.close()
            return status_failure(response)
        response.stream = _body(response.stream)(response.stream, partial(self._arrive, _start(response)))
        if not self.stream:
            response.read()
        nonsense = _nonsense(self.request, response, self.stream)
        if nonsense is not None:
            response.close()
            return nonsense
        if not self.stream:
            self.talk.patience.pop(self.key, None)
        return response

    def _pause(self, failure: NoAnswerError) -> None:
        """Wait before a further attempt, or raise the failure where there is none."""
        if failure.status == BUSY and failure.wait is not None and self._rests(failure.wait):
            return
        waits = pauses()
        wait = failure.wait if failure.wait is not None else waits[min(self.patience.attempts, len(waits)) - 1]
        if self.patience.over or wait >= self.patience.left or failure.final:
            raise self._give_up(failure) from failure.__cause__
        with self.patience.counted():
            time.sleep(wait)

    def _rests(self, seconds: float) -> bool:
        """Wait because the Hub asks for it, each thread a little longer than it says; return False for too long."""
        if seconds > longest_rest() or self.patience.rests >= RESTS:
            return False
        self.patience.rests, self.patience.attempts = self.patience.rests + 1, 0
        if seconds > question_seconds():
            LOG.warning("The Hub asks to wait %.0f s (429, too many requests); then it goes on.", seconds)
        time.sleep(seconds * random.uniform(1, 1.1))  # noqa: S311
        return True

    def _give_up(self, failure: NoAnswerError) -> NoAnswerError:
        return self.talk.give_up(self.key, gave_up(failure, self.patience))

    def _arrive(self, start: int, body: Any) -> Iterator[bytes]:
        """Yield the parts of a body, or raise where they come too slowly; the client goes on from a cut by itself."""
        end, parts = start, iter(body)
        while True:
            try:
                with self.patience.counted():
                    part = next(parts, None)
            except Exception as error:
                failure = transport_failure(error, self.request, self.patience)
                if failure is not None and self.patience.over:
                    raise self._give_up(failure) from error
                raise
            if part is None:
                self.talk.patience.pop(self.key, None)
                return
            end += len(part)
            self.patience.arrived(end)
            if not self.patience.left:
                raise self.talk.give_up(self.key, too_slow(self.patience, end - start, self.key[1]))
            yield part


def _body(kind: Any) -> Any:
    """Return a class of bodies as the client's library has them, that hands out what a function makes of another."""
    base: Any = next(one for one in type(kind).__mro__ if one.__name__ == "SyncByteStream")

    class Body(base):  # type: ignore[misc]
        def __init__(self, inner: Any, arrive: Any) -> None:
            self.inner, self.arrive = inner, arrive

        def __iter__(self) -> Iterator[bytes]:
            yield from self.arrive(self.inner)

        def close(self) -> None:
            self.inner.close()

    return Body


def _key(request: Any) -> Key:
    """Return what tells one question from another; a download that goes on from somewhere is the same."""
    last = request.headers.get("range", "").rpartition("-")[2]
    return request.method, str(request.url), last


def _start(response: Any) -> int:
    """Return the number of the first byte of a body."""
    match = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    return int(match.group(1)) if match else 0


def _limit(request: Any, seconds: float) -> None:
    """Let no single wait of a request take longer than so many seconds."""
    asked = request.extensions.get("timeout") or {}
    most = {"connect": min(CONNECT_SECONDS, seconds), "read": seconds, "write": seconds, "pool": seconds}
    limits = {name: min(value, asked.get(name) or value) for name, value in most.items()}
    request.extensions = {**request.extensions, "timeout": {name: max(0.05, value) for name, value in limits.items()}}


def _nonsense(request: Any, response: Any, stream: bool) -> NoAnswerError | None:
    """Return why an answer cannot be the Hub's, else None."""
    if response.status_code not in (200, 206):
        return None
    path, place = request.url.path, f"{request.url.scheme}://{request.url.netloc.decode()}"
    html = "text/html" in response.headers.get("content-type", "")
    reason = f"{place} answered with a web page, as a proxy or a login page does, and not as the Hub does"
    page = NoAnswerError(reason, str(request.url))
    if "/resolve/" in path:
        etag = {"etag", "x-linked-etag"} & {name.lower() for name in response.headers}
        if request.method == "HEAD" and not etag:
            reason = f"{place} does not name the version of a file (no ETag), as the Hub does: check HF_ENDPOINT"
            return NoAnswerError(reason, str(request.url))
        if html:
            return page
        return None if stream or request.method == "HEAD" else cut_short(request, response)
    if request.method == "HEAD" or path.endswith("/auth-check") or not IS_JSON.fullmatch(path):
        return None
    try:
        found = response.json()
    except ValueError:
        if html and response.content.strip():
            return page
        what = "JSON that breaks off or is damaged" if response.content.strip() else "nothing"
        return NoAnswerError(f"{place} answered with {what}", str(request.url))
    if isinstance(found, dict) or (isinstance(found, list) and all(isinstance(one, dict) for one in found)):
        return None
    return NoAnswerError(f"{place} answered with JSON of another shape than the Hub's", str(request.url))


def patiently(
    action: Callable[[], Value],
    *,
    also: Callable[[Exception], bool] = lambda _: False,
    waits: tuple[float, ...] | None = None,
) -> Value:
    """Return what an action gives, trying again after failures that may pass, or that `also` names.

    What the client has tried for long enough is not tried again.
    """
    with bounded():
        for wait in pauses() if waits is None else waits:
            start = time.monotonic()
            try:
                return action()
            except Exception as error:
                tried = isinstance(error, NoAnswerError) or time.monotonic() - start > question_seconds() / 3
                if not also(error) and (tried or not is_transient(error)):
                    raise
                time.sleep(wait)
        return action()
