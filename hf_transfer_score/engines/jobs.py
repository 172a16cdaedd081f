"""`jobs`: several candidates in each job of Hugging Face, with the cost shown before."""

import shlex
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hf_transfer_score.engines.base import Finished, Portable, Work
from hf_transfer_score.engines.exchange import Exchange
from hf_transfer_score.engines.job_runs import Batch, Flavor, JobRun, Launcher, flavor_for, read_flavors, refused
from hf_transfer_score.errors import CheckpointError, OptionError, check_least
from hf_transfer_score.hub.client import patiently, quiet_client
from hf_transfer_score.hub.repository import HubRepository
from hf_transfer_score.hub.settings import has_token
from hf_transfer_score.text import counted, joined
from hf_transfer_score.version import VERSION

REPOSITORY = "transfer-score-jobs"
"""The dataset repository for work and results, unless another is named."""

LISTED = 5
"""Most names of candidates in a message."""


@dataclass
class Jobs:
    """Runs work as jobs of Hugging Face.

    Attributes:
        workers: jobs at a time, including waiting ones.
        batch: candidates per job, one after another.
        minutes: time limit of a job.
        flavor: the machine, such as t4-small; without it the cheapest with a GPU that holds the candidate.
        namespace: the owner of the jobs, who pays: you, or an organization of yours.
        to: the private dataset repository for work and results; without it transfer-score-jobs of the namespace.
        image: of Docker, with this version of Python.
        install: what pip installs in a job before it starts; "" if the image has everything.
        retries: how often a candidate is repeated whose job ended without a result.
        poll: seconds between two requests for the state of the jobs.
        confirm: start without asking whether the cost is fine.
        ask: shows the plan and its cost, asks unless that is confirmed, and returns whether to start.
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
        check_least(self, workers=1, batch=1, minutes=1, retries=0)
        if self.poll <= 0:
            raise OptionError(f"poll={self.poll}: expected seconds above 0.")
        if not has_token():
            raise OptionError("engine='jobs' starts jobs in your name: log in with `hf auth login`, or set HF_TOKEN.")

    def run(self, works: Iterable[Work], began: Callable[[Work], None]) -> Generator[Finished, None, None]:
        """Yield each work when its result has arrived; closing the generator cancels running jobs."""
        with quiet_client():
            batches, refused = self._planned(works)
            for done in refused:
                began(done.work)
                yield done
            if not batches:
                return
            namespace = self.namespace or str(patiently(self._api.whoami)["name"])
            repository = HubRepository(self.to or f"{namespace}/{REPOSITORY}", private=True)
            exchange = Exchange(repository, uuid.uuid4().hex[:12])
            self._agree(batches, refused, exchange.repository.name)
            exchange.open()
            launcher = Launcher(self._api, namespace, self.image, self._script, 60 * self.minutes)
            yield from JobRun(exchange, launcher, batches, began, self.workers, self.retries, self.poll).results()

    def close(self) -> None:
        """There is nothing to release."""

    @property
    def _api(self) -> Any:
        return HubRepository("").api

    def _script(self, arguments: Sequence[str]) -> str:
        """Return the shell command of a job, without any token."""
        begin = shlex.join(["python", "-m", "hf_transfer_score.engines.in_job", *arguments])
        install = shlex.join(["python", "-m", "pip", "install", "--quiet", *shlex.split(self.install)])
        return f"{install} && {begin}" if self.install else begin

    def _planned(self, works: Iterable[Work]) -> tuple[list[Batch], list[Finished]]:
        """Return the works in batches, each for one machine, and those that no job can do."""
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
            raise OptionError("engine='jobs' only supports rank and verify.")
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
        """Return the machines with their prices; none if one is named and the Hub does not answer."""
        try:
            return read_flavors(patiently(self._api.list_jobs_hardware))
        except Exception as error:
            if self.flavor is not None:
                return []
            raise refused("asked which machines there are for jobs", error) from error

    def _agree(self, batches: Sequence[Batch], refused: Sequence[Finished], repository: str) -> None:
        """Show the plan and its cost, and go on only if that is confirmed."""
        plan = "\n".join(self._cost(batches, refused, repository))
        if self.ask is None and not self.confirm:
            raise OptionError(f"{plan}\nNobody can be asked for confirmation here: give it with confirm=True.")
        if self.ask is not None and not self.ask(plan, self.confirm):
            raise OptionError("Nothing was started.")

    def _cost(self, batches: Sequence[Batch], refused: Sequence[Finished], repository: str) -> list[str]:
        """Return the plan and its cost, in lines."""
        works = counted(sum(len(one.works) for one in batches), "candidate")
        lines = [f"{works} in {counted(len(batches), 'job')} of Hugging Face, {self.workers} at a time:"]
        total: float | None = 0.0
        for flavor, count in Counter(one.flavor for one in batches).items():
            if flavor.dollars is None:
                total, rate = None, "at an unknown price"
            else:
                price = count * self.minutes * flavor.dollars
                total = None if total is None else total + price
                rate = f"${60 * flavor.dollars:.2f} an hour: ${price:.2f} at most"
            lines.append(f"  {count} x {flavor.name}, {self.minutes} min at most, {rate}")
        cost = "The total cost is unknown" if total is None else f"Together at most ${total:.2f}"
        times = "once" if self.retries == 1 else f"{self.retries} times"
        again = f"; a job that fails is repeated, at most {times} per candidate" if self.retries else ""
        lines.append(f"{cost}{again}.")
        lines.append(f"Your sample and the results go through {repository}, a private dataset repository.")
        if refused:
            names = joined([one.work.name for one in refused], LISTED)
            lines.append(f"Left out, since no job can do them: {names}.")
        return lines
