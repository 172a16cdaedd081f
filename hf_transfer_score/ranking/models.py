"""One model of a pool: its facts, and its scores by the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hf_transfer_score.errors import FailureKind
from hf_transfer_score.metrics.labelled import ModelFacts
from hf_transfer_score.metrics.registry import MetricResult, all_metrics
from hf_transfer_score.metrics.scores import FeatureScores
from hf_transfer_score.records.record import RecordedFacts
from hf_transfer_score.text import short_count


@dataclass(frozen=True)
class RankedModel(RecordedFacts):
    """What is known about one model of a pool.

    Attributes:
        name: as tables show it, unique in the pool; with layer="all" each layer has its own name.
        status: "ok"; "failed" with kind and reason; "interrupted" if the run ended before its turn.
        model: the id or folder.
        commit: the commit on the Hub, or a hash of the folder's content.
        library: the kind of backbone that read it.
        layer: the layer that the features come from.
        parameters: counted in the loaded model.
        scores: the results of the metrics.
        extraction: how its features were made: device, dtype, seconds, examples, pooling and the like.
        from_cache: whether the features existed before this run.
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
    scores: FeatureScores | None = None
    extraction: Mapping[str, Any] = field(default_factory=dict)
    from_cache: bool = False
    kind: FailureKind | None = None
    reason: str | None = None
    local: bool = False

    def __getitem__(self, metric: str) -> MetricResult:
        """Return the result of one metric."""
        return self.results[metric]

    @property
    def results(self) -> Mapping[str, MetricResult]:
        """The result of each metric; none if the model failed."""
        return self.scores.results if self.scores else {}

    @property
    def why(self) -> str | None:
        """Why it could not be scored, in one line; None if it could, or if it is known from records alone."""
        if self.status == "ok":
            return None
        if self.kind is None and self.status == "failed":
            return self.reason
        return f"{self.kind or self.status}: {self.reason}"

    @property
    def width(self) -> int | None:
        """The number of features of a row."""
        return self.scores.width if self.scores else None

    @property
    def measured_here(self) -> Mapping[str, Any]:
        """How fast it ran when its features were made, and on which machine; empty if that was not measured."""
        return self.extraction.get("measured_here") or {}

    @property
    def throughput(self) -> float | None:
        """Examples per second in forward passes over prepared batches."""
        return self.measured_here.get("examples_per_second")

    @property
    def milliseconds(self) -> float | None:
        """Duration of a forward pass over a single example."""
        return self.measured_here.get("example_milliseconds")

    def too_slow(self, least: float | None) -> str | None:
        """Return why it is slower than so many examples per second; None if it is not, or its speed is unknown."""
        if least is None or self.throughput is None or self.throughput >= least:
            return None
        pace, asked = short_count(self.throughput), short_count(least)
        return f"reads {pace} examples per second on this machine, and {asked} are required"


def scored_model(name: str, scores: FeatureScores, facts: ModelFacts | None = None) -> RankedModel:
    """Return a model with the scores of its features, and the facts that are known about it."""
    about = facts or ModelFacts()
    return RankedModel(
        name,
        scores.status,
        name,
        parameters=about.parameters,
        downloads=about.downloads,
        scores=scores,
        reason=scores.reason,
    )


def is_baseline(metric: str) -> bool:
    """Return whether this is an installed metric that is a trivial baseline."""
    known = all_metrics()
    return metric in known and known[metric].baseline
