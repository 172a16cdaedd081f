"""`ray`: candidates as tasks of Ray, on a running cluster or on this machine."""

import math
import os
import signal
import socket
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from threading import current_thread, main_thread
from typing import Any, ClassVar

from hf_transfer_score.engines.base import Finished, Work, WorkerLostError, extra, hand_out
from hf_transfer_score.errors import OptionError, check_least
from hf_transfer_score.metrics.class_stats import cores

AWAKE_SECONDS = 0.5
"""How often to notice that the run was interrupted."""

CONNECT_SECONDS = 10.0
"""How long a cluster may take to answer."""

CORES = 4
"""Per candidate, without GPUs and without a number of workers."""

STORE_BYTES = 200_000_000
"""Shared memory of a cluster on this machine: features go through files, and everything else is small."""

STEPS = 20
"""A GPU is shared in twentieths."""


@dataclass
class Ray:
    """Runs work as tasks of Ray.

    Attributes:
        workers: candidates at a time; without it one per GPU, or else one per four cores of the cluster.
        address: of a running cluster; without it RAY_ADDRESS, or else a cluster on this machine that ends with the run.
        retries: how often a candidate is repeated whose worker ended.
    """

    elsewhere: ClassVar[bool] = True
    workers: int | None = None
    address: str | None = None
    retries: int = 2
    _began_cluster: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        check_least(self, workers=1, retries=0)
        extra("ray", "ray")

    def run(self, works: Iterable[Work], began: Callable[[Work], None]) -> Generator[Finished, None, None]:
        """Yield each work when it is finished."""
        self._connect()
        tasks = _Tasks(self.workers)
        yield from hand_out(works, began, tasks, most=tasks.at_once, retries=self.retries)

    def close(self) -> None:
        """Leave the cluster, and end it if it was started here."""
        if self._began_cluster:
            extra("ray", "ray").shutdown()
            self._began_cluster = False

    def _connect(self) -> None:
        """Join the cluster that is named, or start one on this machine."""
        ray = extra("ray", "ray")
        if ray.is_initialized():
            return
        address = self.address or os.environ.get("RAY_ADDRESS")
        check_reachable(address or "")
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address is None:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            slots = max(cores(), self.workers or 1)
            quiet |= {"num_cpus": slots, "include_dashboard": False, "object_store_memory": STORE_BYTES}
        ending = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address=address or "local", **quiet)
            if callable(ending) and current_thread() is main_thread():
                signal.signal(signal.SIGTERM, ending)  # Ray's own handler would abort the run
        except (ConnectionError, ValueError, RuntimeError) as error:  # such as another version of Ray
            raise OptionError(f"address={address!r}: no cluster of Ray can be joined there ({error}).") from None
        self._began_cluster = True


def check_reachable(address: str) -> None:
    """Refuse a HOST:PORT where nobody answers; Ray would try for minutes, and end this process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise OptionError(f"address={address!r}: no cluster of Ray can be reached there ({error}).") from None


class _Tasks:
    """Runs work as tasks of the cluster that this process has joined."""

    def __init__(self, workers: int | None) -> None:
        self.ray = extra("ray", "ray")
        whole = self.ray.cluster_resources()
        total, self.gpus = int(whole.get("CPU", 1)), int(whole.get("GPU", 0))
        largest = max(int(node["Resources"].get("CPU", 0)) for node in self.ray.nodes() if node["Alive"])
        self.at_once = workers or self.gpus or max(1, total // CORES)
        self.cores = max(1, min(total // self.at_once, largest))
        self.memory = GpuMemory()
        self._task = self.ray.remote(max_retries=0)(_carry_out)
        self._weights: dict[Any, int] = {}

    def start(self, work: Work) -> Any:
        """Start a task; Ray limits its libraries to as many threads as cores."""
        share = self.memory.share(work.weights) if self.gpus and work.gpu else 0
        handle = self._task.options(num_cpus=self.cores, num_gpus=share).remote(work.action, share)
        self._weights[handle] = work.weights
        return handle

    def over(self, handles: Sequence[Any]) -> list[Any]:
        """Return finished tasks."""
        done: list[Any] = self.ray.wait(list(handles), num_returns=1, timeout=AWAKE_SECONDS)[0]
        return done

    def value(self, handle: Any) -> Any:
        """Return the result of a task, and note how much memory it took."""
        weights = self._weights.pop(handle)
        known = self.ray.exceptions
        try:
            value, *used = self.ray.get(handle)
        except known.RayTaskError as error:
            raise error.cause from None
        except known.OutOfMemoryError:
            raise WorkerLostError("the memory of its machine was full", "out_of_memory") from None
        except known.RayError as error:
            raise WorkerLostError(f"{type(error).__name__}, possibly for lack of memory") from None
        self.memory.learn(weights, *used)
        return value

    def cancel(self, handle: Any) -> None:
        """End a task with its worker."""
        self.ray.cancel(handle, force=True)


class GpuMemory:
    """Estimates the share of a GPU that a candidate needs; the first ones get a whole one.

    The memory that a candidate needs besides its weights is assumed to be the most that any needed so far.

    Example:
        >>> memory = GpuMemory()
        >>> memory.share(100)
        1.0
        >>> memory.learn(weights=100, used=300, total=4000)
        >>> memory.share(200), memory.share(0), memory.share(5000)
        (0.1, 0.05, 1.0)
    """

    def __init__(self) -> None:
        self._extra = self._total = 0

    def share(self, weights: int) -> float:
        """Return the share for weights of a size in bytes."""
        if not self._total:
            return 1.0
        return min(math.ceil(STEPS * (weights + self._extra) / self._total), STEPS) / STEPS

    def learn(self, weights: int, used: int, total: int) -> None:
        """Note the bytes of memory that a candidate used, and of the whole GPU; 0 without a GPU."""
        self._extra, self._total = max(self._extra, used - weights), max(self._total, total)


def _carry_out(action: Callable[[], Any], share: float) -> tuple[Any, int, int]:
    """Return an action's result, the GPU memory that it took, and the total; called in a worker."""
    if not share:
        return action(), 0, 0
    import torch

    if not torch.cuda.is_available():
        return action(), 0, 0
    torch.cuda.set_per_process_memory_fraction(share)  # batches become smaller if that is too little
    torch.cuda.reset_peak_memory_stats()
    value = action()
    return value, torch.cuda.max_memory_reserved(), torch.cuda.get_device_properties(0).total_memory
