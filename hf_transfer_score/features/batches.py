"""Processes that share an extraction, and batches of examples, which threads prepare."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.backbones.base import Backbone
from hf_transfer_score.errors import CheckpointError, NoSpaceError, TransferScoreError
from hf_transfer_score.home import fullness, no_space
from hf_transfer_score.sampling.media import DECODED
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.untrusted import PIXELS_TOGETHER

if TYPE_CHECKING:
    import torch

Value = TypeVar("Value")

ACCELERATORS = ("cuda", "xpu", "mps")

SORTED_TOGETHER = 16_384
"""Texts that are tokenised and sorted by length together; more would only take more memory."""

ENCODED_AT_ONCE = 1_024

TOKENS_TOGETHER, MOST_TEXTS = 1_024, 128
"""Of a batch of texts on a CPU, padding included: enough for fast products, and the results still fit in its caches."""

FEWEST_TRIED, SHARE_TRIED = 8, 0.25
"""Of a batch on a CPU only a part is tried in several ways."""

DECODING_SECONDS = 1e-8
"""Of a pixel of a JPEG, with resizing."""

TIMES_THE_SIDE = 2
"""Large JPEGs are decoded at no less than so many times the size of a network's input."""


@dataclass(frozen=True)
class Processes:
    """This process among those that share the work: its index there and on its machine; process 0 writes and prints."""

    index: int = 0
    count: int = 1
    local_index: int = 0

    @classmethod
    def current(cls) -> Processes:
        """Return this process as its launcher describes it, and join the group if there is one."""
        if int(os.environ.get("WORLD_SIZE", "1")) <= 1:  # not started by a launcher such as accelerate or torchrun
            return cls()
        from accelerate import PartialState

        with_accelerator = any(_has(name) for name in ACCELERATORS)
        state = PartialState() if with_accelerator else PartialState(cpu=True)  # accelerate does not fall back itself
        return cls(state.process_index, state.num_processes, state.local_process_index)

    @property
    def is_main(self) -> bool:
        """Whether this process writes and prints for all."""
        return self.index == 0

    def leave(self) -> None:
        """Leave the group once all processes have come this far; otherwise those that end can abort the others."""
        if self.count > 1:
            from accelerate import PartialState

            state = PartialState()
            state.wait_for_everyone()
            state.destroy_process_group()

    def gather(self, value: Value) -> list[Value]:
        """Return every process's value, in order, in every process."""
        if self.count == 1:
            return [value]
        from accelerate.utils import gather_object

        gathered: list[Value] = gather_object([value])
        return gathered

    def from_main(self, value: Value) -> Value:
        """Return the main process's value in every process."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        holder: list[Any] = [value]
        broadcast_object_list(holder, from_process=0)
        received: Value = holder[0]
        return received

    def together(self, action: Callable[[], Value]) -> Value:
        """Run something in every process; where it fails in one, all raise that failure, so that none waits forever."""
        value, failure = attempt(action)
        self.agree(failure)
        return value  # type: ignore[return-value]  # without a failure there is a value

    def first_main(self, action: Callable[[], Value]) -> Value:
        """Run something in the first process of each machine, then in the others, which find the work done."""
        value, failure = attempt(action) if self.local_index == 0 else (None, None)
        self.agree(failure)
        if self.local_index != 0:
            value, failure = attempt(action)
        self.agree(failure)
        return value  # type: ignore[return-value]

    def agree(self, failure: Exception | None) -> None:
        """Raise the first failure of any process in all of them."""
        for found in self.gather(failure):
            if found is not None:
                raise found


def attempt(action: Callable[[], Value]) -> tuple[Value | None, Exception | None]:
    """Return the result of an action, or its failure; exceptions of libraries become CheckpointErrors."""
    try:
        return action(), None
    except TransferScoreError as error:
        return None, error
    except Exception as error:  # noqa: BLE001  # whatever a library raises is a failure of this checkpoint
        if fullness(error) is not None:
            return None, no_space(error, "what a library writes", Path(tempfile.gettempdir()))
        return None, as_checkpoint_error(error)


def as_checkpoint_error(error: Exception) -> CheckpointError:
    """Return the CheckpointError for an exception of a library."""
    if isinstance(error, NoSpaceError):
        return CheckpointError("no_space", str(error))
    if is_out_of_memory(error):
        return CheckpointError("out_of_memory", f"does not fit into memory: {first_line(error)}")
    return CheckpointError("error", f"{type(error).__name__}: {first_line(error)}")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on the accelerator or not."""
    if isinstance(error, MemoryError):
        return True
    text = str(error)
    words = ("out of memory", "DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "cuDNN error: CUDNN_STATUS_NOT_SUPP")
    return isinstance(error, RuntimeError) and any(word in text for word in words)


def first_line(error: BaseException) -> str:
    """Return the first line of a message that is not empty."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)


def choose_device(wanted: str | None, processes: Processes) -> torch.device:
    """Return the device of this process: the one asked for, else an accelerator, else the CPU."""
    import torch
    from accelerate import PartialState

    if wanted is not None:
        return torch.device(wanted)
    if processes.count > 1:
        device: torch.device = PartialState().device
        return device
    return torch.device(next((name for name in ACCELERATORS if _has(name)), "cpu"))


def _has(name: str) -> bool:
    """Whether there is an accelerator of that name."""
    import torch

    module: Any = getattr(torch, name, None)
    return module is not None and hasattr(module, "is_available") and bool(module.is_available())


@dataclass(frozen=True)
class PreparedBatch:
    """Examples of a sample by number, with their inputs; the items are kept to split the batch if memory runs out."""

    examples: NDArray[np.int64]
    items: Sequence[Any]
    inputs: dict[str, Any]

    def pinned(self) -> PreparedBatch:
        """Return it in memory from which a GPU copies while it computes."""
        pinned = {name: one.pin_memory() if hasattr(one, "pin_memory") else one for name, one in self.inputs.items()}
        return PreparedBatch(self.examples, self.items, pinned)


def parts(sizes: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Return the start and end of consecutive parts with a sum of sizes of at most `most`, or a single larger one.

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

    Texts are encoded first and sorted by length, the longest first, so that batches have little padding and memory runs
    out at once or never; sounds are sorted by their bytes; images stay in order. How many processes there are does not
    change the batches.
    """

    def __init__(self, backbone: Backbone, sample: LabelledSample, threads: int | None = None) -> None:
        self.backbone, self.sample = backbone, sample
        # the cores this process may use, shared with its neighbours
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        self.threads = threads or max(1, min(8, available // neighbours))
        self._items: dict[int, Any] = {}
        self.least_side: int | None = None  # to which large JPEGs may be decoded, None for their own size

    def windows(self) -> Iterator[NDArray[np.int64]]:
        """Yield the examples in the order of their batches, some thousands at a time."""
        everything = np.arange(len(self.sample))
        if self.sample.task.modality == "text":
            for start in range(0, len(everything), SORTED_TOGETHER):
                self._items, examples = {}, everything[start : start + SORTED_TOGETHER]
                for part in cut(examples, ENCODED_AT_ONCE):
                    encoded = self.backbone.encode(self.sample.examples(part))
                    self._items.update(zip(part.tolist(), encoded, strict=True))
                lengths = np.array([self.backbone.length(self._items[number]) for number in examples.tolist()])
                yield examples[np.argsort(-lengths, kind="stable")]
        elif self.sample.task.modality == "audio":
            import pyarrow.compute as pc

            sizes = np.asarray(pc.binary_length(self.sample.table.column("input")), dtype=np.int64)
            yield everything[np.argsort(-sizes, kind="stable")]
        else:
            yield everything

    def batches(self, order: NDArray[np.int64], size: int | None) -> list[NDArray[np.int64]]:
        """Return consecutive parts of a window, each of `size` examples, else of texts with so many tokens together."""
        if size is not None:
            return cut(order, size)
        found, start = [], 0
        while start < len(order):
            longest = self.backbone.length(self._items[int(order[start])])
            end = start + max(1, min(MOST_TEXTS, TOKENS_TOGETHER // max(1, longest)))
            found.append(order[start:end])
            start = end
        return found

    def share(self, part: NDArray[np.int64], order: NDArray[np.int64]) -> float:
        """Return the approximate share of the work on the whole sample that a part of a window takes."""
        if not self._items:
            return len(part) / len(self.sample)
        lengths = [self.backbone.length(self._items[number]) for number in (*part.tolist(), *order.tolist())]
        return sum(lengths[: len(part)]) / sum(lengths[len(part) :]) * len(order) / len(self.sample)

    def prepare(self, examples: NDArray[np.int64]) -> PreparedBatch:
        """Encode and collate some examples."""
        if self._items:
            items = [self._items[number] for number in examples.tolist()]
        elif self.sample.task.modality != "image":
            items = self.backbone.encode(self.sample.examples(examples))
        else:  # only as many large images are decoded at the same time as the budget allows
            items, pixels = [], self.sample.pixels(examples, self.least_side)
            for start, end in parts(pixels, PIXELS_TOGETHER):
                with DECODED.taken(sum(pixels[start:end])):
                    items += self.backbone.encode(self.sample.examples(examples[start:end], self.least_side))
        return PreparedBatch(examples, items, self.backbone.collate(items))

    def smaller(self, batch: PreparedBatch) -> tuple[int, float] | None:
        """Return to which side large JPEGs could be decoded, and the seconds that this would save in such a batch."""
        task, shapes = self.sample.task, [getattr(one, "shape", ()) for one in batch.inputs.values()]
        if task.modality != "image" or task.unit != "example" or any(len(shape) != 4 for shape in shapes):
            return None
        side = TIMES_THE_SIDE * max(max(shape[2:]) for shape in shapes)
        saved = sum(self.sample.pixels(batch.examples)) - sum(self.sample.pixels(batch.examples, side))
        return side, DECODING_SECONDS * saved / self.threads

    def prepared(
        self,
        batches: Sequence[NDArray[np.int64]],
        finish: Callable[[PreparedBatch], PreparedBatch],
        *,
        ahead: bool = True,
    ) -> Generator[PreparedBatch, None, None]:
        """Yield batches in order, prepared by threads, which also `finish` them, such as by pinning their memory.

        The next batches are prepared `ahead`, while the caller computes. If it computes on the same cores, that costs
        more than it gains: all threads of a forward pass wait for the one whose core is busy.
        """
        import torch

        cores = torch.get_num_threads()
        # threads that call torch would start helpers, and with too many of these the forward pass slows down
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
            # otherwise nothing is prepared while the caller has a batch
            while some := [pool.submit(task, examples) for examples in islice(todo, self.threads)]:
                wait(some)
                while some:
                    yield some.pop(0).result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(cores)  # new threads inherit what was set last


def cut(examples: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Return consecutive parts of at most `size` examples."""
    return [examples[start : start + size] for start in range(0, len(examples), size)]


def typical_first(batches: list[NDArray[np.int64]], share: float) -> list[NDArray[np.int64]]:
    """Return the batches of a window with a share of the middle one first: the longest texts are in the first one."""
    middle = len(batches) // 2
    some = max(FEWEST_TRIED, int(share * len(batches[middle])))
    parts = [part for part in (batches[middle][:some], batches[middle][some:]) if len(part)]
    return [*parts, *batches[:middle], *batches[middle + 1 :]]


def rows_of(starts: NDArray[np.int64], examples: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of features of some examples, in their order."""
    first, last = starts[examples], starts[examples + 1]
    if (last - first == 1).all():
        return first
    return np.concatenate([np.arange(one, end) for one, end in zip(first, last, strict=True)])
