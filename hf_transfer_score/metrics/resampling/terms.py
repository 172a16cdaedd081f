"""The terms of metrics over the replicates of a bootstrap, by a shortcut if a metric has one."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np

from hf_transfer_score.errors import InputError, NotApplicableError
from hf_transfer_score.metrics.class_stats import Array, cores, one_thread
from hf_transfer_score.metrics.face import face
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.ncti import ncti
from hf_transfer_score.metrics.registry import Metric
from hf_transfer_score.metrics.resampling.discriminant import ncti_terms
from hf_transfer_score.metrics.resampling.draws import Draws
from hf_transfer_score.metrics.resampling.fairness import face_terms

Terms = dict[str, dict[str, Array]]
"""Values over the replicates (B,), by metric and term."""

SHORT_WAYS: dict[Callable[..., Any], Callable[[LabelledFeatures, Draws, Any], dict[str, Array] | None]] = {
    face: face_terms,
    ncti: ncti_terms,
}


def bootstrap_terms(
    data: LabelledFeatures, metrics: Sequence[Metric], *, replicates: int = 100, seed: int = 0, short_ways: bool = True
) -> Terms:
    """Return the terms of metrics over B replicates of a sample, each (B,), by metric and term.

    Rows are drawn with replacement within each class (without labels, among all rows), the same rows for every model of
    a pool. Rows that a replicate holds twice make classes look tighter, so only the spread of these values is
    meaningful, which is all that `rank_confidence` uses.

    FaCe and NCTI are computed from how often each row is drawn, with the principal components of the full sample;
    without `short_ways` they are computed like any other metric on the drawn rows, at the cost of a full computation
    per replicate. Baselines do not depend on the rows, and have no spread. A replicate on which a metric cannot be
    computed is NaN; a metric without a result on the sample itself is absent.

    Example:
        >>> import numpy as np
        >>> from hf_transfer_score import get_metric
        >>> labels = np.repeat([0, 1, 2], 20)
        >>> features = np.random.default_rng(0).normal(size=(60, 8)) + 4 * np.eye(8)[labels]
        >>> terms = bootstrap_terms(LabelledFeatures(features, labels), [get_metric("face")], replicates=50)
        >>> terms["face"]["variance_collapse"].shape
        (50,)
    """
    draws = Draws(data, replicates, seed)
    results = {metric.name: metric.attempt(data) for metric in metrics}
    chosen = [metric for metric in metrics if results[metric.name].status == "ok"]
    found: Terms = {}
    with one_thread(), np.errstate(invalid="ignore"):
        for metric in chosen:
            terms: dict[str, Array] | None = None
            if metric.baseline:
                known = results[metric.name].terms.items()
                terms = {term: np.full(replicates, value) for term, value in known}
            elif short_ways and metric.compute in SHORT_WAYS:
                with suppress(np.linalg.LinAlgError):
                    terms = SHORT_WAYS[metric.compute](data, draws, metric.options)
            found[metric.name] = terms or {term.name: np.full(replicates, np.nan) for term in metric.terms}
        _fill(data, draws, chosen, found)
    return found


def _fill(data: LabelledFeatures, draws: Draws, metrics: Sequence[Metric], found: Terms) -> None:
    """Compute what is still NaN on the drawn rows, replicate by replicate."""
    for replicate in range(draws.replicates):
        missing = [one for one in metrics if np.isnan([values[replicate] for values in found[one.name].values()]).any()]
        if not missing:
            continue
        rows = draws.rows(replicate)
        try:
            drawn = LabelledFeatures(
                data.features[rows],
                data.codes[rows] if data.has_labels else None,
                targets=None if data.targets is None else data.targets[rows],
                source_probs=None if data.source_probs is None else data.source_probs[rows],
                facts=data.facts,
            )
        except InputError:  # not a valid sample, for example because all its rows are equal
            continue
        for metric in missing:
            for term, value in metric.attempt(drawn).terms.items():
                found[metric.name][term][replicate] = value


def bootstrap_pool(
    samples: Mapping[str, Callable[[], LabelledFeatures]],
    metrics: Sequence[Metric],
    *,
    replicates: int = 100,
    seed: int = 0,
    workers: int | None = None,
) -> dict[str, Terms]:
    """Return `bootstrap_terms` of each model of a pool, several models at a time, by default one per core.

    Each sample is read when it is needed, and dropped afterwards. All must have the same labels, or their replicates
    are not paired. Models whose sample cannot be used are left out.
    """

    def one(read: Callable[[], LabelledFeatures]) -> Terms | None:
        try:
            return bootstrap_terms(read(), metrics, replicates=replicates, seed=seed)
        except (InputError, NotApplicableError):
            return None

    with one_thread(), ThreadPoolExecutor(workers or cores()) as pool:
        found = dict(zip(samples, pool.map(one, samples.values()), strict=True))
    return {model: terms for model, terms in found.items() if terms is not None}
