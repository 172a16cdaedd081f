"""Which checkpoint should I fine-tune? Transferability metrics from one forward pass, FaCe and NCTI first."""

from hf_transfer_score.api import FeatureRanking, FeatureScores, rank_features, score_features
from hf_transfer_score.errors import TransferScoreError
from hf_transfer_score.evaluate_modules.install import register
from hf_transfer_score.metrics.class_stats import ClassStatistics
from hf_transfer_score.metrics.labelled import ModelFacts
from hf_transfer_score.metrics.registry import (
    Metric,
    MetricResult,
    Outcome,
    Term,
    all_metrics,
    get_metric,
    register_metric,
)
from hf_transfer_score.ranking import PoolRanking, rank_pool, weighted_kendall
from hf_transfer_score.version import VERSION

__version__ = VERSION

__all__ = [
    "ClassStatistics",
    "FeatureRanking",
    "FeatureScores",
    "Metric",
    "MetricResult",
    "ModelFacts",
    "Outcome",
    "PoolRanking",
    "Term",
    "TransferScoreError",
    "all_metrics",
    "get_metric",
    "rank_features",
    "rank_pool",
    "register",
    "register_metric",
    "score_features",
    "weighted_kendall",
]
