"""What is known about a model: its records by the sample they were measured on, and the command that repeats them."""

import json
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any, TypeVar

from hf_transfer_score.metrics.registry import Metric, all_metrics
from hf_transfer_score.records.record import Record, RecordedDataset, RecordedMetric, RecordedModel
from hf_transfer_score.text import COMMIT, HUB_ID, UNNAMED

OnDataset = TypeVar("OnDataset", Record, "Sample")
SampleKey = tuple[str, str, str, str, str]
"""Task, id, configuration, split and fingerprint, which all comparable scores share."""


DATA_FILE = re.compile(r"\.(?:csv|tsv|jsonl?|parquet|arrow|txt)(?:\.\w+)?$", re.IGNORECASE)


def dataset_title(dataset: RecordedDataset) -> str:
    """Return what a person would call a dataset: its id on the Hub, or the name of a file or folder in words.

    Example:
        >>> dataset_title(RecordedDataset("my_reviews.csv", "text-classification", "", options=SAMPLE_DEFAULTS))
        'my reviews, a local dataset'
    """
    if dataset.revision is not None or "/" in dataset.id or "max_samples" not in dataset.options:
        return dataset.id
    if dataset.id == UNNAMED:
        return "a dataset in memory"
    return f"{DATA_FILE.sub('', dataset.id).replace('_', ' ').strip()}, a local dataset"


@dataclass(frozen=True)
class Standing:
    """The rank of a model among those of one sample, which changes with the pool.

    Attributes:
        expected: how it should do after fine-tuning, in a sentence; "" where the order is by metrics.
        why: what that is based on.
        sharing: how many other models have the same rank.
        headline: labels of the metrics whose mean rank decides where there is no forecast.
        places: rank, and among how many, by `setting`.
    """

    models: int
    rank: int | None = None
    expected: str = ""
    why: tuple[str, ...] = ()
    sharing: int = 0
    low: int | None = None
    high: int | None = None
    headline: tuple[str, ...] = ()
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownAccuracy:
    """A measured accuracy, over its seeds as far as they are known; `exact` if measured with this very sample."""

    metric: RecordedMetric
    values: tuple[float, ...]
    seeds: tuple[Any, ...]
    exact: bool
    records: tuple[Record, ...]

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return fmean(self.values)

    @property
    def options(self) -> dict[str, Any]:
        """How it was measured, without the seed."""
        return {name: value for name, value in self.metric.parameters.items() if name != "seed"}

    @property
    def how(self) -> str:
        """How it was measured, such as "method=full"."""
        return ", ".join(f"{name}={value}" for name, value in self.options.items())

    @property
    def remarks(self) -> list[str]:
        """Warnings of its records, and where they were published."""
        sources = [f"Published as: {one.source}" for one in self.records if one.source]
        return list(dict.fromkeys([*(text for one in self.records for text in one.warnings), *sources]))


@dataclass(frozen=True)
class Sample:
    """What is known about one model, read in one way, on one sample: its newest records, and its accuracies."""

    model: RecordedModel
    dataset: RecordedDataset
    records: tuple[Record, ...]
    truths: tuple[KnownAccuracy, ...] = ()
    standing: Standing | None = None

    @property
    def scores(self) -> list[Record]:
        """Terms of metrics, without trivial baselines."""
        return self._of_kind("score")

    @property
    def baselines(self) -> list[Record]:
        """Terms of trivial baselines."""
        return self._of_kind("baseline")

    def _of_kind(self, kind: str) -> list[Record]:
        return [one for one in self.records if one.status == "ok" and one.metric and one.metric.kind == kind]

    @property
    def skipped(self) -> list[Record]:
        """Metrics that could not be computed."""
        return [one for one in self.records if one.status == "skipped"]

    @property
    def failures(self) -> list[Record]:
        """Why the model could not be scored; empty if it was scored at another time."""
        return [] if self.scores else [one for one in self.records if one.status == "failed"]


@dataclass(frozen=True)
class Evidence:
    """All that is known about a model; the source is the results repository, None for a folder."""

    model: str
    samples: tuple[Sample, ...]
    source: str | None = None


MOST_SAMPLES = 200
"""Samples, each with one way of reading the model, that a card has at most: anyone may publish records of thousands."""


