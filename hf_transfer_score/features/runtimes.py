"""Models made faster, and how fast they are.

OpenVINO is an optional runtime that is faster on many processors; converted models are kept in the feature cache. torch
compiles image models, which takes about a minute and pays off in long extractions.

Speed is measured on the passes of an extraction: prepared batches, and one example. Trials, first passes, reading and
decoding do not count, so a sample of a single batch gives no speed.
"""

from __future__ import annotations

import platform
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.backbones.base import Backbone, BatchOutput
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.features.cache import FeatureCache, feature_key

if TYPE_CHECKING:
    import torch

FILE = "model.xml"
HINTS = {"float32": "f32", "bfloat16": "bf16"}  # OpenVINO's names

HALF_PAYS = 0.8
"""Half precision is tried where a product of matrices takes less than this share of its time in float32."""

STREAMS = 2
"""Parts of a batch that run at the same time, each on its share of the threads, which so wait less for each other."""

LOADING_SECONDS, CONVERSION_SECONDS, SECONDS_A_MILLION = 0.5, 0.5, 0.05
"""Estimates: to load a converted model, and to convert one, plus the last for each million of parameters."""


def is_installed() -> bool:
    """Whether OpenVINO can be imported, without importing it."""
    return find_spec("openvino") is not None


@cache
def half_precision(device: torch.device) -> str | None:
    """Return the half precision in which a device is faster, None if there is none."""
    import torch

    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if device.type != "cpu":
        return None
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    known = any(getattr(torch.cpu, name, lambda: False)() for name in checks)
    return "bfloat16" if known and _half_pays("bfloat16") else None


def _half_pays(dtype: str) -> bool:
    """Whether the CPU multiplies matrices faster in half precision; some have slow instructions for it."""
    import torch

    exact = torch.ones(512, 768), torch.ones(768, 768)
    half = tuple(one.to(getattr(torch, dtype)) for one in exact)
    best = [float("inf"), float("inf")]
    with torch.inference_mode():
        for _ in range(5):
            for way, (rows, weights) in enumerate((exact, half)):
                start = time.perf_counter()
                torch.nn.functional.linear(rows, weights)
                best[way] = min(best[way], time.perf_counter() - start)
    return best[1] < HALF_PAYS * best[0]


def silent_openvino() -> Any:
    """Import OpenVINO without its telemetry, a package of its own, which would report each import to its makers."""
    without = "openvino_telemetry" not in sys.modules
    if without:
        sys.modules["openvino_telemetry"] = cast("Any", None)  # an import of it fails, and OpenVINO goes without
    try:
        import openvino
    finally:
        if without:
            sys.modules.pop("openvino_telemetry", None)
    return openvino


def interrupted(error: BaseException | None) -> bool:
    """Return whether Ctrl-C is behind an error: a library that it finds in the middle of its import raises its own.

    Example:
        >>> error = ImportError("initialization failed")
        >>> error.__cause__ = KeyboardInterrupt()
        >>> interrupted(error), interrupted(ImportError())
        (True, False)
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


@dataclass(frozen=True)
class ConvertedModels:
    """The cache for the converted model of one checkpoint, the parts of its key, and its metadata in listings."""

    cache: FeatureCache
    parts: Mapping[str, Any]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of its entry, which depends on the versions of the libraries."""
        return feature_key({"converted": _versions(), **self.parts})

    def find(self) -> Path | None:
        """Return its file, None if there is none."""
        entry = self.cache.get(self.key)
        return None if entry is None else entry.folder / FILE

    def keep(self, model: Any) -> None:
        """Store a model."""
        openvino = silent_openvino()

        def write(folder: Path) -> None:
            openvino.save_model(model, folder / FILE, compress_to_fp16=False)

        self.cache.keep(self.key, self.about, write)


@cache
def _versions() -> dict[str, str]:
    """Return the versions of the libraries, cached since looking them up is slow."""
    return {name: version(name) for name in ("openvino", "torch")}


def conversion_seconds(backbone: Backbone, converted: ConvertedModels | None) -> float:
    """Estimate how long it takes until OpenVINO can run a model."""
    if converted is not None and converted.key in converted.cache:
        return LOADING_SECONDS
    millions = float(sum(weight.numel() for weight in backbone.module.parameters())) / 10**6
    return CONVERSION_SECONDS + SECONDS_A_MILLION * millions


