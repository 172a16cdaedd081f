"""Image models compiled by torch, which takes about a minute and pays off in long extractions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hf_transfer_score.backbones.base import Backbone, BatchOutput
from hf_transfer_score.features.openvino import joined_output, traceable

if TYPE_CHECKING:
    import torch

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
