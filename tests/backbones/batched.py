"""Features of a folder, batch by batch."""

from __future__ import annotations

import numpy as np
import torch

from hf_transfer_score.backbones.base import BackboneOptions


def rows_of(kind, folder, examples, task, step=0, **options):
    """Return features by layer, of so many items at a time, or of all at once."""
    backbone = kind.load(folder, task, BackboneOptions(**options))
    items = backbone.encode(examples)
    step = step or len(items)
    with torch.inference_mode():
        found = [backbone.forward(backbone.collate(items[at : at + step])) for at in range(0, len(items), step)]
    return {name: np.concatenate([one.features[name] for one in found]) for name in found[0].features}
