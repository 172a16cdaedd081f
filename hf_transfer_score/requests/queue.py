"""A queue of requests in a shared place: submitted once, claimed by one worker at a time, released by dead workers.

Every change is computed from the state that it is based on. If somebody else was faster, the place computes it again
from the newer state, which shows the other claim. This also happens after a lost answer: the change may already be
there, which a comparison shows.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from hf_transfer_score.errors import InputError, OptionError, RecordError, StoreError
from hf_transfer_score.records.checks import check_time
from hf_transfer_score.records.place import Place, PlaceView, Signed
from hf_transfer_score.records.store import CHUNK, UNREAD, Problem
from hf_transfer_score.requests.kept import KeptFiles
from hf_transfer_score.requests.request import (
    LONGEST_REASON,
    LONGEST_TEXT,
    Request,
    is_request_path,
    request_path,
    time_of,
    time_text,
    utc_now,
)

ASKED = ("model", "dataset", "revision", "config", "split", "label_column", "metrics", "asked_by")
"""The fields that the user fills in."""

WAITING = ("pending", "running")  # states in which requests count towards the limit of a user
LARGEST_FILE = 20_000  # bytes of the file of a request; the longest request has far fewer

LONGEST_LEASE = 86_400.0
"""Seconds; a claim that ends later than this from now was not made by a worker, and is ignored."""

MOST_GIVEN_UP = 100
"""Requests that fail in one commit because too many workers claimed them: anyone may write that into many files."""

Clock = Callable[[], datetime]
Ending = Literal["done", "failed", "refused"]


class LeaseLostError(StoreError):
    """A worker no longer holds its request."""


@dataclass(frozen=True)
class QueueLimits:
    """Limits of a queue."""

    per_user: int = 10  # waiting or running requests of one user
    whole: int = 1000  # waiting or running requests of all users
    attempts: int = 3  # how many workers may claim a request without finishing it


@dataclass(frozen=True)
class Submitted:
    """The request in the queue, and whether it is new, or the state in which it was in the queue before."""

    state: Literal["new", "pending", "running", "done"]
    request: Request


@dataclass
class RequestQueue:
    """The requests of a place.

    Attributes:
        vouches: whether users are authenticated, like visitors who sign in to a Space; then the user name in a request
            that this account commits is trusted.
        problems: files without a valid request when they were last read; they are ignored.

    Example:
        >>> from hf_transfer_score.records.place import MemoryPlace
        >>> queue = RequestQueue(MemoryPlace())
        >>> queue.submit(Request("timm/resnet18", "owner/pets")).state
        'new'
        >>> queue.claim("worker", 60).model
        'timm/resnet18'
        >>> queue.submit(Request("timm/resnet18", "owner/pets")).state
        'running'
    """

    place: Place
    limits: QueueLimits = field(default_factory=QueueLimits)
    clock: Clock = utc_now
    vouches: bool = False
    problems: tuple[Problem, ...] = ()
    _known: dict[tuple[str, str], Request | Problem] = field(default_factory=dict, repr=False)

    def submit(self, request: Request) -> Submitted:
        """Add a request unless the same one waits, runs or is done; failed and refused ones wait again.

        Only the fields in ASKED are taken from the request. Raises InputError if too many requests wait.
        """
        asked = {name: getattr(request, name) for name in ASKED}
        fresh = Request(**asked, asked=time_text(self.clock()))
        path, answers = str(request_path(fresh)), list[Submitted]()

        def change(view: PlaceView) -> Mapping[str, bytes | None]:
            there = self._read(view)
            came_through = bool(answers) and there.get(path) == fresh
            answers.append(Submitted("new", fresh) if came_through else self._answer(fresh, there, view))
            return {path: _content(fresh)} if answers[-1].state == "new" else {}

        self.place.update(change, title=f"Request {fresh.model} on {fresh.dataset}")
        return answers[-1]

    def requests(self) -> list[Request]:
        """Return all requests, oldest first; invalid files are in `problems`."""
        return sorted(self._read(self.place.view()).values(), key=_age)

    def get(self, request: Request) -> Request | None:
        """Return the current state of a request, None if it is not in the queue."""
        path, view = str(request_path(request)), self.place.view()
        return self._read(view, only=path).get(path)

    def claim(self, worker: str, lease_seconds: float) -> Request | None:
        """Claim the oldest request that waits or whose claim has expired; return None if there is none.

        Names of workers must be unique. The claim ends after the lease unless it is renewed.
        """
        _check_lease(lease_seconds)
        view = self.place.view()
        if not (self._open(self._read(view)) if self.place.shared else view.files):  # a folder is read below, once
            return None
        claimed: list[Request | None] = []

        def change(view: PlaceView) -> Mapping[str, bytes | None]:
            there, written, found = self._read(view), dict[Request, Request](), None
            if claimed and claimed[-1] in there.values():
                return {}
            for request in self._in_turn(there, view):
                if request.attempts >= self.limits.attempts:
                    if len(written) < MOST_GIVEN_UP:
                        written[request] = self._given_up(request)
                    continue
                mine = self._running(self._named(request, view), worker, lease_seconds)
                found = replace(mine, attempts=request.attempts + 1)
                written[request] = found
                break
            claimed.append(found)
            return {str(request_path(request)): _content(new) for request, new in written.items()}

        self.place.update(change, title=f"Claimed by {worker}")
        return claimed[-1]

    def renew(self, request: Request, worker: str, lease_seconds: float) -> Request:
        """Extend a claim, and return the request; raises LeaseLostError if another worker has it now."""
        _check_lease(lease_seconds)
        title = f"{worker} still runs {request.model}"
        return self._change(request, worker, lambda held: self._running(held, worker, lease_seconds), title)

    def finish(self, request: Request, worker: str, *, records: int) -> Request:
        """Mark a claimed request as done; raises LeaseLostError if another worker has it now."""
        return self._end(request, worker, "done", records=records)

    def fail(self, request: Request, worker: str, reason: str, *, kind: str = "error", records: int = 0) -> Request:
        """Mark a claimed request as failed; raises LeaseLostError if another worker has it now."""
        return self._end(request, worker, "failed", reason=reason, kind=kind, records=records)

    def refuse(self, request: Request, worker: str, reason: str) -> Request:
        """Mark a claimed request as refused; raises LeaseLostError if another worker has it now."""
        return self._end(request, worker, "refused", reason=reason)

    def release(self, request: Request, worker: str, *, tried: bool = False) -> Request:
        """Release a claimed request, so that another worker may take it; `tried` counts it as an attempt."""
        title = f"Given back: {request.model} on {request.dataset}"
        return self._change(request, worker, lambda held: _released(held, tried=tried), title)

    def release_all(self, worker: str) -> int:
        """Release all requests that a worker holds, and return their number.

        Each counts as an attempt, since a request that crashes workers would be retried forever otherwise. After the
        last attempt the request has failed.
        """
        counts: list[int] = []

        def change(view: PlaceView) -> Mapping[str, bytes | None]:
            held = [one for one in self._read(view).values() if one.claimed_by == worker]
            counts.append(len(held))
            out = self.limits.attempts
            new = [self._given_up(one) if one.attempts >= out else _released(one, tried=True) for one in held]
            return {str(request_path(one)): _content(one) for one in new}

        if not any(one.claimed_by == worker for one in self._read(self.place.view()).values()):
            return 0
        self.place.update(change, title=f"Given back by {worker}")
        return max(counts)

    def _end(self, request: Request, worker: str, state: Ending, **outcome: Any) -> Request:
        title = f"{state.capitalize()}: {request.model} on {request.dataset}"
        return self._change(request, worker, lambda held: self._ended(held, state, **outcome), title)

    def _change(self, request: Request, worker: str, new: Callable[[Request], Request], title: str) -> Request:
        """Replace a request that a worker holds."""
        path, written = str(request_path(request)), list[Request]()

        def change(view: PlaceView) -> Mapping[str, bytes | None]:
            there = self._read(view, only=path).get(path)
            if written and there == written[-1]:
                return {}
            if there is None or there.claimed_by != worker:
                now = "no longer in the queue" if there is None else there.state
                holder = f", claimed by {there.claimed_by}" if there is not None and there.claimed_by else ""
                what = f"the request for {request.model} on {request.dataset}"
                raise LeaseLostError(f"{worker} no longer holds {what}: it is {now}{holder}.")
            written.append(new(there))
            return {path: _content(written[-1])}

        self.place.update(change, title=title)
        return written[-1]

    def _answer(self, fresh: Request, there: Mapping[str, Request], view: PlaceView) -> Submitted:
        """Return the outcome of a submission; raises InputError if too many requests wait."""
        same = there.get(str(request_path(fresh)))
        if same is not None and same.state in ("pending", "running", "done"):
            return Submitted(same.state, same)
        waiting = {path: one for path, one in there.items() if one.state in WAITING}
        if len(waiting) < min(self.limits.per_user, self.limits.whole):
            return Submitted("new", fresh)
        own = (self.vouches and fresh.asked_by) or (view.account() if isinstance(view, Signed) else fresh.asked_by)
        counts = Counter(self._askers(view, waiting, trusted=self.vouches).values())
        if own is not None and counts[own] >= self.limits.per_user:
            raise InputError(
                f"{own} has {counts[own]} waiting or running requests, and may have {self.limits.per_user}: wait until "
                "one of them is done."
            )
        total = sum(count if asker is None else min(count, self.limits.per_user) for asker, count in counts.items())
        if total >= self.limits.whole:
            raise InputError(
                f"{total} requests are waiting or running, and the queue holds {self.limits.whole}: try again later, "
                "or run it yourself with `hf-transfer-score rank`."
            )
        return Submitted("new", fresh)

    def _askers(self, view: PlaceView, requests: Mapping[str, Request], *, trusted: bool) -> dict[str, str | None]:
        """Return the user of each request: the author of its commit, whatever its `asked_by` says.

        `asked_by` counts if the author is unknown, as in a folder, and in commits of this account if `trusted`.
        """
        if not requests or not isinstance(view, Signed):
            return {path: request.asked_by for path, request in requests.items()}
        account, authors = view.account(), view.authors(requests)
        found: dict[str, str | None] = {}
        for path, request in requests.items():
            others = [name for name in authors.get(path, ()) if name != account]
            own = None if trusted or account not in authors.get(path, ()) else account
            found[path] = others[0] if others else own or request.asked_by
        return found

    def _open(self, there: Mapping[str, Request]) -> list[Request]:
        """Return the requests that may be claimed, oldest first: waiting ones, and those with an expired claim."""
        now = self.clock()

        def is_held(request: Request) -> bool:
            until = None if request.claimed_until is None else time_of(request.claimed_until)
            return until is not None and now < until <= now + timedelta(seconds=LONGEST_LEASE)

        return sorted((one for one in there.values() if one.state in WAITING and not is_held(one)), key=_age)

    def _in_turn(self, there: Mapping[str, Request], view: PlaceView) -> list[Request]:
        """Return the requests that may be claimed; those beyond the limit of their user come last."""
        waiting, found = {path: one for path, one in there.items() if one.state in WAITING}, self._open(there)
        if len(waiting) <= self.limits.per_user:
            return found
        askers = self._askers(view, waiting, trusted=True)
        seen: Counter[str] = Counter()
        later = set()
        for path in sorted(waiting, key=lambda path: _age(waiting[path])):
            if (asker := askers[path]) is not None:
                seen[asker] += 1
                if seen[asker] > self.limits.per_user:
                    later.add(path)
        return sorted(found, key=lambda one: str(request_path(one)) in later)

    def _named(self, request: Request, view: PlaceView) -> Request:
        """Return a request with the name of its author, if that is known to be somebody else."""
        path = str(request_path(request))
        asker = self._askers(view, {path: request}, trusted=True)[path]
        known = asker is not None and len(asker) <= LONGEST_TEXT and asker.isprintable()
        return replace(request, asked_by=asker) if known else request

    def _running(self, request: Request, worker: str, lease_seconds: float) -> Request:
        until = time_text(self.clock() + timedelta(seconds=lease_seconds))
        return replace(request, state="running", claimed_by=worker, claimed_until=until)

    def _given_up(self, request: Request) -> Request:
        last = "" if request.claimed_by is None else f", {request.claimed_by} last"
        reason = (
            f"{request.attempts} workers claimed it, and none of them finished{last}: it may need more memory or time "
            "than they have."
        )
        return self._ended(request, "failed", reason=reason, kind="error", records=0)

    def _ended(
        self,
        request: Request,
        state: Ending,
        *,
        reason: str | None = None,
        kind: str | None = None,
        records: int | None = None,
    ) -> Request:
        short = None if reason is None else (reason.strip() or "unknown reason")[:LONGEST_REASON]
        return replace(
            request,
            state=state,
            claimed_by=None,
            claimed_until=None,
            kind=kind,
            reason=short,
            finished=time_text(self.clock()),
            records=records,
        )

    def _read(self, view: PlaceView, *, only: str | None = None) -> dict[str, Request]:
        """Return the requests of a view by path, or one of them."""
        stamps = {path: stamp for path, stamp in view.files.items() if is_request_path(path) and only in (None, path)}
        known = self._known if self.place.shared else {}  # elsewhere reading is cheap, and modification times coarse
        found = {path: known[path, stamp] for path, stamp in stamps.items() if (path, stamp) in known}
        unread = [path for path in stamps if path not in found]
        kept = KeptFiles(self.place) if self.place.shared and len(unread) > CHUNK else None
        for start in range(0, len(unread), CHUNK):  # each file may be as large as a file of results
            some = unread[start : start + CHUNK]
            contents = view.read(some) if kept is None else kept.read(view, {path: stamps[path] for path in some})
            found |= {path: _parsed(path, content) for path, content in contents.items()}
        if kept is not None:
            kept.write()
        found |= {path: Problem(path, UNREAD) for path in stamps if path not in found}
        if only is None:
            self._known = {(path, stamps[path]): one for path, one in found.items()} if self.place.shared else {}
            self.problems = tuple(one for one in found.values() if isinstance(one, Problem))
        return {path: one for path, one in found.items() if isinstance(one, Request)}


def _parsed(path: str, content: bytes) -> Request | Problem:
    """Return the request of a file, or the problem with it."""
    if len(content) > LARGEST_FILE:
        return Problem(path, f"A request has at most {LARGEST_FILE:,} bytes; this file has {len(content):,}.")
    try:
        request = Request.from_json(content)
        for name in ("asked", "finished"):
            if (text := getattr(request, name)) is not None:
                check_time(name, text)
    except RecordError as error:
        return Problem(path, re.sub(r"^A record", "A request", str(error)))
    if str(request_path(request)) != path:
        return Problem(path, f"This request belongs at {request_path(request)}.")
    return request


def _content(request: Request) -> bytes:
    return request.to_json().encode()


def _age(request: Request) -> tuple[str, str]:
    asked = "" if request.asked is None else time_text(time_of(request.asked))
    return asked, str(request_path(request))


def _released(request: Request, *, tried: bool = False) -> Request:
    attempts = request.attempts if tried else max(request.attempts - 1, 0)
    return replace(request, state="pending", claimed_by=None, claimed_until=None, attempts=attempts)


def _check_lease(seconds: float) -> None:
    if not 0 < seconds <= LONGEST_LEASE:
        raise OptionError(f"A lease of {seconds:g} s: expected more than 0 and at most {LONGEST_LEASE:.0f}.")
