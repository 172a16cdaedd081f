"""NC1, the variability collapse of features within classes relative to the spread between them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hf_transfer_score.metrics.class_stats import ONE_THREAD_WIDTH, RELATIVE_CUT, Array, one_thread
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import CheckedOptions, Metric, Outcome, Term


@dataclass(frozen=True)
class NC1Options(CheckedOptions):
    """Options of NC1.

    Attributes:
        weighting: of the classes: "class" gives each the same weight, "sample" its share of the rows, "mixed" the
            share of the rows within and the same weight between, as in the neural-collapse package.
        form: "pseudo_inverse" for trace(Σ_W Σ_B†) / K, "trace_ratio" for trace(Σ_W) / trace(Σ_B).
    """

    weighting: Literal["class", "sample", "mixed"] = "class"
    form: Literal["pseudo_inverse", "trace_ratio"] = "pseudo_inverse"


def nc1(data: LabelledFeatures, options: NC1Options) -> Outcome:
    """Return trace(Σ_W Σ_B†) / K, or the ratio of the traces."""
    if options.form == "trace_ratio":
        means = _weighted_means(data, options.weighting)
        weights = _within_weights(data, options.weighting)
        value = float(weights @ class_squares(data)) / float(np.einsum("kd,kd->", means, means))
    else:
        value = within_per_between(data, options.weighting) / data.class_count
    return Outcome({"nc1": value}, headline=-value)


def within_per_between(data: LabelledFeatures, weighting: str) -> float:
    """Return trace(Σ_W Σ_B†) without forming a (D, D) matrix.

    Σ_B = M ᵀM for the weighted, centred class means M (K, D), so with M = U S Vᵀ the trace is the mean over classes of
    the squared length of their centred rows after x -> S⁻¹ Vᵀ x.
    """

    def compute() -> float:
        means = _weighted_means(data, weighting)
        with one_thread(min(means.shape) <= ONE_THREAD_WIDTH):
            _, singular, directions = np.linalg.svd(means, full_matrices=False)
        keep = singular**2 > RELATIVE_CUT * singular[0] ** 2
        whitening = directions[keep].T / singular[keep]
        centres, weights = data.statistics.means @ whitening, _within_weights(data, weighting)
        total = 0.0
        for rows, chunk in data.chunks():
            codes = data.codes[rows]
            projected = chunk @ whitening
            projected -= centres[codes]
            total += float(weights[codes] @ np.einsum("nk,nk->n", projected, projected))
        return total

    return data.memo(("within per between", weighting), compute)


def _weighted_means(data: LabelledFeatures, weighting: str) -> Array:
    """Return M (K, D) with MᵀM = Σ_B."""
    means = data.statistics.means
    if weighting == "sample":
        return np.asarray(data.statistics.centred_means * np.sqrt(data.counts / data.rows)[:, None])
    return np.asarray((means - means.mean(axis=0)) / np.sqrt(data.class_count))


def _within_weights(data: LabelledFeatures, weighting: str) -> Array:
    """Return the weight of one row of each class in Σ_W, (K,)."""
    if weighting == "class":
        return np.asarray(1.0 / (data.counts * data.class_count))
    return np.full(data.class_count, 1.0 / data.rows)


def class_squares(data: LabelledFeatures) -> Array:
    """Return the squared distance of the rows to their class mean, summed by class (K,)."""

    def compute() -> Array:
        squares = np.zeros(data.class_count)
        for rows, chunk in data.chunks():
            codes = data.codes[rows]
            chunk -= data.statistics.means[codes]
            squares += np.bincount(codes, np.einsum("nd,nd->n", chunk, chunk), minlength=len(squares))
        return squares

    return data.memo("class squares", compute)


METRIC = Metric(
    name="nc1",
    title="NC1, within-class variability collapse",
    citation="Papyan, Han and Donoho, Prevalence of neural collapse during the terminal phase of deep learning "
    "training, PNAS 2020, arXiv:2008.08186",
    compute=nc1,
    terms=(Term("nc1", "trace(Σ_W Σ_B†) / K; 0 when every row sits on its class mean", direction=-1, least=0),),
    options=NC1Options(),
)
