"""Work in the background: the weights of the next candidate are downloaded, and cached features are scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from hf_transfer_score.checkpoints.resolve import Fetched, fetch
from hf_transfer_score.features.batches import Processes
from hf_transfer_score.features.cache import CachedFeatures
from hf_transfer_score.hub.downloads import Background, result_of
from hf_transfer_score.metrics.class_stats import ONE_THREAD_WIDTH, cores, one_thread
from hf_transfer_score.metrics.registry import Metric
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.runs.plan import Plan, PlannedModel

Found = list[RankedModel]

FEW = 32_000_000
"""Most values in the features of a candidate that is scored in parallel with others: a hundred MB or so."""

AT_ONCE = 8
"""Candidates scored in parallel at most, so that many cores do not fill the memory."""


def few_enough(cached: CachedFeatures, metrics: Sequence[Metric]) -> bool:
    """Return whether several candidates like this fit into memory, and one core for each is enough."""
    shapes = [one.shape for one in cached.features.values()]
    fast = not any(metric.slow for metric in metrics)
    return fast and sum(rows * width for rows, width in shapes) <= FEW and max(w for _, w in shapes) <= ONE_THREAD_WIDTH


class ScoresAhead:
    """Scores candidates whose features are cached, several in parallel, in their order.

    A job returns the scores of a candidate, or None if it has to be scored at its turn. Meanwhile linear algebra uses
    one thread per candidate.
    """

    def __init__(self, jobs: Mapping[str, Callable[[], Found | None]]) -> None:
        at_once = min(cores(), AT_ONCE)
        self._jobs = jobs if at_once > 1 and len(jobs) > 1 else {}
        self._started: dict[str, Future[Found | None]] = {}
        self._open = ExitStack()
        self._pool = ThreadPoolExecutor(at_once)

    def take(self, name: str) -> Found | None:
        """Return the scores of a candidate; None if it has to be scored now."""
        future = self._started.pop(name, None)
        try:
            return None if future is None else future.result()
        finally:
            if not self._started:
                self._open.close()

    def cancel(self) -> None:
        """Drop the jobs that have not started."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> ScoresAhead:
        if self._jobs:
            self._open.enter_context(one_thread())
        self._started = {name: self._pool.submit(job) for name, job in self._jobs.items()}
        return self

    def __exit__(self, *_: object) -> None:
        """Drop the jobs that have not started."""
        self.cancel()
        self._open.close()


class Downloads:
    """Downloads the weights of the next candidate while the current one runs."""

    def __init__(self, plan: Plan, processes: Processes, *, free: bool) -> None:
        self.ahead, self.free = processes.local_index == 0, free
        self.waiting = [model for model in plan.models if model.state in ("download", "on disk")]
        self.background = Background()
        self.started: dict[str, Future[Fetched]] = {}

    def take(self, model: PlannedModel) -> Fetched:
        """Return the files of a candidate, and start the download of the one after it."""
        future = self._start(model)
        after = self.waiting.index(model) + 1
        if self.ahead and after < len(self.waiting):
            self._start(self.waiting[after])
        fetched = result_of(future)
        del self.started[model.name]
        return fetched

    def _start(self, model: PlannedModel) -> Future[Fetched]:
        if model.name not in self.started:
            assert model.checkpoint is not None
            self.started[model.name] = self.background.submit(partial(fetch, model.checkpoint, model.files))
        return self.started[model.name]

    def cancel(self) -> None:
        """Drop the downloads that have not started."""
        self.background.close()

    def __enter__(self) -> Downloads:
        """Return itself; nothing starts before the first turn."""
        return self

    def __exit__(self, *_: object) -> None:
        """Drop the downloads that have not started; to free disk, also remove files that were never used."""
        self.cancel()
        for future in self.started.values():
            if self.free and future.done() and not future.cancelled() and future.exception() is None:
                future.result().free()
