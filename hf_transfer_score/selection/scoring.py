"""From features in the cache to outcomes, and from outcomes to a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.api import MetricChoice, choose_metrics, rank_scores, score_features
from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.features.cache import CachedFeatures
from hf_transfer_score.metrics.labelled import LabelledFeatures, ModelFacts
from hf_transfer_score.metrics.registry import Metric, get_metric
from hf_transfer_score.metrics.resampling.terms import Terms, bootstrap_pool
from hf_transfer_score.ranking.confidence import RankConfidence, centred, rank_confidence
from hf_transfer_score.ranking.pools import HEADLINE_METRICS, HeadlineRanks, headline_ranks
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.selection.options import RankOptions
from hf_transfer_score.selection.plan import PlannedModel
from hf_transfer_score.selection.replicates import Bootstrap, keep_replicates, recall_replicates
from hf_transfer_score.selection.report import ModelOutcome, RankReport

HEADLINE = {"labels": HEADLINE_METRICS, "targets": ("logme_regression",)}
BESIDE = {"labels": ("logme",), "targets": ()}
BASELINES = ("parameter_count", "feature_width", "downloads")


@dataclass(frozen=True)
class Scoring:
    """Which metrics are computed, and which of them decide.

    Attributes:
        metrics: all metrics, baselines included.
        headline: names of those whose mean rank is the ranking.
    """

    metrics: tuple[Metric, ...]
    headline: tuple[str, ...]


def choose_scoring(
    sample: LabelledSample, metrics: MetricChoice = None, headline: Sequence[str] | None = None
) -> Scoring:
    """Return the metrics to compute on a sample; trivial baselines always stand beside them.

    Args:
        sample: its task says whether there are labels or targets.
        metrics: as for `score_features`; None for the headline and LogME.
        headline: the metrics that decide; None for NCTI and FaCe where both are computed, else the first metric.
    """
    truth = sample.task.truth
    default = (*HEADLINE[truth], *BESIDE[truth])
    chosen = choose_metrics(default if metrics is None else metrics)
    if metrics == "all":
        absent = "targets" if truth == "labels" else "labels"
        chosen = [metric for metric in chosen if absent not in metric.needs]
    for name in (*(headline or ()), *BASELINES):
        if name not in [metric.name for metric in chosen]:
            chosen.append(get_metric(name))
    return Scoring(tuple(chosen), _headline(chosen, truth, headline))


def _headline(chosen: Sequence[Metric], truth: str, headline: Sequence[str] | None) -> tuple[str, ...]:
    names = [metric.name for metric in chosen]
    if headline is not None:
        if not headline:
            raise OptionError("The headline names no metric: pass names, or None for the default.")
        return tuple(headline)
    if all(name in names for name in HEADLINE[truth]):
        return HEADLINE[truth]
    return (names[0],)


@dataclass(frozen=True)
class Ready:
    """Features that were scored: the folder they are kept in (None for no place), their layer, and what reads them."""

    folder: Path | None
    layer: str
    read: Callable[[], LabelledFeatures]


@dataclass
class Scored:
    """The outcomes so far, and what the bootstrap needs of each that was scored."""

    outcomes: dict[str, ModelOutcome] = field(default_factory=dict)
    ready: dict[str, Ready] = field(default_factory=dict)

    def add(self, outcome: ModelOutcome, ready: Ready | None = None) -> None:
        """Add one outcome."""
        self.outcomes[outcome.name] = outcome
        if ready is not None:
            self.ready[outcome.name] = ready


def score_layer(
    outcome: ModelOutcome, cached: CachedFeatures, layer: str, sample: LabelledSample, scoring: Scoring
) -> ModelOutcome:
    """Return a model's outcome with the scores of one layer; features that cannot be scored are a failure."""
    try:
        scores = score_features(
            cached.features[layer],
            sample.labels,
            metrics=scoring.metrics,
            targets=sample.targets,
            source_probs=cached.source_probs,
            facts=ModelFacts(outcome.name, outcome.parameters, outcome.downloads),
        )
    except InputError as error:
        return replace(outcome, status="failed", kind="bad_input", reason=str(error))
    return replace(outcome, scores=scores)


def labelled(cached: CachedFeatures, layer: str, sample: LabelledSample) -> LabelledFeatures:
    """Return the features of a layer with the truth of the sample."""
    return LabelledFeatures(
        cached.features[layer], sample.labels, targets=sample.targets, source_probs=cached.source_probs
    )


def model_outcome(model: PlannedModel, cached: CachedFeatures, layer: str, *, from_cache: bool) -> ModelOutcome:
    """Return what is known of a model whose features are there, without scores."""
    meta, several = cached.meta, len(cached.features) > 1
    checkpoint = model.checkpoint
    return ModelOutcome(
        name=f"{model.name} [layer {layer}]" if several else model.name,
        status="ok",
        model=model.name,
        local=model.local,
        commit=checkpoint.commit if checkpoint else None,
        library=model.kind,
        layer=layer,
        parameters=meta.get("own_parameters"),
        downloads=checkpoint.downloads if checkpoint else None,
        license=checkpoint.license if checkpoint else None,
        extraction=meta.get("extraction", {}),
        from_cache=from_cache,
    )


