"""A run of jobs on the Hub: starts them on hardware with enough memory, takes results, and repeats what was lost."""

from __future__ import annotations

import re
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_transfer_score import errors
from hf_transfer_score.engines.base import Finished, Portable, Work
from hf_transfer_score.engines.exchange import Exchange
from hf_transfer_score.engines.in_job import BEGINS, RAISED
from hf_transfer_score.errors import (
    CheckpointError,
    DatasetError,
    FailureKind,
    HubError,
    InputError,
    OptionError,
    TransferScoreError,
)
from hf_transfer_score.hub.client import patiently
from hf_transfer_score.hub.failures import trouble_of
from hf_transfer_score.text import one_line
from hf_transfer_score.untrusted import parse_json

MOST_UNANSWERED = 20
"""Requests in a row that the Hub may leave unanswered, while jobs go on."""

SECONDS_AT_END = 30.0
"""For jobs that have sent everything to end, before they are cancelled."""

LABEL = "hf-transfer-score"
"""Of jobs, with the name of their run."""

OVER = ("COMPLETED", "CANCELED", "ERROR", "DELETED")
"""Final stages of a job."""


@dataclass(frozen=True)
class Batch:
    """The works of one job, with their numbers in the run, and its machine."""

    flavor: Flavor
    works: tuple[tuple[int, Work], ...]


@dataclass(frozen=True)
class JobEnd:
    """How a job ended."""

    stage: str  # the Hub's name for it
    how: str  # a clause about the job
    kind: FailureKind = "error"  # of the failure of the work that it was doing
    timed_out: bool = False
    at: int | None = None  # the number of the work that it was doing, None if it had not started one, -1 if unknown


@dataclass(frozen=True)
class Launcher:
    """Starts, watches and cancels jobs; `script` returns the shell command for arguments of `in_job`."""

    api: Any
    namespace: str
    image: str
    script: Callable[[Sequence[str]], str]
    seconds: int

    def start(self, flavor: str, arguments: Sequence[str]) -> str:
        """Start a job and return its id; it gets the token only as a secret."""
        from huggingface_hub import constants, get_token

        try:
            return str(
                self.api.run_job(
                    image=self.image,
                    command=["bash", "-c", self.script(arguments)],
                    env={"HF_ENDPOINT": str(constants.ENDPOINT), "PYTHONUNBUFFERED": "1"},
                    secrets={"HF_TOKEN": get_token()},
                    flavor=flavor,
                    timeout=self.seconds,
                    labels={LABEL: arguments[1]},
                    namespace=self.namespace,
                ).id
            )
        except Exception as error:
            raise refused(f"asked to start a job on {flavor} for {self.namespace}", error) from error

    def cancel_others(self, run: str, known: Collection[str]) -> None:
        """Cancel the jobs of a run that are not known: the Hub's answer when they were started did not arrive."""
        with suppress(Exception):  # where the Hub does not answer, this cannot be helped
            for one in patiently(lambda: list(self.api.list_jobs(labels={LABEL: run}, namespace=self.namespace))):
                if one.id not in known and _stage(one) not in OVER:
                    self.cancel(one.id)

    def ended(self, job: str) -> JobEnd | None:
        """Return how a job ended, None if it has not."""
        try:
            about = patiently(lambda: self.api.inspect_job(job_id=job, namespace=self.namespace))
        except Exception as error:
            raise refused(f"asked for the job {job}", error) from error
        stage = _stage(about)
        if stage not in OVER:
            return None
        said = one_line(about.status.message or "", 200)
        at, last = self._log(job)
        if stage == "CANCELED":
            return JobEnd(stage, f"somebody cancelled its job ({about.url})", at=at)
        ran = about.durations.running_secs if about.durations else None
        if "timeout" in said.lower().replace(" ", "") or "timed out" in said.lower() or (ran or 0) >= self.seconds:
            how = f"it took longer than the time limit; raise that with `minutes` ({about.url})"
            return JobEnd(stage, how, timed_out=True, at=at)
        known = "; ".join(one for one in (said, last and f"its log ends with: {last}") if one)
        how = f"its job ended without a result{known and f': {known}'} ({about.url})"
        lack = any(word in said.lower().replace(" ", "") for word in ("oom", "outofmemory", "137"))
        return JobEnd(stage, how, "out_of_memory" if lack else "error", at=at)

    def _log(self, job: str) -> tuple[int | None, str]:
        """Return the number of the work in the log (None before the first, -1 if unknown), and its last line."""
        from huggingface_hub import get_token

        at, last = None, ""
        try:
            for line in self.api.fetch_job_logs(job_id=job, namespace=self.namespace):
                text = str(line).strip()
                if text.startswith(BEGINS) and text[len(BEGINS) :].isdecimal():
                    at = int(text[len(BEGINS) :])
                last = text or last
        except Exception:  # noqa: BLE001  # a log is only a help
            return (-1 if at is None else at), ""
        return at, one_line(last.replace(get_token() or " ", "…"), 200)

    def cancel(self, job: str) -> None:
        """Cancel a job; warn if that fails, since it costs money."""
        try:
            patiently(lambda: self.api.cancel_job(job_id=job, namespace=self.namespace))
        except Exception:  # noqa: BLE001
            with suppress(HubError):
                if self.ended(job) is not None:
                    return
            warnings.warn(f"The job {job} of {self.namespace} may still run: cancel it on the Hub.", stacklevel=2)


