"""Records as results on the Hub: `model-index` entries, and accuracies as `.eval_results/*.yaml`.

They and a section are added to a card whose own text stays untouched. The Hub client's card class rewrites the whole
metadata and loses comments, quotes and blank lines. So the text is edited instead, and the meaning of the result is
compared with what it should be.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hf_transfer_score.cards.evidence import Evidence, KnownAccuracy, Sample, chosen_options, dataset_title, direction
from hf_transfer_score.errors import HubError, InputError, OptionError, UnreadableError
from hf_transfer_score.records.record import Record
from hf_transfer_score.text import HUB_ID, one_line
from hf_transfer_score.untrusted import LARGE, parse_yaml, reason_of

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
            dataset_name=one_line(dataset_title(dataset)),
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


START, END = "<!-- hf-transfer-score:start -->", "<!-- hf-transfer-score:end -->"

BLOCK = re.compile(r"^(\s*---(?:\r\n|\r|\n))([\S\s]*?)((?:\r\n|\r|\n)---[ \t]*(?:\r\n|\n|$))")
"""What the Hub takes for the metadata of a card."""

EMPTY_BLOCK = re.compile(r"^(\s*---(?:\r\n|\r|\n))()(---[ \t]*(?:\r\n|\n|$))")
KEY = "model-index"
UNFOLDED = 10**6
"""Width of lines, which are never folded: folding would depend on their indentation."""

LIMIT = LARGE
"""Limit for the metadata of a card: that of some benchmarks has thousands of results."""

ADVICE = "Fix it by hand, or leave the metadata out (metadata=False)."


def merged_card(existing: str, section: str, results: list[dict[str, Any]] | None, *, name: str = "model") -> str:
    """Return a card with a section, and with results in its metadata; everything else stays as it is.

    The section replaces an earlier one from START to END, or else comes last. Results of a model-index replace earlier
    ones of this package and join those of others; None leaves the metadata alone. The name is used where the card has
    no model-index yet.
    """
    mark, text = ("\ufeff", existing[1:]) if existing.startswith("\ufeff") else ("", existing)
    newline = "\r\n" if "\r\n" in text else "\n"
    head, body = split(text)
    if results or (results is not None and MAKER in head):
        head = merged_metadata(head, results, name=name, newline=newline)
    return mark + head + merged_body(body, section, newline=newline)


def split(text: str) -> tuple[str, str]:
    """Return the block of metadata with its lines of dashes, empty if there is none, and what follows."""
    found = EMPTY_BLOCK.match(text) or BLOCK.match(text)
    return (text[: found.end()], text[found.end() :]) if found else ("", text)


def merged_body(body: str, section: str, *, newline: str = "\n") -> str:
    """Return a text with the section in place of an earlier one, or at its end."""
    mine = section.strip("\n").replace("\n", newline)
    starts, ends = (list(re.finditer(rf"^{mark}[ \t]*\r?$", body, re.MULTILINE)) for mark in (START, END))
    if len(starts) > 1 or len(starts) != len(ends) or (starts and starts[0].start() > ends[0].start()):
        raise InputError(
            f"The card has {len(starts)} lines {START} and {len(ends)} lines {END}: expected one pair, in this order. "
            "Remove the rest of earlier sections by hand."
        )
    if starts:
        after = body[ends[0].start() + len(END) :]
        return body[: starts[0].start()] + mine + after
    if not body.strip():
        return body + mine + newline
    return body + ("" if body.endswith("\n") else newline) + newline + mine + newline


def merged_metadata(head: str, results: list[dict[str, Any]], *, name: str, newline: str = "\n") -> str:
    """Return a block of metadata with the results among its own."""
    if not head:
        return f"---{newline}{_dumped({KEY: [{'name': name, 'results': results}]}, newline)}---{newline}{newline}"
    found = EMPTY_BLOCK.match(head) or BLOCK.match(head)
    assert found is not None
    before, inside, after = found.groups()
    wanted = _wanted(_read(inside), results, name)
    if repr(_read(inside)) == repr(wanted):
        return head
    after = after if after.startswith(("\r", "\n")) else newline + after
    for text in _edits(inside, results, wanted, name, newline):
        with suppress(InputError):  # an edit that broke the YAML is not the wanted one
            if text is not None and repr(_read(text)) == repr(wanted):
                return before + text + after
    raise InputError(f"Nothing can be added to the card's metadata without rewriting all of it. {ADVICE}")


def _read(text: str) -> dict[str, Any]:
    import yaml

    try:
        parse_yaml(text, what="the card's metadata", limit=LIMIT)
        found = yaml.safe_load(text)  # now that it is within limits; dates stay dates, as the Hub's client writes them
    except UnreadableError as error:
        raise InputError(f"{error} {ADVICE}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"The card's metadata is not YAML: {reason_of(error)}. {ADVICE}") from None
    if not isinstance(found, (dict, type(None))):
        raise InputError(f"The card's metadata does not map names to values. {ADVICE}")
    return found or {}


def _wanted(data: dict[str, Any], results: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return what the metadata should mean: results of others stay, earlier ones of ours go."""
    index = data.get(KEY)
    if index is None:
        return {**data, KEY: [{"name": name, "results": results}]} if results else data
    if not (isinstance(index, list) and index and all(isinstance(one, dict) for one in index)) or not all(
        isinstance(one.get("results"), list) for one in index
    ):
        raise InputError(f"The card's {KEY} is not a list of models with a list of results each. {ADVICE}")
    kept = [{**one, "results": [result for result in one["results"] if not is_ours(result)]} for one in index]
    kept[0]["results"] += results
    return {**data, KEY: kept}


