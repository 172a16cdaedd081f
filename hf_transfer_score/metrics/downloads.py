"""Trivial baseline: the model with more downloads first."""

from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import Metric, NoOptions, Outcome, Term


def downloads(data: LabelledFeatures, options: NoOptions) -> Outcome:
    """Return the downloads that the Hub counted."""
    value = float(data.facts.downloads or 0)
    return Outcome({"downloads": value}, headline=value)


METRIC = Metric(
    name="downloads",
    title="Baseline: downloads",
    citation="trivial baseline",
    compute=downloads,
    terms=(Term("downloads", "downloads counted by the Hub", least=0, most=1e15),),
    needs=("downloads",),
    baseline=True,
)
