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
    counted = _Counted(BYTES * sum(prod(shape) for shape in shapes.values()))
    try:
        with _without_memory(), counted:
            counted.check(_asked(build, counted))
    except _TooMuchError as error:
        raise CheckpointError("too_large", f"has a config.json that asks for a network {error}") from None


def _asked(build: Callable[[], Any], counted: _Counted) -> int:
    """Return the bytes of a network, of what there is of it where building fails: the rest is for who builds it."""
    try:
        return _bytes_of(build())
    except _TooMuchError:
        raise
    except Exception:  # noqa: BLE001 - whatever it is, it comes again
        return counted.total


@contextmanager
def _without_memory() -> Iterator[None]:
    import torch

    with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
        yield


class _Counted:
    """Stops this thread when it puts too much into networks, or takes too long for it, while the `with` block lasts.

    A single weight may be the one that is too large, and what is built behind it may fail, so each counts at once.
    """

    def __init__(self, held: int) -> None:
        self.held, self.most = held, EXPANDED_BYTES + USUAL_GROWTH * held
        self.total = 0
        self._thread, self._start, self._parts = get_ident(), time.monotonic(), 0
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        from torch.nn.modules import module

        watched = (module.register_module_module_registration_hook, module.register_module_parameter_registration_hook)
        self._handles = [watch(self._count) for watch in watched]  # many are made before the list they are put into

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def check(self, asked: int) -> None:
        """Refuse so many bytes where the weights hold far fewer."""
        if asked > self.most:
            raise _TooMuchError(f"of {_gigabytes(asked)}, and its weights hold {_gigabytes(self.held)}")

    def _count(self, _module: Any, _name: str, part: Any) -> None:
        if get_ident() != self._thread:
            return
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise _TooMuchError(f"of more than {MOST_PARTS:,} parts; at most that many are built")
        if time.monotonic() - self._start > MOST_SECONDS:
            raise _TooMuchError(f"that takes more than {MOST_SECONDS:.0f} s to build")
        if hasattr(part, "numel"):
            self.total += BYTES * part.numel()
            self.check(BYTES * part.numel())


def _bytes_of(model: Any) -> int:
    parameters = {id(one): BYTES * one.numel() for one in model.parameters()}
    total: int = sum(parameters.values()) + sum(one.numel() * one.element_size() for one in model.buffers())
    return total


def _gigabytes(count: float) -> str:
    return f"{count / 10**9:,.0f} GB" if count >= 10**10 else f"{count / 10**9:.3f} GB"
