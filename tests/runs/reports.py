"""Rankings made by hand from real scores: features with more or less noise stand for better and worse models."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from hf_transfer_score.errors import FailureKind
from hf_transfer_score.metrics.labelled import LabelledFeatures, ModelFacts
from hf_transfer_score.metrics.scores import score_features
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.report import RankReport
from hf_transfer_score.runs.scoring import Ready, Scoring, choose_scoring, make_report
from hf_transfer_score.sampling.sample import LabelledSample, memory_sample

CLASSES, EACH = 4, 15


@dataclass(frozen=True)
class Made:
    """A candidate: what it is called, how noisy its features are, and what is known of it; a kind is a failure."""

    name: str
    noise: float = 1.0
    parameters: int | None = 1_000_000
    width: int = 12
    kind: FailureKind | None = None
    known: Any = None


def classified(name: str = "owner/pets", **source: Any) -> LabelledSample:
    labels = np.repeat(np.arange(CLASSES), EACH)
    sample = memory_sample("text-classification", [f"text {row}" for row in range(len(labels))], labels, name=name)
    return replace(sample, source=replace(sample.source, **source))


def measured(name: str = "owner/prices") -> LabelledSample:
    values = np.linspace(0, 1, CLASSES * EACH)
    return memory_sample("text-regression", [f"text {row}" for row in range(len(values))], values, name=name)


def features_of(made: Made, sample: LabelledSample, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(sample.rows, made.width)) * made.noise
    if sample.labels is None:
        return noise + np.outer(sample.targets, np.ones(made.width))
    return noise + 2.0 * np.eye(made.width)[sample.labels]


def outcome_of(made: Made, sample: LabelledSample, scoring: Scoring, seed: int) -> RankedModel:
    if made.kind is not None:
        outcome = RankedModel(made.name, "failed", made.name, kind=made.kind, reason=f"is {made.kind}")
        return replace(outcome, **(made.known or {}))
    facts = ModelFacts(made.name, made.parameters, 7)
    scores = score_features(
        features_of(made, sample, seed), sample.labels, metrics=scoring.metrics, targets=sample.targets, facts=facts
    )
    extraction = {
        "examples": len(sample),
        "seconds": 0.5,
        "device": "cpu",
        "dtype": "float32",
        "runtime": "torch",
        "details": {"pooling": "mean", "max_length": 512},
        "measured_here": {
            "examples_per_second": 1.2e8 / (made.parameters or 1_000_000),
            "example_milliseconds": 12.5,
            "machine": "a processor (2 threads)",
        },
    }
    outcome = RankedModel(made.name, "ok", made.name, "c" * 40, "memory", "last", made.parameters, downloads=7)
    return replace(outcome, scores=scores, extraction=extraction, **(made.known or {}))


def report_of(
    models: Sequence[Made],
    sample: LabelledSample | None = None,
    *,
    replicates: int = 20,
    metrics: Any = None,
    headline: Sequence[str] | None = None,
) -> RankReport:
    """Return the ranking of some candidates on a sample."""
    sample = sample or classified()
    scoring, ready = choose_scoring(sample, metrics, headline), {}
    for seed, made in enumerate(models):
        ready[made.name] = Ready(None, "last", partial(_labelled, made, sample, seed))
    found = {made.name: outcome_of(made, sample, scoring, seed) for seed, made in enumerate(models)}
    return make_report(sample, found, ready, scoring, RankOptions(replicates=replicates))


def _labelled(made: Made, sample: LabelledSample, seed: int) -> LabelledFeatures:
    return LabelledFeatures(features_of(made, sample, seed), sample.labels, targets=sample.targets)
