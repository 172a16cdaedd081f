"""NCTI: how close features are to neural collapse, by three terms of a discriminant analysis in PCA space.

The steps of the public code: centre, project on the leading principal components, choose a shrinkage from their
variances, fit a linear discriminant analysis, compute three terms. Here the PCA is exact, from the smaller Gram matrix.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hf_transfer_score.errors import NotApplicableError
from hf_transfer_score.metrics.class_stats import ONE_THREAD_WIDTH, RELATIVE_CUT, Array, one_thread
from hf_transfer_score.metrics.gaussians import gaussian_posterior
from hf_transfer_score.metrics.labelled import LabelledFeatures, Principal
from hf_transfer_score.metrics.registry import CheckedOptions, Components, Metric, Outcome, Term

SHRINKAGE_COMPONENTS = 32
SHRINKAGE_FLOOR = 1e-10
DISCRIMINANT_CUT = 1e-8
"""Without shrinkage, directions below this fraction of the largest eigenvalue are ignored, as in the public code."""
ROUNDING = 1e-13
"""The share of the scatter that may be left within classes by rounding alone."""
SATURATED = 0.99


@dataclass(frozen=True)
class NCTIOptions(CheckedOptions):
    """Options of NCTI.

    Attributes:
        pca: components kept: "auto" for min(64, D, N // 5); 64 reproduces the published numbers; "none" keeps all.
    """

    pca: Components = "auto"


def ncti(data: LabelledFeatures, options: NCTIOptions) -> Outcome:
    """Return seli, ncc and vc.

    The headline adds three parts in [0, 1]: the share of seli beyond that of K unstructured classes, ncc, and how far
    vc is below its largest possible value, relative to its range.
    """
    width = data.pca_width(options.pca) or min(data.width, data.rows - 1)
    space = data.principal(width)
    keep = space.variances > RELATIVE_CUT * space.variances[0]
    space = Principal(space.rows[:, keep], space.means[:, keep], space.variances[keep])
    shrinkage = max(float(np.exp(-space.variances[:SHRINKAGE_COMPONENTS].sum())), SHRINKAGE_FLOOR)
    with one_thread(max(width, data.class_count) <= ONE_THREAD_WIDTH):
        fit = _discriminant(data, space, shrinkage, width)
        if not fit.directions:
            raise NotApplicableError(
                "ncti needs some variation within classes, and rows hardly differ from class means"
            )
        ncc, norms = _posterior_terms(data, space, fit.whitening)
    vc = float(np.log(norms))
    return Outcome(
        {"seli": fit.seli, "ncc": ncc, "vc": vc},
        headline=_headline(data, fit, ncc, vc),
        used={"pca_components": len(space.variances), "shrinkage": shrinkage},
        warnings=_warnings(data, ncc, space),
    )


class _SeliFit(NamedTuple):
    """seli, the number of discriminant directions, and the map (p, q) that whitens the within-class covariance."""

    seli: float
    directions: int
    whitening: Array


def _discriminant(data: LabelledFeatures, space: Principal, shrinkage: float, width: int) -> _SeliFit:
    """Fit the discriminant analysis, with shrinkage unless it is at its floor.

    The shrinkage target is trace / width for the nominal width, as if components without variance were still there.
    With shrinkage, each of these is a direction of eigenvalue trace Σ_B / trace Σ_W that adds nothing to seli, but
    replaces a weaker one among the K-1 directions that count.
    """
    total = space.rows.T @ space.rows / data.rows
    between = (space.means * (data.counts / data.rows)[:, None]).T @ space.means
    within = total - between
    if np.trace(within) <= ROUNDING * np.trace(total):
        raise NotApplicableError("ncti needs some variation within classes, and every row equals its class mean")
    shrink = shrinkage if shrinkage > SHRINKAGE_FLOOR else 0.0
    identity = np.eye(len(total))
    within_shrunk = (1 - shrink) * within + shrink * np.trace(within) / width * identity
    between_shrunk = (1 - shrink) * between + shrink * np.trace(between) / width * identity
    whitening = _whitening(within_shrunk)
    values, vectors = np.linalg.eigh(whitening.T @ between_shrunk @ whitening)
    values, vectors = values[::-1], vectors[:, ::-1]
    count = min(data.class_count - 1, len(values))
    if shrink:
        stronger = int((values * np.trace(within) > np.trace(between)).sum())
        count = min(count, max(stronger, data.class_count - 1 - (width - len(values))))
    else:
        count = min(count, int((values > DISCRIMINANT_CUT * values[0]).sum()))
    directions = whitening @ vectors[:, :count]
    spread = np.linalg.eigvalsh(directions.T @ total @ directions)
    seli = float(np.sqrt(data.rows) * np.sqrt(np.maximum(spread, 0.0)).sum())
    return _SeliFit(seli, count, whitening)


def _whitening(covariance: Array) -> Array:
    """Return W (p, q) with WᵀΣW the identity on the directions in which the classes vary."""
    values, vectors = np.linalg.eigh(covariance)
    keep = values > RELATIVE_CUT * values[-1]
    return np.asarray(vectors[:, keep] / np.sqrt(values[keep]))


def _posterior_terms(data: LabelledFeatures, space: Principal, whitening: Array) -> tuple[float, float]:
    """Return the mean posterior of the true class, and the sum over classes of their posteriors' nuclear norms.

    The norms come from the smaller Gram matrix of each class, so that there is never an (N, K) matrix.
    """
    means, correct, norms = space.means @ whitening, 0.0, 0.0
    for code, rows in data.class_rows():
        posterior = gaussian_posterior(space.rows[rows] @ whitening, means, data.counts)
        correct += float(posterior[:, code].sum())
        gram = posterior @ posterior.T if len(rows) < data.class_count else posterior.T @ posterior
        norms += float(np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0.0)).sum())
    return correct / data.rows, norms


def _headline(data: LabelledFeatures, fit: _SeliFit, ncc: float, vc: float) -> float:
    structure = 1 - np.sqrt(data.rows) * fit.directions / fit.seli
    largest = np.log(np.sqrt(data.counts * np.minimum(data.counts, data.class_count)).sum())
    smallest = np.log(np.sqrt(data.counts / data.class_count).sum())
    return float(structure + ncc + (largest - vc) / max(largest - smallest, 1e-12))


def _warnings(data: LabelledFeatures, ncc: float, space: Principal) -> tuple[str, ...]:
    found = []
    if ncc > SATURATED:
        found.append(f"ncc is saturated: with {data.rows} rows, fewer PCA components may tell more")
    if len(space.variances) < 2:
        found.append("only one principal component is left, too few for a discriminant analysis of the classes")
    return tuple(found)


METRIC = Metric(
    name="ncti",
    title="NCTI, neural-collapse transferability index",
    citation="Wang et al., How far pre-trained models are from neural collapse on the target dataset informs their "
    "transferability, ICCV 2023",
    compute=ncti,
    terms=(
        Term("seli", "nuclear norm of the centred discriminant features; grows with separation", least=0),
        Term("ncc", "mean posterior of the true class", bounded=True),
        Term("vc", "log of the summed nuclear norms of the classes' posteriors; falls with collapse", direction=-1),
    ),
    pool_rule="minmax_sum",
    options=NCTIOptions(),
)
