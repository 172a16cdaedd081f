"""Simulate ten thousand candidates, a thousand workers and a Hub that counts requests, event by event.

Work takes the times that `scale_times.py` measured. The Hub counts requests in windows of five minutes and commits per
hour. As on the real Hub, a commit on top of an outdated state is refused; the waits are those of this package.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from itertools import count
from random import Random

from hf_transfer_score.hub.repository import CommitRetries
from hf_transfer_score.hub.settings import DEFAULT_SECONDS
from hf_transfer_score.requests.worker import PAUSES
from hf_transfer_score.runs.plan import ASKED_AT_ONCE

WINDOW, HOUR = 300.0, 3600.0
Steps = Generator[float, None, None]
"""The events of one worker: each value is a time without events."""


@dataclass(frozen=True)
class Limits:
    """Limits of the Hub for one account: requests per five minutes, by kind, and commits per repository and hour."""

    name: str
    api: int
    resolve: int
    commits: int = 128


PLANS = (
    Limits("free account", 1000, 5000),
    Limits("PRO", 2500, 12_000),
    Limits("Enterprise", 6000, 50_000),
)
"""As the Hub documents them (docs/hub/rate-limits); commits per hour come from error messages."""


@dataclass(frozen=True)
class Times:
    """Service times in seconds, and requests, as measured.

    Attributes:
        candidate: time of a worker for one candidate, without the Hub.
        plan_api: API requests for one candidate before it runs.
        plan_resolve: file requests before it runs.
        fetch_api: API requests of a worker for one candidate.
        fetch_resolve: file requests of a worker.
        view: API requests before a commit.
        commit: API requests for a commit.
        commit_seconds: time of looking and committing.
    """

    candidate: float
    plan_api: float
    plan_resolve: float
    fetch_api: float
    fetch_resolve: float
    view: float
    commit: float
    commit_seconds: float


@dataclass
class Clock:
    """Runs generators in the order of the times they ask for."""

    now: float = 0.0
    _heap: list[tuple[float, int, Steps]] = field(default_factory=list)
    _number: count[int] = field(default_factory=count)

    def start(self, steps: Steps) -> None:
        """Start a generator now."""
        heapq.heappush(self._heap, (self.now, next(self._number), steps))

    def run(self, until: float) -> None:
        """Run until nothing is left or the time is over."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, steps = heapq.heappop(self._heap)
            for wait in steps:
                heapq.heappush(self._heap, (self.now + wait, next(self._number), steps))
                break