def _edits(
    text: str, results: list[dict[str, Any]], wanted: dict[str, Any], name: str, newline: str
) -> Iterator[str | None]:
    """Yield metadata that may mean what is wanted, the smallest change first."""
    if KEY in _read(text):
        yield _with_items(text, results, newline)
        yield _with_index(text, wanted, newline)
    else:
        before = text + newline if text.strip() else ""
        yield (before + _dumped({KEY: [{"name": name, "results": results}]}, newline)).removesuffix(newline)


def _dumped(value: Any, newline: str, indent: int = 0) -> str:
    """Return YAML as the Hub's client writes it, indented."""
    from huggingface_hub import utils

    tools: Any = utils
    lines = tools.yaml_dump(value, sort_keys=False, width=UNFOLDED).splitlines()
    return "".join(f"{' ' * indent}{line}{newline}" if line else newline for line in lines)


def _with_items(text: str, results: list[dict[str, Any]], newline: str) -> str | None:
    """Remove our results from all lists, and add the new ones to the first model's list."""
    import yaml

    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else ()
    index = next((value for key, value in pairs if key.value == KEY), None)
    if not isinstance(index, yaml.SequenceNode):
        return None
    models = [(key, value) for model in index.value for key, value in model.value if key.value == "results"]
    lines = text.splitlines(keepends=True)
    key, first = models[0]
    if first.flow_style and first.value:
        return None
    end, column = _last_line(first) + 1, (key if first.flow_style else first).start_mark.column
    if first.flow_style:  # lines replace an empty list; a comment after it stays
        line = lines[end - 1]
        lines[end - 1] = line[: first.start_mark.column].rstrip() + line[first.end_mark.column :]
    lines[end - 1] = lines[end - 1].rstrip("\r\n") + newline
    lines.insert(end, _dumped(results, newline, column) if results else "")
    count = len(lines)
    for node in (one for _, model in models if not model.flow_style for one in model.value):
        if is_ours(yaml.safe_load(yaml.serialize(node))):  # from its dash to the end of its last value
            for number in range(node.start_mark.line, min(_last_line(node) + 1, count)):
                lines[number] = ""
    return "".join(lines).removesuffix(newline)


def _with_index(text: str, wanted: dict[str, Any], newline: str) -> str | None:
    """Rewrite the model-index and nothing else."""
    import yaml

    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return None
    lines = text.splitlines(keepends=True)
    for key, value in root.value:
        if key.value == KEY:
            lines[-1] = lines[-1].rstrip("\r\n") + newline
            lines[key.start_mark.line : _last_line(value) + 1] = [_dumped({KEY: wanted[KEY]}, newline)]
            return "".join(lines).removesuffix(newline)
    return None


def _last_line(node: Any) -> int:
    """Return the line where the last value of a node ends, before any comments."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        mark = node.end_mark
        return int(mark.line if mark.column or mark.line == node.start_mark.line else mark.line - 1)
    if node.flow_style or not node.value:
        return int(node.end_mark.line)
    last = node.value[-1]
    return _last_line(last[1] if isinstance(node, yaml.MappingNode) else last)
