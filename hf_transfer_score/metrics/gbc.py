"""GBC: minus the summed overlap of all ordered pairs of class Gaussians."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hf_transfer_score.errors import NotApplicableError
from hf_transfer_score.metrics import gaussians
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import CheckedOptions, Components, Metric, Outcome, Positive, Term


@dataclass(frozen=True)
class GBCOptions(CheckedOptions):
    """Options of GBC.

    Attributes:
        convention: "exact" counts the spherical determinant once per dimension; "official" once, as the public codes.
        covariance: "spherical" or "diagonal".
        variance: "biased" (divisor n_k) or "unbiased" (n_k - 1).
        variance_floor: smallest variance of a class along a component.
        pca: components kept first: "auto" for min(64, D, N // 5), a number, or "none".
    """

    convention: Literal["exact", "official"] = "exact"
    covariance: Literal["spherical", "diagonal"] = "spherical"
    variance: Literal["biased", "unbiased"] = "biased"
    variance_floor: Positive = 1e-4
    pca: Components = "auto"


def gbc(data: LabelledFeatures, options: GBCOptions) -> Outcome:
    """Return minus the sum over ordered pairs of classes of their Bhattacharyya coefficient."""
    unbiased = options.variance == "unbiased"
    if unbiased and options.convention == "exact" and (data.counts == 1).any():
        raise NotApplicableError(
            f"gbc with unbiased variances needs two samples in every class; {int((data.counts == 1).sum())} have one"
        )
    reduced = data.reduced(options.pca)
    means, variances = reduced.statistics.means, gaussians.class_variances(reduced, unbiased=unbiased)
    variances = np.maximum(variances, options.variance_floor)
    if options.covariance == "diagonal":
        distances = gaussians.diagonal(means, variances)
    else:
        determinant_width = reduced.width if options.convention == "exact" else 1
        distances = gaussians.spherical(means, variances.mean(axis=1), determinant_width)
    coefficients = np.exp(-distances)
    np.fill_diagonal(coefficients, 0.0)
    value = -float(coefficients.sum())
    return Outcome({"gbc": value}, headline=value, used={"pca_components": reduced.width})


METRIC = Metric(
    name="gbc",
    title="GBC, Gaussian Bhattacharyya coefficient",
    citation="Pándy et al., Transferability estimation using Bhattacharyya class separability, CVPR 2022, "
    "arXiv:2111.12780",
    compute=gbc,
    terms=(Term("gbc", "minus the summed overlap of the class Gaussians; 0 when none overlap", most=0),),
    options=GBCOptions(),
)
