"""From a loaded backbone and a sample to features on disk, on one process or many."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score import memory
from hf_transfer_score.backbones.base import Backbone, BatchOutput
from hf_transfer_score.backbones.placing import is_elsewhere, place_of
from hf_transfer_score.errors import CheckpointError, OptionError, check_known, check_least
from hf_transfer_score.features.batches import (
    SHARE_TRIED,
    Loader,
    PreparedBatch,
    Processes,
    attempt,
    choose_device,
    cut,
    is_out_of_memory,
    rows_of,
    typical_first,
)
from hf_transfer_score.features.cache import FeatureWriter
from hf_transfer_score.features.precision import (
    AUTO,
    DTYPES,
    EXACT,
    RUNTIMES,
    Arrays,
    Forward,
    Precision,
    TorchForward,
    Trial,
    Tried,
    agree,
    in_torch,
    is_small,
)
from hf_transfer_score.features.runtimes import (
    Compiled,
    ConvertedModels,
    Speed,
    forget_compiled,
    is_installed,
    openvino_forward,
)
from hf_transfer_score.sampling.sample import LabelledSample

if TYPE_CHECKING:
    import torch

CPU_BATCH, PROBE_BATCH, LARGEST_BATCH = 32, 16, 512
CPU_INPUTS = 10 * 2**20
"""Bytes of the inputs of one batch on a CPU: 16 images of 224 by 224 pixels, as fast as more, in less memory."""

TIMES_THE_INPUT = 40
"""Memory that a network needs, in sizes of its input; wide networks on small images need less."""

SHARE_OF_MEMORY = 0.6
GATHERED_ROWS = 4_096
SOURCE_BYTES = 2**28
"""Source probabilities that take more bytes are left out."""


@dataclass(frozen=True)
class ExtractOptions:
    """How the forward passes are run.

    Attributes:
        dtype: the precision of the forward pass: float32, bfloat16, float16, or auto, which for longer runs tries a
            batch in half precision, and uses that only if it is faster and gives the same features.
        runtime: what runs the forward pass: torch, openvino, or auto, which is torch unless `dtype` is auto, OpenVINO
            is installed (`pip install hf-transfer-score[openvino]`) and it saves more time than the conversion takes.
        batch_size: examples per forward pass; without it chosen automatically. It is halved when memory runs out.
        device: where to compute, as torch names it (cpu, cuda, cuda:1, mps); without it an accelerator if there is one.
        threads: threads that decode and preprocess; without it one per core.
    """

    dtype: str = AUTO
    runtime: str = AUTO
    batch_size: int | None = None
    device: str | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        check_known(self, dtype=DTYPES, runtime=RUNTIMES)
        check_least(self, batch_size=1, threads=1)
        if self.runtime != "openvino":
            return
        if self.dtype == "float16" or self.device not in (None, "cpu"):
            raise OptionError("runtime='openvino' computes on the CPU, in float32 or bfloat16: leave out the rest.")
        if not is_installed():
            raise OptionError("runtime='openvino' needs OpenVINO: pip install 'hf-transfer-score[openvino]'.")

    @property
    def fixed(self) -> Precision | None:
        """The precision of forward passes, None where a trial decides."""
        return None if self.runtime == "openvino" or self.dtype == AUTO else in_torch(self.dtype)


def extract(
    backbone: Backbone,
    sample: LabelledSample,
    writer: FeatureWriter | None,
    *,
    options: ExtractOptions | None = None,
    processes: Processes | None = None,
    report: Callable[[int], None] = lambda _: None,
    converted: ConvertedModels | None = None,
) -> dict[str, Any]:
    """Run every example through a backbone once, and write its features; return a summary of the run.

    The backbone stays on the device. Processes that do not write have no writer. A failure in one process is a
    CheckpointError in all. In the main process `report` gets the number of examples done since its last call. Models
    that are converted for OpenVINO are kept in `converted`.
    """
    processes = processes or Processes()
    run = _Extraction(backbone, sample, options or ExtractOptions(), processes, converted)
    starts = np.concatenate([[0], np.cumsum(sample.counts)])
    begin = time.perf_counter()
    unwritten: Exception | None = None
    with memory.kept(), closing(run):
        for count, results in run.rounds():
            done = processes.gather(unwritten or results)
            failures = [part for part in done if isinstance(part, Exception)]
            if failures:
                raise failures[0]
            if writer is not None:
                _, unwritten = attempt(partial(_write, writer, starts, done))  # type: ignore[arg-type]
            report(count)
        seconds = time.perf_counter() - begin
        speed = run.speed() if processes.is_main and not run.elsewhere else {}
    processes.agree(unwritten)
    return run.summary(seconds, speed)


def _write(writer: FeatureWriter, starts: NDArray[np.int64], done: list[_Results]) -> None:
    for part in done:
        for examples, (features, source_probs) in part:
            writer.write(rows_of(starts, examples), features, source_probs)


_Results = list[tuple[NDArray[np.int64], Arrays]]
_Choice = tuple[Precision, str | None, tuple[str, ...], int | None]  # with a note, the layers and `least_side`


class _Extraction:
    """The state of one extraction in one process."""

    def __init__(
        self,
        backbone: Backbone,
        sample: LabelledSample,
        options: ExtractOptions,
        processes: Processes,
        converted: ConvertedModels | None,
    ) -> None:
        self.backbone, self.sample, self.options, self.processes = backbone, sample, options, processes
        self.converted = converted
        self.fixed_place, self.elsewhere = place_of(backbone.module), is_elsewhere(backbone.module)
        wanted = "cpu" if options.runtime == "openvino" else options.device
        self.device = self.fixed_place or choose_device(wanted, processes)
        self.precision = options.fixed if self.fixed_place is None else options.fixed or EXACT
        self.forward: Forward = TorchForward(backbone, self.device)
        self.done: _Results = []
        self.note: str | None = None
        self.loader = Loader(backbone, sample, options.threads)
        self.keep_source = 0 < backbone.source_classes * sample.rows * 4 <= SOURCE_BYTES
        self.batch_size = options.batch_size or 0
        on_cpu = self.device.type == "cpu" and sample.task.modality == "text"
        self.by_tokens = on_cpu and not self.batch_size and options.dtype == AUTO  # else batches as ever, to the bit
        self.limit = 0
        self.pace = Speed()
        self.last: NDArray[np.int64] | None = None

    def rounds(self) -> Iterator[tuple[int, _Results | Exception]]:
        """Yield, equally often in every process, how many examples all of them did, and this one's own results."""
        self.processes.together(self._start)
        windows = self.loader.windows()
        while (order := self.processes.together(lambda: next(windows, None))) is not None:
            if not (self.batch_size or self.by_tokens):
                self.batch_size = min(self.processes.gather(self.processes.together(lambda: self._find_size(order))))
            batches = self.loader.batches(order, None if self.by_tokens else self.batch_size)
            self.batch_size, count = max(self.batch_size, *map(len, batches)), self.processes.count
            if self.precision is None:
                batches = typical_first(batches, SHARE_TRIED if self.device.type == "cpu" else 1.0)
                self._choose(batches[0], order)
            if self.last is None:
                self.pace = Speed()  # so far there were only trials
            self.last = order
            turn = slice(self.processes.index, None, count)
            own = batches[turn][bool(self.done) :]
            # several processes exchange some thousand rows at once, a single one writes each batch
            together = count * max(1, GATHERED_ROWS // self.batch_size) if count > 1 else 1
            with closing(self.loader.prepared(own, self._pin, ahead=self.device.type != "cpu")) as mine:
                for step in cut(np.arange(len(batches)), together):
                    results, failure = attempt(partial(self._some, mine, len(step[turn])))
                    yield sum(len(batches[number]) for number in step), failure or results or []

    def _some(self, batches: Iterator[PreparedBatch], count: int) -> _Results:
        done, self.done = self.done, []
        return done + [part for _ in range(count - bool(done)) for part in self._forward(next(batches))]

    def _start(self) -> None:
        self.backbone.module.eval()
        if self.fixed_place is None:
            self.backbone.module.to(self.device)
        if self.precision is not None:
            self.forward = TorchForward(self.backbone, self.device, self.precision)

    def _choose(self, batch: NDArray[np.int64], order: NDArray[np.int64]) -> None:
        """Let the main process try a batch in all ways that may be faster; the others follow it."""
        main = self.processes.is_main
        chosen = self.processes.together(lambda: self._try(batch, order) if main else None)
        self.precision, self.note, layers, self.loader.least_side = self.processes.from_main(chosen)  # type: ignore[misc]
        self.processes.together(lambda: None if main else self._follow(order, layers))
        memory.give_back()  # what only the trial needed

    def _try(self, batch: NDArray[np.int64], order: NDArray[np.int64]) -> _Choice:
        first = self.loader.prepare(batch)
        start = time.perf_counter()
        self.done = self._forward(self._pin(first))
        seconds = time.perf_counter() - start
        layers = tuple(self.done[0][1][0])
        left = (1 / self.loader.share(batch, order) - 1) / self.processes.count
        if len(self.done) > 1:  # the batch was split, since memory ran out
            return EXACT, None, layers, None
        first = self._decoded_smaller(first, left)
        sized = self.loader.least_side is not None
        if self.options.runtime != "openvino" and is_small(seconds * left):
            return replace(EXACT, sized_decoding=sized), None, layers, self.loader.least_side
        start = time.perf_counter()
        output = self._compute(first.inputs, self.forward)  # the first pass of all takes longer
        seconds = min(seconds, time.perf_counter() - start)
        trial = Trial(
            self.backbone,
            self.device,
            first.inputs,
            lambda: self.loader.prepare(order[-2:]).inputs,
            self._compute,
            Tried(EXACT, self.forward, seconds, output, passes=2),
            left,
            self.converted,
        )
        best, note = trial.best(self.options.dtype, self.options.runtime)
        self.forward = best.forward
        if best.precision != EXACT:
            self.done = [(first.examples, best.output)]
        return replace(best.precision, sized_decoding=sized), note, layers, self.loader.least_side

    def _decoded_smaller(self, first: PreparedBatch, left: float) -> PreparedBatch:
        """Return the batch with large JPEGs decoded at a smaller size, if that saves time and gives the same features.

        So are all later ones then.
        """
        found = self.loader.smaller(first) if self.options.dtype == AUTO else None
        if found is None or is_small(found[1] * left):
            return first
        self.loader.least_side = found[0]
        smaller = self.loader.prepare(first.examples)
        output = self._compute(smaller.inputs, self.forward)
        if agree(self.done[0][1][0], output[0]):
            self.done = [(first.examples, output)]
            return smaller
        self.loader.least_side = None
        return first

    def _follow(self, order: NDArray[np.int64], layers: tuple[str, ...]) -> None:
        assert self.precision is not None
        if self.precision.runtime == "torch":
            compiled = Compiled(self.backbone, layers) if self.precision.compiled else None
            self.forward = TorchForward(self.backbone, self.device, self.precision, compiled)
            return
        inputs = self.loader.prepare(order[:2]).inputs
        self.forward = openvino_forward(self.backbone, inputs, layers, self.precision.dtype, self.converted)

    def close(self) -> None:
        """Restore the model's own weights, and free what was compiled."""
        if isinstance(self.forward, TorchForward):
            self.forward.undo()
            if self.forward.precision.compiled:
                forget_compiled()

    def _pin(self, batch: PreparedBatch) -> PreparedBatch:
        return batch.pinned() if self.device.type == "cuda" else batch

    def _find_size(self, order: NDArray[np.int64]) -> int:
        """Return a batch size by the free memory and the longest examples."""
        import torch

        if self.device.type != "cuda":
            import psutil

            inputs = self.loader.prepare(order[:1]).inputs.values()
            size = sum(value.numel() * value.element_size() for value in inputs if isinstance(value, torch.Tensor))
            most = SHARE_OF_MEMORY * psutil.virtual_memory().available / TIMES_THE_INPUT
            return max(1, min(CPU_BATCH, 1 << int(min(CPU_INPUTS, most) // max(size, 1)).bit_length() >> 1))
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)
        resident = torch.cuda.memory_allocated(self.device)
        probe = order[:PROBE_BATCH]
        self._forward(self.loader.prepare(probe))
        needed = (torch.cuda.max_memory_allocated(self.device) - resident) / len(probe)
        free, _ = torch.cuda.mem_get_info(self.device)
        free += torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        fitting = int(SHARE_OF_MEMORY * free / max(needed, 1.0))
        return max(PROBE_BATCH, min(LARGEST_BATCH, 1 << max(0, fitting.bit_length() - 1)))

    def _forward(self, batch: PreparedBatch) -> _Results:
        """Run a batch; if memory runs out split it, and all later ones."""
        if self.limit and len(batch.examples) > self.limit:
            return self._halves(batch)
        start = time.perf_counter()
        try:
            output = self._compute(batch.inputs, self.forward)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch.examples) == 1:
                raise CheckpointError(
                    "out_of_memory", f"one example alone does not fit into the memory of {self.device}"
                ) from None
        else:
            self.pace.add(len(batch.examples), time.perf_counter() - start)
            return [(batch.examples, output)]
        import gc

        import torch

        gc.collect()  # outside the handler: the exception holds the tensors of the failed pass
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.limit = (len(batch.examples) + 1) // 2
        return self._halves(batch)

    def _halves(self, batch: PreparedBatch) -> _Results:
        middle = (len(batch.examples) + 1) // 2
        results: _Results = []
        for part in (slice(0, middle), slice(middle, None)):
            items = batch.items[part]
            results += self._forward(PreparedBatch(batch.examples[part], items, self.backbone.collate(items)))
        return results

    def _compute(self, inputs: Mapping[str, Any], forward: Forward) -> Arrays:
        import torch

        moved = {
            name: value.to(self.device, non_blocking=True) if isinstance(value, torch.Tensor) else value
            for name, value in inputs.items()
        }
        with torch.inference_mode():
            output: BatchOutput = forward(moved)
        features = {layer: _array(values) for layer, values in output.features.items()}
        source = _array(output.source_probs) if self.keep_source and output.source_probs is not None else None
        return features, source

    def speed(self) -> dict[str, Any]:
        """Return the speed of this process, as far as it was measured."""
        return self.pace.measured(lambda: attempt(self._alone)[0], self.device)

    def _alone(self) -> float:
        assert self.last is not None
        middle = len(self.last) // 2  # a text of typical length
        one = self._pin(self.loader.prepare(self.last[middle : middle + 1]))
        return self.pace.alone(lambda: self._compute(one.inputs, self.forward))

    def summary(self, seconds: float, speed: Mapping[str, Any]) -> dict[str, Any]:
        """Return a summary of this run, with its speed as far as it was measured."""
        import torch

        precision = self.precision or EXACT
        device = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return {
            "examples": len(self.sample),
            "seconds": seconds,
            "device": f"{device} with weights elsewhere" if self.elsewhere else device,
            "processes": self.processes.count,
            "batch_size": self.limit or self.batch_size,
            **precision.key_parts(),
            "runtime": precision.runtime,
            **({} if self.note is None else {"note": self.note}),
            **({"measured_here": dict(speed)} if speed else {}),
            "source_classes": self.backbone.source_classes,
            "source_probs_left_out": bool(self.backbone.source_classes) and not self.keep_source,
        }


def _array(values: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.detach().float().cpu().numpy()
    return array
