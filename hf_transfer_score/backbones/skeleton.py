"""What a network would take, found out before it takes it: built without memory, and held against its weights.

Any number in a description may make a network large: a width, a vocabulary, a list of depths, a name that stands for a
hundred of them. What is built of it tells, whatever the numbers are called.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from threading import get_ident
from typing import Any

from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.limits import EXPANDED_BYTES, USUAL_GROWTH

BYTES = 4
"""Of a weight; all are run in single precision."""

MOST_PARTS = 500_000
"""Weights, layers, norms, functions of a network: mixtures of hundreds of experts have some ten thousand."""

MOST_SECONDS = 30.0
"""For building one without memory; the largest take two or three."""


class _TooMuchError(Exception):
    """Building goes beyond a limit; the message is the rest of a sentence."""


def check_skeleton(build: Callable[[], Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a network that would take far more memory than its weights, or more parts than any has.

    Args:
        build: makes the network; called where tensors have shapes and no memory.
        shapes: of its weights by name. Without any, nothing is checked: pickles are opened for those who trust them.

    Raises:
        CheckpointError: "too_large", before memory is taken.

    Example:
        >>> import torch
        >>> check_skeleton(lambda: torch.nn.Linear(8, 8), {"weight": (8, 8), "bias": (8,)})
        >>> check_skeleton(lambda: torch.nn.Linear(10**6, 10**6), {"weight": (8, 8), "bias": (8,)})
        Traceback (most recent call last):
        ...
        hf_transfer_score.errors.CheckpointError: has a config.json that asks for a network of 4,000 GB, and its \
weights hold 0.000 GB
    """
    if not shapes:
        return
    held = BYTES * sum(prod(shape) for shape in shapes.values())
    try:
        with _without_memory(), _counted():
            asked = _bytes_of(build())
    except _TooMuchError as error:
        raise CheckpointError("too_large", f"has a config.json that asks for a network {error}") from None
    except Exception:  # noqa: BLE001 - whoever builds it in earnest says what is wrong with it
        return
    if asked > EXPANDED_BYTES + USUAL_GROWTH * held:
        raise CheckpointError(
            "too_large",
            f"has a config.json that asks for a network of {_gigabytes(asked)}, and its weights hold "
            f"{_gigabytes(held)}",
        )


@contextmanager
def _without_memory() -> Iterator[None]:
    import torch

    with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
        yield


@contextmanager
def _counted() -> Iterator[None]:
    """Stop this thread when it puts too many parts into networks, or takes too long for it."""
    from torch.nn.modules import module

    own, start, parts = get_ident(), time.monotonic(), 0

    def count(*_: Any) -> None:
        nonlocal parts
        if get_ident() != own:
            return
        parts += 1
        if parts > MOST_PARTS:
            raise _TooMuchError(f"of more than {MOST_PARTS:,} parts; at most that many are built")
        if time.monotonic() - start > MOST_SECONDS:
            raise _TooMuchError(f"that takes more than {MOST_SECONDS:.0f} s to build")

    watched = (module.register_module_module_registration_hook, module.register_module_parameter_registration_hook)
    handles = [watch(count) for watch in watched]  # many are made before the list that they are put into
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _bytes_of(model: Any) -> int:
    parameters = {id(one): BYTES * one.numel() for one in model.parameters()}
    total: int = sum(parameters.values()) + sum(one.numel() * one.element_size() for one in model.buffers())
    return total


def _gigabytes(count: float) -> str:
    return f"{count / 10**9:,.0f} GB" if count >= 10**10 else f"{count / 10**9:.3f} GB"
