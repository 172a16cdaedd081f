"""One model of a pool: what is known of it, and what the metrics say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hf_transfer_score.errors import FailureKind
from hf_transfer_score.metrics.labelled import ModelFacts
from hf_transfer_score.metrics.registry import MetricResult, all_metrics
from hf_transfer_score.metrics.scores import FeatureScores


@dataclass(frozen=True)
class RankedModel:
    """What is known of one model of a pool.

    Attributes:
        name: as tables show it, unique in the pool; with layer="all" each layer has a name of its own.
        status: "ok"; "failed" with kind and reason; "interrupted" where the run ended before its turn.
        model: the id or folder.
        commit: the commit on the Hub, or a hash of the folder's content.
        library: the kind of backbone that read it.
        layer: the layer the features are of.
        parameters: counted in the loaded model.
        downloads: as the Hub counts them.
        license: as its card says.
        scores: what the metrics say.
        extraction: how its features were made: device, dtype, seconds, examples, pooling and the like.
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

    def __getitem__(self, metric: str) -> MetricResult:
        """Return the result of one metric."""
        return self.results[metric]

    @property
    def results(self) -> Mapping[str, MetricResult]:
        """One result a metric, none of a model that failed."""
        return self.scores.results if self.scores else {}

    @property
    def why(self) -> str | None:
        """Why it has no scores, in one line; None where it has."""
        if self.scores is not None and self.scores.status == "ok":
            return None
        return (
            self.reason
            if self.kind is None and self.status == "failed"
            else f"{self.kind or self.status}: {self.reason}"
        )

    @property
    def width(self) -> int | None:
        """Features a row."""
        return self.scores.width if self.scores else None

    @property
    def measured_here(self) -> Mapping[str, Any]:
        """How fast it ran when its features were made, and on which machine; empty where that was not measured."""
        return self.extraction.get("measured_here") or {}

    @property
    def throughput(self) -> float | None:
        """Examples a second of forward passes over batches that were ready."""
        return self.measured_here.get("examples_per_second")

    @property
    def milliseconds(self) -> float | None:
        """Of the forward pass of one example alone."""
        return self.measured_here.get("example_milliseconds")

    def too_slow(self, least: float | None) -> str | None:
        """Return why it does not read so many examples a second; None where it does, or nobody knows."""
        if least is None or self.throughput is None or self.throughput >= least:
            return None
        return f"reads {self.throughput:.3g} examples a second on this machine, and {least:g} were asked for"


def scored_model(name: str, scores: FeatureScores, facts: ModelFacts | None = None) -> RankedModel:
    """Return a model of which there are scores of its features, or the reason why not, and maybe some facts."""
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
    """Return whether a metric that is installed is a trivial baseline."""
    known = all_metrics()
    return metric in known and known[metric].baseline
