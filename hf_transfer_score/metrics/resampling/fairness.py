"""FaCe of every replicate: variance collapse exactly, class fairness in the principal components of the full sample."""

from __future__ import annotations

import numpy as np

from hf_transfer_score.metrics import bhattacharyya
from hf_transfer_score.metrics.checks import CHUNK_BYTES
from hf_transfer_score.metrics.face import FaceOptions, class_fairness
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.resampling.collapse import BLOCK_BYTES, COPIES, variance_collapse
from hf_transfer_score.metrics.resampling.draws import Deviations, Draws, Weights
from hf_transfer_score.metrics.scatter import Array


def face_terms(data: LabelledFeatures, draws: Draws, options: FaceOptions) -> dict[str, Array] | None:
    """Return the terms of FaCe by name (B,), or None where the options leave no short way.

    Principal components are those of the full sample: refitted ones turn with the replicate, and change class fairness
    by far less than the replicates differ.
    """
    if options.covariance == "full":
        return None
    return {
        "variance_collapse": variance_collapse(data, draws, options.weighting),
        "class_fairness": _fairness(data.turned(options.pca), draws, options),
    }


def _fairness(data: LabelledFeatures, draws: Draws, options: FaceOptions) -> Array:
    deviations = Deviations(data, draws, data.statistics.means)
    found = np.empty(draws.replicates)
    for block in draws.blocks(COPIES * 8 * deviations.means.size, BLOCK_BYTES):
        means, variances = _moments(deviations, draws.weights(block))
        pairs = zip(means, variances, strict=True)
        found[block] = [class_fairness(_overlaps(*pair, options), options) for pair in pairs]
    return found


def _moments(deviations: Deviations, weights: Weights) -> tuple[Array, Array]:
    """Return the class means and class variances of each replicate, both (B, K, p)."""
    shifts = np.zeros((len(weights), *deviations.means.shape))
    squares = np.zeros_like(shifts)
    for part, rows in deviations.parts(8 * shifts.shape[2], CHUNK_BYTES):
        for code, positions, places in deviations.draws.classes(part):
            drawn = weights[:, positions].astype(np.float64)
            shifts[:, code] += drawn @ rows[places]
            squares[:, code] += drawn @ np.square(rows[places])
    shifts /= deviations.draws.counts[:, None]
    squares /= deviations.draws.counts[:, None]
    squares -= np.square(shifts)
    shifts += deviations.means
    return shifts, squares


def _overlaps(means: Array, variances: Array, options: FaceOptions) -> Array:
    """Return the Bhattacharyya coefficients between the class Gaussians of one replicate (K, K)."""
    variances = np.maximum(variances, options.variance_floor)
    if options.covariance == "diagonal":
        return np.exp(-bhattacharyya.diagonal(means, variances))
    spherical = variances.mean(axis=1)
    if options.covariance == "spherical":
        return np.exp(-bhattacharyya.spherical(means, spherical, means.shape[1]))
    return np.exp(-bhattacharyya.pooled_spherical(means, float(spherical.mean())))
