"""SFDA: self-challenging Fisher discriminant analysis."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hf_transfer_score.metrics.class_stats import Array, ScatterSum, add_class_sums
from hf_transfer_score.metrics.gaussians import gaussian_posterior, softmax
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import CheckedOptions, Metric, Outcome, Term

SHRINKAGE_RATE = 5.0
SHRINKAGE_FLOOR = 1e-10
SATURATED = 0.999


@dataclass(frozen=True)
class SFDAOptions(CheckedOptions):
    """Options of SFDA.

    Attributes:
        convention: "exact" takes the largest eigenvalue of the within-class covariance, "official" the public code's
            estimate of it after a few iterations.
    """

    convention: Literal["exact", "official"] = "exact"


def sfda(data: LabelledFeatures, options: SFDAOptions) -> Outcome:
    """Return the mean posterior of the true class after every row was mixed with the other classes' means.

    A first discriminant analysis tells how confident each row is. Less confident rows move towards the other classes,
    and a second analysis of the moved rows gives the score.
    """
    counts, codes = data.counts, data.codes
    within = data.memo("within-class scatter", lambda: data.statistics.within_scatter) / data.rows
    largest = _largest_eigenvalue(within, options.convention)
    shrinkage = max(float(np.exp(-SHRINKAGE_RATE * largest)), SHRINKAGE_FLOOR)
    centred_means = data.statistics.means - data.centre
    weights = _confidences(data, _whitened(within, shrinkage), centred_means)
    others = (centred_means.sum(axis=0) - centred_means) / (data.class_count - 1)

    sums = np.zeros((data.class_count, data.width))
    for rows, mixed in _mixed(data, weights, others):
        add_class_sums(sums, mixed, codes[rows])
    mixed_means = sums / counts[:, None]
    mixed_scatter = ScatterSum(data.width)
    for rows, mixed in _mixed(data, weights, others):
        mixed -= mixed_means[codes[rows]]
        mixed_scatter.add(mixed)
    whitening = _whitened(mixed_scatter.matrix() / data.rows, shrinkage)
    whitened_means, total = mixed_means @ whitening, 0.0
    for rows, mixed in _mixed(data, weights, others):
        posterior = gaussian_posterior(mixed @ whitening, whitened_means, counts)
        total += float(posterior[np.arange(len(posterior)), codes[rows]].sum())
    value = total / data.rows
    warnings = (f"saturated at {value:.4f}",) if value > SATURATED else ()
    return Outcome({"sfda": value}, headline=value, used={"shrinkage": shrinkage}, warnings=warnings)


def _confidences(data: LabelledFeatures, whitening: Array, means: Array) -> Array:
    """Return each row's weight on itself: the true class's entry of a softmax over its posteriors (N,)."""
    weights = np.empty(data.rows)
    whitened_means = means @ whitening
    for rows, chunk in data.chunks():
        chunk -= data.centre
        posterior = softmax(gaussian_posterior(chunk @ whitening, whitened_means, data.counts))
        weights[rows] = posterior[np.arange(len(posterior)), data.codes[rows]]
    return weights


def _mixed(data: LabelledFeatures, weights: Array, others: Array) -> Iterator[tuple[slice, Array]]:
    """Yield chunks of centred rows, each moved towards the mean of the other classes' means."""
    for rows, chunk in data.chunks():
        chunk -= data.centre
        chunk *= weights[rows, None]
        chunk += (1 - weights[rows, None]) * others[data.codes[rows]]
        yield rows, chunk


def _whitened(within: Array, shrinkage: float) -> Array:
    """Return W (D, D) with WWᵀ the inverse of the shrunk covariance."""
    from scipy.linalg import cholesky, solve_triangular

    width = len(within)
    shrunk = (1 - shrinkage) * within
    shrunk[np.diag_indices(width)] += shrinkage * np.trace(within) / width
    factor = cholesky(shrunk, lower=True, check_finite=False)
    return np.asarray(solve_triangular(factor, np.eye(width), lower=True, check_finite=False).T)


def _largest_eigenvalue(matrix: Array, convention: str) -> float:
    """Return the eigenvalue, or the public code's estimate by six normalised multiplications from the row sums."""
    from scipy.linalg import eigh

    if convention == "exact":
        last = len(matrix) - 1
        return float(eigh(matrix, eigvals_only=True, subset_by_index=[last, last], check_finite=False)[0])
    left = matrix.sum(axis=1)
    right = left
    for _ in range(3):
        right = matrix.T @ left
        right = right / np.linalg.norm(right)
        left = matrix @ right
        left = left / np.linalg.norm(left)
    return float(left @ matrix @ right)


METRIC = Metric(
    name="sfda",
    title="SFDA, self-challenging Fisher discriminant analysis",
    citation="Shao et al., Not all models are equal: predicting model transferability in a self-challenging Fisher "
    "space, ECCV 2022, arXiv:2207.03036",
    compute=sfda,
    terms=(Term("sfda", "mean posterior of the true class after mixing", bounded=True),),
    options=SFDAOptions(),
    slow=True,
)
