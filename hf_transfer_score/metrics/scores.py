"""The scores of one model's features by several metrics."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.metrics.labelled import LabelledFeatures, ModelFacts
from hf_transfer_score.metrics.registry import Metric, MetricResult, all_metrics, get_metric

MetricChoice = str | Metric | Sequence[str | Metric] | None


@dataclass(frozen=True)
class FeatureScores:
    """The scores of one model's features on one sample.

    Attributes:
        status: "ok", or "failed" with the reason in `reason`.
        results: the result of each metric, in the requested order.
        rows: rows N of the sample.
        width: features D.
        classes: classes K, or None if there are only regression targets.
        shared_seconds: time spent on what metrics share (scatters, decompositions), by name.
        seconds: total time, including checks.
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
        return self.results[metric]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        found: dict[str, Any] = plain(asdict(self))
        return found


def plain(value: Any) -> Any:
    """Return the value with lists for tuples, so that it reads back equal from JSON."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def choose_metrics(metrics: MetricChoice = None) -> list[Metric]:
    """Return the metrics of a choice: a name, a metric, a list of these, "all", or None for the default set.

    The default set is every metric that is not slow.
    """
    known = all_metrics()
    if metrics is None:
        return [metric for metric in known.values() if not metric.slow]
    if isinstance(metrics, (str, Metric)):
        metrics = list(known) if metrics == "all" else [metrics]
    if not isinstance(metrics, Iterable):
        raise OptionError(f"metrics={metrics!r}: expected names, or None for the default set.")
    chosen = [one if isinstance(one, Metric) else get_metric(one) for one in metrics]
    names = [metric.name for metric in chosen]
    if not chosen:
        raise InputError("No metric was chosen: pass names, or None for the default set.")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"Metric {twice!r} was chosen twice; score it in two calls to compare options.")
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
        labels: one integer per row (N,); None for regression.
        metrics: names or configured metrics; None for the default set, "all" for every registered one.
        targets: regression targets (N,) or (N, T).
        source_probs: probabilities of the checkpoint's own classes (N, S); None skips metrics that need them.
        facts: what is known about the model itself; None skips baselines that need it.

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
