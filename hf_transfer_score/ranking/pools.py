"""From raw terms to scores: one metric over a pool of candidates, and the order by several metrics.

NCTI and FaCe scale each term by its smallest and largest value in the pool, so one more candidate changes every score.
That is why raw terms are stored, and pools are ranked on reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import InputError
from hf_transfer_score.metrics.registry import Metric, MetricResult, get_metric
from hf_transfer_score.ranking import kernel
from hf_transfer_score.ranking.showing import Shown

if TYPE_CHECKING:
    from hf_transfer_score.ranking.ranking import Ranking

USUAL_METRICS = ("ncti", "face", "knn", "linear_probe", "logme", "parc", "reg_hscore")
"""The metrics that are computed, and weighed by the forecast, by default."""

HEADLINE_METRICS = ("ncti", "face")
"""The default order of a pool of classifiers is by the mean of their ranks, if all of them are computed."""


@dataclass(frozen=True, repr=False)
class PoolRanking(Shown):
    """One metric over a pool of models.

    Attributes:
        metric: the metric's name.
        scores: pool score by model, higher is better; models without a result are absent.
        ranks: rank by model, 1 for the best; equal scores share the better rank.
        scaled: each term after scaling, by model and term.
        flags: terms without information in this pool, with the reason; they count as 0 for all models.
    """

    metric: str
    scores: dict[str, float]
    ranks: dict[str, int]
    scaled: dict[str, dict[str, float]]
    flags: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return one line, however large the pool is."""
        first = min(self.ranks, key=self.ranks.__getitem__, default=None)
        return f"<{type(self).__name__} of {len(self.ranks)} models by {self.metric}; the first is {first}>"

    @property
    def shown_ranking(self) -> Ranking:
        """The order of this metric alone."""
        from hf_transfer_score.ranking.models import RankedModel
        from hf_transfer_score.ranking.ranking import Ranking

        order = headline_ranks({self.metric: self}, [self.metric])
        models = {name: RankedModel(name, "ok", name) for name in order.ranks}
        return Ranking(models, {self.metric: self}, order.metrics, order.mean_ranks, order.ranks)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        return asdict(self)


def rank_pool(metric: Metric | str, results: Mapping[str, MetricResult]) -> PoolRanking:
    """Rank the models that have a result for a metric.

    Args:
        metric: as `get_metric` returns it, or its name.
        results: of this metric, by model.

    Example:
        >>> import numpy as np
        >>> from hf_transfer_score import get_metric
        >>> metric, labels = get_metric("nc1"), np.repeat([0, 1], 10)
        >>> rows = np.random.default_rng(0).normal(size=(20, 4))
        >>> pool = {"near": rows + labels[:, None], "far": rows + 5 * labels[:, None]}
        >>> rank_pool(metric, {name: metric(features, labels) for name, features in pool.items()})
        <PoolRanking of 2 models by nc1; the first is far>
    """
    metric = get_metric(metric) if isinstance(metric, str) else metric
    known: Mapping[str, MetricResult] = results if isinstance(results, Mapping) else {"": results}
    wrong = [getattr(one, "metric", type(one).__name__) for one in known.values()]
    wrong = [name for name in wrong if name != metric.name]
    if wrong:
        raise InputError(
            f"Expected a result of {metric.name} by the name of its model, such as scores[{metric.name!r}] of "
            f"`score_features`; got {wrong[0]}. `rank_features` ranks features."
        )
    models = [model for model, result in results.items() if result.status == "ok"]
    values = [[results[model].terms[term.name] for model in models] for term in metric.terms]
    return rank_terms(metric, models, np.array(values, dtype=np.float64))


def rank_terms(metric: Metric, models: Sequence[str], values: NDArray[np.float64]) -> PoolRanking:
    """Rank models by their raw terms (T, P)."""
    names = [term.name for term in metric.terms]
    terms = kernel.scaled(metric, values)
    scores = kernel.pool_scores(metric, terms)
    useless = kernel.uninformative(metric, values).tolist()
    return PoolRanking(
        metric.name,
        dict(zip(models, scores.tolist(), strict=True)),
        dict(zip(models, kernel.places(-scores).tolist(), strict=True)),
        {model: dict(zip(names, row, strict=True)) for model, row in zip(models, terms.T.tolist(), strict=True)},
        {name: _why_useless(row) for name, row, flag in zip(names, values, useless, strict=True) if flag},
    )


def _why_useless(values: NDArray[np.float64]) -> str:
    if len(values) < 2:
        return "a single model cannot be compared"
    return f"a range of {float(values.max() - values.min()):.2g} over the pool is too small to distinguish the models"


@dataclass(frozen=True)
class HeadlineRanks:
    """The order of a pool by one or more metrics; the fields are those of `Ranking`.

    Attributes:
        metrics: the metrics whose ranks decide.
        mean_ranks: mean rank over these metrics, of the models that have all of them, the best first.
        ranks: rank by model, 1 for the best, in the same order; equal mean ranks share the better rank.
    """

    metrics: tuple[str, ...]
    mean_ranks: dict[str, float]
    ranks: dict[str, int]


def headline_ranks(pools: Mapping[str, PoolRanking], names: Sequence[str] | None = None) -> HeadlineRanks:
    """Return the order of a pool by mean rank over some metrics, or by the first metric if one of these is missing.

    Args:
        pools: the pool ranked by each metric, by name; models that tie keep the order of the first metric.
        names: metrics that decide; None for `HEADLINE_METRICS`, in alphabetical order.
    """
    names = sorted(HEADLINE_METRICS) if names is None else [names] if isinstance(names, str) else names
    deciding = tuple(names) if names and all(name in pools for name in names) else tuple(pools)[:1]
    ranks = [pools[name].ranks for name in deciding]
    shared = [model for model in (ranks[0] if ranks else ()) if all(model in one for one in ranks)]
    if not shared:
        return HeadlineRanks(deciding, {}, {})
    means = kernel.mean_ranks(np.array([[one[model] for model in shared] for one in ranks]))
    order = np.argsort(means, kind="stable")
    ordered = [shared[place] for place in order.tolist()]
    return HeadlineRanks(
        deciding,
        dict(zip(ordered, means[order].tolist(), strict=True)),
        dict(zip(ordered, kernel.places(means[order]).tolist(), strict=True)),
    )
