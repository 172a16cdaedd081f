"""From records to figures: how well every setting of every metric agrees with fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks.evidence.regimes import SOURCE_ACCURACY
from hf_transfer_score.metrics.registry import Metric, MetricResult, all_metrics
from hf_transfer_score.ranking import kernel
from hf_transfer_score.ranking.agreement import (
    Agreement,
    AgreementDifference,
    agreement,
    difference,
    noise_ceiling,
)
from hf_transfer_score.ranking.pools import HEADLINE_METRICS, rank_pool
from hf_transfer_score.records.record import Record

LEVEL = 0.8
REPLICATES = 1000
MEAN_RANK = f"mean rank of {' and '.join(HEADLINE_METRICS)}"
SOURCE, CHANCE = "source accuracy", "random order"
TRIVIAL = ("parameter_count", "feature_width", CHANCE)
"""Orders that look at no data."""
BASELINES = (*TRIVIAL, SOURCE)
"""Also the one that needs the pre-training data, which users of a checkpoint rarely have."""
PROBE = "linear_probe"
"""The metric with the source accuracy, and its only term."""
FIRST_DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "face": {"covariance": "pooled_spherical"},
    **{name: {"pca": "none"} for name in ("hscore", "reg_hscore", "transrate")},
    "parc": {"max_rows": 5000},
    "linear_probe": {"folds": 5, "seed": 0},
}
"""Defaults of version 1, with which the records were made, that differ from today's."""
LEFT_OUT = ("random_order",)
"""One random order says nothing; `CHANCE` stands for all of them."""


@dataclass(frozen=True)
class Truth:
    """The result of fine-tuning a model by one method.

    Attributes:
        accuracies: one per seed.
        trained: number of trained parameters.
        total: number of parameters that the predictions depend on.
        seconds: of all seeds.
        test_rows: number of rows on which the accuracies were measured.
    """

    accuracies: tuple[float, ...]
    trained: int
    total: int
    seconds: float
    test_rows: int = 0

    @property
    def mean(self) -> float:
        """Return the mean over the seeds."""
        return float(np.mean(self.accuracies))


@dataclass(frozen=True)
class Target:
    """The records of one target.

    Attributes:
        scores: pool scores by setting and model.
        truths: by method and model.
        skipped: why a setting has no score, by setting.
        memo: computed agreements and differences.
    """

    scores: Mapping[str, Mapping[str, float]]
    truths: Mapping[str, Mapping[str, Truth]]
    skipped: Mapping[str, str] = field(default_factory=dict)
    memo: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def agreement(self, setting: str) -> Agreement:
        """Return how well a setting agrees with full fine-tuning; computed once."""
        if setting not in self.memo:
            means = list(self.means.values())
            if setting == CHANCE:
                self.memo[setting] = by_chance(means)
            else:
                self.memo[setting] = agreement(self.values(setting), means, replicates=REPLICATES, level=LEVEL)
        found: Agreement = self.memo[setting]
        return found

    def difference(self, first: str, second: str) -> AgreementDifference:
        """Return how much better one setting agrees than another, by τ_w; computed once."""
        if CHANCE in (first, second):
            raise ValueError("A random order is no one setting.")
        if (first, second) not in self.memo:
            given = self.values(first), self.values(second), list(self.means.values())
            self.memo[first, second] = difference(*given, replicates=REPLICATES, level=LEVEL)
        found: AgreementDifference = self.memo[first, second]
        return found

    def values(self, setting: str) -> list[float]:
        """Return the scores of the models that were fine-tuned."""
        return [self.scores[setting][model] for model in self.truths["full"]]

    @property
    def means(self) -> dict[str, float]:
        """Return the accuracy of full fine-tuning by model, the mean over the seeds."""
        return {model: truth.mean for model, truth in self.truths["full"].items()}

    @property
    def ceiling(self) -> Agreement | None:
        """Return how well one seed agrees with the others."""
        measured = [truth.accuracies for truth in self.truths["full"].values()]
        return noise_ceiling(measured, replicates=REPLICATES, level=LEVEL)


def by_chance(truth: Sequence[float]) -> Agreement:
    """Return the τ_w of random orders: the mean, which is 0, and the central share `LEVEL` of them."""
    generator, measured = np.random.default_rng(0), np.asarray(truth, dtype=float)
    orders = np.array([generator.permutation(len(truth)) for _ in range(REPLICATES)])  # (B, M), no two of a row alike
    apart = np.sign(measured[:, None] - measured)
    concordant = np.sign(orders[:, :, None] - orders[:, None]) * apart  # (B, M, M)
    by_truth = np.array([np.lexsort([-order, -measured]).argsort() for order in orders])
    values = np.zeros(REPLICATES)
    for places in (len(truth) - 1 - orders, by_truth):
        weights = 1 / (1 + places)
        untied = np.sqrt((len(truth) - 1) * weights.sum(1) * (weights @ np.abs(apart)).sum(1))
        values += (weights * concordant.sum(2)).sum(1) / untied / 2
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Agreement(len(truth), 0.0, (float(low), float(high)), level=LEVEL, enough=True)


