"""FaCe: variance collapse and class fairness, two signs of neural collapse.

What is certain about the published method: the two terms, the equal weight of the classes, Bhattacharyya coefficients
between class distributions, their uniformity measured for each class with a temperature, and that the score is the sum
of the two. The kind of covariance, the value of the temperature, the scaling of the terms and whether a class is
compared with itself could not be checked against the paper's equations. The defaults were chosen because the
alternatives degenerate: if a class is compared with itself, better separation lowers the entropy, which is the wrong
sign; one variance for all classes or all directions hides where classes meet; full covariances with fewer rows than
components underflow to a constant. So the covariance of a class is shrunk towards that of all classes, the more the
fewer rows it has (docs/evidence.md).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.metrics import gaussians
from hf_transfer_score.metrics.class_stats import Array
from hf_transfer_score.metrics.labelled import AUTO, LabelledFeatures
from hf_transfer_score.metrics.nc1 import within_per_between
from hf_transfer_score.metrics.registry import CheckedOptions, ClassOverlap, Components, Metric, Outcome, Positive, Term

SATURATED = 0.999
SHOWN_CLASSES = 20
"""Classes whose overlaps are kept: as many as a picture can show."""

DIGITS = 4


MOST_WORK = 2e8
"""The limit of "auto" on the cost of shrunk covariances: classes squared times components cubed."""

TRUST, ROUND = 0.25, 0.1
"""The weight of the covariance of all classes, in rows per component, and how far it is itself made spherical."""


@dataclass(frozen=True)
class FaceOptions(CheckedOptions):
    """Options of FaCe.

    Attributes:
        weighting: "class" weights classes equally in the variance collapse, "sample" by their rows.
        covariance: shape of the class Gaussians: "shrunk" (full, shrunk towards that of all classes), "full",
            "pooled_spherical" (one variance for all classes), "spherical" or "diagonal".
        temperature: of the softmax over a class's overlaps.
        include_self: whether a class's overlap with itself, always 1, is included.
        variance_floor: smallest variance of a class along a component; added to the diagonal of full covariances.
        pca: components for the Gaussians: "auto" for min(64, D, N // 5), and fewer for shrunk covariances of more than
            27 classes, a number, or "none".
    """

    weighting: Literal["class", "sample"] = "class"
    covariance: Literal["shrunk", "full", "pooled_spherical", "spherical", "diagonal"] = "shrunk"
    temperature: Positive = 0.05
    include_self: bool = False
    variance_floor: Positive = 1e-4
    pca: Components = "auto"


def face(data: LabelledFeatures, options: FaceOptions) -> Outcome:
    """Return variance collapse and class fairness.

    The headline is 1 / (1 + NC1) + class fairness, both in [0, 1], with NC1 = -variance_collapse.
    """
    variance_collapse = -within_per_between(data, options.weighting) / data.class_count
    reduced = in_components(data, options)
    coefficients = overlaps(reduced, options)
    fairness = class_fairness(coefficients, options)
    warnings = []
    if data.class_count == 2:
        warnings.append("with two classes class_fairness is 1 for every model and carries no information")
    elif fairness > SATURATED:
        warnings.append("class_fairness is saturated: no two classes overlap at this temperature")
    return Outcome(
        {"variance_collapse": variance_collapse, "class_fairness": fairness},
        headline=1 / (1 - variance_collapse) + fairness,
        used={"pca_components": reduced.width},
        warnings=tuple(warnings),
        overlap=class_overlap(coefficients, data.classes),
    )


def in_components(data: LabelledFeatures, options: FaceOptions) -> LabelledFeatures:
    """Return the features for the Gaussians; "auto" keeps fewer components for shrunk covariances of many classes."""
    if options.covariance != "shrunk" or options.pca != AUTO:
        return data.turned(options.pca)
    most = int((MOST_WORK / data.class_count**2) ** (1 / 3))
    return data.turned(max(1, min(data.pca_width(AUTO) or data.width, data.rows - 1, most)))


def overlaps(data: LabelledFeatures, options: FaceOptions) -> Array:
    """Return the Bhattacharyya coefficients between the class Gaussians, (K, K)."""
    if options.covariance in ("shrunk", "full"):
        return np.exp(-gaussians.full(data.statistics.means, covariances(data, options)))
    return overlaps_of_variances(data.statistics.means, gaussians.class_variances(data), options)


def overlaps_of_variances(means: Array, variances: Array, options: FaceOptions) -> Array:
    """Return the Bhattacharyya coefficients of Gaussians with means and diagonal variances (K, p), (K, K)."""
    variances = np.maximum(variances, options.variance_floor)
    if options.covariance == "diagonal":
        return np.exp(-gaussians.diagonal(means, variances))
    spherical = variances.mean(axis=1)
    if options.covariance == "spherical":
        return np.exp(-gaussians.spherical(means, spherical, means.shape[1]))
    return np.exp(-gaussians.pooled_spherical(means, float(spherical.mean())))


def covariances(data: LabelledFeatures, options: FaceOptions) -> Array:
    """Return the covariance of each class (K, p, p), shrunk towards that of all classes unless "full"."""
    scatters = np.empty((data.class_count, data.width, data.width))
    for code, rows in data.class_rows():
        centred = data.features[rows].astype(np.float64) - data.statistics.means[code]
        np.matmul(centred.T, centred, out=scatters[code])
    counts, floor = data.counts[:, None, None], options.variance_floor * np.eye(data.width)
    if options.covariance == "full":
        return np.asarray(scatters / counts + floor)
    pooled = scatters.sum(axis=0) / max(data.rows - data.class_count, 1)
    variance = float(np.trace(pooled)) / data.width
    pooled = (1 - ROUND) * pooled + ROUND * variance * np.eye(data.width)
    trust = TRUST * data.width
    return np.asarray((scatters + trust * pooled) / (counts + trust) + floor)


def class_fairness(coefficients: Array, options: FaceOptions) -> float:
    """Return the mean entropy of each class's softmax over its overlaps, divided by its largest possible value."""
    count = len(coefficients)
    if count == 2 and not options.include_self:
        return 1.0
    logits = coefficients / options.temperature
    if not options.include_self:
        logits = logits[~np.eye(count, dtype=bool)].reshape(count, count - 1)
    logits = logits - logits.max(axis=1, keepdims=True)
    logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    entropies = -(np.exp(logarithms) * logarithms).sum(axis=1)
    return min(float(entropies.mean() / np.log(logits.shape[1])), 1.0)


def class_overlap(coefficients: Array, classes: NDArray[np.int64]) -> ClassOverlap:
    """Return the overlaps of the classes that overlap most on average, from coefficients (K, K) and labels (K,)."""
    means = coefficients.sum(axis=1) - coefficients.diagonal()
    chosen = np.sort(np.argsort(-means, kind="stable")[:SHOWN_CLASSES])
    pairs = coefficients[np.ix_(chosen, chosen)][np.triu_indices(len(chosen), k=1)]
    values = np.round(np.clip(pairs, 0.0, 1.0), DIGITS)
    return ClassOverlap(tuple(classes[chosen].tolist()), tuple(values.tolist()))


METRIC = Metric(
    name="face",
    title="FaCe, variance collapse and class fairness",
    citation="Ding et al., Unleashing the power of neural collapse for transferability estimation, 2023, "
    "arXiv:2310.05754",
    compute=face,
    terms=(
        Term("variance_collapse", "-trace(Σ_W Σ_B†) / K, classes weighted equally; 0 at full collapse", most=0),
        Term("class_fairness", "how evenly each class overlaps the others; 1 when perfectly evenly", bounded=True),
    ),
    pool_rule="minmax_sum",
    options=FaceOptions(),
    version=2,
)
