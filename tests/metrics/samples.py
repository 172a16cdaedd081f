"""Small labelled samples for tests; every one is made from a seed."""

import numpy as np
from numpy.typing import NDArray


def mixture(
    rows: int = 240, width: int = 16, classes: int = 5, *, separation: float = 2.0, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return a Gaussian mixture with unequal classes and correlated features, and its labels in mixed order."""
    generator = np.random.default_rng(seed)
    weights = np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    labels = np.concatenate([np.arange(classes).repeat(2), generator.choice(classes, rows - 2 * classes, p=weights)])
    shape = generator.normal(size=(width, width)) / np.sqrt(width)
    features = generator.normal(size=(rows, width)) @ shape
    features += separation * generator.normal(size=(classes, width))[labels]
    return features, generator.permutation(labels) if separation == 0 else labels
