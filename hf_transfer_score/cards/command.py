"""The command that measures a sample's records again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hf_transfer_score.cards.evidence import Sample, chosen_options, known_metric
from hf_transfer_score.records.record import Record
from hf_transfer_score.text import COMMIT, HUB_ID

PROGRAM = "hf-transfer-score"
POOLINGS = ("cls", "mean", "last", "max")
DEFAULT_LEVEL = 0.9

SAMPLE_DEFAULTS: dict[str, Any] = {"max_samples": 5000, "rows_per_example": 16, "ignore_values": [255], "seed": 0}
"""Defaults of sampling, which need no flag."""


@dataclass(frozen=True)
class Reproduction:
    """A command that measures again, on one line and with one line per option, and what else to know."""

    command: str
    shown: str
    notes: tuple[str, ...] = ()


def reproduction(sample: Sample) -> Reproduction | None:
    """Return the command that measures a sample's records again, None if no command of this package made them."""
    if not {"max_samples", "rows_per_example", "seed"} <= sample.dataset.options.keys():
        return None
    chosen, left_out = _one_setting_each(sample.records)
    if not chosen and not sample.failures:
        return None
    model, revision = sample.model.id, sample.model.commit or sample.model.revision
    named = (f"{model}@{revision}" if revision else model) if _on_hub(sample) else f"./{model.rsplit('/', 1)[-1]}"
    options = [*_dataset_options(sample), ("models", named), *_feature_options(sample), *_metric_options(chosen)]
    levels = [one.interval_level for one in sample.records if one.interval]
    if not levels:
        options.append(("replicates", 0))
    elif levels[0] not in (None, DEFAULT_LEVEL):
        options.append(("level", levels[0]))
    dataset = sample.dataset.id if sample.dataset.revision is not None else f"./{sample.dataset.id}"
    words = [PROGRAM, "rank", f"./{dataset}" if dataset.startswith("-") else dataset]
    for name, value in options:
        if str(value).startswith("-"):
            words.append(f"--{name}={value}")
        else:
            words += [f"--{name}", *([] if value is True else [str(value)])]
    quoted = [shlex.quote(word) for word in words]
    command = " ".join(quoted)
    if not command.isprintable():
        return None  # no option of a real run has line breaks in it
    shown = " ".join(f"\\\n  {word}" if word.startswith("--") else word for word in quoted)
    return Reproduction(command, shown, tuple(_notes(sample, left_out)))


def _one_setting_each(records: Iterable[Record]) -> tuple[list[Record], list[str]]:
    """Return one record per installed metric, and the names of metrics that the same call cannot compute."""
    chosen: dict[str, Record] = {}
    left_out = set()
    for one in records:
        if one.metric is None:
            continue
        if known_metric(one.metric) is None or one.metric.name in chosen:
            left_out.add(one.metric.name)
        else:
            chosen[one.metric.name] = one
    return list(chosen.values()), sorted(left_out)


def _is_pinned(sample: Sample) -> bool:
    """Whether the command names a commit where the run named none, or a branch."""
    revision = sample.dataset.revision
    return revision is not None and sample.dataset.options.get("revision") != revision


def _dataset_options(sample: Sample) -> Iterator[tuple[str, Any]]:
    """Yield the options that draw the same sample, without those at their default."""
    dataset, options = sample.dataset, sample.dataset.options
    named = {"task": dataset.task, "config": dataset.config, "split": dataset.split, "revision": dataset.revision}
    found = {name: options.get(name) or (known if _is_pinned(sample) else None) for name, known in named.items()}
    found["revision"] = dataset.revision or found["revision"]
    found["subset"] = found.pop("config")
    found["label"] = options.get("label_column")
    yield from ((name, value) for name, value in found.items() if value is not None)
    yield from (("input", column) for column in options.get("input_columns") or ())
    for name in ("max_samples", "rows_per_example", "seed", "per_class", "max_rows"):
        value = options.get(name)
        if value is not None and value != SAMPLE_DEFAULTS.get(name):
            yield name.replace("_", "-"), value
    ignored = list(options.get("ignore_values") or SAMPLE_DEFAULTS["ignore_values"])
    if ignored != SAMPLE_DEFAULTS["ignore_values"]:
        yield from (("ignore-value", value) for value in ignored)
    if options.get("full_pass"):
        yield "full-pass", True


def _on_hub(sample: Sample) -> bool:
    commit = sample.model.commit
    return (commit is None or COMMIT.fullmatch(commit) is not None) and HUB_ID.fullmatch(sample.model.id) is not None


def _feature_options(sample: Sample) -> Iterator[tuple[str, Any]]:
    model, length = sample.model, sample.model.details.get("max_length")
    if model.layer not in (None, "last"):
        yield "layer", model.layer if model.layer == "mean" or str(model.layer).isdigit() else "all"
    if model.pooling in POOLINGS:
        yield "pooling", model.pooling
    if model.pooling == "mean sub-word":
        yield "subword", "mean"
    if isinstance(length, int):
        yield "max-length", length
    if isinstance(model.details.get("image_size"), int):
        yield "image-size", model.details["image_size"]
    if model.dtype is not None:
        yield "dtype", model.dtype
    if model.details.get("runtime") == "openvino":
        yield "runtime", "openvino"
    if model.details.get("quantize") is not None:
        yield "quantize", model.details["quantize"]


def _metric_options(chosen: list[Record]) -> Iterator[tuple[str, Any]]:
    metrics = [one.metric for one in chosen if one.metric is not None]
    if metrics:
        yield "metrics", ",".join(one.name for one in metrics)
    for metric in metrics:
        for name, value in chosen_options(metric).items():
            typed = str(value).lower() if value is None or isinstance(value, bool) else value
            yield "option", f"{metric.name}.{name}={typed}"


def _notes(sample: Sample, left_out: list[str]) -> Iterator[str]:
    """Yield what else the command needs, and where it differs."""
    if sample.dataset.revision is None:
        yield "The dataset was a local file or folder: put its path as the first argument."
    if not _on_hub(sample):
        yield "The model was a local folder: put its path after --models."
    if _is_pinned(sample):
        yield (
            "It names the dataset's commit, so that the rows are the same. The fingerprint of the new sample differs "
            "from the one above, since it also covers the options."
        )
    if left_out:
        yield f"It leaves out what this version cannot compute in the same call: {', '.join(left_out)}."
