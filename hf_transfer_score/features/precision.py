"""The precision and runtime of forward passes: as asked for, or the fastest on one batch.

A model stays in float32 where that is about as fast, where there is little work, and where its features would differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score import memory
from hf_transfer_score.backbones.base import Backbone, BatchOutput
from hf_transfer_score.backbones.placing import usual_weights
from hf_transfer_score.features.runtimes import (
    Compiled,
    ConvertedModels,
    compiling_pays,
    conversion_seconds,
    forget_compiled,
    half_precision,
    interrupted,
    is_installed,
    openvino_forward,
)

if TYPE_CHECKING:
    import torch

AUTO = "auto"
DTYPES = (AUTO, "float32", "bfloat16", "float16")
RUNTIMES = (AUTO, "torch", "openvino")

LEAST_COSINE = 0.9995
"""Between each row of features and the same row in float32."""

LEAST_CENTRED = 0.99
"""The same over all rows without their mean, which they have in common and which may hide differences."""

ROUNDING = 32 * float(np.finfo(np.float32).eps)
"""The share of their size by which rows of the same text may differ."""

LEAST_SAVED = 2.0
"""Seconds; below that nothing is tried."""

EXPECTED_SHARE, EXPECTED_SHARE_OF_OPENVINO = 0.5, 0.3
"""The share of float32's time that a trial is expected to save, and of torch's best time that OpenVINO is."""

CLEARLY = 0.95
"""A precision must take less than this share of another's time to be preferred."""

LEAST_PASSES, MOST_PASSES, TRIED_SECONDS = 2, 5, 1.0
"""Passes of each way, at least and at most, and the time for more than the least; the fastest pass counts."""

FAR_AHEAD = 0.33
"""Torch is not tried in half precision if OpenVINO takes less than this share of the time of float32."""

FAR_APART = 0.67
"""After the least passes, ways are not timed again if one takes less than this share of the other's time."""

TRIAL_PASSES = 4
"""About how long a trial takes, in passes of that batch in float32."""

Arrays = tuple[dict[str, NDArray[np.float32]], NDArray[np.float32] | None]
"""Features by layer, and source probabilities, of a forward pass."""


@dataclass(frozen=True)
class Precision:
    """How forward passes are computed."""

    dtype: str = "float32"  # or bfloat16 or float16 in convolutions and matrix products, and the rest by autocast
    runtime: str = "torch"  # or openvino
    channels_last: bool = False  # whether convolutions keep the channels of a pixel together
    compiled: bool = False  # whether torch compiled the model
    sized_decoding: bool = False  # whether large JPEGs were decoded at a smaller size, still above that of the inputs

    def key_parts(self) -> dict[str, Any]:
        """Return its part of the key of features; only the dtype for plain float32."""
        if self == EXACT:
            return {"dtype": self.dtype}
        more = {name: True for name in ("compiled", "sized_decoding") if getattr(self, name)}
        return {"dtype": self.dtype, "runtime": self.runtime, "channels_last": self.channels_last, **more}

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Precision:
        """Return the precision in the summary of an extraction."""
        names = ("channels_last", "compiled", "sized_decoding")
        return cls(summary["dtype"], summary["runtime"], *(summary.get(name, False) for name in names))

    def details(self) -> dict[str, Any]:
        """Return its part of records besides the dtype; empty for plain float32."""
        return {name: value for name, value in self.key_parts().items() if value and name != "dtype"}


EXACT = Precision()


def in_torch(dtype: str) -> Precision:
    """Return torch's precision for a dtype."""
    return EXACT if dtype == "float32" else Precision(dtype, channels_last=True)


def is_small(seconds: float) -> bool:
    """Whether work that takes this long in float32 is not worth a trial."""
    return EXPECTED_SHARE * seconds <= LEAST_SAVED


def possible(dtype: str, runtime: str, *, images: bool = False) -> tuple[Precision, ...]:
    """Return the precisions in which features may have been made for a dtype and runtime, the preferred one first.

    Example:
        >>> [one.dtype for one in possible("float32", "auto")], len(possible("auto", "torch"))
        (['float32'], 4)
    """
    dtypes = DTYPES[1:] if dtype == AUTO else (dtype,)
    plain = [in_torch(one) for one in dtypes] + ([replace(EXACT, channels_last=True)] if dtype == AUTO else [])
    other = [Precision(one, "openvino") for one in dtypes if one != "float16"]
    if images and dtype == AUTO:
        plain += [replace(one, compiled=True) for one in plain]
        plain, other = ([*ways, *(replace(one, sized_decoding=True) for one in ways)] for ways in (plain, other))
    if runtime == "openvino":
        return (*reversed(other), *plain)
    return tuple(plain) if runtime == "torch" or dtype != AUTO else (*plain, *other)


