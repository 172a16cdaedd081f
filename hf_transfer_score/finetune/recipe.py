"""How a checkpoint is fine-tuned: a few settings, fixed before the first model is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, Literal

from hf_transfer_score.errors import OptionError, check_known, check_least
from hf_transfer_score.tasks import METHODS, Method, Modality

PRECISIONS = ("auto", "float32", "bfloat16")
PASSES = ("learning_rates", "epochs", "steps", "batch_size", "weight_decay", "warmup_share", "head_factor", "patience")
"""The settings of methods that train in epochs."""

AUTO = "auto"
HEAD_FACTOR = 10.0


@dataclass(frozen=True)
class Recipe:
    """How a checkpoint is fine-tuned; everything that can change an accuracy is a field.

    Attributes:
        method: "probe" trains a classifier on frozen features, "full" everything, "layer" one block and the
            classifier, "scl" the same with a skip connection from that block to the last features, "lora" low-rank
            adapters beside the layers, and the classifier.
        learning_rates: of AdamW; each is tried, and the best on the validation part counts. Not used by a probe.
        epochs: maximum number of passes over the training part.
        steps: maximum number of optimiser steps, None for as many as the epochs take.
        batch_size: examples per step.
        weight_decay: of AdamW, on matrices only; biases and norms have none.
        warmup_share: share of the steps over which the learning rate rises; then it falls as a cosine.
        head_factor: the new classifier's learning rate is so many times that of the weights below it.
        patience: epochs without a gain on the validation part after which it stops; None never stops.
        validation_share: share of each class that is held back from training for these two choices.
        penalties: of a probe's logistic regression; each is tried. Not used by other methods.
        layer: the block of "layer" and "scl": "auto" for the one with the smallest NC1 on the training part, a name,
            or a number from 0.
        skip: how "scl" matches the width of the block's pooled output to the features: "pad" with zeros, or
            "interpolate".
        lora_rank: of the adapters of "lora": the size to which they reduce a layer's input.
        lora_alpha: the weight of an adapter's output, divided by its rank.
        precision: "float32", "bfloat16", or "auto": bfloat16 on CUDA, else float32.
        device: where to compute, as torch names it; None for an accelerator if there is one.
    """

    method: Method = "full"
    learning_rates: tuple[float, ...] = (3e-5, 3e-4, 3e-3)
    epochs: int = 30
    steps: int | None = None
    batch_size: int = 32
    weight_decay: float = 0.05
    warmup_share: float = 0.1
    head_factor: float = HEAD_FACTOR
    patience: int | None = 6
    validation_share: float = 0.2
    penalties: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    layer: str | int = AUTO
    skip: Literal["pad", "interpolate"] = "pad"
    lora_rank: int = 8
    lora_alpha: float = 16.0
    precision: str = AUTO
    device: str | None = None

    def __post_init__(self) -> None:
        check_known(self, method=METHODS, skip=("pad", "interpolate"), precision=PRECISIONS)
        for name, values in (("learning_rates", self.learning_rates), ("penalties", self.penalties)):
            if not values or not all(value > 0 for value in values):
                raise OptionError(f"{name}={values!r}: expected at least one number above 0.")
        check_least(self, epochs=1, steps=1, batch_size=1, patience=1, lora_rank=1)
        if self.method == "lora" and find_spec("peft") is None:
            raise OptionError("method='lora' needs peft: pip install 'hf-transfer-score[lora]'.")
        if not 0 < self.validation_share < 1:
            raise OptionError(f"validation_share={self.validation_share}: expected a share between 0 and 1.")
        if not 0 <= self.warmup_share < 1:
            raise OptionError(f"warmup_share={self.warmup_share}: expected a share from 0 to below 1.")
        if self.weight_decay < 0 or self.head_factor <= 0 or self.lora_alpha <= 0:
            raise OptionError("Expected weight_decay of at least 0, head_factor and lora_alpha above 0.")


DEFAULTS: dict[Modality, Recipe] = {
    "image": Recipe(),
    "text": Recipe(learning_rates=(2e-5, 1e-4, 5e-4), epochs=20, weight_decay=0.01, patience=4),
    "audio": Recipe(learning_rates=(3e-5, 3e-4), epochs=20, batch_size=16, weight_decay=0.01, patience=4),
}
"""The recipe of each modality."""

ADAPTERS_RATES: dict[Modality, tuple[float, ...]] = {
    "image": (3e-4, 3e-3, 3e-2),
    "text": (2e-4, 1e-3, 5e-3),
    "audio": (3e-4, 3e-3),
}
"""Learning rates of adapters: ten times those of full fine-tuning, so that the classifier's stay the same."""


def default_recipe(modality: Modality, method: Method = "full") -> Recipe:
    """Return the recipe of a modality.

    Example:
        >>> default_recipe("text", "probe").learning_rates
        (2e-05, 0.0001, 0.0005)
    """
    if method == "lora":
        return replace(DEFAULTS[modality], method=method, learning_rates=ADAPTERS_RATES[modality], head_factor=1.0)
    return replace(DEFAULTS[modality], method=method)


def check_changes(changes: Mapping[str, Any], method: Method) -> None:
    """Refuse settings that no recipe can have, or that the method does not use."""
    for names, methods, lacks in (
        (("layer",), ("layer", "scl"), "trains no single block"),
        (("skip",), ("scl",), "has no skip connection"),
        (("lora_rank", "lora_alpha"), ("lora",), "has no adapters"),
        (("penalties",), ("probe",), "has no penalty to choose"),
    ):
        for name in names:
            if name in changes and method not in methods:
                several = "methods" if len(methods) > 1 else "method"
                raise OptionError(f"`{name}` is for the {several} {' and '.join(methods)}; {method} {lacks}.")
    for name in PASSES if method == "probe" else ():
        if name in changes:
            raise OptionError(f"`{name}` is for methods that train in epochs; a probe is fitted at once.")
    replace(default_recipe("image", method), **changes)


def most_collapsed(nc1: Mapping[str, float | None]) -> str | None:
    """Return the layer with the smallest NC1, the earlier of equal ones; None if none has one.

    Example:
        >>> most_collapsed({"0": 0.4, "1": 0.2, "2": None, "3": 0.2})
        '1'
    """
    known = {layer: value for layer, value in nc1.items() if value is not None}
    return min(known, key=known.__getitem__, default=None)
