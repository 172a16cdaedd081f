"""How sure a ranking is: which places a model could as well have taken had other rows been drawn.

Every replicate of a bootstrap scales its pool and ranks it anew. A replicate holds some rows twice, which makes classes
look tighter than they are, and by more for some models than for others; so each term is centred first: what a replicate
differs from the mean of all replicates is added to the value on the sample itself. In simulated pools of eight models
whose true order was known, such ranges at level 0.9 held the true rank in 97 to 100 % of the cases, and were narrower
than those of the replicates as they are, or of rows weighted half by the draw, which are wider than they need be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.metrics.registry import Metric, MetricResult
from hf_transfer_score.ranking import kernel
from hf_transfer_score.ranking.intervals import LEVEL, DrawnPool, mean_ranks, replicate_count
from hf_transfer_score.ranking.pools import HeadlineRanks, headline_ranks, rank_pool

Array = NDArray[np.float64]
ReplicateTerms = Mapping[str, Mapping[str, Mapping[str, Array]]]
"""Values over the replicates (B,), by model, metric and term."""


@dataclass(frozen=True)
class RankConfidence:
    """How sure the order of a pool is; models are in this order, the best first.

    Attributes:
        ranks: rank by model; those of a group share the place of its best model.
        ranges: lowest and highest rank that a model takes in the central `level` of the replicates, by model; its place
            on the sample itself and the rank that it shares are always inside, and a tie counts as both places.
        groups: number of the group of models that cannot be told apart, by model; 1 holds the best.
        first: share of the replicates in which a model is first; ties share it; empty where stored intervals tell.
        separated: pairs of models, the better first, that can be told apart; likewise.
        replicates: number of replicates that counted; those without a value for some model do not.
        level: confidence of ranges and pairs.
        metrics: the metrics whose ranks decide.
    """

    ranks: dict[str, int]
    ranges: dict[str, tuple[int, int]]
    groups: dict[str, int]
    first: dict[str, float]
    separated: tuple[tuple[str, str], ...]
    replicates: int
    level: float
    metrics: tuple[str, ...]

    def only(self, known: Sequence[bool]) -> RankConfidence:
        """Return the same without ranges and groups of the models (M,) whose spread is not known."""
        told = {name for name, there in zip(self.ranks, known, strict=True) if there}
        ranges = {name: ends for name, ends in self.ranges.items() if name in told}
        return replace(self, ranges=ranges, groups={name: one for name, one in self.groups.items() if name in told})


def rank_confidence(
    terms: ReplicateTerms,
    results: Mapping[str, Mapping[str, MetricResult]],
    metrics: Sequence[Metric],
    *,
    names: Sequence[str] | None = None,
    level: float = 0.9,
) -> RankConfidence:
    """Return rank ranges and groups of a pool from the replicates of its terms.

    Two models are told apart when one is ahead of the other in at least (1 + level) / 2 of the replicates, ties counted
    half: then the central `level` of their differences lies on one side. A group is led by its best model, and holds
    those after it, up to the first that the leader can be told apart from.

    Args:
        terms: what `bootstrap_terms` returned for each model; what is absent counts as without spread.
        results: results by model and metric, of the models that have any.
        metrics: the configured metrics of the pool.
        names: metrics whose mean rank decides, as for `headline_ranks`.
        level: share of the replicates that ranges cover.

    Example:
        >>> import numpy as np
        >>> from hf_transfer_score import get_metric
        >>> metric, labels = get_metric("nc1"), np.repeat([0, 1], 10)
        >>> rows = np.random.default_rng(0).normal(size=(20, 4))
        >>> pool = {"near": rows + labels[:, None], "far": rows + 5 * labels[:, None]}
        >>> results = {name: {"nc1": metric(features, labels)} for name, features in pool.items()}
        >>> spread = np.array([0.9, 1, 1.1])
        >>> drawn = {name: {"nc1": {"nc1": spread * of["nc1"].terms["nc1"]}} for name, of in results.items()}
        >>> rank_confidence(drawn, results, [metric]).ranks
        {'far': 1, 'near': 2}
    """
    pools = {metric.name: rank_pool(metric, _of(metric, results)) for metric in metrics}
    headline = headline_ranks({name: pool for name, pool in pools.items() if pool.ranks}, names)
    return replicate_confidence(terms, results, metrics, headline, level=level)


def replicate_confidence(
    terms: ReplicateTerms,
    results: Mapping[str, Mapping[str, MetricResult]],
    metrics: Sequence[Metric],
    headline: HeadlineRanks,
    *,
    level: float,
) -> RankConfidence:
    """Return what `rank_confidence` does of a pool whose order is known already."""
    if isinstance(level, bool) or not 0 < level < 1:
        raise OptionError(f"level must be a number between 0 and 1, such as 0.9; got {level!r}.")
    models = list(headline.ranks)
    deciding = [metric for metric in metrics if metric.name in headline.metrics]
    count = _replicate_count(terms)
    values = [_centred(metric, _of(metric, results), terms, count) for metric in deciding]
    valid = np.all([np.ones(count, bool), *(np.isfinite(one).all(axis=(0, 2)) for one in values)], axis=0)
    drawn = np.zeros((int(valid.sum()), len(models)))
    for metric, one in zip(deciding, values, strict=True):
        having = [model for model, result in _of(metric, results).items() if result.status == "ok"]
        known = {model: place for place, model in enumerate(having)}
        ranks = kernel.pool_ranks(metric, one[:, valid])
        drawn += ranks[:, [known[model] for model in models]] / len(deciding)
    return _summary(models, list(headline.ranks.values()), drawn, level, headline.metrics)


def _of(metric: Metric, results: Mapping[str, Mapping[str, MetricResult]]) -> dict[str, MetricResult]:
    return {model: found[metric.name] for model, found in results.items() if metric.name in found}


def _replicate_count(terms: ReplicateTerms) -> int:
    counts = {len(values) for model in terms.values() for metric in model.values() for values in metric.values()}
    if len(counts) > 1:
        raise InputError(
            f"The terms have different numbers of replicates: {', '.join(map(str, sorted(counts)))}. "
            "Compute those of all models with the same `replicates` and `seed`."
        )
    return counts.pop() if counts else 0


def _centred(metric: Metric, results: Mapping[str, MetricResult], terms: ReplicateTerms, count: int) -> Array:
    """Return the terms (T, B, M) of the models with a result: the value on the sample plus what replicates differ."""
    known = {model: result for model, result in results.items() if result.status == "ok"}
    found = np.empty((len(metric.terms), count, len(known)))
    for place, term in enumerate(metric.terms):
        for column, (model, result) in enumerate(known.items()):
            replicates = terms.get(model, {}).get(metric.name, {}).get(term.name)
            found[place, :, column] = _one_centred(result.terms[term.name], replicates, count)
    return found


def _one_centred(value: float, replicates: Array | None, count: int) -> Array:
    if replicates is None or not np.isfinite(replicates).any():
        return np.full(count, value)
    return centred(value, replicates)


def centred(value: float, replicates: Array) -> Array:
    """Return replicates of a term (B,) moved so that their mean is its value on the sample."""
    return np.asarray(value + (replicates - replicates[np.isfinite(replicates)].mean()))


def _summary(
    models: list[str], point: list[int], drawn: Array, level: float, metrics: tuple[str, ...]
) -> RankConfidence:
    """Return ranges, groups and pairs of models in order from their mean ranks in each replicate (B, M)."""
    replicates, count = drawn.shape
    if not replicates:
        whole, share = (1, count), 1 / max(count, 1)
        one = dict.fromkeys(models, 1)
        return RankConfidence(
            one, dict.fromkeys(models, whole), one, dict.fromkeys(models, share), (), 0, level, metrics
        )
    found = kernel.ranges_of(drawn, point, level)
    return RankConfidence(
        ranks=dict(zip(models, found.ranks, strict=True)),
        ranges=dict(zip(models, zip(found.low.tolist(), found.high.tolist(), strict=True), strict=True)),
        groups=dict(zip(models, found.groups, strict=True)),
        first=dict(zip(models, kernel.first_shares(drawn).tolist(), strict=True)),
        separated=tuple((models[first], models[second]) for first, second in kernel.separated(drawn, level)),
        replicates=replicates,
        level=level,
        metrics=metrics,
    )


def stored_confidence(
    pools: Sequence[DrawnPool],
    headline: HeadlineRanks,
    *,
    known: Sequence[bool] = (),
    level: float = LEVEL,
    seed: int = 0,
) -> RankConfidence:
    """Return rank ranges and groups of a pool from the intervals that its records hold.

    Args:
        pools: the metrics that decide, over the ranked models in order.
        headline: the order.
        known: whether each ranked model has intervals; the others lead no group. All have where it is empty.
        level: share of the replicates that ranges cover.
        seed: of the draws.
    """
    models, count = list(headline.ranks), replicate_count(len(headline.ranks))
    drawn = mean_ranks(pools, count, seed)
    found = kernel.ranges_of(drawn, list(headline.ranks.values()), level, known)
    return RankConfidence(
        ranks=dict(zip(models, found.ranks, strict=True)),
        ranges=dict(zip(models, zip(found.low.tolist(), found.high.tolist(), strict=True), strict=True)),
        groups=dict(zip(models, found.groups, strict=True)),
        first={},
        separated=(),
        replicates=count,
        level=level,
        metrics=headline.metrics,
    )
