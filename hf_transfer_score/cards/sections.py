"""The parts of a model's section that belong to one sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hf_transfer_score.cards.command import SAMPLE_DEFAULTS, reproduction
from hf_transfer_score.cards.evidence import Measured, Sample, chosen_options, known_metric, setting
from hf_transfer_score.cards.markdown import code, fenced, number, one_line, plain, repository, table
from hf_transfer_score.results.record import Record, RecordedDataset, RecordedModel

ARROWS = {1: "↑", -1: "↓"}
LONG = 400
"""Letters of a reason or a warning that are shown."""

METHODS = {
    "full": "all weights fine-tuned",
    "probe": "a linear classifier on frozen features; no weight of the model was changed",
}
"""What is known of ways to measure an accuracy."""

SHOWN_MODELS = 10
SHOWN_DETAILS = ("max_length", "preprocessing", "architecture", "features")


def sample_lines(sample: Sample) -> list[str]:
    """Return all that is known about a model on one sample."""
    parts = [
        [f"### On {_title(sample.dataset)}"],
        _facts(sample),
        _failures(sample),
        _terms(sample),
        _standing(sample),
        _accuracies(sample.truths),
        _caveats(sample),
        _how(sample),
    ]
    return [line for part in parts if part for line in [*part, ""]][:-1]


def _title(dataset: RecordedDataset) -> str:
    inside = [
        f"{name} {code(value)}" for name, value in (("config", dataset.config), ("split", dataset.split)) if value
    ]
    return " ".join([code(dataset.id), *([f"({', '.join(inside)})"] if inside else [])])


def _facts(sample: Sample) -> list[str]:
    rows = [*_dataset_facts(sample.dataset), *_model_facts(sample.model)]
    if sample.records:
        label = "Recorded" if any(one.source for one in sample.records) else "Measured"
        rows += [(label, f"{_when(sample)}, {plain(_versions(sample), LONG)}")]
    sources = dict.fromkeys(one.source for one in sample.records if one.source)
    rows += [("Published as", plain(source, LONG)) for source in sources]
    return table(("What", "Which"), rows)


def _dataset_facts(dataset: RecordedDataset) -> list[tuple[str, str]]:
    revision = f" at {code(dataset.revision)}" if dataset.revision else ""
    on_hub = dataset.revision is not None
    rows = [
        ("Dataset", f"{repository(dataset.id, 'datasets/') if on_hub else code(dataset.id)}{revision}"),
        ("Task", plain(dataset.task)),
    ]
    if dataset.columns:
        rows.append(("Columns", ", ".join(f"{plain(role)} {code(name)}" for role, name in dataset.columns.items())))
    if dataset.examples:
        rows.append(("Sample", _size(dataset)))
    elif dataset.classes:
        rows.append(("Classes", f"{dataset.classes}"))
    options = {name: value for name, value in dataset.options.items() if _tells(name, value, dataset)}
    if options:
        rows.append(("Sample options", _pairs(options)))
    return [*rows, ("Fingerprint", code(dataset.fingerprint))]


def _tells(name: str, value: Any, dataset: RecordedDataset) -> bool:
    """Whether an option of sampling says something: it was given, and is of use for such a dataset."""
    if name in ("ignore_values", "rows_per_example") and dataset.rows == dataset.examples:
        return bool(value != SAMPLE_DEFAULTS[name])
    return value is not None and value is not False and value != []


def _size(dataset: RecordedDataset) -> str:
    parts = [f"{dataset.examples:,} examples"]
    if dataset.rows and dataset.rows != dataset.examples:
        parts.append(f"{dataset.rows:,} rows of features")
    if dataset.classes is not None:
        parts.append(f"{dataset.classes} classes")
    return ", ".join(parts)


def _model_facts(model: RecordedModel) -> list[tuple[str, str]]:
    rows = []
    if model.commit or model.revision:
        rows.append(("Model revision", code(model.commit or model.revision)))
    read = {"read by": model.library, "layer": model.layer, "pooling": model.pooling, "precision": model.dtype}
    parts = [f"{name} {plain(value)}" for name, value in read.items() if value]
    parts += [f"{model.width:,} wide"] if model.width else []
    if parts:
        rows.append(("Features", ", ".join(parts)))
    details = {name: model.details[name] for name in SHOWN_DETAILS if model.details.get(name) is not None}
    return [*rows, ("Prepared", _pairs(details))] if details else rows


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(code(f"{name}={value}", 200) for name, value in values.items())


def _when(sample: Sample) -> str:
    days = sorted({one.run.time[:10] for one in sample.records})
    return plain(days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}")


def _versions(sample: Sample) -> str:
    newest = max(sample.records, key=lambda one: one.run.time).run
    libraries = [f"{name} {version}" for name, version in newest.libraries.items()]
    device = f" on {newest.device}" if newest.device else ""
    return one_line("; ".join([f"hf-transfer-score {newest.version}{device}", ", ".join(libraries)]).rstrip("; "), LONG)


def _failures(sample: Sample) -> list[str]:
    return [
        f"**This model could not be scored here** ({plain(one.kind)}): {plain(one.reason, LONG)}"
        for one in sample.failures
    ]


def _terms(sample: Sample) -> list[str]:
    if not (sample.scores or sample.baselines):
        return []
    levels = {one.interval_level for one in sample.records if one.interval}
    level = next(iter(levels)) if len(levels) == 1 else None
    interval = " Interval" if level is None else f" {100 * level:g} % interval"
    rows = [row for one in (*sample.scores, *sample.baselines) for row in _term_rows(one, sample)]
    header = ["Metric", "Term", " Value", interval, "Better", "Place in the pool"]
    empty = [place for place in (3, 5) if not any(row[place] for row in rows)]
    kept = [place for place in range(len(header)) if place not in empty]
    return table([header[place] for place in kept], [[row[place] for place in kept] for row in rows])


def _term_rows(record: Record, sample: Sample) -> list[list[str]]:
    assert record.metric is not None
    rows: list[list[str]] = []
    for name in _in_order(record):
        value = record.terms[name]
        ends = record.interval.get(name)
        direction = _direction(record, name)
        rows.append(
            [
                _metric_name(record) if not rows else "",
                code(name),
                number(value),
                "" if ends is None else f"{number(ends[0])} to {number(ends[1])}",
                f"{ARROWS[direction]} {'higher' if direction == 1 else 'lower'}" if direction else "not known",
                _place(record, sample) if not rows else "",
            ]
        )
    return rows


def _in_order(record: Record) -> list[str]:
    """Return the terms in the order of the metric, which files do not keep."""
    assert record.metric is not None
    known = known_metric(record.metric)
    order = [one.name for one in known.terms] if known is not None else []
    return sorted(record.terms, key=lambda name: order.index(name) if name in order else len(order))


def _metric_name(record: Record) -> str:
    assert record.metric is not None
    metric = record.metric
    options = chosen_options(metric)
    title = code(metric.name) + (f" version {metric.version}" if metric.version != 1 else "")
    title += f" with {_pairs(options)}" if options else ""
    return f"{title}, a trivial baseline" if metric.kind == "baseline" else title


def _direction(record: Record, term: str) -> int | None:
    assert record.metric is not None
    known = known_metric(record.metric)
    said = {one.name: one.direction for one in known.terms} if known is not None else {}
    return record.metric.directions.get(term, said.get(term))


def _place(record: Record, sample: Sample) -> str:
    if sample.standing is None or record.metric is None:
        return ""
    place, models = sample.standing.places.get(setting(record.metric), (0, 0))
    return f"{place} of {models}" if models > 1 else ""


def _standing(sample: Sample) -> list[str]:
    standing = sample.standing
    if standing is None or standing.rank is None or standing.models < 2:
        return []
    decided = " and ".join(code(one) for one in standing.headline)
    text = f"**Place in the pool: {standing.rank} of {standing.models}**"
    if standing.sharing:
        text += f", shared with {standing.sharing} other{'s' if standing.sharing > 1 else ''}"
    if standing.low is not None and standing.high is not None:
        sure = "sure" if standing.low == standing.high else f"it may be anything from {standing.low} to {standing.high}"
        text += f" ({sure}, as far as the intervals tell)"
    else:
        text += " (there are no intervals, so how sure that is, is not known)"
    text += f", by {'the mean rank of ' if len(standing.headline) > 1 else ''}{decided}."
    return [
        f"{text} The pool is these models on this very sample: {_others(standing.others)}. Another pool, another place."
    ]


def _others(names: Sequence[str]) -> str:
    shown = [code(name, 60) for name in names[:SHOWN_MODELS]]
    rest = len(names) - len(shown)
    return ", ".join(["this one", *shown, *([f"and {rest} more"] if rest else [])])


def _accuracies(truths: Sequence[Measured]) -> list[str]:
    if not truths:
        return []
    lines = ["Measured accuracy, for comparison:", ""]
    for one in truths:
        seeds = ""
        if len(one.values) > 1:
            named = f" {', '.join(plain(seed) for seed in one.seeds)}" if len(one.seeds) == len(one.values) else ""
            seeds = f", mean of {len(one.values)} seeds{named} ({', '.join(number(value) for value in one.values)})"
        elif one.seeds:
            seeds = f", one seed ({plain(one.seeds[0])})"
        method = METHODS.get(str(one.metric.parameters.get("method")), "")
        how = ", ".join(part for part in (_pairs(_but_seed(one)), method) if part)
        other = "" if one.exact else "; measured with another sample of this dataset"
        lines.append(
            f"- {plain(one.metric.name)} **{number(one.mean)}**{seeds}: {how or 'how is not recorded'}{other}."
        )
        lines += [f"  {plain(text, LONG)}" for text in _truth_words(one)]
    return lines


def _but_seed(measured: Measured) -> dict[str, Any]:
    return {name: value for name, value in measured.metric.parameters.items() if name != "seed"}


def _truth_words(measured: Measured) -> list[str]:
    sources = [f"Published as: {one.source}" for one in measured.records if one.source]
    return list(dict.fromkeys([*(text for one in measured.records for text in one.warnings), *sources]))


def _caveats(sample: Sample) -> list[str]:
    lines = []
    for one in (*sample.scores, *sample.baselines):
        assert one.metric is not None
        lines += [f"- {code(one.metric.name)}: {plain(text, LONG)}" for text in one.warnings]
    beside = [one for one in sample.scores if _is_beside(one)]
    if beside:
        names = ", ".join(code(one.metric.name) for one in beside if one.metric is not None)
        lines.append(
            f"- Values of {names} lie outside their intervals: rows that are drawn twice make classes look tighter "
            "than they are. Read the width, not the ends."
        )
    for one in sample.skipped:
        assert one.metric is not None
        lines.append(f"- Not computed: {code(one.metric.name)} ({plain(one.reason, LONG)})")
    return ["Before trusting them:", "", *lines] if lines else []


def _is_beside(record: Record) -> bool:
    return any(not low <= record.terms[term] <= high for term, (low, high) in record.interval.items())


def _how(sample: Sample) -> list[str]:
    if not sample.records:
        return []
    found = reproduction(sample)
    if found is None:
        return ["These records were not made by `hf-transfer-score rank`, so no single call of it makes them again."]
    notes = [f"- {plain(note, LONG)}" for note in found.notes]
    return ["To measure it again:", "", *fenced(found.shown, "bash"), *(["", *notes] if notes else [])]
