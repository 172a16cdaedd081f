"""NLEEP: LEEP with the components of a Gaussian mixture in place of source classes, so that no head is needed.

The mixture has spherical components, because each of the 5 K components has too few rows for a full covariance. Values
of different mixtures are not comparable, and each depends on the initialisation; the seed is an option.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hf_transfer_score.errors import NotApplicableError
from hf_transfer_score.metrics.checks import row_chunks
from hf_transfer_score.metrics.class_stats import Array
from hf_transfer_score.metrics.gaussians import softmax
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.leep import expected_prediction
from hf_transfer_score.metrics.registry import CheckedOptions, Metric, Outcome, Seed, Share, Term, Whole

VARIANCE_FLOOR = 1e-5
CONVERGED = 1e-3
START_ROUNDS = 10
"""Rounds of k-means that initialise the mixture."""


@dataclass(frozen=True)
class NLEEPOptions(CheckedOptions):
    """Options of NLEEP.

    Attributes:
        components_per_class: mixture components for each class; reduced in steps of K while there are as many as rows.
        variance_kept: share of the variance kept by the principal components that the mixture is fitted to.
        logarithm: whether logarithms of the expected predictions are averaged.
        rounds: updates of the mixture at most.
        seed: of the mixture's initialisation.
    """

    components_per_class: Whole = 5
    variance_kept: Share = 0.8
    logarithm: bool = True
    rounds: Whole = 100
    seed: Seed = 0


def nleep(data: LabelledFeatures, options: NLEEPOptions) -> Outcome:
    """Return LEEP of the mixture's posteriors."""
    shares = np.cumsum(data.total_decomposition.values)
    width = int(np.searchsorted(shares / shares[-1], options.variance_kept)) + 1
    rows = data.principal(min(width, len(shares))).rows
    count = options.components_per_class * data.class_count
    while count >= data.rows:
        count -= data.class_count
    if count < data.class_count:
        raise NotApplicableError(f"nleep needs more rows than classes, got {data.rows} rows and {data.class_count}")
    mixture = _fit(rows, count, options)

    def posteriors() -> Iterator[tuple[slice, Array]]:
        for part in row_chunks(len(rows), count):
            yield part, softmax(_logits(rows[part], mixture))

    value = expected_prediction(data, posteriors, options.logarithm)
    return Outcome({"nleep": value}, headline=value, used={"components": count, "pca_components": rows.shape[1]})


@dataclass(frozen=True)
class _Mixture:
    """Spherical Gaussian mixture: log weights (C,), means (C, p), variances (C,)."""

    log_weights: Array
    means: Array
    variances: Array


def _fit(rows: Array, count: int, options: NLEEPOptions) -> _Mixture:
    """Fit by expectation maximisation after k-means, in chunks of rows."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    means = KMeans(count, n_init=1, max_iter=START_ROUNDS, tol=0, copy_x=False, random_state=options.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # components without rows stay, with no mass
        start = means.fit(rows)
    distances = np.square(rows - start.cluster_centers_[start.labels_]).sum(axis=1)
    sizes = np.maximum(np.bincount(start.labels_, minlength=count), 1)
    variances = np.bincount(start.labels_, distances, minlength=count) / sizes / rows.shape[1]
    mixture = _Mixture(np.log(sizes / len(rows)), start.cluster_centers_.astype(np.float64), variances + VARIANCE_FLOOR)
    likelihood = -np.inf
    for _ in range(options.rounds):
        mixture, new = _step(rows, mixture)
        if abs(new - likelihood) < CONVERGED:
            break
        likelihood = new
    return mixture


def _step(rows: Array, mixture: _Mixture) -> tuple[_Mixture, float]:
    """Return the mixture after one update, and the mean log likelihood before it."""
    count, width = mixture.means.shape
    mass, sums, squares, likelihood = np.zeros(count), np.zeros((count, width)), np.zeros(count), 0.0
    for part in row_chunks(len(rows), count):
        logits = _logits(rows[part], mixture)
        top = logits.max(axis=1)
        likelihood += float((top + np.log(np.exp(logits - top[:, None]).sum(axis=1))).sum())
        responsibilities = softmax(logits)
        mass += responsibilities.sum(axis=0)
        sums += responsibilities.T @ rows[part]
        squares += responsibilities.T @ np.einsum("np,np->n", rows[part], rows[part])
    mass += 10 * np.finfo(np.float64).eps
    means = sums / mass[:, None]
    variances = np.maximum(squares / mass - np.einsum("cp,cp->c", means, means), 0.0) / width + VARIANCE_FLOOR
    return _Mixture(np.log(mass / mass.sum()), means, variances), likelihood / len(rows)


def _logits(rows: Array, mixture: _Mixture) -> Array:
    """Return log weight plus log density of every component at every row (n, C)."""
    distances = -2 * (rows @ mixture.means.T)
    distances += np.einsum("np,np->n", rows, rows)[:, None]
    distances += np.einsum("cp,cp->c", mixture.means, mixture.means)
    np.maximum(distances, 0.0, out=distances)
    distances /= -2 * mixture.variances
    distances += mixture.log_weights - rows.shape[1] / 2 * np.log(2 * np.pi * mixture.variances)
    return np.asarray(distances)


METRIC = Metric(
    name="nleep",
    title="NLEEP, LEEP with a Gaussian mixture",
    citation="Li et al., Ranking neural checkpoints, CVPR 2021, arXiv:2011.11200",
    compute=nleep,
    terms=(
        Term("nleep", "mean log expected prediction of the true class; at most 0 (without the logarithm 1)", most=1),
    ),
    options=NLEEPOptions(),
    slow=True,
)
