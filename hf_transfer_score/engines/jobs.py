"""`jobs`: candidates as jobs of Hugging Face, some of them in each job, with what they cost shown before."""

from __future__ import annotations

import shlex
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hf_transfer_score.engines.base import Finished, Portable, Work
from hf_transfer_score.engines.exchange import Exchange
from hf_transfer_score.engines.flavors import Flavor, flavor_for, read_flavors
from hf_transfer_score.engines.job_runs import Batch, JobRun, Launcher, refused
from hf_transfer_score.errors import CheckpointError, OptionError, check_least
from hf_transfer_score.hub.client import patiently, quiet_client
from hf_transfer_score.hub.repository import HubRepository
from hf_transfer_score.hub.settings import has_token
from hf_transfer_score.text import joined
from hf_transfer_score.version import VERSION

REPOSITORY = "transfer-score-jobs"
"""The dataset repository through which all goes, unless another is named."""

LISTED = 5
"""Names of candidates that are written out."""


@dataclass
class Jobs:
    """Carries out work as jobs of Hugging Face.

    Attributes:
        workers: jobs at a time, waiting ones included.
        batch: candidates of a job, which does one after the other.
        minutes: that a job may take.
        flavor: the machine, such as t4-small; without it the cheapest with a GPU that holds the candidate.
        namespace: whose jobs they are and who pays: you, or an organization of yours.
        to: the private dataset repository through which work and results go; without it transfer-score-jobs of the
            namespace.
        image: of Docker, with Python of this version.
        install: what pip installs in a job before it begins; "" where the image has everything.
        retries: how often a candidate is begun again whose job ended without a result.
        poll: seconds between two looks at the jobs.
        confirm: start without being asked whether the cost is fine.
        ask: shows what will be done at which cost, asks unless that is confirmed, and returns whether to start.
    """

    elsewhere: ClassVar[bool] = True
    workers: int = 4
    batch: int = 8
    minutes: int = 60
    flavor: str | None = None
    namespace: str | None = None
    to: str | None = None
    image: str = f"python:{sys.version_info.major}.{sys.version_info.minor}"
    install: str = f"hf-transfer-score=={VERSION}"
    retries: int = 1
    poll: float = 10.0
    confirm: bool = False
    ask: Callable[[str, bool], bool] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what makes no sense before anything is read."""
        check_least(self, workers=1, batch=1, minutes=1, retries=0)
        if self.poll <= 0:
            raise OptionError(f"poll={self.poll}: expected seconds above 0.")
        if not has_token():
            raise OptionError("engine='jobs' starts jobs in your name: log in with `hf auth login`, or set HF_TOKEN.")

    def run(self, works: Iterable[Work], began: Callable[[Work], None]) -> Generator[Finished, None, None]:
        """Yield each work once when it has come back; closing it cancels the jobs that run."""
        with quiet_client():
            batches, refused = self._planned(works)
            for done in refused:
                began(done.work)
                yield done
            if not batches:
                return
            namespace = self.namespace or str(patiently(self._api.whoami)["name"])
            exchange = Exchange(
                HubRepository(self.to or f"{namespace}/{REPOSITORY}", private=True), uuid.uuid4().hex[:12]
            )
            self._agree(batches, refused, exchange.repository.name)
            exchange.open()
            launcher = Launcher(self._api, namespace, self.image, self._script, 60 * self.minutes)
            yield from JobRun(exchange, launcher, batches, began, self.workers, self.retries, self.poll).results()

    def close(self) -> None:
        """Nothing is held."""

    @property
    def _api(self) -> Any:
        return HubRepository("").api

    def _script(self, arguments: Sequence[str]) -> str:
        """Return what a job does, as a line of the shell; no token is in it."""
        begin = shlex.join(["python", "-m", "hf_transfer_score.engines.in_job", *arguments])
        install = shlex.join(["python", "-m", "pip", "install", "--quiet", *shlex.split(self.install)])
        return f"{install} && {begin}" if self.install else begin

    def _planned(self, works: Iterable[Work]) -> tuple[list[Batch], list[Finished]]:
        """Return the works in batches for one machine each, and those that no job can do."""
        flavors, refused = self._flavors(), []
        by_flavor: dict[Flavor, list[tuple[int, Work]]] = {}
        for number, work in enumerate(works):
            try:
                by_flavor.setdefault(self._flavor_of(work, flavors), []).append((number, work))
            except CheckpointError as failure:
                refused.append(Finished(work, failure=failure))
        batches = []
        for flavor, found in by_flavor.items():
            size = min(self.batch, -(-len(found) // self.workers))
            batches += [Batch(flavor, tuple(found[start : start + size])) for start in range(0, len(found), size)]
        return batches, refused

    def _flavor_of(self, work: Work, flavors: Sequence[Flavor]) -> Flavor:
        """Return the machine for a work; CheckpointError where no job can do it."""
        if not isinstance(work.action, Portable):
            raise OptionError("engine='jobs' can only do what can be sent: rank and verify.")
        if work.action.bound:
            raise CheckpointError("unsupported", f"{work.action.bound}, and jobs run elsewhere: put it on the Hub")
        if self.flavor is None:
            return flavor_for(flavors, work.weights, gpu=work.gpu)
        named = [one for one in flavors if one.name == self.flavor]
        if flavors and not named:
            known = ", ".join(one.name for one in flavors)
            raise OptionError(f"flavor={self.flavor!r}: expected one of {known}.")
        return named[0] if named else Flavor(self.flavor, 0, 0)

    def _flavors(self) -> list[Flavor]:
        """Return the machines with their prices; none where one is named and the Hub lists none."""
        try:
            return read_flavors(patiently(self._api.list_jobs_hardware))
        except Exception as error:
            if self.flavor is not None:
                return []
            raise refused("asked which machines there are for jobs", error) from error

    def _agree(self, batches: Sequence[Batch], refused: Sequence[Finished], repository: str) -> None:
        """Show what will be done and what it may cost, and go on only where that is agreed to."""
        told = "\n".join(self._cost(batches, refused, repository))
        if self.ask is None and not self.confirm:
            raise OptionError(f"{told}\nNobody can be asked here whether that is fine: say so with confirm=True.")
        if self.ask is not None and not self.ask(told, self.confirm):
            raise OptionError("Nothing was started.")

    def _cost(self, batches: Sequence[Batch], refused: Sequence[Finished], repository: str) -> list[str]:
        """Return what will be done and what it may cost, in lines."""
        works = sum(len(one.works) for one in batches)
        lines = [
            f"{_count(works, 'candidate')} in {_count(len(batches), 'job')} of Hugging Face, {self.workers} at a time:"
        ]
        dollars: list[float | None] = []
        for flavor, count in Counter(one.flavor for one in batches).items():
            rate = "at a price that the Hub does not tell"
            dollars.append(None)
            if flavor.dollars is not None:
                price = dollars[-1] = count * self.minutes * flavor.dollars
                rate = f"${60 * flavor.dollars:.2f} an hour: ${price:.2f} at most"
            lines.append(f"  {count} x {flavor.name}, {self.minutes} min at most, {rate}")
        most = None if None in dollars else sum(one or 0.0 for one in dollars)
        total = "What that costs is not known" if most is None else f"Together at most ${most:.2f}"
        times = "once" if self.retries == 1 else f"{self.retries} times"
        again = f"; a job that dies is begun again, at most {times} for each candidate"
        lines.append(f"{total}{again if self.retries else ''}.")
        lines.append(f"Your sample goes through {repository}, a private dataset repository, and so do the results.")
        if refused:
            names = [one.work.name for one in refused[:LISTED]]
            more = [f"{len(refused) - LISTED} more"] if len(refused) > LISTED else []
            lines.append(f"Left out, since no job can do them: {joined([*names, *more])}.")
        return lines


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
