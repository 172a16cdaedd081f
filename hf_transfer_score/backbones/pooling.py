"""From the states of tokens or frames to rows of features: which layer, and what of its states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from hf_transfer_score.backbones.base import ALL, LAST, MEAN
from hf_transfer_score.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor


def mask_of(lengths: Tensor, width: int) -> Tensor:
    """Return which places are real (B, width), for sequences padded on the right and their lengths (B,)."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]


def pick_layers(last: Tensor, hidden: Sequence[Tensor] | None, layer: str | int) -> dict[str, Tensor]:
    """Return the states that are asked for, by layer name.

    Args:
        last: what the model puts out (B, T, D), its last normalisation included.
        hidden: the states of all layers, the embeddings first; None is enough for "last".
        layer: as in `BackboneOptions`. "mean" averages the layers and the embeddings; "all" names them "0", "1", ...
    """
    if layer == LAST:
        return {LAST: last}
    if not hidden:
        raise CheckpointError("unsupported", f"does not show the states of its layers, and layer={layer!r} needs them")
    states = list(hidden)
    if states[-1].shape == last.shape:
        states[-1] = last  # some models show the last layer before its normalisation
    if layer == ALL:
        return {str(number): one for number, one in enumerate(states)}
    if layer == MEAN:
        return {MEAN: torch.stack([one.float() for one in states]).mean(0)}
    if int(layer) >= len(states):
        raise CheckpointError(
            "unsupported", f"has {len(states) - 1} layers, and layer={layer} was asked for (0 is the embeddings)"
        )
    return {str(layer): states[int(layer)]}


def pool(states: Tensor, lengths: Tensor, how: str) -> Tensor:
    """Return a row for each sequence (B, D), of its real places only.

    Args:
        states: (B, T, D), padded on the right.
        lengths: how many places of each sequence are real (B,), at least one.
        how: a key of POOLINGS_BY_NAME: "cls" (the first place), "last" (the last real one), "mean", "max",
            "mean_sqrt_len" (the sum over the root of the length) or "weightedmean" (places weigh 1, 2, 3, ...).
    """
    states = states.float()
    return POOLINGS_BY_NAME[how](states, lengths, mask_of(lengths, states.shape[1])[..., None])


def _first(states: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
    return states[:, 0]


def _last(states: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
    return states[torch.arange(len(states), device=states.device), lengths - 1]


def _mean(states: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
    return states.masked_fill(~mask, 0).sum(1) / lengths[:, None]


def _max(states: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
    return states.masked_fill(~mask, float("-inf")).amax(1)


def _mean_sqrt_len(states: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
    return states.masked_fill(~mask, 0).sum(1) / lengths[:, None].sqrt()


def _weighted_mean(states: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
    weights = torch.arange(1, states.shape[1] + 1, device=states.device)[None, :, None] * mask
    return (states.masked_fill(~mask, 0) * weights).sum(1) / weights.sum(1)


POOLINGS_BY_NAME: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "cls": _first,
    "last": _last,
    "mean": _mean,
    "max": _max,
    "mean_sqrt_len": _mean_sqrt_len,
    "weightedmean": _weighted_mean,
}


def pool_words(states: Tensor, places: Tensor, count: int) -> Tensor:
    """Return the mean state of the sub-words of each word (count, D).

    Args:
        states: (B, T, D).
        places: the sequence, the place in it, and the row of each sub-word (3, sub-words).
        count: how many rows there are; each has a sub-word.
    """
    picked = states[places[0], places[1]].float()
    rows = torch.zeros(count, states.shape[-1], dtype=picked.dtype, device=picked.device)
    sizes = torch.zeros(count, dtype=picked.dtype, device=picked.device)
    sizes.index_add_(0, places[2], torch.ones_like(picked[:, 0]))
    return rows.index_add_(0, places[2], picked) / sizes[:, None]
