"""`slurm`: each candidate as a job of Slurm, by submitit."""

import shutil
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from hf_transfer_score.engines.base import (
    Finished,
    NotStartedError,
    Work,
    WorkerLostError,
    extra,
    hand_out,
    raised_or,
    tried,
)
from hf_transfer_score.errors import FailureKind, OptionError, check_known, check_least
from hf_transfer_score.home import home
from hf_transfer_score.text import one_line

LOOK_SECONDS = 0.2
"""Between two checks of the jobs; submitit itself asks Slurm at most every two seconds."""

LOST: dict[str, tuple[FailureKind, str]] = {
    "OUT_OF_MEMORY": ("out_of_memory", "it took more memory than the limit; raise that with `memory`"),
    "TIMEOUT": ("error", "it took longer than the time limit; raise that with `minutes`"),
    "NODE_FAIL": ("error", "its machine failed"),
    "BOOT_FAIL": ("error", "its machine failed"),
    "PREEMPTED": ("error", "another job took its place"),
    "CANCELLED": ("error", "somebody cancelled it"),
    "FAILED": ("error", "its process ended without a result"),
    "INTERRUPTED": ("error", "its process was killed"),
    "FINISHED": ("error", "its process ended without a result"),
}
"""Why a job left no result, by its state in Slurm (or in submitit, for local processes)."""


@dataclass
class Slurm:
    """Runs work as jobs of Slurm.

    Attributes:
        workers: jobs at a time, including waiting ones.
        partition: where they run; without it Slurm's default.
        account: that is charged for them.
        minutes: time limit of a job.
        cores: per job.
        memory: per job, in GB.
        gpus: per job.
        retries: how often a candidate is repeated whose job ended without a result.
        folder: for scripts and logs of jobs, on a disk that all machines share; without it beside the features.
        cluster: slurm; or local, which runs jobs as processes on this machine, to try things out.
    """

    elsewhere: ClassVar[bool] = True
    workers: int = 16
    partition: str | None = None
    account: str | None = None
    minutes: int = 60
    cores: int = 4
    memory: int = 16
    gpus: int = 0
    retries: int = 2
    folder: str | None = None
    cluster: str = "slurm"

    def __post_init__(self) -> None:
        check_least(self, workers=1, minutes=1, cores=1, memory=1, gpus=0, retries=0)
        check_known(self, cluster=("slurm", "local"))
        extra("submitit", "slurm")
        if self.cluster == "slurm" and shutil.which("srun") is None:
            raise OptionError(
                "engine='slurm' finds no Slurm on this computer (no srun): start it on a machine that can submit jobs, "
                "or try it here with cluster='local'."
            )

    def run(self, works: Iterable[Work], began: Callable[[Work], None]) -> Generator[Finished, None, None]:
        """Yield each work when it is finished."""
        folder = Path(self.folder).expanduser() if self.folder else home() / "slurm"
        executor = extra("submitit", "slurm").AutoExecutor(folder=folder.absolute(), cluster=self.cluster)
        asked: dict[str, Any] = {
            "name": "hf-transfer-score",
            "timeout_min": self.minutes,
            "cpus_per_task": self.cores,
            "mem_gb": self.memory,
            "gpus_per_node": self.gpus,
            "slurm_partition": self.partition,
            "slurm_account": self.account,
        }
        executor.update_parameters(**{name: value for name, value in asked.items() if value})
        yield from hand_out(works, began, _Jobs(executor), most=self.workers, retries=self.retries)

    def close(self) -> None:
        """There is nothing to release."""


@dataclass(frozen=True)
class _Jobs:
    """Runs work as jobs of an executor of submitit."""

    executor: Any

    def start(self, work: Work) -> Any:
        """Submit a job, a new process that only gets the work."""
        known = extra("submitit", "slurm").core.utils
        try:
            return self.executor.submit(partial(tried, work.action))
        except (known.UncompletedJobError, known.FailedSubmissionError) as error:
            raise NotStartedError(f"Slurm did not take a job: {one_line(str(error), 300)}") from None

    def over(self, handles: Sequence[Any]) -> list[Any]:
        """Return finished jobs."""
        done = [job for job in handles if job.done()]
        if not done:
            time.sleep(LOOK_SECONDS)
        return done

    def value(self, handle: Any) -> Any:
        """Return the result of a job and remove its files; those of a job without a result stay."""
        state = str(handle.state).upper().split()[0]
        if state in LOST and not handle.paths.result_pickle.exists():
            kind, how = LOST[state]
            raise WorkerLostError(f"{how} (job {handle.job_id}, {handle.paths.stderr})", kind)
        try:
            outcome = handle.result()
        except extra("submitit", "slurm").core.utils.UncompletedJobError as error:
            raise WorkerLostError(str(error).splitlines()[0]) from None
        for path in handle.paths.folder.glob(f"{handle.job_id}_*"):
            path.unlink(missing_ok=True)
        return raised_or(outcome)

    def cancel(self, handle: Any) -> None:
        """End a job."""
        handle.cancel(check=False)
