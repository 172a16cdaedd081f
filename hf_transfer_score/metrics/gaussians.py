"""Distances and posteriors for metrics that treat classes as Gaussians.

Bhattacharyya distances are D_ij = 1/8 (μ_i-μ_j)ᵀ Σ⁻¹ (μ_i-μ_j) + 1/2 ln(det Σ / sqrt(det Σ_i det Σ_j)), with
Σ = (Σ_i + Σ_j) / 2.
"""

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.metrics.class_stats import Array, add_class_sums
from hf_transfer_score.metrics.labelled import LabelledFeatures

PAIR_BYTES = 64 * 1024 * 1024


def squared_distances(points: Array) -> Array:
    """Return squared Euclidean distances between all pairs of points (K, p), (K, K), with an exact zero diagonal."""
    points = points - points.mean(axis=0)
    norms = np.einsum("kd,kd->k", points, points)
    distances = norms[:, None] + norms[None, :] - 2 * (points @ points.T)
    np.maximum(distances, 0.0, out=distances)
    np.fill_diagonal(distances, 0.0)
    return np.asarray(distances)


def class_variances(data: LabelledFeatures, *, unbiased: bool = False) -> Array:
    """Return the variance of each class along each feature, (K, D); one-sample classes give the biased one, zero."""

    def compute() -> Array:
        means, squares = data.statistics.means, np.zeros((data.class_count, data.width))
        for rows, chunk in data.chunks():
            chunk -= means[data.codes[rows]]
            np.square(chunk, out=chunk)
            add_class_sums(squares, chunk, data.codes[rows])
        return squares

    divisors = np.maximum(data.counts - 1, 1) if unbiased else data.counts
    return np.asarray(data.memo("class variances", compute) / divisors[:, None])


def spherical(means: Array, variances: Array, determinant_width: float) -> Array:
    """Return distances of spherical Gaussians with means (K, p) and one variance per class (K,), (K, K).

    The logarithm counts p times for the true determinant, or once as in the public GBC codes.
    """
    average = (variances[:, None] + variances[None, :]) / 2
    logs = np.log(variances)
    determinant = np.log(average) - (logs[:, None] + logs[None, :]) / 2
    return np.asarray(squared_distances(means) / (8 * average) + 0.5 * determinant_width * determinant)


def pooled_spherical(means: Array, variance: float) -> Array:
    """Return distances of spherical Gaussians that share one variance (K, K)."""
    return np.asarray(squared_distances(means) / (8 * variance))


def diagonal(means: Array, variances: Array) -> Array:
    """Return distances of Gaussians with means (K, p) and diagonal covariances (K, p), (K, K)."""
    count, width = means.shape
    distances = np.zeros((count, count))
    logs = np.log(variances)
    step = max(1, PAIR_BYTES // (8 * count * width))
    for start in range(0, count, step):
        part = slice(start, start + step)
        average = (variances[part, None] + variances[None]) / 2
        difference = means[part, None] - means[None]
        distances[part] = np.einsum("ijd,ijd->ij", difference / average, difference) / 8
        distances[part] += (np.log(average) - (logs[part, None] + logs[None]) / 2).sum(axis=2) / 2
    return distances


def full(means: Array, covariances: NDArray[np.float64]) -> Array:
    """Return distances of Gaussians with positive definite covariances (K, p, p), (..., K, K).

    Several sets of means (..., K, p) share the computations on the covariances.
    """
    count, width = means.shape[-2:]
    sets = means.reshape(-1, count, width)
    distances = np.zeros((len(sets), count, count))
    logs = np.linalg.slogdet(covariances)[1]
    firsts, seconds = np.triu_indices(count, k=1)
    step = max(1, PAIR_BYTES // (8 * width * (2 * width + 3 * len(sets))))
    for start in range(0, len(firsts), step):
        one, other = firsts[start : start + step], seconds[start : start + step]
        average = (covariances[one] + covariances[other]) / 2
        differences = np.moveaxis(sets[:, one] - sets[:, other], 0, 2)  # (pairs, p, sets)
        solved = np.linalg.solve(average, differences)
        log_ratio = np.linalg.slogdet(average)[1] - (logs[one] + logs[other]) / 2
        distances[:, one, other] = np.einsum("cpb,cpb->bc", differences, solved) / 8 + log_ratio / 2
    distances += np.swapaxes(distances, 1, 2)
    return np.asarray(distances.reshape(*means.shape[:-1], count))


def gaussian_posterior(rows: Array, means: Array, counts: NDArray[np.int64]) -> Array:
    """Return p(class | row) for whitened rows (N, p) and class means (K, p), priors in proportion to counts, (N, K)."""
    logits = rows @ means.T
    logits += np.log(counts / counts.sum()) - np.einsum("kd,kd->k", means, means) / 2
    return softmax(logits)


def softmax(logits: Array) -> Array:
    """Return the softmax of each row, in place, without overflow."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits
