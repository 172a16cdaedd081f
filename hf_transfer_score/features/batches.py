"""Which examples share a forward pass; threads prepare them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from threading import Condition
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.backbones.base import Backbone
from hf_transfer_score.limits import PIXELS_AT_ONCE, PIXELS_TOGETHER
from hf_transfer_score.sampling.sample import LabelledSample

SORTED_TOGETHER = 16_384
"""Texts that are tokenised at once to be sorted by length; more would only take more memory."""

ENCODED_AT_ONCE = 1_024


@dataclass(frozen=True)
class PreparedBatch:
    """A batch that is ready for the forward pass.

    Attributes:
        examples: numbers of its examples in the sample.
        items: what `encode` made of each, kept to divide the batch where memory runs out.
        inputs: what `collate` made of all.
    """

    examples: NDArray[np.int64]
    items: Sequence[Any]
    inputs: dict[str, Any]


class Room:
    """What threads share: each waits until what it needs is free, or until it is alone."""

    def __init__(self, most: int) -> None:
        self.most, self.used = most, 0
        self.changed = Condition()

    @contextmanager
    def room(self, amount: int) -> Iterator[None]:
        """Hold some of it for a while."""
        with self.changed:
            self.changed.wait_for(lambda: not self.used or self.used + amount <= self.most)
            self.used += amount
        try:
            yield
        finally:
            with self.changed:
                self.used -= amount
                self.changed.notify_all()


DECODED = Room(PIXELS_AT_ONCE)
"""Pixels of images that the threads of this process hold decoded."""


def parts(sizes: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Return where consecutive parts start and end that are at most so large together; a larger one is a part alone.

    Example:
        >>> parts([3, 3, 9, 1, 1], 6)
        [(0, 2), (2, 3), (3, 5)]
    """
    found, start, total = [], 0, 0
    for place, size in enumerate(sizes):
        if place > start and total + size > most:
            found.append((start, place))
            start, total = place, 0
        total += size
    return [*found, (start, len(sizes))]


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
            import pyarrow.compute as pc

            sizes = np.asarray(pc.binary_length(self.sample.table.column("input")), dtype=np.int64)
            yield everything[np.argsort(-sizes, kind="stable")]
        else:
            yield everything

    def _by_length(self, examples: NDArray[np.int64]) -> NDArray[np.int64]:
        self._items = {}
        for start in range(0, len(examples), ENCODED_AT_ONCE):
            part = examples[start : start + ENCODED_AT_ONCE]
            self._items.update(zip(part.tolist(), self.backbone.encode(self.sample.examples(part)), strict=True))
        lengths = np.array([self.backbone.length(self._items[number]) for number in examples.tolist()])
        return examples[np.argsort(-lengths, kind="stable")]

    def prepare(self, examples: NDArray[np.int64]) -> PreparedBatch:
        """Encode and collate some examples."""
        if self._items:
            items = [self._items[number] for number in examples.tolist()]
        elif self.sample.task.modality != "image":
            items = self.backbone.encode(self.sample.examples(examples))
        else:  # of large images no more are decoded at the same time than there is room for
            items, pixels = [], self.sample.pixels(examples)
            for start, end in parts(pixels, PIXELS_TOGETHER):
                with DECODED.room(sum(pixels[start:end])):
                    items += self.backbone.encode(self.sample.examples(examples[start:end]))
        return PreparedBatch(examples, items, self.backbone.collate(items))

    def prepared(
        self,
        batches: Sequence[NDArray[np.int64]],
        finish: Callable[[PreparedBatch], PreparedBatch],
        *,
        ahead: bool = True,
    ) -> Generator[PreparedBatch, None, None]:
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

        def task(examples: NDArray[np.int64]) -> PreparedBatch:
            return finish(self.prepare(examples))

        waiting: deque[Future[PreparedBatch]] = deque()
        todo = iter(batches)
        try:
            if ahead:
                for examples in todo:
                    waiting.append(pool.submit(task, examples))
                    if len(waiting) > self.threads + 1:
                        yield waiting.popleft().result()
            # else none is being prepared while the caller has one
            while some := [pool.submit(task, examples) for examples in islice(todo, self.threads)]:
                wait(some)
                while some:
                    yield some.pop(0).result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(cores)  # threads to come take over what was set last


def cut(examples: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Return consecutive parts of at most `size` examples."""
    return [examples[start : start + size] for start in range(0, len(examples), size)]


def loader_threads() -> int:
    """Return how many threads decode and preprocess: the cores this process may use, shared with its neighbours."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(8, available // neighbours))