def gather(
    model: str, records: Iterable[Record], standing: Mapping[str, Standing] | None = None, *, source: str | None = None
) -> Evidence:
    """Return what records say about a model, with its ranks by `standing_key`; records of other models are ignored."""
    newest: dict[str, Record] = {}  # for each sample, metric and way of reading the model
    own = (one for one in records if one.model.id == model and not one.is_failed_measurement)
    for one in sorted(own, key=lambda one: one.run.time):
        newest[f"{standing_key(one)} {'' if one.metric is None else setting(one.metric)}"] = one
    mine = newest.values()
    truths = [one for one in mine if one.metric is not None and one.metric.kind == "truth"]
    scored: dict[str, list[Record]] = defaultdict(list)
    for one in mine:
        if one.metric is None or one.metric.kind != "truth":
            scored[standing_key(one)].append(one)
    found, on = [], _by_dataset(truths)
    in_order = sorted(scored.items(), key=lambda item: (sample_key(item[1][0].dataset), item[0]))
    for key, group in in_order[:MOST_SAMPLES]:
        of, dataset = group[0].model, group[0].dataset
        ordered = tuple(sorted(group, key=_metric_order))
        measured = _measured(on[_dataset_key(dataset)], dataset, of)
        found.append(Sample(of, dataset, ordered, measured, (standing or {}).get(key)))
    there = _by_dataset(found)
    alone = [one for one in truths if not any(_of_dataset(one, other) for other in there[_dataset_key(one.dataset)])]
    first = list({sample_key(one.dataset): one for one in alone}.values())[:MOST_SAMPLES]
    on = _by_dataset(alone)
    for one in first:
        measured = _measured(on[_dataset_key(one.dataset)], one.dataset, one.model)
        found.append(Sample(one.model, one.dataset, (), measured))
    done = {sample_key(one.dataset) for one in found if one.scores}  # a failure counts until the model is scored
    kept = tuple(one for one in found if not one.failures or sample_key(one.dataset) not in done)
    return Evidence(model, kept, source)


def sample_key(dataset: RecordedDataset) -> SampleKey:
    """Return the key of a sample."""
    return dataset.task, dataset.id, dataset.config or "", dataset.split or "", dataset.fingerprint


def standing_key(record: Record) -> str:
    """Return the key of one model, read in one way, on one sample."""
    return json.dumps([sample_key(record.dataset), asdict(record.model)], sort_keys=True)


def setting(metric: RecordedMetric) -> str:
    """Return the key of a metric with its options."""
    return json.dumps([metric.name, metric.version, metric.parameters], sort_keys=True)


def known_metric(metric: RecordedMetric) -> Metric | None:
    """Return the installed metric of that name and version, if there is one."""
    found = all_metrics().get(metric.name)
    return found if found is not None and found.version == metric.version else None


def direction(metric: RecordedMetric, term: str) -> int | None:
    """Return 1 where a higher term is better, -1 where a lower one is, None where neither is known."""
    known = known_metric(metric)
    said = {one.name: one.direction for one in known.terms} if known is not None else {}
    return metric.directions.get(term, said.get(term))


def chosen_options(metric: RecordedMetric) -> dict[str, Any]:
    """Return the options that differ from their defaults; all of them for a metric that is not installed."""
    known = known_metric(metric)
    if known is None:
        return dict(metric.parameters)

    def plain(value: Any) -> str:
        return json.dumps(value, sort_keys=True, default=str)

    defaults = asdict(known.options)
    return {name: value for name, value in metric.parameters.items() if plain(defaults.get(name)) != plain(value)}


def _metric_order(record: Record) -> tuple[int, str]:
    """Order metrics as the registry does, unknown ones last."""
    if record.metric is None:
        return -1, ""
    known = list(all_metrics())
    name = record.metric.name
    return known.index(name) if name in known else len(known), setting(record.metric)


def _of_dataset(truth: Record, sample: Sample) -> bool:
    """Whether an accuracy belongs to a sample's dataset and model; commits must agree where both are known."""
    commits = {truth.model.commit, sample.model.commit} - {None}
    return _dataset_key(truth.dataset) == _dataset_key(sample.dataset) and len(commits) <= 1


def _dataset_key(dataset: RecordedDataset) -> tuple[str, str, str | None]:
    return dataset.id, dataset.task, dataset.config


def _by_dataset(things: Iterable[OnDataset]) -> dict[Any, list[OnDataset]]:
    """Return records or samples by their dataset."""
    found: dict[Any, list[OnDataset]] = defaultdict(list)
    for one in things:
        found[_dataset_key(one.dataset)].append(one)
    return found


def _measured(truths: list[Record], dataset: RecordedDataset, model: RecordedModel) -> tuple[KnownAccuracy, ...]:
    """Return the accuracies measured with a sample or, if there are none, with another one of its dataset."""
    mine = [one for one in truths if _of_dataset(one, Sample(model, dataset, ()))]
    exact = [one for one in mine if sample_key(one.dataset) == sample_key(dataset)]
    ways: dict[str, list[tuple[Any, RecordedMetric, Record]]] = defaultdict(list)
    for one in exact or mine:
        if one.metric is not None:
            options = dict(one.metric.parameters)
            seed = options.pop("seed", None)
            way = json.dumps([one.metric.name, one.metric.version, options], sort_keys=True)
            ways[way].append((seed, one.metric, one))
    found = []
    for _, group in sorted(ways.items()):
        ordered = sorted(group, key=lambda one: (one[0] is None, str(one[0])))
        metric, records = ordered[0][1], tuple(one for _, _, one in ordered)
        values = tuple(one.terms.get(metric.name, next(iter(one.terms.values()))) for one in records)
        seeds = tuple(seed for seed, _, _ in ordered if seed is not None)
        found.append(KnownAccuracy(metric, values, seeds, bool(exact), records))
    return tuple(found)


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
