"""Which block to train: NC1 of each block's output, and the block in a recipe."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import torch

from hf_transfer_score.errors import CheckpointError, InputError, OptionError, did_you_mean
from hf_transfer_score.finetune.classifier import Classifier, Tap, blocks_of
from hf_transfer_score.finetune.loop import LabelledRows, Machine, forward
from hf_transfer_score.finetune.recipe import AUTO, most_collapsed
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import get_metric


def usable_blocks(classifier: Classifier, reached: set[int]) -> dict[str, torch.nn.Module]:
    """Return the blocks, in order, with parameters that features depend on, given the ids of these."""
    blocks = blocks_of(classifier.backbone.module)
    return {name: one for name, one in blocks.items() if any(id(value) in reached for value in one.parameters())}


def before_last(
    classifier: Classifier, blocks: dict[str, torch.nn.Module], batch: dict[str, object]
) -> dict[str, torch.nn.Module]:
    """Return the blocks that a skip connection can come from: those before the last one; CheckpointError for none.

    A block whose pooled output is already the features is left out: adding it would only change their scale.
    """
    found = dict(list(blocks.items())[:-1])
    taps = {name: Tap(block, classifier.backbone) for name, block in found.items()}
    try:
        with torch.no_grad():
            features = classifier.features(batch)
            rows = {name: tap.rows(batch) for name, tap in taps.items()}
    finally:
        for tap in taps.values():
            tap.remove()
    different = [name for name, one in rows.items() if one.shape != features.shape or not torch.allclose(one, features)]
    if not different:
        raise CheckpointError(
            "unsupported",
            "has no block before the last one for the skip connection of scl, which would add the features to "
            "themselves; use the method layer",
        )
    return {name: found[name] for name in different}


def choose_block(
    classifier: Classifier, blocks: dict[str, torch.nn.Module], wanted: str | int, data: LabelledRows, machine: Machine
) -> str:
    """Return the name of the block in a recipe.

    "auto" is the block whose pooled output has the smallest NC1, as in `layers`; if no block has one, because there are
    too few rows, the one in the middle.
    """
    names = list(blocks)
    if wanted == AUTO:
        return most_collapsed(nc1_profile(classifier, blocks, data, machine)) or names[len(names) // 2]
    if isinstance(wanted, int) or wanted.lstrip("-").isdigit():
        number = int(wanted)
        if not 0 <= number < len(names):
            raise OptionError(f"layer={number}: this checkpoint has the blocks 0 to {len(names) - 1}.")
        return names[number]
    if wanted not in blocks:
        raise OptionError(f"layer={wanted!r}: this checkpoint has no such block.{did_you_mean(wanted, names, 0.0)}")
    return wanted


def nc1_profile(
    classifier: Classifier, blocks: dict[str, torch.nn.Module], data: LabelledRows, machine: Machine
) -> dict[str, float]:
    """Return NC1 of each block's pooled output, where it can be computed; smaller is more collapsed.

    Outputs are pooled as the network pools its own layers, so these are the numbers of `layers`; the last block is read
    after the final norm if its layer is.
    """
    taps = {name: Tap(block, classifier.backbone) for name, block in blocks.items()}
    body, last = getattr(classifier.backbone, "body", None), next(reversed(blocks), None)
    if body is not None and last is not None and last == next(reversed(blocks_of(classifier.backbone.module))):
        taps[last].remove()
        taps[last] = Tap(body, classifier.backbone)
    widths: list[int] = []

    def every(batch: dict[str, object]) -> torch.Tensor:
        classifier.features(batch)
        rows = [tap.rows(batch) for tap in taps.values()]
        widths[:] = [one.shape[1] for one in rows]
        return torch.cat(rows, 1)

    try:
        parts = forward(classifier, data.encoded, data.rows, machine, every)
    finally:
        for tap in taps.values():
            tap.remove()
    codes = np.concatenate([data.codes[part] for part, _ in parts])
    rows = torch.cat([values.cpu() for _, values in parts]).numpy()
    metric, found = get_metric("nc1"), {}
    columns = np.split(rows, np.cumsum(widths)[:-1], axis=1)
    for name, features in zip(blocks, columns, strict=True):
        with suppress(InputError):  # such as a single class, or values that are not finite
            result = metric.attempt(LabelledFeatures(np.ascontiguousarray(features), codes))
            if result.status == "ok":
                found[name] = float(result.terms["nc1"])
    return found