@dataclass
class Hub:
    """Counts requests and refuses those beyond the limits."""

    clock: Clock
    limits: Limits
    counts: Counter[str] = field(default_factory=Counter)
    heads: Counter[str] = field(default_factory=Counter)
    _used: Counter[tuple[str, int]] = field(default_factory=Counter)

    def takes(self, kind: str, requests: float) -> bool:
        """Count requests of a kind; False if the window has no room for them."""
        size, limit = (HOUR, self.limits.commits) if "commits" in kind else (WINDOW, getattr(self.limits, kind))
        window = (kind, int(self.clock.now // size))
        if self._used[window] + requests > limit:
            self.counts[f"{kind.split()[0]} refused"] += 1
            return False
        self._used[window] += requests  # type: ignore[assignment]
        self.counts[kind.split()[0]] += requests  # type: ignore[assignment]
        return True

    def rest(self) -> float:
        """Return the seconds until the window of requests ends."""
        return WINDOW - self.clock.now % WINDOW


@dataclass
class Outcome:
    """The result of a simulation.

    Attributes:
        hours: until everything was done, or the end of the simulation.
        done: candidates that were scored and stored.
        failed: candidates that failed because the Hub asked to wait.
        busy: the share of the workers' time spent on candidates.
        counts: requests and refusals by kind.
    """

    hours: float
    done: int
    failed: int
    busy: float
    counts: Counter[str]


class _Run:
    def __init__(self, times: Times, limits: Limits, candidates: int, workers: int, *, patient: bool) -> None:
        self.times, self.candidates, self.workers, self.patient = times, candidates, workers, patient
        self.clock, self.draw = Clock(), Random(0)
        self.hub = Hub(self.clock, limits)
        self.left, self.done, self.failed, self.worked, self.last = candidates, 0, 0, 0.0, 0.0

    def ask(self, kind: str, requests: float) -> Generator[float, None, bool]:
        """Send requests; wait as long as the Hub asks, or give up if that is too long."""
        while not self.hub.takes(kind, requests):
            rest = self.hub.rest()
            if not self.patient and rest > DEFAULT_SECONDS:
                return False
            yield rest * self.draw.uniform(1, 1.1)
        return True

    def work(self) -> Steps:
        seconds = self.times.candidate * self.draw.lognormvariate(-0.125, 0.5)
        self.worked += seconds
        yield seconds

    def outcome(self, hours: float) -> Outcome:
        self.clock.run(hours * HOUR)
        over = self.last if self.done + self.failed >= self.candidates else hours * HOUR
        busy = min(1.0, self.worked / max(over * self.workers, 1e-9))
        return Outcome(over / HOUR, self.done, self.failed, busy, self.hub.counts)


class _Engine(_Run):
    """One run that plans all candidates, gives them to workers, and publishes the results in large commits."""

    def start(self) -> None:
        self.planned: list[int] = []
        self.asking = iter(range(self.candidates))
        for _ in range(ASKED_AT_ONCE):
            self.clock.start(self.plan())

    def plan(self) -> Steps:
        for number in self.asking:
            for kind, requests in (("api", self.times.plan_api), ("resolve", self.times.plan_resolve)):
                if not (yield from self.ask(kind, requests)):
                    self.failed += 1
                    break
            else:
                self.planned.append(number)
            yield 0.2
        self.left -= 1
        if self.left == self.candidates - ASKED_AT_ONCE:
            for _ in range(self.workers):
                self.clock.start(self.worker())

    def worker(self) -> Steps:
        while self.planned:
            self.planned.pop()
            fetched = True
            for kind, requests in (("api", self.times.fetch_api), ("resolve", self.times.fetch_resolve)):
                fetched = fetched and (yield from self.ask(kind, requests))
            if fetched:
                yield from self.work()
            self.done, self.failed = self.done + fetched, self.failed + (not fetched)
            self.last = self.clock.now


class _Queue(_Run):
    """Workers that each claim a request from the queue, run it, publish its records and write back, on the Hub."""

    def start(self) -> None:
        for _ in range(self.workers):
            self.clock.start(self.worker())

    def worker(self) -> Steps:
        while self.left > 0:
            if not (yield from self.change("queue", only_while_left=True)):
                return
            yield from self.work()
            yield from self.change("results")
            yield from self.change("queue")
            self.done, self.last = self.done + 1, self.clock.now

    def change(self, repository: str, *, only_while_left: bool = False) -> Generator[float, None, bool]:
        """Commit once, with all attempts and pauses of this package; False if nothing is left to claim."""
        tries = 0
        while True:
            retries, spent = CommitRetries(), 0.0
            for attempt in range(1, retries.attempts + 1):
                yield from self.ask("api", self.times.view + self.times.commit)
                if only_while_left and self.left <= 0:
                    return False
                head = self.hub.heads[repository]
                yield self.times.commit_seconds
                if self.hub.heads[repository] != head:
                    self.hub.counts["conflicts"] += 1
                elif self.hub.takes(f"commits {repository}", 1):
                    self.hub.heads[repository] += 1
                    self.left -= only_while_left
                    return True
                wait = retries.wait(attempt)
                spent += wait + self.times.commit_seconds
                if spent > retries.seconds:
                    break
                yield wait
            tries += 1
            yield PAUSES[min(tries, len(PAUSES)) - 1] * self.draw.uniform(0.5, 1.5)


def by_engine(
    times: Times, limits: Limits, candidates: int, workers: int, *, patient: bool = True, hours: float = 240.0
) -> Outcome:
    """Simulate a run with an engine.

    Args:
        times: service times and requests.
        limits: of the Hub.
        candidates: number of candidates.
        workers: number of workers.
        patient: wait when the Hub asks for minutes; otherwise the candidate fails.
        hours: when the simulation ends.
    """
    run = _Engine(times, limits, candidates, workers, patient=patient)
    run.start()
    return run.outcome(hours)


def by_queue(times: Times, limits: Limits, candidates: int, workers: int, *, hours: float = 24.0) -> Outcome:
    """Simulate workers at a queue on the Hub."""
    run = _Queue(times, limits, candidates, workers, patient=True)
    run.start()
    return run.outcome(hours)
