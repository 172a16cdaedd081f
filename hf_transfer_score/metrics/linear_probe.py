"""Linear probe: leave-one-out accuracy of a regularised least-squares classifier on the features.

One-hot targets, an intercept, and a ridge penalty chosen from a grid by that accuracy itself. The prediction of a row
from all others has a closed form, in which its own share is subtracted from its score. So one eigendecomposition, which
other metrics need too, is enough for the whole grid.
"""

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import NotApplicableError
from hf_transfer_score.metrics.checks import row_chunks
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import Metric, NoOptions, Outcome, Term

PENALTIES = tuple(10.0**power for power in range(-4, 2))
"""The grid of ridge penalties, in units of the mean variance of a component times the number of rows."""


def linear_probe(data: LabelledFeatures, _: NoOptions) -> Outcome:
    """Return the leave-one-out accuracy at the best penalty."""
    if int(data.counts.min()) < 2:
        raise NotApplicableError(
            f"linear_probe needs two samples in every class to cross-validate; {int((data.counts == 1).sum())} have one"
        )
    correct = _correct(data)
    best = int(correct.argmax())
    value = float(correct[best] / data.rows)
    used = {"penalty": PENALTIES[best], "rows": data.rows, "chance": float(data.counts.max() / data.rows)}
    return Outcome({"linear_probe": value}, headline=value, used=used)


def _correct(data: LabelledFeatures) -> NDArray[np.int64]:
    """Return how many rows are predicted rightly from the others at each penalty (P,).

    The scores of a row are those of the fit to all rows, H Y with H = 1/N + Z diag(1 / (s + p)) Z'. Without the row
    itself they are (H Y - h y) / (1 - h), with h its entry on the diagonal of H; only its own class can change rank.
    """
    values, vectors = data.total_decomposition
    values = np.maximum(values, 0)
    unit = max(float(values.mean()), np.finfo(np.float64).tiny)
    axes = vectors / np.sqrt(unit)
    shrink = 1 / (values / unit + np.array(PENALTIES)[:, None])  # (P, r)
    loadings = (data.statistics.centred_means * data.counts[:, None]) @ axes  # (K, r)
    scaled = (loadings * shrink[:, None, :]).reshape(-1, len(values)).astype(np.float32)
    prior = (data.counts / data.rows).astype(np.float32)
    middle, scale = data.centre, float(np.abs(axes).max())
    narrow, correct = (axes / scale).astype(np.float32), np.zeros(len(PENALTIES), np.int64)
    for part in row_chunks(data.rows, max(data.width, len(scaled))):
        rows = ((data.features[part] - middle) * scale).astype(np.float32) @ narrow
        scores = (rows @ scaled.T).reshape(len(rows), len(PENALTIES), -1) + prior
        own = np.arange(len(rows)), slice(None), data.codes[part]
        scores[own] -= (rows**2) @ shrink.T.astype(np.float32) + 1 / data.rows
        correct += (scores.argmax(axis=2) == data.codes[part, None]).sum(axis=0)
    return correct


METRIC = Metric(
    name="linear_probe",
    title="Linear probe, leave-one-out accuracy",
    citation="Alain and Bengio, Understanding intermediate layers using linear classifier probes, 2016, "
    "arXiv:1610.01644",
    compute=linear_probe,
    terms=(Term("linear_probe", "leave-one-out accuracy of a ridge classifier", bounded=True),),
    version=2,
)
