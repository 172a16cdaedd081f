"""Linear probe: cross-validated accuracy of a regularised least-squares classifier on the features.

One-hot targets, an intercept, and a ridge penalty chosen from a grid by the cross-validated accuracy itself. The
penalties share one eigendecomposition a fold, so that the whole grid costs little more than one fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import NotApplicableError
from hf_transfer_score.metrics.checks import row_chunks
from hf_transfer_score.metrics.class_stats import Array, ScatterSum, add_class_sums, decompose
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import Metric, Outcome, Term, check_whole

PENALTIES = tuple(10.0**power for power in range(-6, 2))
"""Ridge penalties tried, each times the mean variance of a feature times the number of rows."""


@dataclass(frozen=True)
class LinearProbeOptions:
    """Options of the linear probe.

    Attributes:
        folds: stratified folds; fewer where the smallest class has fewer rows.
        seed: of the folds.
    """

    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        check_whole("folds", self.folds, least=2)
        check_whole("seed", self.seed, least=0)


def linear_probe(data: LabelledFeatures, options: LinearProbeOptions) -> Outcome:
    """Return the cross-validated accuracy at the best penalty."""
    smallest = int(data.counts.min())
    if smallest < 2:
        raise NotApplicableError(
            f"linear_probe needs two samples in every class to cross-validate; {int((data.counts == 1).sum())} have one"
        )
    folds = min(options.folds, smallest)
    where = _stratified_folds(data, folds, options.seed)
    correct = sum((_correct_at_penalties(data, np.flatnonzero(where == fold)) for fold in range(folds)), np.zeros(1))
    best = int(correct.argmax())
    value = float(correct[best] / data.rows)
    return Outcome({"linear_probe": value}, headline=value, used={"penalty": PENALTIES[best], "folds_used": folds})


def _stratified_folds(data: LabelledFeatures, folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each row (N,): every class is spread evenly, from a start that moves on class by class."""
    generator = np.random.default_rng(seed)
    where, start = np.empty(data.rows, np.int64), 0
    for _, rows in data.class_rows():
        where[generator.permutation(rows)] = (start + np.arange(len(rows))) % folds
        start += len(rows)
    return where


def _fold_chunks(data: LabelledFeatures, fold: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Array]]:
    """Yield (row numbers, these rows minus the mean of all) of a fold in chunks."""
    for part in row_chunks(len(fold), max(data.width, data.class_count)):
        yield fold[part], data.features[fold[part]].astype(np.float64) - data.centre


def _correct_at_penalties(data: LabelledFeatures, fold: NDArray[np.int64]) -> Array:
    """Return how many rows of a fold are classified rightly at each penalty, fitted on the others, (P,).

    The share of the fold is taken off the sums over all rows, which are about the mean of all rows, so that taking a
    part off costs no digits. Least squares are solved in the eigenbasis of the scatter of the other rows.
    """
    inside, sums = ScatterSum(data.width), data.statistics.centred_means * data.counts[:, None]
    for rows, chunk in _fold_chunks(data, fold):
        inside.add(chunk)
        add_class_sums(sums, -chunk, data.codes[rows])
    counts = data.counts - np.bincount(data.codes[fold], minlength=data.class_count)
    mean, prior = sums.sum(axis=0) / counts.sum(), counts / counts.sum()
    values, vectors = decompose(data.total_scatter - inside.matrix() - counts.sum() * np.outer(mean, mean))
    loadings = (sums - counts[:, None] * mean) @ vectors  # of the classes (K, r)
    unit = max(float(values.mean()), np.finfo(np.float64).tiny)
    correct = np.zeros(len(PENALTIES))
    for rows, chunk in _fold_chunks(data, fold):
        projected = (chunk - mean) @ vectors
        for index, penalty in enumerate(PENALTIES):
            scores = (projected / (values + penalty * unit)) @ loadings.T + prior
            correct[index] += int((scores.argmax(axis=1) == data.codes[rows]).sum())
    return correct


METRIC = Metric(
    name="linear_probe",
    title="Linear probe, cross-validated accuracy",
    citation="Alain and Bengio, Understanding intermediate layers using linear classifier probes, 2016, "
    "arXiv:1610.01644",
    compute=linear_probe,
    terms=(Term("linear_probe", "cross-validated accuracy of a ridge classifier", bounded=True),),
    options=LinearProbeOptions(),
    slow=True,
)
