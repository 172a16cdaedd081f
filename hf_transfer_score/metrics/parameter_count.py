"""Trivial baseline: the larger model first."""

from __future__ import annotations

from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import Metric, NoOptions, Outcome, Term


def parameter_count(data: LabelledFeatures, options: NoOptions) -> Outcome:
    """Return the number of parameters."""
    value = float(data.facts.parameters or 0)
    return Outcome({"parameter_count": value}, headline=value)


METRIC = Metric(
    name="parameter_count",
    title="Baseline: number of parameters",
    citation="trivial baseline",
    compute=parameter_count,
    terms=(Term("parameter_count", "number of parameters", least=0, most=1e15),),
    needs=("parameters",),
    baseline=True,
)
