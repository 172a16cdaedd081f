"""The flags of fine-tuning, which `verify` and `choose` share."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, TypeVar

from cyclopts import Group, Parameter

from hf_transfer_score.choosing.options import RacedMethod
from hf_transfer_score.cli.flags import DATASET, Whole, comma_list, converted
from hf_transfer_score.errors import OptionError
from hf_transfer_score.runs.verified import VerifyOptions
from hf_transfer_score.tasks import Method

Options = TypeVar("Options")

TUNING = Group("Fine-tuning", sort_key=1.5)


@dataclass(frozen=True)
class TuningFlags:
    """How models are fine-tuned.

    Attributes:
        method: full trains everything, layer one block and the classifier, scl the same with a skip connection from
            that block to the last features, lora low-rank adapters (extra `lora`), probe a classifier on frozen
            features.
        test_split: split to test on; by default one called test or validation that has labels, else the rows outside
            the sample.
        test_samples: test rows at most.
        epochs: epochs at most; the default depends on the modality.
        steps: optimiser steps at most.
        patience: stop a learning rate after this many epochs without a gain on the validation rows, never if it is at
            least --epochs; the default depends on the modality.
        learning_rates: learning rates to try, separated by commas; the default depends on the modality.
        train_batch_size: examples per step; the default depends on the modality.
        layer: block that layer and scl train: auto (smallest NC1), a name, or a number from 0.
        skip: width of the skip connection of scl: pad or interpolate.
        lora_rank: rank of the adapters of lora; 8 by default.
        lora_alpha: scale of the adapters, divided by their rank; 16 by default.
        precision: of training: auto (bfloat16 on CUDA), float32 or bfloat16.
    """

    method: Method = "full"
    test_split: Annotated[str | None, Parameter(group=DATASET)] = None
    test_samples: Annotated[int, Parameter(group=DATASET)] = 1000
    epochs: int | None = None
    steps: int | None = None
    patience: Whole = None
    learning_rates: Annotated[
        tuple[float, ...] | None,
        Parameter(converter=converted(comma_list(float, "numbers separated by commas, such as 1e-4,1e-3")), n_tokens=1),
    ] = None
    train_batch_size: Whole = None
    layer: int | str | None = None
    skip: str | None = None
    lora_rank: Whole = None
    lora_alpha: float | None = None
    precision: str | None = None

    def made(self, kind: type[Options], device: str | None, **more: Any) -> Options:
        """Return options of a kind with the fields `method` and `changes`; other flags change the modality's recipe."""
        said = {name: value for name, value in {**vars(self), **more}.items() if value is not None}
        mine = {one.name for one in fields(kind)}  # type: ignore[arg-type]
        changes = {name.removeprefix("train_"): value for name, value in said.items() if name not in mine}
        if device is not None:
            changes["device"] = device
        kept = {name: value for name, value in said.items() if name in mine}
        try:
            return kind(changes=changes, **kept)  # type: ignore[call-arg]
        except OptionError as error:  # the flag --batch-size is that of the forward pass
            raise OptionError(str(error).replace("`batch_size`", "`train_batch_size`")) from None


def _whole(text: str) -> int:
    if not text.isdigit():
        raise ValueError(text)
    return int(text)


@dataclass(frozen=True)
class MeasuringFlags(TuningFlags):
    """How many candidates are fine-tuned, and how.

    Attributes:
        top: how many of the best candidates are fine-tuned.
        seeds: one measurement for each, separated by commas.
    """

    top: int = VerifyOptions.top
    seeds: Annotated[
        tuple[int, ...],
        Parameter(
            converter=converted(comma_list(_whole, "whole numbers separated by commas, such as 0,1,2")),
            n_tokens=1,
            show_default="0,1,2",
        ),
    ] = VerifyOptions.seeds


@dataclass(frozen=True)
class RaceFlags(TuningFlags):
    """How finalists are fine-tuned."""

    method: RacedMethod = "full"