def _stage(about: Any) -> str:
    return str(getattr(about.status.stage, "value", about.status.stage))


def refused(what: str, error: Exception) -> HubError:
    """Return the error for a request about jobs that failed."""
    return error if isinstance(error, HubError) else HubError(f"The Hub was {what}: {trouble_of(error).reason}.")


@dataclass
class JobRun:
    """The jobs of a run, so many `workers` at a time; `began` is called when a work is started for the first time."""

    exchange: Exchange
    launcher: Launcher
    batches: Iterable[Batch]
    began: Callable[[Work], None]
    workers: int
    retries: int
    poll: float
    _running: dict[str, Batch] = field(default_factory=dict)
    _waiting: deque[Batch] = field(default_factory=deque)
    _left: dict[int, Work] = field(default_factory=dict)
    _lost: Counter[int] = field(default_factory=Counter)
    _announced: set[int] = field(default_factory=set)
    _never_began: int = 0
    _why: str = ""
    _unanswered: int = 0

    def results(self) -> Generator[Finished, None, None]:
        """Yield each work when it is finished; whatever ends this early cancels the jobs."""
        self._waiting.extend(self.batches)
        self._left = {number: work for batch in self._waiting for number, work in batch.works}
        try:
            all_there = time.monotonic()
            while self._left or (self._running and time.monotonic() - all_there < SECONDS_AT_END):
                all_there = time.monotonic() if self._left else all_there
                try:
                    if self._running:
                        yield from self._look()
                    self._unanswered = 0
                    self._start()
                except HubError:  # if no further job is taken, those that run still finish
                    self._unanswered += 1
                    if not self._running or self._unanswered > MOST_UNANSWERED:
                        raise
                if self._running:
                    time.sleep(self.poll)
        except KeyboardInterrupt:
            self._cancel()
            with suppress(TransferScoreError):
                yield from self._arrived()  # finished work is paid for
            raise
        finally:
            self._cancel()
        with suppress(TransferScoreError):  # leftovers do no harm
            self.exchange.clear()

    def _start(self) -> None:
        """Start jobs while fewer are running than allowed; where they end before they start, only if others work."""
        if self._never_began > self.retries:
            if self._running:
                return
            raise OptionError(f"Jobs end before they start with a candidate: {self._why}.")
        while self._waiting and len(self._running) < self.workers:
            batch = self._waiting[0]
            parcel = self.exchange.send([(number, portable(work)) for number, work in batch.works])
            try:
                job = self.launcher.start(batch.flavor.name, [self.exchange.repository.name, self.exchange.run, parcel])
            except BaseException:  # the job may run nevertheless
                self.launcher.cancel_others(self.exchange.run, self._running)
                raise
            self._running[job] = self._waiting.popleft()
            for number, work in batch.works:
                if number not in self._announced:
                    self._announced.add(number)
                    self.began(work)

    def _look(self) -> Generator[Finished, None, None]:
        """Yield results, and failures of jobs that ended, whose results have all arrived by then."""
        ended = {job: self.launcher.ended(job) for job in self._running}
        yield from self._arrived()
        for job, end in ended.items():
            if end is not None:
                batch = self._running.pop(job)
                left = [(number, work) for number, work in batch.works if number in self._left]
                if left:
                    yield from self._lose(Batch(batch.flavor, tuple(left)), end, first=batch.works[0][0])

    def _arrived(self) -> Generator[Finished, None, None]:
        """Yield new results."""
        with self.exchange.arrived() as found:
            for number, folder in found:
                work = self._left.pop(number, None)
                if work is not None:
                    self._never_began = 0
                    yield taken(work, folder)

    def _cancel(self) -> None:
        """Cancel all running jobs."""
        for job in list(self._running):
            self.launcher.cancel(job)
            del self._running[job]

    def _lose(self, batch: Batch, end: JobEnd, first: int) -> Generator[Finished, None, None]:
        """Repeat the works that a job left undone; the one that it was doing only as often as allowed."""
        left = dict(batch.works)
        if end.stage == "CANCELED":
            for number in left:
                yield self._failed(number, end)
            return
        if end.at is None:
            self._never_began, self._why = self._never_began + 1, end.how
            self._waiting.appendleft(batch)
            return
        at = end.at if end.at in left else next(iter(left))
        self._lost[at] += 1
        others = tuple((number, work) for number, work in batch.works if number != at)
        self._waiting.extend([Batch(batch.flavor, others)] if others else [])
        if self._lost[at] > self.retries or (end.timed_out and at == first):
            yield self._failed(at, end)
        else:
            self._waiting.append(Batch(batch.flavor, ((at, left[at]),)))

    def _failed(self, number: int, end: JobEnd) -> Finished:
        times = f" {self._lost[number]} times" if self._lost[number] > 1 else ""
        reason = f"its worker ended{times}: {end.how}"
        return Finished(self._left.pop(number), failure=CheckpointError(end.kind, reason))


