"""Linear probe: cross-validated accuracy of a regularised least-squares classifier on the features.

One-hot targets, an intercept, and a ridge penalty chosen from a grid by the cross-validated accuracy itself. The
penalties share one eigendecomposition a fold, so that the whole grid costs little more than one fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import NotApplicableError
from hf_transfer_score.metrics.checks import row_chunks
from hf_transfer_score.metrics.class_stats import ClassStatistics
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import Metric, Outcome, Term, check_whole
from hf_transfer_score.metrics.scatter import Array, decompose

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
    parts = [_fold_statistics(data, where == fold) for fold in range(folds)]
    correct = np.zeros(len(PENALTIES))
    for fold in range(folds):
        train = _joined([part for other, part in enumerate(parts) if other != fold])
        correct += _correct_at_penalties(data, np.flatnonzero(where == fold), train)
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


def _fold_statistics(data: LabelledFeatures, inside: NDArray[np.bool_]) -> ClassStatistics:
    total: ClassStatistics | None = None
    for rows, chunk in data.chunks():
        chosen = inside[rows]
        if chosen.any():
            part = ClassStatistics.from_features(chunk[chosen], data.codes[rows][chosen])
            total = part if total is None else total.merge(part)
    assert total is not None
    return total


def _joined(parts: list[ClassStatistics]) -> ClassStatistics:
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return total


def _correct_at_penalties(data: LabelledFeatures, test: NDArray[np.int64], train: ClassStatistics) -> Array:
    """Return how many test rows are classified rightly at each penalty, (P,)."""
    values, vectors = decompose(train.total_scatter)
    loadings = (train.centred_means * train.counts[:, None]) @ vectors
    unit = max(float(values.mean()), np.finfo(np.float64).tiny)
    prior = train.counts / train.rows
    correct = np.zeros(len(PENALTIES))
    for part in row_chunks(len(test), data.width):
        rows = test[part]
        projected = (data.features[rows].astype(np.float64) - train.mean) @ vectors
        for index, penalty in enumerate(PENALTIES):
            scores = projected @ (loadings / (values + penalty * unit)).T + prior
            correct[index] += int((train.classes[scores.argmax(axis=1)] == data.codes[rows]).sum())
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
