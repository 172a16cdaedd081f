"""What a user calls: score one model's features, rank a pool of models."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from hf_transfer_score.errors import InputError
from hf_transfer_score.metrics.labelled import LabelledFeatures, ModelFacts
from hf_transfer_score.metrics.registry import Metric, MetricResult, all_metrics, get_metric
from hf_transfer_score.ranking.pools import PoolRanking, rank_pool

MetricChoice = str | Metric | Sequence[str | Metric] | None


@dataclass(frozen=True)
class FeatureScores:
    """What the metrics say of one model's features on one sample.

    Attributes:
        status: "ok", or "failed" with the reason in `reason`.
        results: one result a metric, in the order asked for.
        rows: rows N of the sample.
        width: features D.
        classes: classes K, or None where there are only regression targets.
        shared_seconds: time spent on what metrics share (scatters, decompositions), by name.
        seconds: time altogether, checks included.
        reason: why the features could not be scored.
    """

    status: Literal["ok", "failed"]
    results: dict[str, MetricResult] = field(default_factory=dict)
    rows: int = 0
    width: int = 0
    classes: int | None = None
    shared_seconds: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    reason: str | None = None

    def __getitem__(self, metric: str) -> MetricResult:
        """Return the result of one metric."""
        return self.results[metric]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


@dataclass(frozen=True)
class FeatureRanking:
    """A pool of models on one sample.

    Attributes:
        models: what the metrics say of each model; one that cannot be scored has status "failed".
        pools: pool scores and ranks of each metric.
    """

    models: dict[str, FeatureScores]
    pools: dict[str, PoolRanking]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def _plain(value: Any) -> Any:
    """Return dictionaries and lists only, so that what is written as JSON reads back equal."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def choose_metrics(metrics: MetricChoice = None) -> list[Metric]:
    """Return the metrics meant by a name, a metric, a list of these, "all", or None for the default set.

    The default set is every metric that is not slow.
    """
    known = all_metrics()
    if metrics is None:
        return [metric for metric in known.values() if not metric.slow]
    if isinstance(metrics, (str, Metric)):
        metrics = list(known) if metrics == "all" else [metrics]
    chosen = [get_metric(one) if isinstance(one, str) else one for one in metrics]
    names = [metric.name for metric in chosen]
    if not chosen:
        raise InputError("No metric was asked for: pass names, or None for the default set.")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"Metric {twice!r} was asked for twice; score it in two calls to compare options.")
    return chosen


def score_features(
    features: Any,
    labels: Any = None,
    *,
    metrics: MetricChoice = None,
    targets: Any = None,
    source_probs: Any = None,
    facts: ModelFacts | None = None,
) -> FeatureScores:
    """Score one model's features on a labelled sample.

    Args:
        features: (N, D), an array, memory map or tensor; any real precision, computed in float64.
        labels: one integer a row (N,); None for regression.
        metrics: names or configured metrics; None for the default set, "all" for every registered one.
        targets: regression targets (N,) or (N, T).
        source_probs: probabilities of the checkpoint's own classes (N, S); None skips what needs them.
        facts: what is known about the model itself; None skips the baselines that need it.

    Example:
        >>> import numpy as np
        >>> features = np.random.default_rng(0).normal(size=(60, 8)) + np.repeat(np.eye(8)[:3] * 4, 20, axis=0)
        >>> scores = score_features(features, np.repeat([0, 1, 2], 20), metrics=["face", "ncti"])
        >>> sorted(scores["face"].terms)
        ['class_fairness', 'variance_collapse']
    """
    start = time.perf_counter()
    chosen = choose_metrics(metrics)
    data = LabelledFeatures(features, labels, targets=targets, source_probs=source_probs, facts=facts)
    results = {metric.name: metric.attempt(data) for metric in chosen}
    return FeatureScores(
        status="ok",
        results=results,
        rows=data.rows,
        width=data.width,
        classes=data.class_count if data.has_labels else None,
        shared_seconds=dict(data.shared_seconds),
        seconds=time.perf_counter() - start,
    )


def rank_features(
    features: Mapping[str, Any],
    labels: Any = None,
    *,
    metrics: MetricChoice = None,
    targets: Any = None,
    source_probs: Mapping[str, Any] | None = None,
    facts: Mapping[str, ModelFacts] | None = None,
) -> FeatureRanking:
    """Score a pool of models on one sample, and rank them by every metric.

    A model whose features cannot be scored is kept with status "failed" and the reason; the others are ranked. Only
    when none can be scored is the first error raised.

    Args:
        features: features (N, D) by model name; rows in the same order for every model, widths may differ.
        labels: one integer a row (N,).
        metrics: as for `score_features`.
        targets: regression targets.
        source_probs: source-class probabilities by model name.
        facts: what is known about each model, by name.

    Example:
        >>> import numpy as np
        >>> generator, labels = np.random.default_rng(0), np.repeat([0, 1, 2], 20)
        >>> far = generator.normal(size=(60, 8)) + 4 * np.eye(8)[labels]
        >>> near = generator.normal(size=(60, 8)) + np.eye(8)[labels]
        >>> rank_features({"near": near, "far": far}, labels, metrics=["ncti"]).pools["ncti"].ranks
        {'near': 2, 'far': 1}
    """
    if not features:
        raise InputError("The pool is empty: pass features by model name.")
    chosen = choose_metrics(metrics)
    models: dict[str, FeatureScores] = {}
    first_error: InputError | None = None
    for name, matrix in features.items():
        try:
            models[name] = score_features(
                matrix,
                labels,
                metrics=chosen,
                targets=targets,
                source_probs=(source_probs or {}).get(name),
                facts=(facts or {}).get(name) or ModelFacts(name=name),
            )
        except InputError as error:
            first_error = first_error or error
            models[name] = FeatureScores(status="failed", reason=str(error))
    if first_error and all(scores.status == "failed" for scores in models.values()):
        raise first_error
    return rank_scores(models, chosen)


def rank_scores(models: Mapping[str, FeatureScores], metrics: Sequence[Metric]) -> FeatureRanking:
    """Rank models that were scored one by one; a metric that no model has a result for makes no pool.

    Args:
        models: scores by model name, of one sample; failed ones are kept and not ranked.
        metrics: the configured metrics that every model was scored by.
    """
    scored = {name: scores for name, scores in models.items() if scores.status == "ok"}
    pools = {
        metric.name: rank_pool(metric, {name: scores.results[metric.name] for name, scores in scored.items()})
        for metric in metrics
    }
    return FeatureRanking(dict(models), {name: pool for name, pool in pools.items() if pool.scores})
