"""Measured accuracies as `.eval_results/*.yaml`, which benchmarks on the Hub make their leaderboards of.

A transferability score has no place there: it is not an accuracy, and such a leaderboard cannot say so.
"""

from __future__ import annotations

import re

from hf_transfer_score.cards.evidence import Evidence, KnownAccuracy, Sample
from hf_transfer_score.errors import HubError, OptionError, UnreadableError
from hf_transfer_score.text import HUB_ID, one_line
from hf_transfer_score.untrusted import parse_yaml

FOLDER = ".eval_results"
BENCHMARK = "eval.yaml"
REFUSED = "a transferability score is not an accuracy, and has no place among the results of a benchmark."


def eval_result_files(
    evidence: Evidence, *, eval_task: str | None = None, token: str | bool | None = None, endpoint: str | None = None
) -> dict[str, bytes]:
    """Return the files for the measured accuracies of a model, by path.

    Args:
        evidence: what is known about the model.
        eval_task: the task of the benchmark; None where it has one only.
        token: for the Hub.
        endpoint: another Hub than that of HF_ENDPOINT.

    Raises:
        OptionError: where no accuracy was measured, or the dataset is no benchmark.
    """
    import yaml  # type: ignore[import-untyped]

    try:
        from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    except ImportError:
        raise OptionError("Results of benchmarks need a newer client: pip install -U huggingface_hub") from None
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
    """Return the accuracies by dataset and by how they were measured; the first of several samples counts."""
    found: dict[tuple[str, str], tuple[Sample, KnownAccuracy]] = {}
    for sample in evidence.samples:
        for one in sample.truths:
            if one.exact and one.metric.name == "accuracy":
                found.setdefault((sample.dataset.id, one.how), (sample, one))
    if not found:
        raise OptionError(f"No record holds a measured accuracy of {evidence.model}: {REFUSED}")
    return found


def _task(dataset: str, task: str | None, token: str | bool | None, endpoint: str | None) -> str:
    """Return the task of a benchmark that is meant: the one that was named, or the only one."""
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
