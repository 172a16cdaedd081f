"""Which checkpoint should I fine-tune? Transferability metrics from one forward pass, FaCe and NCTI first."""

from hf_transfer_score.backbones.base import (
    Backbone,
    BackboneKind,
    BackboneOptions,
    BatchOutput,
    all_kinds,
    register_backbone,
)
from hf_transfer_score.checkpoints.search import Search
from hf_transfer_score.errors import (
    CheckpointError,
    DatasetError,
    HubError,
    InputError,
    MetricError,
    OptionError,
    TransferScoreError,
)
from hf_transfer_score.evaluate_modules.install import register
from hf_transfer_score.features.extract import ExtractOptions
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
from hf_transfer_score.metrics.scores import FeatureScores, score_features
from hf_transfer_score.ranking.agreement import weighted_kendall
from hf_transfer_score.ranking.confidence import RankConfidence, rank_confidence
from hf_transfer_score.ranking.pools import PoolRanking, rank_pool
from hf_transfer_score.ranking.ranking import RankedModel, Ranking, rank_features
from hf_transfer_score.results.record import Record
from hf_transfer_score.results.store import read_records
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.options import SampleOptions
from hf_transfer_score.sampling.sample import LabelledSample, memory_sample
from hf_transfer_score.selection.listener import Listener
from hf_transfer_score.selection.options import RankOptions
from hf_transfer_score.selection.plan import Plan
from hf_transfer_score.selection.report import Interrupted, RankReport
from hf_transfer_score.selection.run import plan_rank, rank
from hf_transfer_score.selection.verified import VerifyOptions, VerifyReport
from hf_transfer_score.selection.verifying import verify
from hf_transfer_score.tasks import Pixels, Task, Waveform, Words, get_task
from hf_transfer_score.truth.recipe import Recipe, default_recipe
from hf_transfer_score.version import VERSION

__version__ = VERSION

__all__ = [
    "Backbone",
    "BackboneKind",
    "BackboneOptions",
    "BatchOutput",
    "CheckpointError",
    "ClassStatistics",
    "DatasetError",
    "ExtractOptions",
    "FeatureScores",
    "HubError",
    "InputError",
    "Interrupted",
    "LabelledSample",
    "Listener",
    "Metric",
    "MetricError",
    "MetricResult",
    "ModelFacts",
    "OptionError",
    "Outcome",
    "Pixels",
    "Plan",
    "PoolRanking",
    "RankConfidence",
    "RankOptions",
    "RankReport",
    "RankedModel",
    "Ranking",
    "Recipe",
    "Record",
    "SampleOptions",
    "Search",
    "Task",
    "Term",
    "TransferScoreError",
    "VerifyOptions",
    "VerifyReport",
    "Waveform",
    "Words",
    "all_kinds",
    "all_metrics",
    "default_recipe",
    "get_metric",
    "get_task",
    "load_sample",
    "memory_sample",
    "plan_rank",
    "rank",
    "rank_confidence",
    "rank_features",
    "rank_pool",
    "read_records",
    "register",
    "register_backbone",
    "register_metric",
    "score_features",
    "verify",
    "weighted_kendall",
]
