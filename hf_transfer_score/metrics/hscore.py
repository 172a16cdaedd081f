"""H-score: how much of the features' variance, whitened, the class means explain."""

from dataclasses import dataclass

import numpy as np

from hf_transfer_score.metrics.class_stats import RELATIVE_CUT
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import CheckedOptions, Components, Metric, Outcome, Positive, Term


@dataclass(frozen=True)
class HScoreOptions(CheckedOptions):
    """Options of H-score.

    Attributes:
        cut: eigenvalues of the feature covariance below this fraction of the largest count as zero.
        pca: components kept first: "none", "auto" or a number.
    """

    cut: Positive = RELATIVE_CUT
    pca: Components = "auto"


def hscore(data: LabelledFeatures, options: HScoreOptions) -> Outcome:
    """Return trace(Σ_T† Σ_B)."""
    reduced = data.reduced(options.pca)
    value, rank = explained_trace(reduced, options.cut)
    warnings = saturation_warnings(reduced, rank)
    return Outcome({"hscore": value}, headline=value, used={"rank": rank}, warnings=warnings)


def explained_trace(data: LabelledFeatures, cut: float) -> tuple[float, int]:
    """Return trace(Σ_T† Σ_B) with classes weighted by their rows, and the rank of Σ_T."""
    total = data.total_decomposition.above(cut)
    projected = data.statistics.centred_means @ (total.vectors / np.sqrt(total.values))
    value = float(data.counts @ np.einsum("kr,kr->k", projected, projected))
    return value, len(total.values)


def saturation_warnings(data: LabelledFeatures, rank: int) -> tuple[str, ...]:
    """Return a warning where the rank of the features fixes the score whatever the labels."""
    if rank >= data.rows - 1:
        return (f"saturated: features of rank {rank} on {data.rows} rows separate any labels, so it tells nothing",)
    return ()


METRIC = Metric(
    name="hscore",
    title="H-score",
    citation="Bao et al., An information-theoretic approach to transferability in task transfer learning, ICIP 2019, "
    "arXiv:2212.10082",
    compute=hscore,
    terms=(Term("hscore", "trace(Σ_T† Σ_B), at most K-1", least=0),),
    options=HScoreOptions(),
    version=2,
)