class TorchForward:
    """The forward pass of a backbone in torch; its weights may be in another precision until `undo`."""

    def __init__(
        self, backbone: Backbone, device: torch.device, precision: Precision = EXACT, run: Compiled | None = None
    ) -> None:
        self.backbone, self.device, self.precision = backbone, device, precision
        self._run = run or backbone.forward
        self._before: list[tuple[Any, Any]] = []
        try:
            if precision != EXACT:
                self._recast()
        except BaseException:
            self.undo()
            raise

    def _recast(self) -> None:
        import torch

        half = getattr(torch, self.precision.dtype)
        for weight, cast in usual_weights(self.backbone.module):
            channels_last = weight.ndim == 4 and self.precision.channels_last
            layout = torch.channels_last if channels_last else torch.preserve_format
            self._before.append((weight, weight.data))
            weight.data = weight.data.to(dtype=half if cast else weight.dtype, memory_format=layout)

    def __call__(self, inputs: Mapping[str, Any]) -> BatchOutput:
        """Run a batch that is on the device."""
        import torch

        if self.precision == EXACT:
            return self._run(inputs)
        dtype = self.precision.dtype
        half = nullcontext() if dtype == "float32" else torch.autocast(self.device.type, dtype=getattr(torch, dtype))
        if self.precision.channels_last:
            inputs = {name: _channels_last(value) for name, value in inputs.items()}
        with half:
            return self._run(inputs)

    def undo(self) -> None:
        """Restore the module's own weights."""
        for weight, data in self._before:
            weight.data = data
        self._before = []


def _channels_last(value: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor) and value.ndim == 4:
        return value.contiguous(memory_format=torch.channels_last)
    return value


Forward = Callable[[Mapping[str, Any]], BatchOutput]


@dataclass
class Tried:
    """One way to run a model, with the seconds and the output of one batch."""

    precision: Precision
    forward: Forward
    seconds: float
    output: Arrays
    passes: int = 1  # of which the fastest took so long

    def undo(self) -> None:
        """Restore the model's own weights."""
        if isinstance(self.forward, TorchForward):
            self.forward.undo()


@dataclass
class Trial:
    """A batch of an extraction, run in one way after another."""

    backbone: Backbone
    device: torch.device
    inputs: Mapping[str, Any]
    other_inputs: Callable[[], Mapping[str, Any]]  # of another batch, with few examples of another length
    compute: Callable[[Mapping[str, Any], Forward], Arrays]
    exact: Tried  # in float32
    left: float  # the work after this batch, in multiples of it
    converted: ConvertedModels | None = None
    refused: str | None = None  # what failed last, and why

    def best(self, dtype: str, runtime: str) -> tuple[Tried, str | None]:
        """Return the fastest way that agrees with float32, among those asked for, and a note about it."""
        found = self._best(dtype, runtime)
        note = None if self.refused is None else f"{self.refused}, so it ran by {_named(found.precision)}"
        return found, note

    def _best(self, dtype: str, runtime: str) -> Tried:
        if runtime == "openvino":
            return self._openvino(dtype) or self._torch_as_asked(dtype)
        on_cpu = runtime == AUTO and self.device.type == "cpu" and is_installed()
        openvino = self._openvino(AUTO) if on_cpu and self._conversion_pays() else None
        if openvino is not None and openvino.seconds < FAR_AHEAD * self.exact.seconds:
            return openvino
        found, saved = self.exact, EXPECTED_SHARE * self.exact.seconds * self.left
        if saved > max(LEAST_SAVED, TRIAL_PASSES * self.exact.seconds):
            found = self._torch() or found
        if (better := _clearly_faster(openvino, found)) is not None:
            found.undo()
            return better
        return self._compiled_if_it_pays(found)

    def _torch(self) -> Tried | None:
        """Return a precision of torch that is clearly faster than float32, None if there is none."""
        half = half_precision(self.device)
        ways = [] if half is None else [in_torch(half)]
        if any(weight.ndim == 4 for weight in self.backbone.module.parameters()):
            ways.append(replace(EXACT, channels_last=True))
        for way in ways:
            tried = self._try(way, partial(TorchForward, self.backbone, self.device, way))
            if (better := _clearly_faster(tried, self.exact)) is not None:
                return better
        return None

    def _torch_as_asked(self, dtype: str) -> Tried:
        if dtype in (AUTO, "float32"):
            return self.exact
        forward = TorchForward(self.backbone, self.device, in_torch(dtype))
        return Tried(forward.precision, forward, 0.0, self.compute(self.inputs, forward))

    def _conversion_pays(self) -> bool:
        in_torch = EXPECTED_SHARE if half_precision(self.device) else 1.0
        saved = EXPECTED_SHARE_OF_OPENVINO * in_torch * self.exact.seconds * self.left
        small = LEAST_SAVED if in_torch == 1 else 0.0
        return saved > max(small, conversion_seconds(self.backbone, self.converted))

    def _compiled_if_it_pays(self, found: Tried) -> Tried:
        if not compiling_pays(self.device.type, self.inputs, found.seconds * self.left):
            return found
        found.undo()
        way, run = replace(found.precision, compiled=True), Compiled(self.backbone, tuple(self.exact.output[0]))
        tried = self._try(way, partial(TorchForward, self.backbone, self.device, way, run))
        if (better := _clearly_faster(tried, found)) is not None:
            return better
        if found is not self.exact:
            found.forward = TorchForward(self.backbone, self.device, found.precision)
        forget_compiled()
        return found

    def _openvino(self, dtype: str) -> Tried | None:
        """Return the result of OpenVINO, None where it fails or gives other features."""
        memory.give_back()  # a conversion needs much
        half = half_precision(self.device) or "float32"
        layers = tuple(self.exact.output[0])
        for one in dict.fromkeys([half, "float32"]) if dtype == AUTO else [dtype]:
            make = partial(openvino_forward, self.backbone, self.inputs, layers, one, self.converted)
            tried = self._try(Precision(one, "openvino"), make)
            if tried is not None:
                return tried
        return None

    def _try(self, way: Precision, make: Callable[[], Forward]) -> Tried | None:
        """Return the result of the batch, None where it fails or gives other features than float32."""
        tried: Tried | None = None
        try:
            tried = Tried(way, make(), float("inf"), ({}, None))
            tried.output = self.compute(self.inputs, tried.forward)
            if self._agrees(tried):
                return self._race(tried, make)
            self.refused = f"{_named(way)} gives other features than torch in float32"
        except Exception as error:  # whatever a library raises, float32 works
            if interrupted(error):
                raise KeyboardInterrupt from error
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            self.refused = f"{_named(way)} cannot run it ({reason})"
        if tried is not None:
            tried.undo()
        return None

    def _agrees(self, tried: Tried) -> bool:
        if not agree(self.exact.output[0], tried.output[0]):
            return False
        if tried.precision.runtime == "torch":
            return True
        # a converted model may only work for the shape of its example batch
        inputs = self.other_inputs()
        reference = self.compute(inputs, TorchForward(self.backbone, self.device))
        return agree(reference[0], self.compute(inputs, tried.forward)[0])

    def _race(self, tried: Tried, make: Callable[[], Forward]) -> Tried:
        """Return it with its time; it takes turns with float32, so that a busy machine slows down both."""
        start = time.perf_counter()
        while tried.passes <= MOST_PASSES:
            self._time(tried)
            faster, slower = sorted((tried.seconds, self.exact.seconds))
            clear = faster < FAR_APART * slower or time.perf_counter() - start > TRIED_SECONDS
            if not clear or self.exact.passes < LEAST_PASSES:
                tried.undo()
                self._time(self.exact)
                if isinstance(tried.forward, TorchForward):
                    tried.forward = make()
            elif tried.passes > LEAST_PASSES:
                break
        return tried

    def _time(self, tried: Tried) -> None:
        start = time.perf_counter()
        self.compute(self.inputs, tried.forward)
        tried.seconds, tried.passes = min(tried.seconds, time.perf_counter() - start), tried.passes + 1


