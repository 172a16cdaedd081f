"""FaCe of every replicate: variance collapse exactly, class fairness in the principal components of the full sample.

Variance collapse is computed exactly from the weights of the rows, without ever gathering the rows of a replicate. With
the class means of a replicate, M = M0 + S, the shifts S (K, D) are products of the weights with the rows minus their
class mean. The trace needs these deviations along the at most K - 1 directions that the class means span.
"""

import numpy as np

from hf_transfer_score.metrics import gaussians
from hf_transfer_score.metrics.checks import CHUNK_BYTES
from hf_transfer_score.metrics.class_stats import RELATIVE_CUT, Array
from hf_transfer_score.metrics.face import (
    FaceOptions,
    class_fairness,
    covariances,
    in_components,
    overlaps_of_variances,
)
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.resampling.draws import Deviations, Draws, Weights

BLOCK_BYTES = 64 * 1024 * 1024
COPIES = 4
"""Arrays of the size of the class means that are alive at once."""


def variance_collapse(data: LabelledFeatures, draws: Draws, weighting: str) -> Array:
    """Return -trace(Σ_W Σ_B†) / K of every replicate (B,).

    Products with the rows are in single precision: the rows are deviations from class means, in units of their spread,
    so rounding adds about a millionth of the value.
    """
    means = data.statistics.centred_means
    scale = float(np.abs(means).max()) or 1.0
    deviations = Deviations(data, draws, data.statistics.means, scale)
    by_row = weighting == "sample"  # the weight of each class in both scatters (K,)
    shares = draws.counts / draws.counts.sum() if by_row else np.full(len(draws.counts), 1.0 / len(draws.counts))
    found = np.empty(draws.replicates)
    for block in draws.blocks(COPIES * 8 * means.size, BLOCK_BYTES):
        weights = draws.weights(block)
        shifts = _shifts(deviations, weights)
        maps = _whitening(means / scale + shifts, shares)
        squares = _squares(deviations, weights, maps)
        moved = np.square(shifts @ maps.transpose(0, 2, 1)).sum(axis=2)
        found[block] = -(np.maximum(squares / draws.counts - moved, 0.0) @ shares) / len(means)
    return found


def _shifts(deviations: Deviations, weights: Weights) -> Array:
    """Return the class means of each replicate minus those of the sample (B, K, D)."""
    width = deviations.means.shape[1]
    shifts = np.zeros((len(weights), *deviations.means.shape))
    for part, rows in deviations.parts(8 * width, CHUNK_BYTES):
        single = rows.astype(np.float32)
        for code, positions, places in deviations.draws.classes(part):
            shifts[:, code] += weights[:, positions].astype(np.float32) @ single[places]
    shifts /= deviations.draws.counts[:, None]
    return shifts


def _whitening(means: Array, shares: Array) -> Array:
    """Return the maps (B, r, D) under which the class means of each replicate have unit scatter.

    Directions below the cut are rows of zeros. If all class means of a replicate are equal, its map is NaN.
    """
    centred = (means - (shares @ means)[:, None]) * np.sqrt(shares)[:, None]
    count, width = means.shape[1:]
    if width < count:
        values, vectors = np.linalg.eigh(centred.transpose(0, 2, 1) @ centred)
        maps, powers = vectors.transpose(0, 2, 1), 0.5
    else:
        values, vectors = np.linalg.eigh(centred @ centred.transpose(0, 2, 1))
        values, vectors = values[:, 1:], vectors[:, :, 1:]
        maps, powers = vectors.transpose(0, 2, 1) @ centred, 1.0
    largest = values[:, -1:]
    keep = values > RELATIVE_CUT * largest
    factors = np.where(keep, np.where(keep, values, 1.0) ** -powers, 0.0)
    factors[largest[:, 0] <= 0] = np.nan
    return np.asarray(maps * factors[:, :, None])


def _squares(deviations: Deviations, weights: Weights, maps: Array) -> Array:
    """Return the weighted squared lengths of the mapped deviations, summed by class (B, K)."""
    replicates, rank, width = maps.shape
    stacked = maps.reshape(-1, width).astype(np.float32).T
    squares = np.zeros((replicates, len(deviations.means)))
    for part, rows in deviations.parts(4 * max(2 * width, replicates * rank), CHUNK_BYTES):
        mapped = (rows.astype(np.float32) @ stacked).reshape(len(rows), replicates, rank)
        lengths = np.einsum("nbr,nbr->bn", mapped, mapped).astype(np.float64)
        for code, positions, places in deviations.draws.classes(part):
            squares[:, code] += np.einsum("bn,bn->b", lengths[:, places], weights[:, positions])
    return squares


def face_terms(data: LabelledFeatures, draws: Draws, options: FaceOptions) -> dict[str, Array] | None:
    """Return the terms of FaCe by name (B,), or None if the options allow no shortcut.

    Principal components are those of the full sample: refitted ones would change class fairness by far less than the
    replicates differ. Shrunk covariances are too, since most of them is the covariance of all classes.
    """
    if options.covariance == "full":
        return None
    collapse, turned = variance_collapse(data, draws, options.weighting), in_components(data, options)
    deviations = Deviations(turned, draws, turned.statistics.means)
    fairness = np.empty(draws.replicates)
    for block in draws.blocks(COPIES * 8 * deviations.means.size, BLOCK_BYTES):
        means, variances = _moments(deviations, draws.weights(block))
        if options.covariance == "shrunk":
            found = list(np.exp(-gaussians.full(means, covariances(turned, options))))
        else:
            found = [overlaps_of_variances(*pair, options) for pair in zip(means, variances, strict=True)]
        fairness[block] = [class_fairness(one, options) for one in found]
    return {"variance_collapse": collapse, "class_fairness": fairness}


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
