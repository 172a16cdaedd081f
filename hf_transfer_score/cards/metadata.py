"""Records as results on the Hub: `model-index` entries, and accuracies as `.eval_results/*.yaml`."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from hf_transfer_score.cards.evidence import Evidence, KnownAccuracy, Sample, chosen_options, direction
from hf_transfer_score.errors import HubError, OptionError, UnreadableError
from hf_transfer_score.records.record import Record
from hf_transfer_score.text import HUB_ID, one_line
from hf_transfer_score.untrusted import parse_yaml

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

MAKER = "hf-transfer-score"
MADE_BY = "made_by"
"""The argument that marks our entries."""

MOST_ENTRIES = 10
"""Entries per dataset at most: measured accuracies first, then terms in the order of the metrics."""


def model_index(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the results of a model-index, a limited number per dataset, without trivial baselines."""
    from huggingface_hub.repocard_data import eval_results_to_model_index

    found: list[dict[str, Any]] = []
    left: Counter[str] = Counter()
    for sample in evidence.samples:
        results = eval_results(sample)[: MOST_ENTRIES - left[sample.dataset.id]]
        left[sample.dataset.id] += len(results)
        if results:
            found += eval_results_to_model_index(model_name(evidence.model), results)[0]["results"]
    return found


def model_name(model: str) -> str:
    """Return the id of a model without its owner."""
    return one_line(model.rsplit("/", 1)[-1]) or "model"


def is_ours(result: Any) -> bool:
    """Whether a result of a model-index was made by this package."""
    dataset = result.get("dataset") if isinstance(result, dict) else None
    given = dataset.get("args") if isinstance(dataset, dict) else None
    return isinstance(given, dict) and given.get(MADE_BY) == MAKER


def eval_results(sample: Sample) -> list[EvalResult]:
    """Return the accuracies measured with a sample and its terms, as the Hub's client has results."""
    from huggingface_hub import EvalResult

    model, dataset = sample.model, sample.dataset
    told = {  # distinguishes this result from others of the same sample
        "examples": dataset.examples or None,
        "classes": dataset.classes,
        "model_commit": model.commit,
        "layer": model.layer,
        "pooling": model.pooling,
    }
    known = {name: value for name, value in told.items() if value is not None}
    allowed = re.sub(r"[^\w./-]+", "-", one_line(dataset.id), flags=re.ASCII).strip("-")
    found = [_accuracy(one) for one in sample.truths if one.exact]
    found += [_term(record, name) for record in sample.scores for name in record.terms]
    return [
        EvalResult(
            task_type=one_line(dataset.task),
            dataset_type=allowed or "dataset",
            dataset_name=one_line(dataset.id),
            dataset_config=dataset.config,
            dataset_split=dataset.split,
            dataset_revision=dataset.revision,
            dataset_args={MADE_BY: MAKER, "fingerprint": dataset.fingerprint, **known},
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


FOLDER = ".eval_results"
BENCHMARK = "eval.yaml"


def eval_result_files(
    evidence: Evidence, *, eval_task: str | None = None, token: str | bool | None = None, endpoint: str | None = None
) -> dict[str, bytes]:
    """Return the files for the measured accuracies of a model, by path; the task may be None if there is only one."""
    import yaml  # type: ignore[import-untyped]
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    files: dict[str, bytes] = {}
    for (dataset, how), (sample, measured) in _measured(evidence).items():
        entry = EvalResultEntry(
            dataset_id=dataset,
            task_id=_task(dataset, eval_task, token, endpoint),
            value=measured.mean,
            dataset_revision=sample.dataset.revision,
            date=max(one.run.time for one in measured.records)[:10],
            notes=_notes(sample, measured),
        )
        text = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True)
        files[f"{FOLDER}/hf-transfer-score-{_slug(dataset)}{'-' if how else ''}{_slug(how)}.yaml"] = text.encode()
    return files


def _measured(evidence: Evidence) -> dict[tuple[str, str], tuple[Sample, KnownAccuracy]]:
    """Return the accuracies by dataset and by how they were measured; of several samples, the first counts."""
    found: dict[tuple[str, str], tuple[Sample, KnownAccuracy]] = {}
    for sample in evidence.samples:
        for one in sample.truths:
            if one.exact and one.metric.name == "accuracy":
                found.setdefault((sample.dataset.id, one.how), (sample, one))
    if not found:
        raise OptionError(
            f"No record holds a measured accuracy of {evidence.model}: a transferability score is not an accuracy and "
            "does not belong in the results of a benchmark."
        )
    return found


def _task(dataset: str, task: str | None, token: str | bool | None, endpoint: str | None) -> str:
    """Return the task of a benchmark: the one that was named, or the only one."""
    from hf_transfer_score.records.place import HubPlace

    if HUB_ID.fullmatch(dataset) is None:
        raise OptionError(f"{dataset!r} is not a dataset on the Hub, so it cannot be a benchmark there.")
    content = HubPlace(dataset, token=token, endpoint=endpoint).view().read([BENCHMARK]).get(BENCHMARK)
    if content is None:
        raise OptionError(
            f"{dataset} is not registered as a benchmark: it has no {BENCHMARK}. Its accuracies belong in the card's "
            "own metadata, where pushing the card puts them."
        )
    try:
        tasks = [str(one["id"]) for one in parse_yaml(content, what=f"{BENCHMARK} of {dataset}")["tasks"]]
    except UnreadableError as error:
        raise HubError(f"The tasks of {dataset} cannot be read: {error}") from None
    except (KeyError, TypeError):
        raise HubError(f"{BENCHMARK} of {dataset} does not name its tasks: expected a list `tasks` with ids.") from None
    if task in tasks or (task is None and len(tasks) == 1):
        return task or tasks[0]
    asked = "Choose one with `eval_task`" if task is None else f"There is no task {task!r}"
    raise OptionError(f"{asked}: the benchmark {dataset} has {', '.join(map(one_line, tasks)) or 'none'}.")


def _notes(sample: Sample, measured: KnownAccuracy) -> str:
    seeds = f"mean of {len(measured.values)} seeds" if len(measured.values) > 1 else "one run"
    parts = ["a share from 0 to 1", measured.how, seeds, f"sample drawn from split {sample.dataset.split or 'unknown'}"]
    return one_line("; ".join(part for part in parts if part), 300)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()[:60]
