"""Options that would have no effect are refused before the first model, even if all features are cached."""

from __future__ import annotations

from dataclasses import fields

from hf_transfer_score.errors import OptionError
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.tasks import Task


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
