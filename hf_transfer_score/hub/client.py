"""The HTTP client of the Hub that all libraries share, with one time limit and without messages of its own.

`huggingface_hub`, `datasets` and the libraries on top of them share one HTTP client, but each has its own policy of
retries and time limits. Inside `bounded` that client repeats a request where this may help, ends what takes too long,
and rejects answers that cannot come from the Hub. The libraries get an answer, or an error that none of them retries.
Failures are kept, since some libraries treat any failure as a missing file.
"""

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
from hf_transfer_score.hub import settings
from hf_transfer_score.hub.failures import (
    BUSY,
    TRANSIENT,
    cut_short,
    gave_up,
    is_transient,
    status_failure,
    transport_failure,
)

Key = tuple[str, str, str]

LOG = logging.getLogger(__name__)

IS_JSON = re.compile(r"/api/(models|datasets|spaces)(/[^/]+){0,2}(/(revision|tree|paths-info|refs|commits)(/.*)?)?")
"""Paths whose answers are JSON."""

Value = TypeVar("Value")


@dataclass
class HubSession:
    """The requests since the outermost `bounded` block began: failures, and the budget left for each URL."""

    failures: list[NoAnswerError] = field(default_factory=list)
    budgets: dict[Key, settings.RetryBudget] = field(default_factory=dict)
    _given_up: dict[Key, tuple[NoAnswerError, float]] = field(default_factory=dict)

    def give_up(self, key: Key, failure: NoAnswerError) -> NoAnswerError:
        """Remember that a URL gives no answer, so that it is not requested again soon."""
        self.failures.append(failure)
        self.budgets.pop(key, None)
        self._given_up[key] = (failure, monotonic() + settings.question_seconds())
        return failure

    def given_up(self, key: Key) -> NoAnswerError | None:
        """Return why a URL is not requested now, None if it may be."""
        failure, until = self._given_up.get(key, (None, 0.0))
        return failure if monotonic() < until else None


class _State:
    """The session of this process; None outside of `bounded`."""

    lock = threading.RLock()
    depth = 0
    session: HubSession | None = None


@contextmanager
def bounded() -> Iterator[HubSession]:
    """Keep all requests of this process to the Hub within the time limit during a block."""
    import huggingface_hub
    from huggingface_hub.utils import _http

    with _State.lock:
        make: Any = getattr(_http, "_GLOBAL_CLIENT_FACTORY", None)
        if make is not None and not isinstance(make, _Factory):  # else a client that keeps its own time limits
            huggingface_hub.set_client_factory(_Factory(make))
        _State.depth += 1
        session = _State.session = _State.session or HubSession()
    try:
        yield session
    finally:
        with _State.lock:
            _State.depth -= 1
            if not _State.depth:
                _State.session = None


@contextmanager
def quiet_client() -> Iterator[None]:
    """Stay within the time limit, and silence the progress bars and messages of the Hub's client."""
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


@dataclass(frozen=True)
class _Factory:
    """Makes the same clients as `make`, but sends their requests through `_send`."""

    make: Any

    def __call__(self) -> Any:
        client = self.make()
        client.send = partial(_send, client.send)
        return client


def _send(send: Any, request: Any, *, stream: bool = False, **more: Any) -> Any:
    """Send a request, again where that may help, within the time limit."""
    session = _State.session
    if session is None:
        return send(request, stream=stream, **more)
    key = _key(request)
    failure = session.given_up(key)
    if failure is not None:
        raise failure
    if request.method not in ("GET", "HEAD") and "/paths-info/" not in request.url.path:
        _limit(request, 4 * settings.question_seconds())  # changes are not repeated here; their caller decides
        return send(request, stream=stream, **more)
    return _PendingRequest(send, request, more, stream, session, key).answer()


