"""The worker: claim, run, publish, write back, and again."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TypeVar

from hf_transfer_score.errors import HubError, OptionError, StoreError
from hf_transfer_score.hub.failures import BUSY, trouble_of
from hf_transfer_score.records.place import Place
from hf_transfer_score.records.publishing import publish
from hf_transfer_score.requests.job import JobOptions, JobOutcome, carry_out
from hf_transfer_score.requests.queue import LeaseLostError, RequestQueue
from hf_transfer_score.requests.request import Request

Value = TypeVar("Value")

PAUSES = (5.0, 15.0, 60.0, 300.0)
"""Seconds before each further attempt to reach a place; the last for all after it."""

CLOSED = (400, 401, 403, 404)
"""What the Hub answers where waiting does not help: the token or the repository is not the right one."""

LONGEST_POLL = 10
"""After many looks in vain a worker waits so many times as long."""

PUBLISHING_ATTEMPTS = 8
"""After which a place takes no records at all, and every further model would be run in vain.

An answer that there were too many commits in this hour does not count.
"""


RENEWALS = 3
"""Renewals within the time of one lease: two may fail."""

HASTE = 10
"""How many times sooner it is tried again after a renewal that failed."""

LAST_SECONDS = 5.0
"""How long the end waits for a renewal that is on its way; one that comes later changes nothing."""


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker works.

    Attributes:
        name: how others see it; a part of its own is added.
        lease: seconds after which a claim of its ends once it is no longer renewed.
        poll: seconds between looks at a queue in which nothing waits, about; longer after many in vain.
        once: stop when nothing waits.
        limit: stop after so many requests.
        job: how requests are run.
        pauses: seconds before each further attempt to reach a place.
    """

    name: str = "worker"
    lease: float = 900.0
    poll: float = 30.0
    once: bool = False
    limit: int | None = None
    job: JobOptions = field(default_factory=JobOptions)
    pauses: tuple[float, ...] = PAUSES

    def __post_init__(self) -> None:
        """Refuse what makes no sense before anything is claimed."""
        if not 0 < len(self.name) <= 100 or not self.name.isprintable() or self.name != self.name.strip():
            raise OptionError(
                f"The name {self.name[:100]!r} cannot name a worker: expected 1 to 100 printable letters."
            )


def apart(seconds: float) -> float:
    """Return a time about as long, so that workers that were started together do not ask together."""
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311


class Lease:
    """Renews a worker's claim, which lasts some seconds, in a thread of its own while the `with` block lasts.

    What goes wrong is said; `lost` tells whether the request is another worker's by now.
    """

    def __init__(
        self, queue: RequestQueue, request: Request, worker: str, seconds: float, say: Callable[[str], None]
    ) -> None:
        self.queue, self.request, self.worker, self.seconds, self.say = queue, request, worker, seconds, say
        self.lost = False
        self._ended = Event()
        self._thread = Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Lease:
        """Start renewing."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop renewing; whoever is interrupted does not wait."""
        self._ended.set()
        if kind is None:
            self._thread.join(LAST_SECONDS)

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
                self.say(f"The claim could not be renewed, and that is tried again: {error}")
                wait = self.seconds / RENEWALS / HASTE


class Worker:
    """Runs the requests of a queue, publishes their records, and says a line for each that was claimed or has ended."""

    def __init__(self, queue: RequestQueue, results: Place, options: WorkerOptions, say: Callable[[str], None]) -> None:
        self.queue, self.results, self.options, self.say = queue, results, options, say
        self.id = f"{options.name}-{uuid.uuid4().hex[:8]}"
        self.counts: Counter[str] = Counter()

    def run(self) -> Counter[str]:
        """Run requests until there are enough, and return how many came to which state.

        However it ends, a request that it still holds is given back at once.

        Raises:
            StoreError, HubError: a place is closed, or the one for the results takes no records.
        """
        try:
            if self._patiently(self.queue.place.version) is None:
                self.say(f"{self.queue.place.name} is not there yet")
            idle = 0
            while self.options.limit is None or self.counts.total() < self.options.limit:
                request = self._patiently(lambda: self.queue.claim(self.id, self.options.lease))
                if request is not None:
                    idle = 0
                    self._serve(request)
                elif self.options.once:
                    break
                else:
                    time.sleep(apart(self.options.poll * min(1.5**idle, LONGEST_POLL)))
                    idle += 1
        except BaseException:
            self._give_back()
            raise
        return self.counts

    def _serve(self, request: Request) -> None:
        """Run one request to its end."""
        start = time.monotonic()
        self.say(f"claimed {title(request)}, attempt {request.attempts} of {self.queue.limits.attempts}")
        with Lease(self.queue, request, self.id, self.options.lease, self.say) as lease:
            outcome = carry_out(request, self.options.job)
            if outcome.state == "again" and request.attempts >= self.queue.limits.attempts:
                outcome = JobOutcome("failed", outcome.records, outcome.kind, outcome.reason)
            if outcome.records and outcome.state != "again":
                self._patiently(lambda: publish(self.results, outcome.records), PUBLISHING_ATTEMPTS)
        try:
            if lease.lost:
                raise LeaseLostError("Another worker has it by now.")
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
            time.sleep(self._pause(request.attempts - 1))

    def _settle(self, request: Request, outcome: JobOutcome) -> Request:
        """Write what became of a request into the queue."""
        if outcome.state == "done":
            return self.queue.finish(request, self.id, records=len(outcome.records))
        if outcome.state == "refused":
            return self.queue.refuse(request, self.id, outcome.reason)
        if outcome.state == "again":
            return self.queue.release(request, self.id, tried=True)
        count = len(outcome.records)
        return self.queue.fail(request, self.id, outcome.reason, kind=outcome.kind, records=count)

    def _patiently(self, action: Callable[[], Value], most: int | None = None) -> Value:
        """Return what an action gives, trying again for as long as a place cannot be reached, or `most` times."""
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
        """Give back what is still held, where that can be done."""
        try:
            count = self.queue.release_all(self.id)
        except Exception as error:  # noqa: BLE001  # what ends the worker is what matters
            self.say(f"What was claimed could not be given back, and its claim ends by itself: {error}")
            return
        if count:
            self.say(f"gave back {count} request{'s' if count > 1 else ''}")


def title(request: Request) -> str:
    """Return a request in words.

    Example:
        >>> title(Request("timm/resnet18", "owner/pets", revision="v1", split="test"))
        'timm/resnet18@v1 on owner/pets (test)'
    """
    model = request.model if request.revision is None else f"{request.model}@{request.revision}"
    parts = ", ".join(part for part in (request.config, request.split) if part is not None)
    return f"{model} on {request.dataset}" + (f" ({parts})" if parts else "")
