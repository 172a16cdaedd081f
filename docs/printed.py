"""The types of the `--json` output of commands, and their JSON Schemas."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from record_schema import DIALECT
from typing_extensions import NotRequired, TypedDict

from hf_transfer_score.choosing.history import LearningCurve, Round
from hf_transfer_score.choosing.start import Estimate
from hf_transfer_score.cli.metrics import MetricGuide
from hf_transfer_score.features.cache import CacheEntry
from hf_transfer_score.finetune.fine_tune import FineTuningResult
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.leaderboard.space import PushedSpace
from hf_transfer_score.metrics.scores import FeatureScores, MetricResult
from hf_transfer_score.ranking.agreement import Agreement
from hf_transfer_score.ranking.confidence import RankConfidence
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.ranking.pools import PoolRanking
from hf_transfer_score.reproduction import PublishedModel
from hf_transfer_score.runs.layers import ProfileRow

VERSION = 1


class Between(TypedDict):
    """A value and its interval."""

    value: float
    low: float
    high: float


class ForecastRow(TypedDict):
    """A model in the order of the answer; null for unknown values."""

    name: str
    rank: int | None
    rank_range: tuple[int, int] | None
    best_probability: float | None
    points_below_best: Between | None
    expected_accuracy: Between | None
    probe_accuracy: Between | None
    why: list[str]
    parameters: int | None


class SampleFacts(TypedDict):
    """What was drawn from the dataset."""

    dataset: str
    split: str | None
    config: str | None
    revision: str | None
    columns: dict[str, str]
    rows_seen: int
    complete: bool
    options: dict[str, Any]
    task: str
    examples: int
    rows: int
    classes: int | None
    label_names: list[str] | None
    fingerprint: str
    notes: list[str]


class Ranked(TypedDict):
    """What `rank --json` prints."""

    answer: str
    sample: SampleFacts
    order: list[str]
    headline: list[str]
    mean_ranks: dict[str, float]
    ranks: dict[str, int]
    confidence: RankConfidence | None
    models: list[ForecastRow]
    pool: dict[str, RankedModel]
    pools: dict[str, PoolRanking]
    intervals: dict[str, dict[str, dict[str, tuple[float, float]]]]
    level: float
    seconds: float
    interrupted: bool
    notes: list[str]


class Board(TypedDict):
    """What `board --json` prints."""

    dataset: str
    answer: str
    models: list[ForecastRow]
    notes: list[str]


class TestRows(TypedDict):
    """The rows on which accuracies were measured."""

    examples: int
    fingerprint: str


class Measured(TypedDict):
    """The fine-tuning results of one model; one measurement per seed."""

    status: str
    rank: int | None
    accuracy: float | None
    spread: float | None
    measured: dict[str, FineTuningResult]
    kind: str | None
    reason: str | None


class Verified(TypedDict):
    """What `verify --json` prints."""

    recipe: Recipe
    test: TestRows
    models: dict[str, Measured]
    agreement: dict[str, Agreement]
    noise_ceiling: Agreement | None
    notes: list[str]
    interrupted: bool
    ranking: Ranked


class Chosen(TypedDict):
    """What `choose --json` prints."""

    answer: str
    winner: str | None
    learning_rate: float | None
    sure: float | None
    accuracy: Between | None
    tested: dict[str, dict[str, Any]]
    cost: dict[str, Any]
    history: list[Round]
    curves: list[LearningCurve]
    recipe: Recipe
    test: TestRows
    script: str | None
    notes: list[str]
    interrupted: bool
    ranking: Ranked


class Failure(TypedDict):
    """Why a candidate cannot be scored."""

    kind: str
    reason: str


class PlannedModel(TypedDict):
    """What would be done with a candidate."""

    name: str
    state: str
    commit: str | None
    kind: str | None
    parameters: int | None
    files: list[str]
    weight_bytes: int
    download_bytes: int
    failure: Failure | None


class Planned(TypedDict):
    """What `rank --dry-run --json` prints."""

    download_bytes: int
    free_bytes: int | None
    seconds: float | None
    guessed_seconds: list[float] | None
    notes: list[str]
    models: list[PlannedModel]


class Layers(TypedDict):
    """What `layers --json` prints."""

    model: str
    commit: str | None
    library: str | None
    parameters: int | None
    pooling: str | None
    sample: SampleFacts
    smallest_nc1: str
    layers: list[ProfileRow]
    notes: list[str]


class ScoredPool(TypedDict):
    """What `score --json` prints for several files."""

    answer: str
    models: list[ForecastRow]
    order: list[str]
    headline: list[str]
    mean_ranks: dict[str, float]
    ranks: dict[str, int]
    pool: dict[str, FeatureScores]
    pools: dict[str, PoolRanking]


class ScoredFile(TypedDict):
    """What `score --json` prints for one file."""

    model: str
    status: str
    results: dict[str, MetricResult]
    rows: int
    width: int
    classes: int | None
    shared_seconds: dict[str, float]
    seconds: float
    reason: str | None


class Rescored(TypedDict):
    """The models of a published table, scored again."""

    agreement: dict[str, Agreement]
    scores: dict[str, dict[str, float]]
    ranks: dict[str, dict[str, int]]
    preparation: str
    report: Ranked


class Reproduced(TypedDict):
    """What `reproduce --json` prints."""

    table: str
    title: str
    dataset: str
    sources: dict[str, str]
    remarks: list[str]
    agreement: Agreement
    models: list[PublishedModel]
    run: Rescored | None


class Cleared(TypedDict):
    """What `cache clear --json` prints."""

    deleted: int
    bytes: int


class BadRecord(TypedDict):
    """A file or a row that was left out."""

    path: str
    reason: str


class Stored(TypedDict):
    """What `results import`, `publish`, `pull` and `merge` print with --json; counts are those of an import."""

    to: NotRequired[str]
    source: NotRequired[str]
    into: NotRequired[str]
    dry_run: NotRequired[bool]
    models: NotRequired[int]
    datasets: NotRequired[int]
    scores: NotRequired[int]
    accuracies: NotRequired[int]
    written: int
    replaced: int
    unchanged: int
    older: int
    version: str | None
    url: str | None
    problems: list[BadRecord]
    notes: NotRequired[list[str]]


class Validated(TypedDict):
    """What `results validate --json` prints."""

    store: str
    records: int
    valid: bool
    problems: list[BadRecord]


class MetricCard(TypedDict):
    """What `card --metric NAME --json` prints."""

    metric: str
    card: str


class PushedCard(TypedDict):
    """What `card --push --json` prints."""

    model: str
    state: str
    where: str | None


ModelCard = TypedDict(
    "ModelCard",
    {"model": str, "section": str, "model-index": list[dict[str, Any]], "eval_results": NotRequired[dict[str, str]]},
)

PRINTED: dict[str, Any] = {
    "rank": Ranked,
    "rank-plan": Planned,
    "choose": Chosen,
    "choose-plan": Estimate,
    "board": Board,
    "verify": Verified,
    "layers": Layers,
    "score": ScoredPool | ScoredFile,
    "metrics": list[MetricGuide] | MetricGuide,
    "reproduce": Reproduced,
    "register": dict[str, str],
    "results": Stored | Validated,
    "space": PushedSpace,
    "card": ModelCard | MetricCard | PushedCard,
    "cache": list[CacheEntry] | Cleared,
}
"""Types by the first word of the command; `rank` and `choose` print plans with --dry-run."""


def schema(command: str) -> dict[str, Any]:
    """Return the JSON Schema of the output of a command; more names may be added over time."""
    made = TypeAdapter(PRINTED[command]).json_schema(mode="serialization")
    about = {"$schema": DIALECT, "$id": f"urn:hf-transfer-score:{command}:{VERSION}"}
    return {**about, **_with_null(made)}


def _with_null(found: Any) -> Any:
    """Return a schema in which numbers may be null, because JSON cannot express infinity and NaN."""
    if isinstance(found, list):
        return [_with_null(one) for one in found]
    if not isinstance(found, dict):
        return found
    kept = {name: _with_null(value) for name, value in found.items() if name != "default"}
    return {**kept, "type": ["number", "null"]} if kept.get("type") == "number" else kept
