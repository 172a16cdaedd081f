"""A pool of features in memory, scored and ranked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hf_transfer_score.errors import InputError, OptionError, did_you_mean
from hf_transfer_score.metrics.labelled import ModelFacts
from hf_transfer_score.metrics.scores import MetricChoice, choose_metrics, score_features
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.history import History
from hf_transfer_score.ranking.models import RankedModel, scored_model
from hf_transfer_score.ranking.ranking import Ranking, ranked
from hf_transfer_score.ranking.relations import Relations
from hf_transfer_score.records.record import Record, RecordedDataset
from hf_transfer_score.tasks import get_task


def rank_features(
    features: Mapping[str, Any],
    labels: Any = None,
    *,
    metrics: MetricChoice = None,
    targets: Any = None,
    source_probs: Mapping[str, Any] | None = None,
    facts: Mapping[str, ModelFacts] | None = None,
    headline: Sequence[str] | None = None,
    dataset: str = "",
    task: str = "",
) -> Ranking:
    """Score a pool of models on one sample, and rank them by each metric and by a forecast.

    A model whose features cannot be scored is kept with status "failed" and the reason, and the others are ranked. If
    none can be scored, the first error is raised.

    Args:
        features: features (N, D) by model name; rows in the same order for every model, widths may differ.
        labels: one integer per row (N,).
        metrics: as for `score_features`.
        targets: regression targets.
        source_probs: source-class probabilities by model name.
        facts: what is known about each model, by name.
        headline: order by the mean rank over these metrics; None for the forecast.
        dataset: the dataset of the features, such as "owner/pets"; with it and the task, the ranking has records.
        task: the task of the dataset, such as "image-classification".

    Example:
        >>> import numpy as np
        >>> generator, labels = np.random.default_rng(0), np.repeat([0, 1, 2], 20)
        >>> far = generator.normal(size=(60, 8)) + 4 * np.eye(8)[labels]
        >>> near = generator.normal(size=(60, 8)) + np.eye(8)[labels]
        >>> rank_features({"near": near, "far": far}, labels, metrics=["ncti"]).ranks
        {'far': 1, 'near': 2}
    """
    if not isinstance(features, Mapping):
        raise InputError(f"Features have to be a dictionary, (N, D) by model name; got {type(features).__name__}.")
    if not features:
        raise InputError("The pool is empty: pass features by model name.")
    chosen = choose_metrics(metrics)
    headline = [headline] if isinstance(headline, str) else headline
    check_names(headline, [metric.name for metric in chosen])
    _check_fit(features, task, "class labels" if targets is None else "targets")
    _check_models("source_probs", source_probs, features)
    _check_models("facts", facts, features)
    if wrong := [type(one).__name__ for one in (facts or {}).values() if not isinstance(one, ModelFacts)]:
        raise OptionError(f"facts have to be ModelFacts by model name; got {wrong[0]}.")
    models: dict[str, RankedModel] = {}
    errors: list[InputError] = []
    for name, matrix in features.items():
        about = (facts or {}).get(name) or ModelFacts(name=name)
        try:
            scores = score_features(
                matrix,
                labels,
                metrics=chosen,
                targets=targets,
                source_probs=(source_probs or {}).get(name),
                facts=about,
            )
            models[name] = scored_model(name, scores, about)
        except InputError as error:
            errors.append(error)
            models[name] = RankedModel(name, "failed", name, reason=str(error))
    if len(errors) == len(models):
        raise errors[0]
    ranking = replace(ranked(models, chosen, headline), dataset=dataset)
    if dataset and task:
        ranking = replace(ranking, stored=_records(ranking, task, labels if targets is None else targets))
    if headline is not None or not ranking.can_be_forecast:
        return ranking
    sizes = {name: Relations.of(one, one.parameters) for name, one in models.items()}
    return ranking.with_forecast(Forecaster(History(), sizes))


def check_names(headline: Sequence[str] | None, metrics: Sequence[str]) -> None:
    """Refuse metrics of the headline that are not computed."""
    for one in headline or ():
        if one not in metrics:
            raise OptionError(f"headline={one!r}: expected one of {', '.join(metrics)}.{did_you_mean(one, metrics)}")


def _check_models(argument: str, given: Mapping[str, Any] | None, features: Mapping[str, Any]) -> None:
    """Refuse what is given by the name of a model that has no features."""
    for name in given or ():
        if name not in features:
            near = did_you_mean(str(name), map(str, features))
            raise OptionError(f"{argument} name the model {name!r}, which has no features.{near}")


def _check_fit(names: Iterable[Any], task: str, given: str) -> None:
    """Refuse names that are no texts, and a task for which something else than the given truth is needed."""
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"The name of a model has to be a text; got {name!r}.")
    if task and get_task(task).truth not in given:
        raise OptionError(f"task={task!r} does not fit: {given} were passed.")


def _records(ranking: Ranking, task: str, truth: Any) -> tuple[Record, ...]:
    """Return the records of features; their sample is identified by its labels or targets alone."""
    from hf_transfer_score.runs.records import records_on

    kind = np.int64 if get_task(task).truth == "labels" else np.float64  # equal labels of other types are one sample
    values = np.ascontiguousarray(truth, kind)
    mark = hashlib.blake2b(f"{values.dtype} {values.shape}".encode() + values.tobytes(), digest_size=16).hexdigest()
    classes = next((one.scores.classes for one in ranking.models.values() if one.scores), None)
    sample = RecordedDataset(ranking.dataset, task, mark, examples=len(values), rows=len(values), classes=classes)
    return tuple(records_on(ranking, sample))
