"""Which examples share a forward pass, and their preparation by threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.backbones.base import Backbone
from hf_transfer_score.sampling.sample import LabelledSample

SORTED_TOGETHER = 16_384
"""Texts that are tokenised at once to be sorted by length; more would only take more memory."""

ENCODED_AT_ONCE = 1_024


@dataclass(frozen=True)
class Prepared:
    """A batch that is ready for the forward pass.

    Attributes:
        examples: numbers of its examples in the sample.
        items: what `encode` made of each, kept to divide the batch where memory runs out.
        inputs: what `collate` made of all.
    """

    examples: NDArray[np.int64]
    items: Sequence[Any]
    inputs: dict[str, Any]


class Loader:
    """Batches of one sample for one backbone.

    Texts are encoded first and sorted by length, the longest first, so that batches hold little padding and memory runs
    out at once or never; sound is sorted by its bytes; images stay in order. What is in a batch depends on the sample
    and the batch size alone, not on the number of processes.
    """

    def __init__(self, backbone: Backbone, sample: LabelledSample, threads: int | None = None) -> None:
        self.backbone, self.sample = backbone, sample
        self.threads = threads or loader_threads()
        self._items: dict[int, Any] = {}

    def windows(self) -> Iterator[NDArray[np.int64]]:
        """Yield the examples in the order of their batches, some thousands at once."""
        everything = np.arange(len(self.sample))
        if self.sample.task.modality == "text":
            for start in range(0, len(everything), SORTED_TOGETHER):
                yield self._by_length(everything[start : start + SORTED_TOGETHER])
        elif self.sample.task.modality == "audio":
            yield everything[np.argsort(-self._bytes(), kind="stable")]
        else:
            yield everything

    def _by_length(self, examples: NDArray[np.int64]) -> NDArray[np.int64]:
        self._items = {}
        for start in range(0, len(examples), ENCODED_AT_ONCE):
            part = examples[start : start + ENCODED_AT_ONCE]
            self._items.update(zip(part.tolist(), self.backbone.encode(self.sample.examples(part)), strict=True))
        lengths = np.array([self.backbone.length(self._items[number]) for number in examples.tolist()])
        return examples[np.argsort(-lengths, kind="stable")]

    def _bytes(self) -> NDArray[np.int64]:
        import pyarrow.compute as pc

        sizes: NDArray[np.int64] = np.asarray(pc.binary_length(self.sample.table.column("input")), dtype=np.int64)
        return sizes

    def prepare(self, examples: NDArray[np.int64]) -> Prepared:
        """Encode and collate some examples."""
        if self._items:
            items: Sequence[Any] = [self._items[number] for number in examples.tolist()]
        else:
            items = self.backbone.encode(self.sample.examples(examples))
        return Prepared(examples, items, self.backbone.collate(items))

    def prepared(
        self, batches: Sequence[NDArray[np.int64]], finish: Callable[[Prepared], Prepared], *, ahead: bool = True
    ) -> Generator[Prepared, None, None]:
        """Yield batches in order, prepared by threads.

        Args:
            batches: the examples of each batch.
            finish: what else a thread does with a batch, such as moving it to pinned memory.
            ahead: prepare the next batches while the caller computes. Where it computes on the same cores that costs
                more than it wins: all threads of a forward pass wait for the one whose core was taken.
        """
        import torch

        cores = torch.get_num_threads()
        # a thread that calls torch would start helpers of its own, and those of the forward pass then sleep between
        # operations because there are too many
        pool = ThreadPoolExecutor(
            self.threads, thread_name_prefix="prepare", initializer=torch.set_num_threads, initargs=(1,)
        )
        tasks = (partial(self._finished, examples, finish) for examples in batches)
        try:
            yield from _ahead(pool, tasks, self.threads + 1) if ahead else _by_turns(pool, tasks, self.threads)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(cores)  # threads to come take over what was set last

    def _finished(self, examples: NDArray[np.int64], finish: Callable[[Prepared], Prepared]) -> Prepared:
        return finish(self.prepare(examples))


def _ahead(pool: Executor, tasks: Iterator[Callable[[], Prepared]], count: int) -> Iterator[Prepared]:
    """Yield results in order while the next ones are being made."""
    waiting: deque[Future[Prepared]] = deque()
    for task in tasks:
        waiting.append(pool.submit(task))
        if len(waiting) > count:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _by_turns(pool: Executor, tasks: Iterator[Callable[[], Prepared]], count: int) -> Iterator[Prepared]:
    """Yield results in order; none is being made while the caller has one."""
    while some := [pool.submit(task) for task in islice(tasks, count)]:
        wait(some)
        while some:
            yield some.pop(0).result()


def cut(examples: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Return consecutive parts of at most `size` examples."""
    return [examples[start : start + size] for start in range(0, len(examples), size)]


def loader_threads() -> int:
    """Return how many threads decode and preprocess: the cores this process may use, shared with its neighbours."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(8, available // neighbours))
