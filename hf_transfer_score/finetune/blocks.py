"""The blocks of a network in their order, whichever library built it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from hf_transfer_score.errors import CheckpointError

CONTAINERS = (torch.nn.Sequential, torch.nn.ModuleList)
LEAST_SHARE = 0.5
"""Of all parameters in sequences inside a module its own sequences hold this share where its blocks are in them."""


def blocks_of(module: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """Return the blocks of a network by name, from the input to the output.

    Blocks are what its sequences are made of: residual blocks, encoder layers; stages are opened. In a network without
    such sequences they are its children that have children; fewer than two of them raise CheckpointError.

    Example:
        >>> layers = torch.nn.Sequential(*(torch.nn.Sequential(torch.nn.Linear(2, 2)) for _ in range(2)))
        >>> list(blocks_of(layers))
        ['0.0', '1.0']
    """
    found = dict(_descend(module, ""))
    composite = {name: block for name, block in found.items() if next(block.children(), None) is not None}
    chosen = composite if len(composite) > 1 else found
    if len(chosen) < 2:
        chosen = {
            name: one for name, one in module.named_children() if _size(one) and any(True for _ in one.children())
        }
    if len(chosen) < 2:
        raise CheckpointError(
            "unsupported", f"is a {type(module).__name__}, in which no sequence of blocks was found; use another method"
        )
    return chosen


def _descend(module: torch.nn.Module, name: str) -> Iterator[tuple[str, torch.nn.Module]]:
    """Yield the blocks of the sequences that a module has itself, else of the child that is most of it."""
    if isinstance(module, CONTAINERS):
        yield from _opened(module, name)
        return
    children = {_joined(name, key): child for key, child in module.named_children() if _size(child)}
    sequences = {key: child for key, child in children.items() if isinstance(child, CONTAINERS)}
    inside = _size_in_sequences(module)  # embeddings can be larger than all blocks together
    if sequences and sum(map(_size, sequences.values())) >= LEAST_SHARE * inside:
        for key, child in sequences.items():
            yield from _opened(child, key)
    elif inside:
        largest = max(children, key=lambda key: _size_in_sequences(children[key]))
        yield from _descend(children[largest], largest)


def _opened(sequence: torch.nn.Module, name: str) -> Iterator[tuple[str, torch.nn.Module]]:
    for key, child in sequence.named_children():
        full = _joined(name, key)
        if isinstance(child, CONTAINERS):
            yield from _opened(child, full)
        elif "stage" in type(child).__name__.lower() and any(isinstance(one, CONTAINERS) for one in child.children()):
            yield from _descend(child, full)
        elif _size(child):
            yield full, child


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _size(module: torch.nn.Module) -> int:
    return sum(one.numel() for one in module.parameters())


def _size_in_sequences(module: torch.nn.Module) -> int:
    """Return the parameters that are in sequences somewhere inside a module."""
    if isinstance(module, CONTAINERS):
        return _size(module)
    return sum(map(_size_in_sequences, module.children()))


def pooled(output: Any, pool_tokens: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Return one row per example (B, C) from a block's output: the mean over places, or what is read of tokens.

    Args:
        output: of a block, or what begins with it: (B, C), (B, T, C), (B, C, H, W) or (B, H, W, C), which
            are distinguished by their equal sides.
        pool_tokens: makes rows (B, C) of tokens (B, T, C) as the network itself does: by the class token, or the mean.
    """
    states = output[0] if isinstance(output, (tuple, list)) else output
    for name in ("last_hidden_state", "encoder_last_hidden_state"):  # the latter goes first where there are both
        states = getattr(output, name, None) if getattr(output, name, None) is not None else states
    values = states.float()
    if values.ndim == 4:
        last = values.shape[1] == values.shape[2] != values.shape[3]
        return values.mean((1, 2)) if last else values.mean((2, 3))
    if values.ndim == 3:
        return pool_tokens(values)
    if values.ndim != 2:
        raise CheckpointError("unsupported", f"has a block whose output is {tuple(values.shape)}, not one row or map")
    return values


def mean_of_tokens(states: torch.Tensor) -> torch.Tensor:
    """Return the mean over all tokens: how blocks of a network are pooled that does not say how it reads tokens."""
    return states.mean(1)


def to_width(rows: torch.Tensor, width: int, how: str) -> torch.Tensor:
    """Return rows (B, C) at another width (B, width): padded with zeros, or interpolated along the channels.

    Wider rows than wanted are always interpolated, since padding cannot narrow them.

    Example:
        >>> to_width(torch.tensor([[1.0, 3.0]]), 4, "pad").tolist()
        [[1.0, 3.0, 0.0, 0.0]]
    """
    if rows.shape[1] == width:
        return rows
    if how == "pad" and rows.shape[1] < width:
        return torch.nn.functional.pad(rows, (0, width - rows.shape[1]))
    return torch.nn.functional.interpolate(rows[:, None], width, mode="linear", align_corners=False)[:, 0]