def portable(work: Work) -> Portable:
    """Return a work's action, which can be sent."""
    assert isinstance(work.action, Portable)
    return work.action


def taken(work: Work, folder: Path) -> Finished:
    """Return the result of a work, or raise its exception."""
    raised = folder / RAISED
    try:
        if not raised.exists():
            return Finished(work, portable(work).take(folder))
        content = parse_json(raised.read_bytes())
        kind, message = getattr(errors, str(content["error"]), None), str(content["message"])
    except CheckpointError as failure:
        return Finished(work, failure=failure)
    except Exception as error:  # noqa: BLE001  # others may have written anything there
        reason = f"the result from its job cannot be read ({type(error).__name__}: {error})"
        return Finished(work, failure=CheckpointError("error", reason))
    if isinstance(kind, type) and issubclass(kind, InputError | DatasetError):
        raise kind(message)
    raise TransferScoreError(message)


GIGABYTE = 10**9
WEIGHTS_TIMES, EXTRA = 4, 2 * GIGABYTE
"""Memory for a candidate: a multiple of its weights, as for full fine-tuning, and some more."""

MINUTES = {"second": 1 / 60, "minute": 1.0, "hour": 60.0}
"""Units of the Hub's prices."""


@dataclass(frozen=True)
class Flavor:
    """A kind of machine: the bytes of its GPU's memory (or its own without one), and dollars per minute if known."""

    name: str
    memory: int
    gpus: int
    dollars: float | None = None


def read_flavors(listed: Iterable[Any]) -> list[Flavor]:
    """Return the machines in the Hub's list, the cheapest first."""
    found = []
    for one in listed:
        gpu = one.accelerator
        minutes = MINUTES.get(str(one.unit_label).lower().removesuffix("s"))
        dollars = None if minutes is None or one.unit_cost_usd is None else float(one.unit_cost_usd) / minutes
        memory, gpus = (one.ram, 0) if gpu is None else (gpu.vram, int(_number(gpu.quantity)))
        found.append(Flavor(str(one.name), int(_number(memory) * GIGABYTE), gpus, dollars))
    return sorted(found, key=lambda flavor: (flavor.dollars is None, flavor.dollars or 0.0, flavor.memory))


def flavor_for(flavors: Sequence[Flavor], weights: int, *, gpu: bool) -> Flavor:
    """Return the cheapest machine for weights of a size in bytes, with one GPU or none.

    Example:
        >>> known = [Flavor("cpu", 16 * 10**9, 0, 0.001), Flavor("small", 16 * 10**9, 1, 0.01),
        ...          Flavor("large", 80 * 10**9, 1, 0.1)]
        >>> [flavor_for(known, 10**9 * size, gpu=size > 0).name for size in (0, 3, 5)]
        ['cpu', 'small', 'large']
    """
    needed = WEIGHTS_TIMES * weights + EXTRA
    for one in flavors:
        if one.gpus == int(gpu) and one.memory >= needed:
            return one
    machine = "with one GPU" if gpu else "without a GPU"
    raise CheckpointError(
        "too_large",
        f"its weights have {weights / GIGABYTE:.1f} GB, and no machine {machine} has the {needed / GIGABYTE:.0f} GB of "
        "memory that it may need: name one with `flavor`",
    )


def _number(text: object) -> float:
    """Return the number at the start of a text such as "16 GB", 0 if there is none."""
    found = re.match(r"\s*(\d+(?:\.\d+)?)", str(text))
    return float(found[1]) if found else 0.0