def targets_of(records: Iterable[Record]) -> dict[str, Target]:
    """Return the targets by dataset, for datasets with full fine-tuning."""
    by_dataset: dict[str, list[Record]] = {}
    for record in records:
        by_dataset.setdefault(record.dataset.id, []).append(record)
    source = _source_accuracies(by_dataset.pop(SOURCE_ACCURACY, []))
    truths = {name: _truths(several) for name, several in by_dataset.items()}
    measured = {name: found for name, found in truths.items() if found.get("full")}
    return {name: _target(by_dataset[name], found, source) for name, found in measured.items()}


def _source_accuracies(records: Iterable[Record]) -> dict[tuple[str, str | None], float]:
    """Return records by model and commit: targets can use different pre-trainings of backbones with one name."""
    found = (one for one in records if one.metric and one.metric.name == PROBE)
    return {(one.model.id, one.model.commit): one.terms[PROBE] for one in found}


def _target(
    records: Sequence[Record], truths: Mapping[str, Mapping[str, Truth]], source: Mapping[tuple[str, str | None], float]
) -> Target:
    results: dict[str, dict[str, MetricResult]] = {}
    skipped: dict[str, str] = {}
    for record in records:
        metric = record.metric
        if metric is None or metric.kind == "truth" or metric.name in LEFT_OUT:
            continue
        name = setting_of(all_metrics()[metric.name], metric.parameters, metric.version)
        if record.status == "ok":
            result = MetricResult(metric.name, "ok", dict(record.terms))
            results.setdefault(name, {})[record.model.id] = result
        else:
            skipped[name] = record.reason or ""
    scores = {name: rank_pool(all_metrics()[name.split(" ")[0]], found).scores for name, found in results.items()}
    models = set(truths["full"])
    scores = {name: found for name, found in scores.items() if models <= set(found)}
    for name in HEADLINE_METRICS:
        scores |= _by_term(all_metrics()[name], results[name])
    commits = {record.model.id: record.model.commit for record in records}
    if all((model, commits[model]) in source for model in models):
        scores[SOURCE] = {model: source[model, commits[model]] for model in models}
    order = sorted(models)
    deciding = np.array([[scores[name][model] for model in order] for name in HEADLINE_METRICS])
    scores[MEAN_RANK] = dict(zip(order, (-kernel.mean_ranks(kernel.places(-deciding))).tolist(), strict=True))
    return Target(scores, truths, skipped)


def _by_term(metric: Metric, results: Mapping[str, MetricResult]) -> dict[str, dict[str, float]]:
    """Return the scores of a pool by each term alone, in its published direction, and without each."""
    found = {}
    for term in metric.terms:
        rest = tuple(one for one in metric.terms if one != term)
        found[f"{metric.name} [{term.name} alone]"] = rank_pool(replace(metric, terms=(term,)), results).scores
        if len(rest) > 1:
            found[f"{metric.name} [without {term.name}]"] = rank_pool(replace(metric, terms=rest), results).scores
    return found


def setting_of(metric: Metric, parameters: Mapping[str, object], version: int = 1) -> str:
    """Return the name of a setting: the metric, and the options that differ from the defaults of that version.

    Example:
        >>> setting_of(all_metrics()["ncti"], {"pca": 64})
        'ncti (pca=64)'
        >>> setting_of(all_metrics()["reg_hscore"], {"pca": "auto"})
        'reg_hscore (pca=auto)'
    """
    usual = {name: getattr(metric.options, name) for name in parameters if hasattr(metric.options, name)}
    if version == 1:
        usual |= {name: value for name, value in FIRST_DEFAULTS.get(metric.name, {}).items() if name in parameters}
    own = [f"{name}={value}" for name, value in parameters.items() if name in usual and value != usual[name]]
    return f"{metric.name} ({', '.join(own)})" if own else metric.name


def _truths(records: Iterable[Record]) -> dict[str, dict[str, Truth]]:
    measured: dict[str, dict[str, dict[int, Record]]] = {}
    for record in records:
        if record.metric is not None and record.metric.kind == "truth" and record.status == "ok":
            told = record.metric.parameters
            measured.setdefault(told["method"], {}).setdefault(record.model.id, {})[told["seed"]] = record
    return {
        method: {model: _truth([seeds[seed] for seed in sorted(seeds)]) for model, seeds in sorted(models.items())}
        for method, models in measured.items()
    }


def _test_rows(record: Record) -> int:
    return int(record.metric.parameters["test_rows"]) if record.metric is not None else 0


def _truth(records: Sequence[Record]) -> Truth:
    first = records[0].used
    return Truth(
        tuple(one.terms["accuracy"] for one in records),
        int(np.median([one.used["trainable_parameters"] for one in records])),
        first["total_parameters"],
        sum(one.used["seconds"] for one in records),
        _test_rows(records[0]),
    )
