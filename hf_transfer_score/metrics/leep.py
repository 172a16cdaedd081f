"""LEEP: log expected empirical prediction, from the probabilities of the checkpoint's own classes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hf_transfer_score.errors import NotApplicableError
from hf_transfer_score.metrics.checks import row_chunks
from hf_transfer_score.metrics.class_stats import Array, add_class_sums
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import Metric, Outcome, Term

Chunks = Callable[[], Iterator[tuple[slice, Array]]]


@dataclass(frozen=True)
class LEEPOptions:
    """Options of LEEP.

    Attributes:
        logarithm: whether to average the logarithm of each row's expected prediction, as in the paper; the SFDA and
            NCTI codes average the prediction itself.
    """

    logarithm: bool = True


def leep(data: LabelledFeatures, options: LEEPOptions) -> Outcome:
    """Return the mean log of the expected prediction of the true class."""
    probabilities = data.source_probs
    if probabilities is None:
        raise NotApplicableError("leep needs source-class probabilities")

    def chunks() -> Iterator[tuple[slice, Array]]:
        for rows in row_chunks(*probabilities.shape):
            yield rows, probabilities[rows].astype(np.float64)

    value = expected_prediction(data, chunks, options.logarithm)
    return Outcome({"leep": value}, headline=value, used={"source_classes": probabilities.shape[1]})


def expected_prediction(data: LabelledFeatures, chunks: Chunks, logarithm: bool) -> float:
    """Return the mean over rows of the (log) expected prediction of the true class; a class without mass counts 0.

    Chunks are rows with the probabilities of the source classes, from top to bottom; they are iterated twice.
    """
    joint: Array | None = None
    for rows, probabilities in chunks():
        if joint is None:
            joint = np.zeros((data.class_count, probabilities.shape[1]))
        add_class_sums(joint, probabilities, data.codes[rows])
    assert joint is not None
    mass = joint.sum(axis=0)
    conditional = np.divide(joint, mass, out=np.zeros_like(joint), where=mass > 0)
    total = 0.0
    for rows, probabilities in chunks():
        expected = np.einsum("ns,ns->n", conditional[data.codes[rows]], probabilities)
        total += float((np.log(expected) if logarithm else expected).sum())
    return total / data.rows


METRIC = Metric(
    name="leep",
    title="LEEP, log expected empirical prediction",
    citation="Nguyen et al., LEEP: a new measure to evaluate transferability of learned representations, ICML 2020, "
    "arXiv:2002.12462",
    compute=leep,
    terms=(
        Term("leep", "mean log expected prediction of the true class; at most 0 (without the logarithm 1)", most=1),
    ),
    needs=("labels", "source_probs"),
    options=LEEPOptions(),
)