def openvino_forward(
    backbone: Backbone,
    inputs: Mapping[str, Any],
    layers: tuple[str, ...],
    dtype: str,
    converted: ConvertedModels | None = None,
) -> Callable[[Mapping[str, Any]], BatchOutput]:
    """Return a function that runs batches like `inputs` by OpenVINO on the CPU; raises CheckpointError.

    The module is in float32 on the CPU. The `layers` are those of its output, in order.
    """
    import torch

    openvino = silent_openvino()
    names = _tensors(inputs)
    file = converted.find() if converted is not None else None
    core = openvino.Core()
    if file is not None:
        model = core.read_model(file)
    else:
        model = _converted(backbone, names, inputs)
        if converted is not None:
            converted.keep(model)
    threads = torch.get_num_threads()
    settings = {
        "INFERENCE_PRECISION_HINT": HINTS[dtype],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": min(STREAMS, threads),
    }
    compiled = core.compile_model(model, "CPU", settings)
    requests = [compiled.create_infer_request() for _ in range(min(STREAMS, threads))]

    def forward(batch: Mapping[str, Any]) -> BatchOutput:
        if _tensors(batch) != names:
            raise CheckpointError("unsupported", "has batches with different inputs, which OpenVINO does not run")
        rows = [torch.from_numpy(one) for one in _in_parts(requests, [batch[name].numpy() for name in names])]
        return joined_output(rows, layers)

    return forward


