"""The options of a ranking; those without effect are refused before the first model, cached or not."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.errors import OptionError
from hf_transfer_score.features.extract import ExtractOptions
from hf_transfer_score.sampling.sample import SampleOptions
from hf_transfer_score.tasks import Task


@dataclass(frozen=True)
class RankOptions:
    """How candidates are ranked.

    Attributes:
        sample: what is drawn from the dataset.
        backbone: how features are read from a checkpoint.
        extract: how the forward passes are run.
        max_parameters: skip candidates with more parameters.
        min_throughput: leave out candidates that read fewer examples per second on this computer.
        trust_remote_code: a model whose own Python code may run.
        allow_pickle: a model whose pickled weights may be loaded.
        free_disk: remove downloaded weights once they are scored.
        refresh: ask the Hub and read the dataset again, instead of using what earlier runs learned.
        replicates: bootstrap replicates for the rank ranges; 0 for none.
        level: the share of replicates that a rank range covers.
        seed: of the bootstrap.
    """

    sample: SampleOptions = field(default_factory=SampleOptions)
    backbone: BackboneOptions = field(default_factory=BackboneOptions)
    extract: ExtractOptions = field(default_factory=ExtractOptions)
    max_parameters: int | None = None
    min_throughput: float | None = None
    trust_remote_code: tuple[str, ...] = ()
    allow_pickle: tuple[str, ...] = ()
    free_disk: bool = False
    refresh: bool = False
    replicates: int = 100
    level: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        placed = self.backbone.placed
        if placed and (self.extract.device is not None or self.extract.runtime == "openvino"):
            raise OptionError(
                f"`{placed[0]}` places the weights when they are loaded: leave out `device` and `runtime`."
            )
        if self.replicates < 0 or self.replicates == 1:
            raise OptionError(f"replicates={self.replicates}: expected 0 for no rank ranges, or at least 2.")
        if self.min_throughput is not None and not self.min_throughput > 0:
            raise OptionError(f"min_throughput={self.min_throughput}: expected examples per second, more than 0.")
        if not 0.5 <= self.level < 1:
            raise OptionError(f"level={self.level}: expected a share from 0.5 to below 1.")


def check_fits(options: RankOptions, task: Task) -> None:
    """Refuse options that do not apply to a task, if they differ from their defaults."""
    backbone, sample = options.backbone, options.sample
    for group, name, what, applies in (
        (backbone, "max_length", "texts", task.modality == "text"),
        (backbone, "subword", "token-classification", task.unit == "word"),
        (backbone, "image_size", "images", task.modality == "image"),
        (sample, "rows_per_example", "labels of words and pixels", task.unit != "example"),
        (sample, "ignore_values", "image-segmentation", task.unit == "pixel"),
        (sample, "per_class", "classes", task.truth == "labels"),
    ):
        value = getattr(group, name)
        default = next(one.default for one in fields(group) if one.name == name)
        if not applies and value != default:
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            raise OptionError(f"{name}={shown} is for {what}, and this is {task.name}: leave it out.")


def check_trainable(options: RankOptions) -> None:
    """Refuse ways to read features that leave nothing to fine-tune."""
    backbone = options.backbone
    if backbone.layer == "all":
        raise OptionError('layer="all" gives several features for each model, and fine-tuning takes one.')
    for name in backbone.placed:
        raise OptionError(
            f"{name}={getattr(backbone, name)} is for reading features, as `rank` does: leave it out to fine-tune."
        )


def check_device(wanted: str | None) -> None:
    """Refuse a device that this computer does not have, or that torch does not know."""
    if wanted is None:
        return
    import torch

    try:
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        here = [one for one in ("cuda", "mps", "xpu") if getattr(torch, one).is_available()]
        raise OptionError(
            f"device={wanted}: there is no such device on this computer; it has {', '.join([*here, 'cpu'])}."
        ) from error
