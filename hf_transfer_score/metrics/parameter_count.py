"""Trivial baseline: the larger model first."""

from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import Metric, NoOptions, Outcome, Term


def parameter_count(data: LabelledFeatures, options: NoOptions) -> Outcome:
    """Return the number of parameters, without the checkpoint's own head."""
    assert data.facts.parameters is not None
    value = float(data.facts.parameters)
    return Outcome({"parameter_count": value}, headline=value)


METRIC = Metric(
    name="parameter_count",
    title="Baseline: number of parameters",
    citation="trivial baseline",
    compute=parameter_count,
    terms=(Term("parameter_count", "number of parameters", least=0, most=1e15),),
    needs=("parameters",),
    baseline=True,
    version=2,  # the first counted the checkpoint's own head too
)
