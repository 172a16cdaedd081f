"""The worker: claims requests, runs them on an engine, publishes their records, and reports the outcome."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Thread
from typing import NamedTuple, TypeVar

from hf_transfer_score.engines.base import HERE, Engine, Finished, Work, open_engine
from hf_transfer_score.errors import HubError, OptionError, StoreError
from hf_transfer_score.hub.failures import BUSY, trouble_of
from hf_transfer_score.records.place import Place
from hf_transfer_score.records.publishing import publish
from hf_transfer_score.requests.job import JobOptions, JobOutcome, carry_out
from hf_transfer_score.requests.queue import LeaseLostError, RequestQueue
from hf_transfer_score.requests.request import Request, request_path

Value = TypeVar("Value")

PAUSES = (5.0, 15.0, 60.0, 300.0)  # seconds before each further attempt to reach a place; the last one repeats
CLOSED = (400, 401, 403, 404)  # HTTP statuses where waiting does not help: the token or the repository is wrong
LONGEST_POLL = 10  # the pause between polls of an empty queue grows up to this factor

PUBLISHING_ATTEMPTS = 8
"""After these the place is assumed to accept no records at all, so that running more models is pointless.

Answers that there were too many commits do not count.
"""

RENEWALS = 3  # renewals within the time of one lease: two may fail
HASTE = 10  # a failed renewal is retried this many times sooner
LAST_SECONDS = 5.0  # how long to wait at the end for a renewal in progress; a later one changes nothing


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker works."""

    name: str = "worker"  # visible to others; a random suffix is added
    lease: float = 900.0  # seconds after which a claim ends if it is not renewed
    poll: float = 30.0  # approximate seconds between polls of an empty queue; they grow over time
    once: bool = False  # stop when nothing waits
    limit: int | None = None  # stop after this many requests
    job: JobOptions = field(default_factory=JobOptions)  # how requests are run
    pauses: tuple[float, ...] = PAUSES  # seconds before each further attempt to reach a place

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= 100 or not self.name.isprintable() or self.name != self.name.strip():
            raise OptionError(
                f"The name {self.name[:100]!r} cannot name a worker: expected 1 to 100 printable letters."
            )


def apart(seconds: float) -> float:
    """Return a random duration of about this length, so that workers started together do not act together."""
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311


