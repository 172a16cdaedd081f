"""The machines on which Hugging Face runs jobs, their prices, and which one a candidate needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hf_transfer_score.errors import CheckpointError

GIGABYTE = 10**9
WEIGHTS_TIMES, EXTRA = 4, 2 * GIGABYTE
"""Memory for a candidate: a multiple of its weights, as for full fine-tuning, and some more."""

MINUTES = {"second": 1 / 60, "minute": 1.0, "hour": 60.0}
"""Units of the Hub's prices."""


@dataclass(frozen=True)
class Flavor:
    """A kind of machine: the bytes of its GPU's memory (or its own without one), and dollars per minute if known."""

    name: str
    memory: int
    gpus: int
    dollars: float | None = None


def read_flavors(listed: Iterable[Any]) -> list[Flavor]:
    """Return the machines in the Hub's list, the cheapest first."""
    found = []
    for one in listed:
        gpu = one.accelerator
        minutes = MINUTES.get(str(one.unit_label).lower().removesuffix("s"))
        dollars = None if minutes is None or one.unit_cost_usd is None else float(one.unit_cost_usd) / minutes
        memory, gpus = (one.ram, 0) if gpu is None else (gpu.vram, int(_number(gpu.quantity)))
        found.append(Flavor(str(one.name), int(_number(memory) * GIGABYTE), gpus, dollars))
    return sorted(found, key=lambda flavor: (flavor.dollars is None, flavor.dollars or 0.0, flavor.memory))


def flavor_for(flavors: Sequence[Flavor], weights: int, *, gpu: bool) -> Flavor:
    """Return the cheapest machine for weights of a size in bytes, with one GPU or none.

    Example:
        >>> known = [Flavor("cpu", 16 * 10**9, 0, 0.001), Flavor("small", 16 * 10**9, 1, 0.01),
        ...          Flavor("large", 80 * 10**9, 1, 0.1)]
        >>> [flavor_for(known, 10**9 * size, gpu=size > 0).name for size in (0, 3, 5)]
        ['cpu', 'small', 'large']
    """
    needed = WEIGHTS_TIMES * weights + EXTRA
    for one in flavors:
        if one.gpus == int(gpu) and one.memory >= needed:
            return one
    machine = "with one GPU" if gpu else "without a GPU"
    raise CheckpointError(
        "too_large",
        f"its weights have {weights / GIGABYTE:.1f} GB, and no machine {machine} has the {needed / GIGABYTE:.0f} GB of "
        "memory that it may need: name one with `flavor`",
    )


def _number(text: object) -> float:
    """Return the number at the start of a text such as "16 GB", 0 if there is none."""
    found = re.match(r"\s*(\d+(?:\.\d+)?)", str(text))
    return float(found[1]) if found else 0.0