def _clearly_faster(tried: Tried | None, than: Tried) -> Tried | None:
    """Return a way if it worked and is clearly faster than another, else undo it."""
    if tried is None or tried.seconds < CLEARLY * than.seconds:
        return tried
    tried.undo()
    return None


def _named(way: Precision) -> str:
    compiled = "compiled " if way.compiled else ""
    return f"{compiled}{'OpenVINO' if way.runtime == 'openvino' else 'torch'} in {way.dtype}"


def agree(exact: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> bool:
    """Whether the features (B, D) of each layer have the directions of those in float32, with and without their mean.

    Example:
        >>> exact = {"last": np.array([[1000.0, 1001.0], [1001.0, 1000.0]])}
        >>> agree(exact, exact), agree(exact, {"last": np.array([[1000.0, 1000.0], [1000.0, 1000.0]])})
        (True, False)
    """
    if exact.keys() != other.keys():
        return False
    for layer, rows in exact.items():
        one, two = rows.astype(np.float64), other[layer].astype(np.float64)
        if one.shape != two.shape or not (np.isfinite(one).all() and np.isfinite(two).all()):
            return False
        if (_cosines(one, two) < LEAST_COSINE).any():
            return False
        centred = (one - one.mean(0)).reshape(1, -1), (two - two.mean(0)).reshape(1, -1)
        # rows may be alike but for rounding; a norm by BLAS would leave its threads spinning and slow the next pass
        differ = np.square(centred[0]).sum() > ROUNDING**2 * np.square(one).sum()
        if differ and _cosines(*centred)[0] < LEAST_CENTRED:
            return False
    return True


def _cosines(one: NDArray[Any], two: NDArray[Any]) -> NDArray[Any]:
    """Return the cosine between rows; 1 where both are zero."""
    sizes = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    both_zero = ~one.any(axis=1) & ~two.any(axis=1)
    cosines: NDArray[Any] = np.where(both_zero, 1.0, (one * two).sum(1) / np.where(sizes > 0, sizes, 1))
    return cosines
