"""What a ranking says: an outcome for each candidate, the pool scores, and how sure the order is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from hf_transfer_score.api import FeatureScores, _plain
from hf_transfer_score.errors import FailureKind
from hf_transfer_score.ranking.confidence import RankConfidence
from hf_transfer_score.ranking.pools import PoolRanking
from hf_transfer_score.sampling.sample import LabelledSample


@dataclass(frozen=True)
class ModelOutcome:
    """What became of one candidate.

    Attributes:
        name: as tables show it; with layer="all" there is an outcome for each layer.
        status: "ok"; "failed" with kind and reason; "interrupted" where the run ended before it.
        model: the id or folder.
        commit: the commit on the Hub, or a hash of the folder's content.
        library: the kind of backbone that read it.
        layer: the layer the features are of.
        parameters: counted in the loaded model.
        downloads: as the Hub counts them.
        license: as its card says.
        scores: what the metrics say.
        extraction: how its features were made: device, dtype, seconds, examples a second, pooling and the like.
        from_cache: whether the features were there before this run.
        kind: the kind of failure.
        reason: why it failed.
        local: whether it is a folder.
    """

    name: str
    status: Literal["ok", "failed", "interrupted"]
    model: str
    commit: str | None = None
    library: str | None = None
    layer: str | None = None
    parameters: int | None = None
    downloads: int | None = None
    license: str | None = None
    scores: FeatureScores | None = None
    extraction: Mapping[str, Any] = field(default_factory=dict)
    from_cache: bool = False
    kind: FailureKind | None = None
    reason: str | None = None
    local: bool = False

    @property
    def width(self) -> int | None:
        """Features a row."""
        return self.scores.width if self.scores else None

    @property
    def throughput(self) -> float | None:
        """Examples a second of the forward pass."""
        seconds, examples = self.extraction.get("seconds"), self.extraction.get("examples")
        return examples / seconds if seconds and examples else None


@dataclass(frozen=True)
class RankReport:
    """A ranking of candidates on a dataset.

    Attributes:
        sample: what was drawn from the dataset.
        outcomes: every candidate by name, the best first, then those without a rank.
        pools: pool scores and ranks of each metric.
        headline: the metrics whose mean rank decides.
        mean_ranks: mean rank over the headline metrics.
        ranks: final rank by name, in order; models that cannot be told apart share the better one, and so do equal
            mean ranks.
        confidence: rank ranges and tie groups; None where no bootstrap was asked for or possible.
        intervals: central interval of each raw term over the bootstrap, around its value, by model, metric and term.
        level: the share of the bootstrap that intervals and rank ranges cover; None where there was none.
        seconds: wall-clock time of the run.
        interrupted: whether the run was ended before all candidates were scored.
        notes: what to know about the run.
    """

    sample: LabelledSample
    outcomes: dict[str, ModelOutcome]
    pools: dict[str, PoolRanking]
    headline: tuple[str, ...]
    mean_ranks: dict[str, float]
    ranks: dict[str, int]
    confidence: RankConfidence | None = None
    intervals: dict[str, dict[str, dict[str, tuple[float, float]]]] = field(default_factory=dict)
    level: float | None = None
    seconds: float = 0.0
    interrupted: bool = False
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> ModelOutcome | None:
        """The first of the ranking, None where nothing could be ranked."""
        return next((outcome for name, outcome in self.outcomes.items() if name in self.ranks), None)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        confidence = None if self.confidence is None else asdict(self.confidence)
        plain = {
            "sample": sample_facts(self.sample),
            "order": list(self.outcomes),
            "headline": self.headline,
            "mean_ranks": self.mean_ranks,
            "ranks": self.ranks,
            "confidence": confidence,
            "models": {name: asdict(outcome) for name, outcome in self.outcomes.items()},
            "pools": {name: asdict(pool) for name, pool in self.pools.items()},
            "intervals": self.intervals,
            "level": self.level,
            "seconds": self.seconds,
            "interrupted": self.interrupted,
            "notes": self.notes,
        }
        result: dict[str, Any] = _plain(plain)
        return result


def sample_facts(sample: LabelledSample) -> dict[str, Any]:
    """Return what identifies a sample, as plain values."""
    labels = sample.labels
    return {
        **asdict(sample.source),
        "task": sample.task.name,
        "examples": len(sample),
        "rows": sample.rows,
        "classes": None if labels is None else len(set(labels.tolist())),
        "label_names": sample.label_names,
        "fingerprint": sample.fingerprint,
        "notes": sample.notes,
    }


class Interrupted(KeyboardInterrupt):
    """A run was ended by hand; what is done is in the cache, and in `report` for those who want to show it."""

    def __init__(self, report: RankReport) -> None:
        done = sum(outcome.status == "ok" for outcome in report.outcomes.values())
        super().__init__(f"interrupted with {done} of {len(report.outcomes)} models scored")
        self.report = report
