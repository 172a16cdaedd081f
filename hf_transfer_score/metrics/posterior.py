"""Posteriors of Gaussian classes with one common covariance: what NCTI and SFDA share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.metrics.scatter import Array


def gaussian_posterior(rows: Array, means: Array, counts: NDArray[np.int64]) -> Array:
    """Return p(class | row) for unit covariance and priors in proportion to the counts, (N, K).

    Args:
        rows: whitened rows (N, p).
        means: whitened class means (K, p).
        counts: rows of each class (K,).
    """
    logits = rows @ means.T
    logits += np.log(counts / counts.sum()) - np.einsum("kd,kd->k", means, means) / 2
    return softmax(logits)


def softmax(logits: Array) -> Array:
    """Return the softmax of each row, in place, without overflow."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits
