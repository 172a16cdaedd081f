"""From cached features and repositories to scored models with their facts, and from these to a report."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hf_transfer_score.checkpoints.resolve import Checkpoint
from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.features.cache import CachedFeatures
from hf_transfer_score.home import write_text
from hf_transfer_score.integrity import sealed, unsealed
from hf_transfer_score.metrics.labelled import LabelledFeatures, ModelFacts
from hf_transfer_score.metrics.registry import Metric, get_metric
from hf_transfer_score.metrics.resampling.terms import Terms, bootstrap_pool
from hf_transfer_score.metrics.scores import MetricChoice, choose_metrics, score_features
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.ranking.pools import HEADLINE_METRICS, USUAL_METRICS
from hf_transfer_score.ranking.ranking import Ranking, ranked
from hf_transfer_score.records.record import RecordedFacts
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.plan import PlannedModel
from hf_transfer_score.runs.report import RankReport
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.text import joined
from hf_transfer_score.version import VERSION

HEADLINE = {"labels": HEADLINE_METRICS, "targets": ("logme_regression",)}
USUAL = {"labels": USUAL_METRICS, "targets": HEADLINE["targets"]}
BASELINES = ("parameter_count", "feature_width", "downloads")


@dataclass(frozen=True)
class Scoring:
    """All metrics that are computed, including baselines, and those whose mean rank is the order without a forecast."""

    metrics: tuple[Metric, ...]
    headline: tuple[str, ...]
    forecast: bool = False


def choose_scoring(
    sample: LabelledSample, metrics: MetricChoice = None, headline: Sequence[str] | None = None
) -> Scoring:
    """Return the metrics to compute on a sample; trivial baselines are always added.

    Args:
        sample: its task says whether there are labels or targets.
        metrics: as for `score_features`; None for those that the forecast uses.
        headline: the metrics whose mean rank decides; None for the forecast, or for regression the first metric.
    """
    truth = sample.task.truth
    headline = [headline] if isinstance(headline, str) else headline
    chosen = choose_metrics(USUAL[truth] if metrics is None else metrics)
    if metrics == "all":
        absent = "targets" if truth == "labels" else "labels"
        chosen = [metric for metric in chosen if absent not in metric.needs]
    for name in (*(headline or ()), *BASELINES):
        if name not in [metric.name for metric in chosen]:
            chosen.append(get_metric(name))
    forecast = truth == "labels" and headline is None
    return Scoring(tuple(chosen), _headline(chosen, truth, headline), forecast)


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
    """Features that were scored: the folder they are kept in, if any, their layer, and a function that reads them."""

    folder: Path | None
    layer: str
    read: Callable[[], LabelledFeatures]


def score_layer(
    model: RankedModel, cached: CachedFeatures, layer: str, sample: LabelledSample, scoring: Scoring
) -> RankedModel:
    """Return a model with the scores of one layer, or with a failure if they cannot be computed."""
    try:
        scores = score_features(
            cached.features[layer],
            sample.labels,
            metrics=scoring.metrics,
            targets=sample.targets,
            source_probs=cached.source_probs,
            facts=ModelFacts(model.name, model.parameters, model.downloads),
        )
    except InputError as error:
        return replace(model, status="failed", kind="bad_input", reason=str(error))
    return replace(model, scores=scores)


def labelled(cached: CachedFeatures, layer: str, sample: LabelledSample) -> LabelledFeatures:
    """Return the features of a layer with the labels or targets of the sample."""
    return LabelledFeatures(
        cached.features[layer], sample.labels, targets=sample.targets, source_probs=cached.source_probs
    )


def unscored_model(model: PlannedModel, cached: CachedFeatures, layer: str, *, from_cache: bool) -> RankedModel:
    """Return a model whose features are cached, without scores."""
    meta, several = cached.meta, len(cached.features) > 1
    return RankedModel(
        name=f"{model.name} [layer {layer}]" if several else model.name,
        status="ok",
        model=model.name,
        local=model.local,
        commit=model.commit,
        library=model.kind,
        layer=layer,
        parameters=meta.get("own_parameters"),
        **asdict(facts_of(model.checkpoint)),
        extraction=meta.get("extraction", {}),
        from_cache=from_cache,
    )


def failed_model(model: PlannedModel) -> RankedModel:
    """Return a model that failed, or that was not reached."""
    return RankedModel(
        name=model.name,
        status="failed" if model.failure else "interrupted",
        model=model.name,
        local=model.local,
        commit=model.commit,
        library=model.kind,
        **asdict(facts_of(model.checkpoint)),
        kind=model.failure.kind if model.failure else None,
        reason=str(model.failure) if model.failure else "the run ended before its turn; run again to continue",
    )


def make_report(
    sample: LabelledSample,
    models: Mapping[str, RankedModel],
    ready: Mapping[str, Ready],
    scoring: Scoring,
    options: RankOptions,
) -> RankReport:
    """Return the ranking of models, with the bootstrap of those that were scored for its ranges."""
    ranking = ranked(models, scoring.metrics, scoring.headline)
    ranking = ranking.with_replicates(_bootstrap(ready, scoring, ranking, options), scoring.metrics, options.level)
    wide = [name for name, one in models.items() if one.extraction.get("source_probs_left_out")]
    notes = [f"Source probabilities were not kept because the heads are too wide: {', '.join(wide)}."] if wide else []
    notes += [f"{name}: {one.extraction['note']}." for name, one in models.items() if "note" in one.extraction]
    lost = [name for name in scoring.headline if name not in ranking.pools]
    if lost and ranking.headline and not scoring.forecast:
        notes.append(f"No model has a score of {joined(lost)}, so the order is that of {joined(ranking.headline)}.")
    unknown = [name for name, one in models.items() if one.status == "ok" and one.throughput is None]
    if options.min_throughput is not None and unknown:
        notes.append(f"Kept although their examples per second are not known: {', '.join(unknown)}.")
    return RankReport.on(sample, ranking, tuple(notes))


def _bootstrap(every: Mapping[str, Ready], scoring: Scoring, order: Ranking, options: RankOptions) -> dict[str, Terms]:
    if not options.replicates or not order.ranks:
        return {}
    deciding = [metric for metric in scoring.metrics if metric.name in order.headline]
    bootstrap = Bootstrap(deciding, options.replicates, options.seed)
    ready = {name: every[name] for name in order.ranks}
    kept = {name: recall_replicates(one.folder, one.layer, bootstrap) for name, one in ready.items()}
    missing = {name: ready[name].read for name, terms in kept.items() if terms is None}
    drawn = bootstrap_pool(missing, deciding, replicates=options.replicates, seed=options.seed)
    for name, terms in drawn.items():
        keep_replicates(ready[name].folder, ready[name].layer, bootstrap, terms)
    found = {name: drawn.get(name, terms) for name, terms in kept.items()}
    return {name: terms for name, terms in found.items() if terms is not None}


@dataclass(frozen=True)
class Bootstrap:
    """The configured metrics, number of replicates and seed, which determine the replicates of some features."""

    metrics: Sequence[Metric]
    replicates: int
    seed: int

    def question(self, layer: str) -> str:
        """Return everything that can change the replicates of a layer, as text."""
        metrics = {metric.name: [metric.version, asdict(metric.options)] for metric in self.metrics}
        about = {"layer": layer, "metrics": metrics, "replicates": self.replicates, "seed": self.seed}
        return json.dumps({**about, "version": VERSION}, sort_keys=True, default=str)


def recall_replicates(folder: Path | None, layer: str, bootstrap: Bootstrap) -> Terms | None:
    """Return the replicates that an earlier run kept in the folder of some features, or None."""
    question = bootstrap.question(layer)
    if folder is None:
        return None
    try:
        kept = unsealed(_place(folder, question))
    except (OSError, ValueError):
        return None
    if kept.get("question") != question:
        return None
    return {
        metric: {term: np.array(values, dtype=np.float64) for term, values in terms.items()}
        for metric, terms in kept["terms"].items()
    }


def keep_replicates(folder: Path | None, layer: str, bootstrap: Bootstrap, terms: Terms) -> None:
    """Keep replicates; if the features are gone or the disk is full, they are drawn again next time."""
    question = bootstrap.question(layer)
    plain = {metric: {term: values.tolist() for term, values in found.items()} for metric, found in terms.items()}
    if folder is not None and folder.is_dir():
        with suppress(OSError):
            write_text(_place(folder, question), sealed({"question": question, "terms": plain}))


def _place(folder: Path, question: str) -> Path:
    return folder / f"replicates.{hashlib.blake2b(question.encode(), digest_size=8).hexdigest()}.json"


MOST_LETTERS = 200
"""Longer texts from a repository are not kept as names."""

TIMM_FAMILY = re.compile(r"(?:tf_|legacy_|gluon_)?([a-z]+)")
"""The first word of timm's architectures is their kind: tf_efficientnet_lite0, resnet50, vit_small_patch16_224."""


def facts_of(checkpoint: Checkpoint | None) -> RecordedFacts:
    """Return the facts about a candidate; none if its repository could not be read."""
    if checkpoint is None:
        return RecordedFacts()
    config, tags = checkpoint.repository.config, checkpoint.repository.tags
    of_timm = _name(config.get("architecture"))
    found, classes = TIMM_FAMILY.match(of_timm or ""), config.get("architectures")
    return RecordedFacts(
        license=_name(checkpoint.license),
        downloads=checkpoint.downloads,
        family=_name(config.get("model_type")) or (found and found[1]),
        architecture=of_timm or _name(classes[0] if isinstance(classes, list) and classes else None),
        base_model=checkpoint.adapter.base if checkpoint.adapter else _tagged(tags, "base_model:"),
        pretrained_on=_tagged(tags, "dataset:"),
    )


def _tagged(tags: Iterable[str], start: str) -> str | None:
    """Return the values of the Hub's tags of one kind; those with a further qualifier repeat others."""
    named = [tag.removeprefix(start) for tag in tags if tag.startswith(start)]
    return _name(", ".join(dict.fromkeys(one for one in named if ":" not in one)))


def _name(value: Any) -> str | None:
    """Return text from a stranger if it can be a name."""
    return value if isinstance(value, str) and 0 < len(value) <= MOST_LETTERS and value.isprintable() else None
