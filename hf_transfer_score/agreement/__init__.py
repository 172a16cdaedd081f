"""How well scores agree with measured accuracies."""

from hf_transfer_score.agreement.compare import ENOUGH_MODELS, Agreement, agreement
from hf_transfer_score.agreement.draws import FIGURES
from hf_transfer_score.agreement.measured import mean_rank_scores, measured_agreement, noise_ceiling

__all__ = [
    "ENOUGH_MODELS",
    "FIGURES",
    "Agreement",
    "agreement",
    "mean_rank_scores",
    "measured_agreement",
    "noise_ceiling",
]