def _in_parts(requests: Sequence[Any], inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return the outputs for a batch, divided among requests if all its inputs have one row per example."""
    count = len(inputs[0])
    parts = min(len(requests), count) if all(len(one) == count for one in inputs) else 1
    used = requests[:parts]
    for number, request in enumerate(used):
        request.start_async([np.array_split(one, parts)[number] for one in inputs])
    for request in used:
        request.wait()
    return [
        np.concatenate([request.get_output_tensor(place).data for request in used])
        for place in range(len(used[0].output_tensors))
    ]


def _tensors(inputs: Mapping[str, Any]) -> list[str]:
    """Return the names of the inputs, which must all be tensors: other values would become part of the model."""
    import torch

    others = [name for name, value in inputs.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise CheckpointError("unsupported", f"takes more than tensors ({', '.join(others)})")
    return list(inputs)


def _converted(backbone: Backbone, names: list[str], inputs: Mapping[str, Any]) -> Any:
    """Return a model of OpenVINO, traced with two examples of a batch.

    `openvino.convert_model` also sends telemetry, and has the module traced. A function is traced in a third of the
    time: its weights are constants, not parts of a copy of the module.
    """
    import torch

    openvino = silent_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    examples = tuple(inputs[name][:2] for name in names)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of every shape that Python reads
        module = traceable(backbone, names)
        trained = [weight for weight in module.parameters() if weight.requires_grad]
        try:
            for weight in trained:
                weight.requires_grad_(False)  # as a constant
            # the trial compares features, so the tracer need not run everything again
            traced = torch.jit.trace(lambda *values: module(*values), examples, check_trace=False, strict=False)
        finally:
            for weight in trained:
                weight.requires_grad_(True)
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced, example_input=examples)  # has to live until the model is made
        model = frontend.convert(frontend.load(decoder))
    ports = zip(model.inputs, examples, strict=True)
    if images := {port: openvino.PartialShape([-1, *one.shape[1:]]) for port, one in ports if one.ndim == 4}:
        model.reshape(images)  # only their number changes
    return model


def traceable(backbone: Backbone, names: list[str]) -> torch.nn.Module:
    """Return a module with only tensors: inputs in the order of their names, features by layer, then probabilities."""
    import torch

    class Traceable(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = backbone.module

        def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
            output = backbone.forward(dict(zip(names, values, strict=True)))
            rows = [rows.float() for rows in output.features.values()]
            return (*rows, *(() if output.source_probs is None else (output.source_probs,)))

    return Traceable().eval()


def joined_output(rows: Sequence[torch.Tensor], layers: tuple[str, ...]) -> BatchOutput:
    """Return what such a module returned, by layer."""
    source_probs = rows[len(layers)] if len(rows) > len(layers) else None
    return BatchOutput(dict(zip(layers, rows, strict=False)), source_probs)


COMPILED_ON = ("cuda",)
"""Kinds of devices; on a CPU it saves less than OpenVINO, which converts a model in seconds (benchmarks/README.md)."""

COMPILE_SECONDS, EXPECTED_SHARE, CLEARLY = 60.0, 0.2, 2.0
"""Estimates: how long it takes, and the share of the time that it saves, which must be so many times as long."""


def compiling_pays(device: str, inputs: Mapping[str, Any], seconds: float) -> bool:
    """Whether to compile a model for work that takes so many seconds, in batches with inputs like these.

    They must be images of one shape: texts of ever new lengths would be compiled over and over.
    """
    long_enough = EXPECTED_SHARE * seconds > CLEARLY * COMPILE_SECONDS
    return device in COMPILED_ON and long_enough and all(getattr(one, "ndim", 0) == 4 for one in inputs.values())


class Compiled:
    """The forward pass of a backbone, compiled in its first batch for any number of examples of that shape.

    Others run as they are: an example alone, and other shapes.
    """

    def __init__(self, backbone: Backbone, layers: tuple[str, ...]) -> None:
        self.backbone, self.layers = backbone, layers
        self._names: list[str] = []
        self._shape: list[torch.Size] = []
        self._run: Any = None

    def __call__(self, inputs: Mapping[str, Any]) -> BatchOutput:
        """Run a batch."""
        values = list(inputs.values())
        if any(len(value) == 1 for value in values):
            return self.backbone.forward(inputs)
        if self._run is None:
            return self._first(list(inputs), values)
        if list(inputs) != self._names or [value.shape[1:] for value in values] != self._shape:
            return self.backbone.forward(inputs)
        return joined_output(self._run(*values), self.layers)

    def _first(self, names: list[str], values: list[torch.Tensor]) -> BatchOutput:
        import torch

        self._names, self._shape = names, [value.shape[1:] for value in values]
        for value in values:
            torch._dynamo.mark_dynamic(value, 0)
        self._run = torch.compile(traceable(self.backbone, names))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what the compiler could do better
            return joined_output(self._run(*values), self.layers)


def forget_compiled() -> None:
    """Free what was compiled, with the models in it."""
    import torch

    torch.compiler.reset()


MOST_SECONDS, MOST_SHARE = 0.3, 0.02
"""Limits for all passes of one example: in seconds, and as a share of the time of the passes that counted."""

MOST_PASSES = 20


@dataclass
class Speed:
    """The passes of an extraction, their examples and seconds; the first one is a warm-up and not counted."""

    passes: int = 0
    examples: int = 0
    seconds: float = 0.0

    def add(self, examples: int, seconds: float) -> None:
        """Count a pass."""
        self.passes += 1
        if self.passes > 1:
            self.examples, self.seconds = self.examples + examples, self.seconds + seconds

    def measured(self, one_alone: Callable[[], float | None], device: torch.device) -> dict[str, Any]:
        """Return the speed for the record of the extraction, empty where no pass counted."""
        if not self.seconds:
            return {}
        alone = one_alone()
        return {
            "examples_per_second": self.examples / self.seconds,
            "example_milliseconds": None if alone is None else 1000 * alone,
            "machine": machine_name(device),
        }

    def alone(self, run: Callable[[], Any]) -> float:
        """Return the seconds of a pass of one example: the median of a few after a warm-up."""
        most = min(MOST_SECONDS, MOST_SHARE * self.seconds)
        times: list[float] = []
        start = time.perf_counter()
        while len(times) < MOST_PASSES:
            before = time.perf_counter()
            run()
            times.append(time.perf_counter() - before)
            if (len(times) > 1 and time.perf_counter() - start > most) or times[0] > MOST_SECONDS:
                break
        return median(times[1:] or times)


def machine_name(device: torch.device) -> str:
    """Return the name of the GPU, or of the processor with the number of threads."""
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type != "cpu":
        return f"{device.type} of {_processor()}"
    threads = torch.get_num_threads()
    return f"{_processor()} ({threads} thread{'s' if threads > 1 else ''})"


def _processor() -> str:
    """Return the model of the processor, as the system names it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    named = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
