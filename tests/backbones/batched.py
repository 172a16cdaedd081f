"""Features of examples, batch by batch."""

import numpy as np
import torch

from hf_transfer_score.backbones.base import BackboneOptions


def run(backbone, examples, step=0):
    """Return features by layer, and probabilities if any, of so many items at a time, or of all at once."""
    items = backbone.encode(examples)
    step = step or len(items)
    with torch.inference_mode():
        found = [backbone.forward(backbone.collate(items[at : at + step])) for at in range(0, len(items), step)]
    rows = {name: np.concatenate([one.features[name] for one in found]) for name in found[0].features}
    return rows, None if found[0].source_probs is None else np.concatenate([one.source_probs for one in found])


def rows_of(kind, folder, examples, task, step=0, **options):
    return run(kind.load(folder, task, BackboneOptions(**options)), examples, step)[0]
