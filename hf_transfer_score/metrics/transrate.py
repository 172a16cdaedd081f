"""TransRate: coding rate of all features minus that of each class's."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hf_transfer_score.metrics.class_stats import Array, one_thread
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import CheckedOptions, Components, Metric, Outcome, Positive, Term

SMALL_CLASS = 512
"""Gram matrices of classes up to this size are too small to share between threads."""


@dataclass(frozen=True)
class TransRateOptions(CheckedOptions):
    """Options of TransRate.

    Attributes:
        normalise: whether the centred features are divided by their Frobenius norm first.
        weighting: "sample" weights the classes' rates by their rows, "class" equally.
        distortion: squared distortion allowed per entry.
        pca: components kept first: "none", "auto" or a number.
    """

    normalise: bool = True
    weighting: Literal["sample", "class"] = "sample"
    distortion: Positive = 1e-4
    pca: Components = "auto"


def transrate(data: LabelledFeatures, options: TransRateOptions) -> Outcome:
    """Return R(F) minus the mean over classes of R(F_k), with R(A) = ½ ln det(I + AᵀA / (m ε)) for m rows.

    Features are centred by the mean of all rows; a class is not centred again.
    """
    reduced = data.reduced(options.pca)
    values = reduced.total_decomposition.values
    scale = float(values.sum()) if options.normalise else 1.0
    whole = 0.5 * float(np.log1p(values / (scale * reduced.rows * options.distortion)).sum())
    weights = (
        data.counts / data.rows if options.weighting == "sample" else np.full(data.class_count, 1 / data.class_count)
    )
    value = whole - float(weights @ _class_rates(reduced, scale * options.distortion))
    return Outcome({"transrate": value}, headline=value)


def _class_rates(data: LabelledFeatures, distortion: float) -> Array:
    """Return the coding rate of each class (K,), from the smaller of its two Gram matrices."""
    rates = np.empty(data.class_count)
    with one_thread(min(int(data.counts.max()), data.width) <= SMALL_CLASS):
        for code, rows in data.class_rows():
            centred = data.features[rows].astype(np.float64)
            centred -= data.centre
            gram = centred @ centred.T if len(rows) < data.width else centred.T @ centred
            gram /= len(rows) * distortion
            gram[np.diag_indices_from(gram)] += 1.0
            rates[code] = np.log(np.diagonal(np.linalg.cholesky(gram))).sum()
    return rates


METRIC = Metric(
    name="transrate",
    title="TransRate",
    citation="Huang et al., Frustratingly easy transferability estimation, ICML 2022, arXiv:2106.09362",
    compute=transrate,
    terms=(Term("transrate", "coding rate of all features minus that of the classes"),),
    options=TransRateOptions(),
    version=2,
)
