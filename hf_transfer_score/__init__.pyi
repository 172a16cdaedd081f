"""What users import; each name is loaded when it is first used."""

from .backbones.base import Backbone, BackboneKind, BackboneOptions, BatchOutput, all_kinds, register_backbone
from .calls import choose, layers, plan_rank, rank, rank_adaptively, verify
from .checkpoints.candidate import Search
from .choosing.adaptive import AdaptiveOptions
from .choosing.history import ChooseListener
from .choosing.options import Budget, ChooseOptions
from .choosing.result import Choice
from .engines.base import Engine, Finished, Work, all_engines, open_engine
from .errors import CheckpointError, DatasetError, HubError, InputError, MetricError, OptionError, TransferScoreError
from .evaluate_modules.install import register
from .features.extract import ExtractOptions
from .finetune.recipe import Recipe, default_recipe
from .logs import set_verbosity
from .metrics.class_stats import ClassStatistics
from .metrics.labelled import ModelFacts
from .metrics.registry import Metric, MetricResult, Outcome, Term, all_metrics, get_metric, register_metric
from .metrics.scores import FeatureScores, score_features
from .ranking.agreement import weighted_kendall
from .ranking.board import board
from .ranking.confidence import RankConfidence, rank_confidence
from .ranking.feature_pool import rank_features
from .ranking.models import RankedModel
from .ranking.pools import PoolRanking, rank_pool
from .ranking.ranking import Ranking
from .records.importing import import_table
from .records.record import Record
from .records.store import read_records
from .runs.collapse import CollapseCallback as CollapseCallback  # not in the list: it needs torch and transformers
from .runs.listener import Listener
from .runs.options import RankOptions
from .runs.plan import Plan
from .runs.report import Interrupted, RankReport
from .runs.verified import VerifyOptions, VerifyReport
from .sampling.load import load_sample
from .sampling.sample import LabelledSample, SampleOptions, memory_sample
from .tasks import Pixels, Task, Waveform, Words, get_task

__version__: str

__all__ = [
    "AdaptiveOptions",
    "Backbone",
    "BackboneKind",
    "BackboneOptions",
    "BatchOutput",
    "Budget",
    "CheckpointError",
    "Choice",
    "ChooseListener",
    "ChooseOptions",
    "ClassStatistics",
    "DatasetError",
    "Engine",
    "ExtractOptions",
    "FeatureScores",
    "Finished",
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
    "Work",
    "all_engines",
    "all_kinds",
    "all_metrics",
    "board",
    "choose",
    "default_recipe",
    "get_metric",
    "get_task",
    "import_table",
    "layers",
    "load_sample",
    "memory_sample",
    "open_engine",
    "plan_rank",
    "rank",
    "rank_adaptively",
    "rank_confidence",
    "rank_features",
    "rank_pool",
    "read_records",
    "register",
    "register_backbone",
    "register_metric",
    "score_features",
    "set_verbosity",
    "verify",
    "weighted_kendall",
]
