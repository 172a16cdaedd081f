"""Options that would do nothing are refused before the first model, whether or not its features are kept already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from hf_transfer_score.errors import OptionError
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.tasks import Task


def check_fits(options: RankOptions, task: Task) -> None:
    """Refuse options that such a task has no use for.

    Raises:
        OptionError: one was set to something else than its default.
    """
    for options_of, name, what in _useless(task):
        value = getattr(getattr(options, options_of), name)
        if value != _default(getattr(options, options_of), name):
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            raise OptionError(f"{name}={shown} is for {what}, and this is {task.name}: leave it out.")


def _useless(task: Task) -> Iterator[tuple[str, str, str]]:
    """Yield the group, the name and the purpose of each option that the task has no use for."""
    if task.modality != "text":
        yield "backbone", "max_length", "texts"
    if task.unit != "word":
        yield "backbone", "subword", "token-classification"
    if task.modality != "image":
        yield "backbone", "image_size", "images"
    if task.unit == "example":
        yield "sample", "rows_per_example", "labels of words and pixels"
    if task.unit != "pixel":
        yield "sample", "ignore_values", "image-segmentation"
    if task.truth != "labels":
        yield "sample", "per_class", "classes"


def _default(options: Any, name: str) -> Any:
    return next(one.default for one in fields(options) if one.name == name)


def check_device(wanted: str | None) -> None:
    """Refuse a device that is not on this computer.

    Raises:
        OptionError: torch does not know it, or has no such device here.
    """
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
