"""How well scores agree with measured accuracies."""

from hf_transfer_score.agreement.compare import ENOUGH_MODELS, Agreement, agreement
from hf_transfer_score.agreement.draws import FIGURES
from hf_transfer_score.agreement.measured import mean_rank_scores, measured_agreement, noise_ceiling
from hf_transfer_score.agreement.paired import Difference, difference

__all__ = [
    "ENOUGH_MODELS",
    "FIGURES",
    "Agreement",
    "Difference",
    "agreement",
    "difference",
    "mean_rank_scores",
    "measured_agreement",
    "noise_ceiling",
]
