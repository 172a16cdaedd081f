"""VCI, the variability collapse index."""

import numpy as np

from hf_transfer_score.metrics.class_stats import ONE_THREAD_WIDTH, RELATIVE_CUT, one_thread
from hf_transfer_score.metrics.hscore import explained_trace, saturation_warnings
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import Metric, NoOptions, Outcome, Term


def vci(data: LabelledFeatures, options: NoOptions) -> Outcome:
    """Return 1 - trace(Σ_T† Σ_B) / rank(Σ_B)."""
    explained, rank = explained_trace(data, RELATIVE_CUT)
    weighted = data.statistics.centred_means * np.sqrt(data.counts)[:, None]
    small = weighted @ weighted.T if len(weighted) < data.width else weighted.T @ weighted
    with one_thread(len(small) <= ONE_THREAD_WIDTH):
        variances = np.linalg.eigvalsh(small)
    between_rank = int((variances > RELATIVE_CUT * variances[-1]).sum())
    value = max(1 - explained / between_rank, 0.0)
    warnings = saturation_warnings(data, rank)
    return Outcome(
        {"vci": value}, headline=-value, used={"rank": rank, "between_rank": between_rank}, warnings=warnings
    )


METRIC = Metric(
    name="vci",
    title="VCI, variability collapse index",
    citation="Xu and Liu, Quantifying the variability collapse of neural networks, ICML 2023, arXiv:2306.03440",
    compute=vci,
    terms=(Term("vci", "1 - trace(Σ_T† Σ_B) / rank(Σ_B); 0 at full collapse", direction=-1, bounded=True),),
)
