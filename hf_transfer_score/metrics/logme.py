"""LogME: the log evidence of a Bayesian linear model on the features, one-versus-rest over the classes."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from hf_transfer_score.metrics.class_stats import Array
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import CheckedOptions, Components, Metric, Outcome, Positive, Term, Whole

PRIOR_COUNT = 1e-5
OFFICIAL_ROUNDS, OFFICIAL_TOLERANCE = 11, 1e-3
ICML_TOLERANCE = 1e-2


@dataclass(frozen=True)
class LogMEOptions(CheckedOptions):
    """Options of LogME.

    Attributes:
        convention: "evidence" is the true evidence at the converged precisions; "official" the authors' fixed point,
            which for D > N leaves the missing singular values out of the determinant; "icml" their earlier routine.
        pca: "auto" keeps the features while D < N and else min(64, D, N // 5) components; a number; "none".
        rounds: updates of the two precisions at most ("evidence" only).
        tolerance: relative change of their ratio at which the updates stop ("evidence" only).
    """

    convention: Literal["evidence", "official", "icml"] = "evidence"
    pca: Components = "auto"
    rounds: Whole = 1000
    tolerance: Positive = 1e-9


class Spectrum(NamedTuple):
    """Targets in the eigenbasis of the features.

    values: eigenvalues of the raw second moment (r,); squares: squared projections of each target (T, r);
    outside: squared norm of each target outside the span (T,); rows N; width D.
    """

    values: Array
    squares: Array
    outside: Array
    rows: int
    width: int


def logme(data: LabelledFeatures, options: LogMEOptions) -> Outcome:
    """Return the mean over classes of the log evidence per row of their 0/1 targets."""
    reduced = data.reduced(options.pca, always=False)
    norms = reduced.counts.astype(np.float64)
    evidences = log_evidence(spectrum(reduced, reduced.statistics.class_sums, norms), options)
    value = float(evidences.mean())
    used = "none" if reduced is data else reduced.width
    return Outcome({"logme": value}, headline=value, used={"pca_components": used})


def spectrum(data: LabelledFeatures, sums: Array, norms: Array) -> Spectrum:
    """Return targets y in the eigenbasis of the features, given the sums Fᵀy (T, D) and their squared norms (T,)."""
    noise = np.finfo(np.float64).eps * max(data.rows, data.width)
    raw = data.raw_decomposition.above(noise)
    squares = np.square(sums @ raw.vectors) / raw.values
    outside = np.maximum(norms - squares.sum(axis=1), 0.0)
    return Spectrum(raw.values, squares, outside, data.rows, data.width)


def log_evidence(targets: Spectrum, options: LogMEOptions) -> Array:
    """Return the log evidence per row of each target (T,), at the fixed point of the two precisions."""
    rounds, tolerance = options.rounds, options.tolerance
    if options.convention != "evidence":
        rounds = OFFICIAL_ROUNDS
        tolerance = OFFICIAL_TOLERANCE if options.convention == "official" else ICML_TOLERANCE
    alpha, beta, weights, residual = _fixed_point(targets, rounds, tolerance)
    rows, width = targets.rows, targets.width
    if options.convention == "icml":
        weights, residual = weights + PRIOR_COUNT, residual + PRIOR_COUNT
    determinant = np.log(alpha[:, None] + beta[:, None] * targets.values).sum(axis=1)
    directions = rows if options.convention == "official" and width > rows else width
    determinant += (directions - len(targets.values)) * np.log(alpha)
    evidence = width * np.log(alpha) + rows * np.log(beta) - determinant
    evidence -= beta * residual + alpha * weights + rows * np.log(2 * np.pi)
    return np.asarray(evidence / (2 * rows))


class _EvidenceFit(NamedTuple):
    """Precisions of weights and noise, weight norm and residual from before the last update, all (T,)."""

    alpha: Array
    beta: Array
    weights: Array
    residual: Array


def _fixed_point(targets: Spectrum, rounds: int, tolerance: float) -> _EvidenceFit:
    """Update the precisions of every target until their ratio converges."""
    count = len(targets.outside)
    fit = _EvidenceFit(*(np.ones(count) for _ in range(4)))
    active = np.arange(count, dtype=np.int64)
    for _ in range(rounds):
        ratio = fit.alpha[active] / fit.beta[active]
        values, squares = targets.values, targets.squares[active]
        shrunk = values + ratio[:, None]
        effective = (values / shrunk).sum(axis=1)
        weights = (values * squares / shrunk**2).sum(axis=1)
        residual = (squares * (ratio[:, None] / shrunk) ** 2).sum(axis=1) + targets.outside[active]
        alpha = effective / (weights + PRIOR_COUNT)
        beta = (targets.rows - effective) / (residual + PRIOR_COUNT)
        for old, fresh in zip(fit, (alpha, beta, weights, residual), strict=True):
            old[active] = fresh
        active = active[np.abs(alpha / beta - ratio) / ratio > tolerance]
        if not len(active):
            break
    return fit


METRIC = Metric(
    name="logme",
    title="LogME, log of the maximum evidence",
    citation="You et al., LogME: practical assessment of pre-trained models for transfer learning, ICML 2021, "
    "arXiv:2102.11005",
    compute=logme,
    terms=(Term("logme", "mean log evidence per row"),),
    options=LogMEOptions(),
)
