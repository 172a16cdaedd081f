"""How well scores agree with measured accuracies."""

from hf_transfer_score.ranking.agreement.compare import (
    ENOUGH_MODELS,
    Agreement,
    agreement,
    agreements,
    mean_accuracy,
    measured_agreement,
    noise_ceiling,
)
from hf_transfer_score.ranking.agreement.figures import FIGURES, weighted_kendall
from hf_transfer_score.ranking.agreement.paired import AgreementDifference, difference

__all__ = [
    "ENOUGH_MODELS",
    "FIGURES",
    "Agreement",
    "AgreementDifference",
    "agreement",
    "agreements",
    "difference",
    "mean_accuracy",
    "measured_agreement",
    "noise_ceiling",
    "weighted_kendall",
]