class Lease:
    """Renews a worker's claim in a thread during a `with` block.

    Problems are reported with `say`; `lost` is whether another worker has the request now.
    """

    def __init__(
        self, queue: RequestQueue, request: Request, worker: str, seconds: float, say: Callable[[str], None]
    ) -> None:
        self.queue, self.request, self.worker, self.seconds, self.say = queue, request, worker, seconds, say
        self.lost = False
        self._ended = Event()
        self._thread = Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop renewing, without waiting after an exception."""
        self.end()
        if kind is None:
            self._thread.join(LAST_SECONDS)

    def end(self) -> None:
        """Stop renewing, without waiting for a renewal that is on its way."""
        self._ended.set()

    def _renew(self) -> None:
        wait = self.seconds / RENEWALS
        while not self._ended.wait(wait):
            try:
                self.queue.renew(self.request, self.worker, self.seconds)
                wait = self.seconds / RENEWALS
            except LeaseLostError as error:
                self.lost = True
                if not self._ended.is_set():
                    self.say(str(error))
                return
            except Exception as error:  # noqa: BLE001  # the place may be back before the lease ends
                self.say(f"The claim could not be renewed, which is tried again: {error}")
                wait = self.seconds / RENEWALS / HASTE


class _Held(NamedTuple):
    """A running request, its lease, which is renewed until the stack closes, and its start time."""

    request: Request
    lease: Lease
    ending: ExitStack
    start: float


class Worker:
    """Runs the requests of a queue, publishes their records, and says a line at the start and end of each.

    An engine runs as many at a time as it has workers; without one this process runs one after the other.
    """

    def __init__(
        self,
        queue: RequestQueue,
        results: Place,
        options: WorkerOptions,
        say: Callable[[str], None],
        engine: Engine | None = None,
    ) -> None:
        self.queue, self.results, self.options, self.say = queue, results, options, say
        self.engine = engine or open_engine(HERE)
        self.id = f"{options.name}-{uuid.uuid4().hex[:8]}"
        self.counts: Counter[str] = Counter()
        self.held: dict[str, _Held] = {}
        self._claimed = self._idle = 0
        self._look_at = 0.0
        self._empty = False
        self._over = options.limit == 0

    def run(self) -> Counter[str]:
        """Run requests up to the limit, and return the number of requests by outcome.

        However it ends, requests that it still holds are released at once.
        """
        try:
            if self._patiently(self.queue.place.version) is None:
                self.say(f"{self.queue.place.name} does not exist yet")
            while not self._over:
                with closing(self.engine.run(self, lambda _: None)) as results:
                    for finished in results:
                        self._finish(finished)
                if not self._over:
                    time.sleep(max(0.0, self._look_at - time.monotonic()))
                    self._look_at = 0.0
        except BaseException:
            self._give_back()
            raise
        return self.counts

    def __iter__(self) -> Iterator[Work]:
        """Return itself: an engine takes the next request when it has a free worker."""
        return self

    def __next__(self) -> Work:
        """Claim a request as work for the engine; StopIteration means that there is none now, but may be one later."""
        if self._over or len(self.held) >= at_once(self.engine) or time.monotonic() < self._look_at:
            raise StopIteration
        request = self._patiently(lambda: self.queue.claim(self.id, self.options.lease))
        self._empty = request is None
        if request is None:
            self._over = self.options.once and not self.held
            pause = self.options.poll * min(1.5**self._idle, LONGEST_POLL)
            self._look_at, self._idle = time.monotonic() + apart(pause), self._idle + 1
            raise StopIteration
        self._claimed, self._idle = self._claimed + 1, 0
        self._over = self._claimed == self.options.limit
        self.say(f"claimed {title(request)}, attempt {request.attempts} of {self.queue.limits.attempts}")
        ending = ExitStack()
        lease = ending.enter_context(Lease(self.queue, request, self.id, self.options.lease, self.say))
        name = str(request_path(request))
        self.held[name] = _Held(request, lease, ending, time.monotonic())
        return Work(name, partial(carry_out, request, self.options.job), gpu=self.options.job.device != "cpu")

    def _finish(self, finished: Finished) -> None:
        """Publish the records of a request, and write its outcome to the queue."""
        request, lease, ending, start = self.held[finished.work.name]
        outcome: JobOutcome = finished.value
        if finished.failure is not None:
            outcome = JobOutcome("again", kind=finished.failure.kind, reason=str(finished.failure))
        if outcome.state == "again" and request.attempts >= self.queue.limits.attempts:
            outcome = JobOutcome("failed", outcome.records, outcome.kind, outcome.reason)
        with ending:
            if outcome.records and outcome.state != "again":
                self._patiently(lambda: publish(self.results, outcome.records), PUBLISHING_ATTEMPTS)
        del self.held[finished.work.name]
        if self._empty:  # another worker may have given something back meanwhile
            self._look_at, self._empty = 0.0, False
        try:
            if lease.lost:
                raise LeaseLostError("Another worker has it now.")
            self._patiently(lambda: self._settle(request, outcome))
        except LeaseLostError as error:
            self.counts["lost"] += 1
            self.say(f"left {title(request)} as it is, with {len(outcome.records)} records published: {error}")
            return
        self.counts[outcome.state] += 1
        told = "gave back, to be tried again," if outcome.state == "again" else outcome.state
        kind = "" if outcome.state == "refused" else f"{outcome.kind}: "
        why = f"{len(outcome.records)} records" if outcome.state == "done" else f"{kind}{outcome.reason}"
        self.say(f"{told} {title(request)} after {time.monotonic() - start:.0f} s: {why}")
        if outcome.state == "again":
            self._look_at = time.monotonic() + self._pause(request.attempts - 1)

    def _settle(self, request: Request, outcome: JobOutcome) -> Request:
        """Write the outcome of a request to the queue."""
        if outcome.state == "done":
            return self.queue.finish(request, self.id, records=len(outcome.records))
        if outcome.state == "refused":
            return self.queue.refuse(request, self.id, outcome.reason)
        if outcome.state == "again":
            return self.queue.release(request, self.id, tried=True)
        count = len(outcome.records)
        return self.queue.fail(request, self.id, outcome.reason, kind=outcome.kind, records=count)

    def _patiently(self, action: Callable[[], Value], most: int | None = None) -> Value:
        """Return the result of an action, retrying while a place cannot be reached, at most `most` times."""
        attempt = 0
        while True:
            try:
                return action()
            except LeaseLostError:
                raise
            except (StoreError, HubError) as error:
                attempt += 1
                status = trouble_of(error).status
                if status in CLOSED or (most is not None and attempt >= most and status != BUSY):
                    raise
                pause = apart(self._pause(attempt - 1))
                self.say(f"{error} Trying again in {pause:.0f} s.")
                time.sleep(pause)

    def _pause(self, number: int) -> float:
        return self.options.pauses[min(number, len(self.options.pauses) - 1)]

    def _give_back(self) -> None:
        """Release the requests that are still held, if possible."""
        for one in self.held.values():
            one.lease.end()
        try:
            count = self.queue.release_all(self.id)
        except Exception as error:  # noqa: BLE001  # the exception that ends the worker matters more
            self.say(f"The claimed request could not be given back; its claim will expire: {error}")
            return
        if count:
            self.say(f"gave back {count} request{'s' if count > 1 else ''}")


def at_once(engine: Engine) -> int:
    """Return how many requests an engine runs at a time."""
    return int(getattr(engine, "workers", None) or 1)


def title(request: Request) -> str:
    """Return a request in words.

    Example:
        >>> title(Request("timm/resnet18", "owner/pets", revision="v1", split="test"))
        'timm/resnet18@v1 on owner/pets (test)'
    """
    model = request.model if request.revision is None else f"{request.model}@{request.revision}"
    parts = ", ".join(part for part in (request.config, request.split) if part is not None)
    return f"{model} on {request.dataset}" + (f" ({parts})" if parts else "")
