"""LogME for regression: the log evidence of a Bayesian linear model of float targets."""

import numpy as np

from hf_transfer_score.errors import NotApplicableError
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.logme import LogMEOptions, log_evidence, spectrum
from hf_transfer_score.metrics.registry import Metric, Outcome, Term


def logme_regression(data: LabelledFeatures, options: LogMEOptions) -> Outcome:
    """Return the mean over target columns of their log evidence per row."""
    targets = data.targets
    if targets is None:
        raise NotApplicableError("logme_regression needs regression targets (pass `targets`)")
    reduced = data.reduced(options.pca, always=False)
    sums = np.zeros((targets.shape[1], reduced.width))
    for rows, chunk in reduced.chunks():
        sums += targets[rows].T @ chunk
    evidences = log_evidence(spectrum(reduced, sums, np.square(targets).sum(axis=0)), options)
    value = float(evidences.mean())
    used = "none" if reduced is data else reduced.width
    return Outcome({"logme_regression": value}, headline=value, used={"pca_components": used})


METRIC = Metric(
    name="logme_regression",
    title="LogME for regression targets",
    citation="You et al., LogME: practical assessment of pre-trained models for transfer learning, ICML 2021, "
    "arXiv:2102.11005",
    compute=logme_regression,
    terms=(Term("logme_regression", "mean log evidence per row over the targets"),),
    needs=("targets",),
    options=LogMEOptions(),
)