def failed_outcome(model: PlannedModel) -> ModelOutcome:
    """Return the outcome of a model with a failure, or of one that was not reached."""
    checkpoint = model.checkpoint
    return ModelOutcome(
        name=model.name,
        status="failed" if model.failure else "interrupted",
        model=model.name,
        local=model.local,
        commit=checkpoint.commit if checkpoint else None,
        library=model.kind,
        downloads=checkpoint.downloads if checkpoint else None,
        license=checkpoint.license if checkpoint else None,
        kind=model.failure.kind if model.failure else None,
        reason=str(model.failure) if model.failure else "the run ended before its turn; run again to go on",
    )


def make_report(sample: LabelledSample, scored: Scored, scoring: Scoring, options: RankOptions) -> RankReport:
    """Return the ranking of what was scored, with the bootstrap behind its ranges."""
    ranked = rank_scores({name: one.scores for name, one in scored.outcomes.items() if one.scores}, scoring.metrics)
    order = headline_ranks(ranked.pools, scoring.headline)
    terms = _bootstrap(scored, scoring, order, options)
    names = sorted(scored.outcomes, key=lambda name: (name not in order.ranks, order.ranks.get(name, 0)))
    confidence = _confidence(terms, scored, scoring, order, options.level)
    return RankReport(
        sample=sample,
        outcomes={name: scored.outcomes[name] for name in names},
        pools=ranked.pools,
        headline=order.metrics,
        mean_ranks=order.mean_ranks,
        ranks=order.ranks if confidence is None else confidence.ranks,
        confidence=confidence,
        intervals=_intervals(terms, scored, scoring.metrics, options.level),
        level=options.level if terms else None,
        notes=tuple(_notes(scored)),
    )


def _bootstrap(scored: Scored, scoring: Scoring, order: HeadlineRanks, options: RankOptions) -> dict[str, Terms]:
    if not options.replicates or not order.ranks:
        return {}
    deciding = [metric for metric in scoring.metrics if metric.name in order.metrics]
    bootstrap = Bootstrap(deciding, options.replicates, options.seed)
    ready = {name: scored.ready[name] for name in order.ranks}
    kept = {name: recall_replicates(one.folder, one.layer, bootstrap) for name, one in ready.items()}
    missing = {name: ready[name].read for name, terms in kept.items() if terms is None}
    drawn = bootstrap_pool(missing, deciding, replicates=options.replicates, seed=options.seed)
    for name, terms in drawn.items():
        keep_replicates(ready[name].folder, ready[name].layer, bootstrap, terms)
    found = {name: drawn.get(name, terms) for name, terms in kept.items()}
    return {name: terms for name, terms in found.items() if terms is not None}


def _intervals(
    terms: Mapping[str, Terms], scored: Scored, metrics: Sequence[Metric], level: float
) -> dict[str, dict[str, dict[str, tuple[float, float]]]]:
    """Return central intervals of raw terms around their values, without terms that no replicate gave."""
    known = {metric.name: metric for metric in metrics}
    found: dict[str, dict[str, dict[str, tuple[float, float]]]] = {}
    for model, drawn in terms.items():
        scores = scored.outcomes[model].scores
        results = {} if scores is None else scores.results
        found[model] = {name: _around(known[name], results[name].terms, of, level) for name, of in drawn.items()}
    return found


def _around(
    metric: Metric, values: Mapping[str, float], drawn: Mapping[str, NDArray[np.float64]], level: float
) -> dict[str, tuple[float, float]]:
    """Return the interval of each term; those of a term that lies in [0, 1] do so too."""
    found = {}
    for term in metric.terms:
        replicates = drawn.get(term.name)
        if replicates is not None and np.isfinite(replicates).any():
            ends = np.nanquantile(centred(values[term.name], replicates), [(1 - level) / 2, (1 + level) / 2])
            low, high = np.clip(ends, 0, 1) if term.bounded else ends
            found[term.name] = (float(low), float(high))
    return found


def _confidence(
    terms: Mapping[str, Terms], scored: Scored, scoring: Scoring, order: HeadlineRanks, level: float
) -> RankConfidence | None:
    if not terms:
        return None
    results = {name: one.scores.results for name, one in scored.outcomes.items() if one.scores}
    return rank_confidence(terms, results, scoring.metrics, names=order.metrics, level=level)


def _notes(scored: Scored) -> list[str]:
    wide = [name for name, one in scored.outcomes.items() if one.extraction.get("source_probs_left_out")]
    return [f"Source probabilities of too wide heads were not kept: {', '.join(wide)}."] if wide else []
