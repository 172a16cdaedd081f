"""Regularised H-score: H-score with the Ledoit-Wolf estimate of the feature covariance."""

from dataclasses import dataclass

import numpy as np

from hf_transfer_score.metrics.class_stats import Array
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import CheckedOptions, Components, Metric, Outcome, Term


@dataclass(frozen=True)
class RegHScoreOptions(CheckedOptions):
    """Options of the regularised H-score.

    Attributes:
        pca: components kept first: "none", "auto" or a number.
    """

    pca: Components = "auto"


def reg_hscore(data: LabelledFeatures, options: RegHScoreOptions) -> Outcome:
    """Return (1 - a) trace(Σ_a⁻¹ Σ_B) with Σ_a = (1 - a) Σ_T + a (trace Σ_T / D) I.

    As in both public codes, Σ_T has divisor N and Σ_B divisor N-1.
    """
    reduced = data.reduced(options.pca)
    total = reduced.total_decomposition
    variances = total.values / reduced.rows
    intensity = ledoit_wolf_intensity(reduced, variances)
    shrunk = (1 - intensity) * variances + intensity * variances.sum() / reduced.width
    keep = shrunk > 0
    projected = reduced.statistics.centred_means @ (total.vectors[:, keep] / np.sqrt(shrunk[keep]))
    explained = float(reduced.counts @ np.einsum("kr,kr->k", projected, projected)) / (reduced.rows - 1)
    value = (1 - intensity) * explained
    return Outcome({"reg_hscore": value}, headline=value, used={"shrinkage": intensity})


def ledoit_wolf_intensity(data: LabelledFeatures, variances: Array) -> float:
    """Return the Ledoit-Wolf shrinkage intensity from the eigenvalues of Σ_T and the fourth powers of row lengths."""

    def compute() -> float:
        total = 0.0
        for _, chunk in data.chunks():
            chunk -= data.centre
            total += float(np.square(np.einsum("nd,nd->n", chunk, chunk)).sum())
        return total

    rows, width = data.rows, data.width
    fourth = data.memo("fourth powers", compute)
    squared = float(np.square(variances).sum())
    noise = (fourth / rows - squared) / rows
    distance = squared - float(variances.sum()) ** 2 / width
    return 0.0 if distance <= 0 else float(np.clip(noise / distance, 0.0, 1.0))


METRIC = Metric(
    name="reg_hscore",
    title="Regularised H-score (Ledoit-Wolf)",
    citation="Ibrahim, Ponomareva and Mazumder, Newer is not always better: rethinking transferability metrics, their "
    "peculiarities, stability and performance, ECML-PKDD 2022, arXiv:2110.06893",
    compute=reg_hscore,
    terms=(Term("reg_hscore", "H-score with a shrunk covariance", least=0),),
    options=RegHScoreOptions(),
    version=2,
)