@dataclass
class _PendingRequest:
    """One request until its answer or failure; the body of a stream is read by the caller."""

    send: Any
    request: Any
    more: dict[str, Any]
    stream: bool
    session: HubSession
    key: Key

    def __post_init__(self) -> None:
        seconds = settings.question_seconds() * (settings.DOWNLOADS if self.stream else 1)
        self.budget = self.session.budgets.setdefault(self.key, settings.RetryBudget(seconds))

    def answer(self) -> Any:
        """Return the response, or raise NoAnswerError."""
        while True:
            found = self._attempt()
            if not isinstance(found, NoAnswerError):
                return found
            self._pause(found)

    def _attempt(self) -> Any:
        """Return the response, or a failure after which the request may be repeated."""
        self.budget.attempts += 1
        _limit(self.request, min(self.budget.left, self.budget.seconds * settings.ONE_WAIT))
        try:
            return self._response()
        except NoAnswerError:
            raise
        except Exception as error:
            failure = transport_failure(error, self.request, self.budget)
            if failure is None:
                raise
            if failure.offline:  # the client falls back to its cache, once
                self.session.give_up(self.key, failure)
                raise
            return failure

    def _response(self) -> Any:
        with self.budget.counted():
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
            self.session.budgets.pop(self.key, None)
        return response

    def _pause(self, failure: NoAnswerError) -> None:
        """Wait before a further attempt, or raise the failure if there is none."""
        if failure.status == BUSY and failure.wait is not None and self._rests(failure.wait):
            return
        waits = settings.pauses()
        wait = failure.wait if failure.wait is not None else waits[min(self.budget.attempts, len(waits)) - 1]
        if self.budget.over or wait >= self.budget.left or failure.final:
            raise self._give_up(failure) from failure.__cause__
        with self.budget.counted():
            time.sleep(wait)

    def _rests(self, seconds: float) -> bool:
        """Pause as the Hub asks, each thread a little longer; return False if it asks for too much."""
        if seconds > settings.longest_rest() or self.budget.rests >= settings.RESTS:
            return False
        self.budget.rests, self.budget.attempts = self.budget.rests + 1, 0
        if seconds > settings.question_seconds():
            LOG.warning("The Hub asks to wait %.0f s (429, too many requests); then the run continues.", seconds)
        time.sleep(seconds * random.uniform(1, 1.1))  # noqa: S311
        return True

    def _give_up(self, failure: NoAnswerError) -> NoAnswerError:
        return self.session.give_up(self.key, gave_up(failure, self.budget))

    def _arrive(self, start: int, body: Any) -> Iterator[bytes]:
        """Yield the parts of a body, or raise if they come too slowly; the client resumes after a cut by itself."""
        end, parts = start, iter(body)
        while True:
            try:
                with self.budget.counted():
                    part = next(parts, None)
            except Exception as error:
                failure = transport_failure(error, self.request, self.budget)
                if failure is not None and self.budget.over:
                    raise self._give_up(failure) from error
                raise
            if part is None:
                self.session.budgets.pop(self.key, None)
                return
            end += len(part)
            self.budget.arrived(end)
            if not self.budget.left:
                reason = f"the Hub sent {end - start:,} bytes in {self.budget.seconds:.3g} s"
                raise self.session.give_up(self.key, NoAnswerError(reason, self.key[1]))
            yield part


def _body(kind: Any) -> Any:
    """Return a class of response bodies, for the library of the client, that wraps another body in a generator."""
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
    """Return the identity of a request; a resumed download has the same one."""
    last = request.headers.get("range", "").rpartition("-")[2]
    return request.method, str(request.url), last


def _start(response: Any) -> int:
    """Return the position of the first byte of a body in its file."""
    match = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    return int(match.group(1)) if match else 0


def _limit(request: Any, seconds: float) -> None:
    """Limit each single wait of a request to some seconds."""
    asked = request.extensions.get("timeout") or {}
    most = {"connect": min(settings.CONNECT_SECONDS, seconds), "read": seconds, "write": seconds, "pool": seconds}
    limits = {name: min(value, asked.get(name) or value) for name, value in most.items()}
    request.extensions = {**request.extensions, "timeout": {name: max(0.05, value) for name, value in limits.items()}}


def _nonsense(request: Any, response: Any, stream: bool) -> NoAnswerError | None:
    """Return why an answer cannot come from the Hub, else None."""
    if response.status_code not in (200, 206):
        return None
    path = request.url.path
    html = "text/html" in response.headers.get("content-type", "")

    def failure(reason: str) -> NoAnswerError:
        place = f"{request.url.scheme}://{request.url.netloc.decode()}"
        return NoAnswerError(f"{place} {reason}", str(request.url))

    page = failure("answered with a web page, as a proxy or a login page does, and not as the Hub does")
    if "/resolve/" in path:
        if request.method == "HEAD" and not {"etag", "x-linked-etag"} & {name.lower() for name in response.headers}:
            return failure("does not name the version of a file (no ETag), as the Hub does: check HF_ENDPOINT")
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
        what = "JSON that is cut off or damaged" if response.content.strip() else "nothing"
        return failure(f"answered with {what}")
    if isinstance(found, dict) or (isinstance(found, list) and all(isinstance(one, dict) for one in found)):
        return None
    return failure("answered with JSON of another shape than the Hub's")


def patiently(action: Callable[[], Value], *, also: Callable[[Exception], bool] = lambda _: False) -> Value:
    """Return the result of an action, retrying after transient failures and those that `also` accepts.

    Failures that the client has already retried are not retried again.
    """
    with bounded():
        for wait in settings.pauses():
            start = time.monotonic()
            try:
                return action()
            except Exception as error:
                tried = isinstance(error, NoAnswerError) or time.monotonic() - start > settings.question_seconds() / 3
                if not also(error) and (tried or not is_transient(error)):
                    raise
                time.sleep(wait)
        return action()
