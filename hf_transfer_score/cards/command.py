"""The command that measures a sample's records again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hf_transfer_score.cards.evidence import Sample, chosen_options, known_metric
from hf_transfer_score.rendering import HUB_ID
from hf_transfer_score.results.record import Record

PROGRAM = "hf-transfer-score"
COMMIT = re.compile(r"[0-9a-f]{40}")
POOLINGS = ("cls", "mean", "last", "max")
DEFAULT_LEVEL = 0.9

SAMPLE_DEFAULTS: dict[str, Any] = {"max_samples": 5000, "rows_per_example": 16, "ignore_values": [255], "seed": 0}
"""Options of sampling that are not mentioned where they are as they come."""


@dataclass(frozen=True)
class Reproduction:
    """How to measure again.

    Attributes:
        command: for a shell, on one line.
        shown: the same with a line for each option.
        notes: what it takes besides, and where it differs.
    """

    command: str
    shown: str
    notes: tuple[str, ...] = ()


def reproduction(sample: Sample) -> Reproduction | None:
    """Return the command that measures a sample's records again, None where no command of this package made them."""
    options = sample.dataset.options
    if not {"max_samples", "rows_per_example", "seed"} <= options.keys():
        return None
    chosen, left_out = _one_setting_each(sample.records)
    if not chosen and not sample.failures:
        return None
    words = [PROGRAM, "rank", *_dataset(sample), "--models", _model(sample), *_features(sample)]
    words += [*_metrics(chosen), *_bootstrap(sample)]
    command = " ".join(map(shlex.quote, words))
    if not command.isprintable():
        return None  # no option of a real run has line breaks in it
    shown = " ".join(f"\\\n  {word}" if word.startswith("--") else word for word in map(shlex.quote, words))
    return Reproduction(command, shown, (*_notes(sample), *_left_out(left_out)))


def _one_setting_each(records: Iterable[Record]) -> tuple[list[Record], list[Record]]:
    """Return a record for each metric that is installed, and those that one command cannot make."""
    chosen: dict[str, Record] = {}
    left_out = []
    for one in records:
        if one.metric is None:
            continue
        if known_metric(one.metric) is None or one.metric.name in chosen:
            left_out.append(one)
        else:
            chosen[one.metric.name] = one
    return list(chosen.values()), left_out


def _dataset(sample: Sample) -> list[str]:
    dataset, options = sample.dataset, sample.dataset.options
    fill = _is_pinned(sample)
    on_hub = dataset.revision is not None
    words = [_operand(dataset.id if on_hub else f"./{dataset.id}")]
    named = {"task": dataset.task, "config": dataset.config, "split": dataset.split, "revision": dataset.revision}
    for name, known in named.items():
        value = options.get(name) or (known if fill else None)
        words += _option(name, known if name == "revision" and on_hub else value)
    words += _option("label", options.get("label_column"))
    for column in options.get("input_columns") or ():
        words += _option("input", column)
    for name, flag in (("max_samples", "max-samples"), ("rows_per_example", "rows-per-example"), ("seed", "seed")):
        words += [] if options[name] == SAMPLE_DEFAULTS[name] else _option(flag, options[name])
    words += [*_option("per-class", options.get("per_class")), *_option("max-rows", options.get("max_rows"))]
    ignored = options.get("ignore_values") or SAMPLE_DEFAULTS["ignore_values"]
    if list(ignored) != SAMPLE_DEFAULTS["ignore_values"]:
        words += [word for value in ignored for word in _option("ignore-value", value)]
    return [*words, "--full-pass"] if options.get("full_pass") else words


def _operand(text: str) -> str:
    return f"./{text}" if text.startswith("-") else text


def _option(name: str, value: Any) -> list[str]:
    """Return an option with its value as words of a command; a value that looks like an option stays a value."""
    if value is None:
        return []
    text = str(value)
    return [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]


def _is_pinned(sample: Sample) -> bool:
    """Whether the command names a commit where the run asked for none, or for a branch."""
    revision = sample.dataset.revision
    return revision is not None and sample.dataset.options.get("revision") != revision


def _on_hub(sample: Sample) -> bool:
    commit = sample.model.commit
    known = commit is None or COMMIT.fullmatch(commit) is not None
    return known and HUB_ID.fullmatch(sample.model.id) is not None


def _model(sample: Sample) -> str:
    model = sample.model
    if not _on_hub(sample):
        return f"./{model.id.rsplit('/', 1)[-1]}"
    revision = model.commit or model.revision
    return f"{model.id}@{revision}" if revision else model.id


def _features(sample: Sample) -> list[str]:
    model = sample.model
    words = []
    layer = model.layer if model.layer in (None, "last", "mean") or str(model.layer).isdigit() else "all"
    if layer not in (None, "last"):
        words += _option("layer", layer)
    if model.pooling in POOLINGS:
        words += _option("pooling", model.pooling)
    if model.pooling == "mean sub-word":
        words += _option("subword", "mean")
    length = model.details.get("max_length")
    if isinstance(length, int):
        words += _option("max-length", length)
    return words if model.dtype in (None, "float32") else [*words, *_option("dtype", model.dtype)]


def _metrics(chosen: list[Record]) -> list[str]:
    words = []
    metrics = [one.metric for one in chosen if one.metric is not None]
    if metrics:
        words += _option("metrics", ",".join(one.name for one in metrics))
    for metric in metrics:
        for name, value in chosen_options(metric).items():
            words += _option("option", f"{metric.name}.{name}={_typed(value)}")
    return words


def _typed(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _bootstrap(sample: Sample) -> list[str]:
    level = next((one.interval_level for one in sample.records if one.interval), None)
    if not any(one.interval for one in sample.records):
        return ["--replicates", "0"]
    return [] if level in (None, DEFAULT_LEVEL) else _option("level", level)


def _notes(sample: Sample) -> tuple[str, ...]:
    notes = []
    if sample.dataset.revision is None:
        notes.append("The dataset was a file or folder on somebody's machine: put its place for the first argument.")
    if not _on_hub(sample):
        notes.append("The model was a folder on somebody's machine: put its place behind --models.")
    if _is_pinned(sample):
        notes.append(
            "It names the dataset's commit, so that the rows are the same. A fingerprint covers what was asked for "
            "too, so that of the new sample differs from the one above."
        )
    return tuple(notes)


def _left_out(records: list[Record]) -> tuple[str, ...]:
    names = sorted({one.metric.name for one in records if one.metric is not None})
    return (f"It leaves out what this version cannot measure in the same call: {', '.join(names)}.",) if names else ()
