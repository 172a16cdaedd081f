"""Records as `model-index` entries, made by the Hub client's own card classes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hf_transfer_score.cards.evidence import Evidence, KnownAccuracy, Sample, chosen_options, direction
from hf_transfer_score.records.record import Record
from hf_transfer_score.text import one_line

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

MAKER = "hf-transfer-score"
MADE_BY = "made_by"
"""The argument by which our entries are told from those of others."""


def model_index(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the results of a model-index, one for each sample; of trivial baselines there are none."""
    from huggingface_hub.repocard_data import eval_results_to_model_index

    found: list[dict[str, Any]] = []
    for sample in evidence.samples:
        results = eval_results(sample)
        if results:
            found += eval_results_to_model_index(model_name(evidence.model), results)[0]["results"]
    return found


def model_name(model: str) -> str:
    """Return what a model-index calls a model: its id without the owner."""
    return one_line(model.rsplit("/", 1)[-1]) or "model"


def is_ours(result: Any) -> bool:
    """Whether a result of a model-index was made by this package."""
    dataset = result.get("dataset") if isinstance(result, dict) else None
    given = dataset.get("args") if isinstance(dataset, dict) else None
    return isinstance(given, dict) and given.get(MADE_BY) == MAKER


def eval_results(sample: Sample) -> list[EvalResult]:
    """Return the terms of a sample, and the accuracies that were measured with it, as the Hub's client has them."""
    from huggingface_hub import EvalResult

    model, dataset = sample.model, sample.dataset
    told = {  # what tells this result from others of the same sample
        "examples": dataset.examples or None,
        "classes": dataset.classes,
        "model_commit": model.commit,
        "layer": model.layer,
        "pooling": model.pooling,
    }
    known = {name: value for name, value in told.items() if value is not None}
    allowed = re.sub(r"[^\w./-]+", "-", one_line(dataset.id), flags=re.ASCII).strip("-")
    found = [_term(record, name) for record in sample.scores for name in record.terms]
    found += [_accuracy(one) for one in sample.truths if one.exact]
    return [
        EvalResult(
            task_type=one_line(dataset.task),
            dataset_type=allowed or "dataset",
            dataset_name=one_line(dataset.id),
            dataset_config=dataset.config,
            dataset_split=dataset.split,
            dataset_revision=dataset.revision,
            dataset_args={MADE_BY: MAKER, "fingerprint": dataset.fingerprint, **known},
            verified=False,
            **metric,
        )
        for metric in found
    ]


def _term(record: Record, term: str) -> dict[str, Any]:
    assert record.metric is not None
    metric = record.metric
    what = f"score {term}" if term == metric.name else f"term {term} of {metric.name}"
    better = {1: ", higher is better", -1: ", lower is better", None: ""}[direction(metric, term)]
    return {
        "metric_type": one_line(f"transferability_{metric.name}" + (f"_{term}" if term != metric.name else "")),
        "metric_value": record.terms[term],
        "metric_name": one_line(f"Transferability {what}{better}; comparable on this sample only"),
        "metric_args": {"version": metric.version, **chosen_options(metric)},
    }


def _accuracy(measured: KnownAccuracy) -> dict[str, Any]:
    how = f" ({measured.how})" if measured.how else ""
    return {
        "metric_type": one_line(measured.metric.name),
        "metric_value": measured.mean,
        "metric_name": one_line(f"Measured {measured.metric.name}{how}, mean of {len(measured.values)}"),
        "metric_args": {**measured.options, **({"seeds": list(measured.seeds)} if measured.seeds else {})},
    }
