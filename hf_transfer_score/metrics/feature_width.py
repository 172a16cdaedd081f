"""Trivial baseline: the model with more features first."""

from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import Metric, NoOptions, Outcome, Term


def feature_width(data: LabelledFeatures, options: NoOptions) -> Outcome:
    """Return the number of features D."""
    value = float(data.width)
    return Outcome({"feature_width": value}, headline=value)


METRIC = Metric(
    name="feature_width",
    title="Baseline: number of features",
    citation="trivial baseline",
    compute=feature_width,
    terms=(Term("feature_width", "number of features", least=0, most=1e9),),
    needs=(),
    baseline=True,
)
