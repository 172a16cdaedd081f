"""CDNV, the class-distance-normalised variance."""

import numpy as np

from hf_transfer_score.errors import NotApplicableError
from hf_transfer_score.metrics.gaussians import squared_distances
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.nc1 import class_squares
from hf_transfer_score.metrics.registry import Metric, NoOptions, Outcome, Term


def cdnv(data: LabelledFeatures, options: NoOptions) -> Outcome:
    """Return the mean over pairs of classes of their mean variance over the squared distance of their means."""
    variances = class_squares(data) / data.counts
    distances = squared_distances(data.statistics.means)
    first, second = np.triu_indices(data.class_count, 1)
    apart = distances[first, second]
    if (apart == 0).any():
        pair = int(np.flatnonzero(apart == 0)[0])
        raise NotApplicableError(
            f"cdnv needs class means that differ, and classes {first[pair]} and {second[pair]} have the same mean"
        )
    value = float(np.mean((variances[first] + variances[second]) / 2 / apart))
    return Outcome({"cdnv": value}, headline=-value)


METRIC = Metric(
    name="cdnv",
    title="CDNV, class-distance-normalised variance",
    citation="Galanti, György and Hutter, On the role of neural collapse in transfer learning, ICLR 2022, "
    "arXiv:2112.15121",
    compute=cdnv,
    terms=(Term("cdnv", "mean over class pairs of variance over squared distance", direction=-1, least=0),),
)
