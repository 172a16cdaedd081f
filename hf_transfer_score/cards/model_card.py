"""The section of a model's card, a whole card with it, and pushing it to the model's page; and the card of a metric."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_transfer_score.cards.evidence import (
    SAMPLE_DEFAULTS,
    Evidence,
    KnownAccuracy,
    Sample,
    chosen_options,
    dataset_title,
    direction,
    known_metric,
    reproduction,
    setting,
)
from hf_transfer_score.cards.metadata import merged_card, model_index, model_name
from hf_transfer_score.errors import HubError, OptionError
from hf_transfer_score.metrics.registry import NEED_REASONS, Metric
from hf_transfer_score.records.place import HubPlace, PlaceView, existing
from hf_transfer_score.records.record import Record, RecordedDataset
from hf_transfer_score.text import HUB_ID, code, joined, markdown, number, one_line, plain
from hf_transfer_score.untrusted import RESULT_BYTES

LONG = 400
"""Letters of a reason or a warning at most."""

RESULT_LINES = 3
"""Lines of results at the top of a section."""

METHODS = {
    "full": "all weights fine-tuned",
    "lora": "low-rank adapters (LoRA) beside frozen layers, and the classifier",
    "probe": "a linear classifier on frozen features; no weight of the model was changed",
}
"""Ways of measuring an accuracy."""

SHOWN_DETAILS = ("quantize", "max_length", "preprocessing", "architecture", "features")


def model_card(evidence: Evidence, existing: str = "", *, metadata: bool = True) -> str:
    """Return a card, a new one or the existing one, with the section of a model and its terms as metadata."""
    before = existing if existing.strip() else f"# {plain(evidence.model)}\n"
    results = model_index(evidence) if metadata else None
    return merged_card(before, model_section(evidence), results, name=model_name(evidence.model))


def model_section(evidence: Evidence) -> str:
    """Return the section for a model's card, between two marks that find it again."""
    from markupsafe import Markup

    scores = [record for sample in evidence.samples for record in sample.scores]
    known = [known_metric(one.metric) for one in scores if one.metric is not None]
    groups = _by_dataset(evidence.samples)
    return markdown(
        "model_section.md.jinja",
        model=evidence.model,
        source=evidence.source if evidence.source and HUB_ID.fullmatch(evidence.source) else None,
        published=bool(scores) and all(one.source for one in scores),
        alone=not scores and any(sample.truths for sample in evidence.samples),
        lines=[Markup(line) for line in _result_lines(evidence, groups)],  # noqa: S704  # all their parts are escaped
        datasets=groups,
        citations=bibtex(metric for metric in known if metric is not None),
        methods=METHODS,
        long=LONG,
    )


def _result_lines(evidence: Evidence, groups: Sequence[Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """Yield the three lines at the top of a card, as Markdown: one per dataset, or all about a single one."""
    for parts in groups[: RESULT_LINES if len(groups) <= RESULT_LINES else RESULT_LINES - 1]:
        dataset = parts[0]["sample"].dataset
        title = dataset_title(dataset)
        yield f"On {code(title) if title == dataset.id else plain(title)}: {_result(parts[0])}"
    if len(groups) > RESULT_LINES:
        yield f"{len(groups) - RESULT_LINES + 1} more datasets follow below."
    truths = [one for sample in evidence.samples for one in sample.truths]
    if len(groups) == 1 and not (truths and _result(groups[0][0]) == _accuracy(truths[0])):
        yield _accuracy(truths[0]) if truths else "Its accuracy after fine-tuning has not been measured here."
    if len(groups) < RESULT_LINES:
        yield "A forecast or a score is not an accuracy, and the place changes with the pool."


def _result(part: Mapping[str, Any]) -> str:
    """Return what one sample says about the model, in a sentence."""
    sample, standing = part["sample"], part["standing"]
    if standing is not None and standing.expected:
        return f"**{plain(standing.expected, LONG)}**"
    if standing is not None:
        return f"**place {standing.rank} of {standing.models}**, by {joined([code(one) for one in standing.headline])}."
    if sample.failures:
        return f"it could not be scored ({plain(sample.failures[0].kind or 'failed')})."
    if sample.scores:
        return f"{len(sample.scores)} metrics, and no other model on this sample to compare it with."
    return _accuracy(sample.truths[0]) if sample.truths else "nothing could be computed."


def _accuracy(one: KnownAccuracy) -> str:
    """Return a measured accuracy in a sentence."""
    how = f" ({code(one.how)})" if one.how else ""
    mean = f", mean of {len(one.values)} seeds" if len(one.values) > 1 else ""
    return f"Measured {plain(one.metric.name)}{how}: **{number(one.mean)}**{mean}."


def _by_dataset(samples: Sequence[Sample]) -> list[list[dict[str, Any]]]:
    """Return the parts of the card, one per sample, grouped by dataset."""
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for sample in samples:
        dataset = sample.dataset
        key = (dataset.task, dataset.id, dataset.config or "", dataset.split or "")
        found.setdefault(key, []).append(_part(sample))
    return list(found.values())


def _part(sample: Sample) -> dict[str, Any]:
    """Return what the card says about one sample besides the facts in its records."""
    read, dataset, standing = sample.model, sample.dataset, sample.standing
    named = [(one, one.metric.name) for one in (*sample.scores, *sample.baselines) if one.metric is not None]
    rows = [row for one, _ in named for row in _rows(one, sample)]
    ranked = standing is not None and standing.rank is not None and standing.models > 1
    features = {"read by": read.library, "layer": read.layer, "pooling": read.pooling, "precision": read.dtype}
    days = sorted({one.run.time[:10] for one in sample.records})
    levels = {one.interval_level for one in sample.records if one.interval}
    level = levels.pop() if len(levels) == 1 else None
    beside = [  # metrics with a value outside its interval
        name
        for one, name in named
        if one in sample.scores
        and any(not low <= one.terms[term] <= high for term, (low, high) in one.interval.items())
    ]
    return {
        "sample": sample,
        "title": dataset_title(dataset),
        "terms": sum(len(one.terms) for one in (*sample.scores, *sample.baselines)),
        "standing": standing if ranked else None,
        "options": {name: value for name, value in dataset.options.items() if _tells(name, value, dataset)},
        "features": {name: value for name, value in features.items() if value},
        "details": {name: read.details[name] for name in SHOWN_DETAILS if read.details.get(name) is not None},
        "days": " to ".join(dict.fromkeys([*days[:1], *days[-1:]])),
        "versions": _versions(sample.records),
        "sources": list(dict.fromkeys(one.source for one in sample.records if one.source)),
        "rows": rows,
        "intervals": any(row["ends"] for row in rows) and (f"{100 * level:g} % interval" if level else "Interval"),
        "places": any(row["place"] for row in rows),
        "warnings": list(dict.fromkeys((name, text) for one, name in named for text in one.warnings)),
        "beside": beside,
        "again": reproduction(sample) if sample.records else None,
    }


def _tells(name: str, value: Any, dataset: RecordedDataset) -> bool:
    """Whether a sampling option is worth showing: it was given, and matters for such a dataset."""
    if name in ("ignore_values", "rows_per_example") and dataset.rows == dataset.examples:
        return bool(value != SAMPLE_DEFAULTS[name])
    return value is not None and value is not False and value != []


def _versions(records: Sequence[Record]) -> str:
    if not records:
        return ""
    newest = max(records, key=lambda one: one.run.time).run
    libraries = ", ".join(f"{name} {version}" for name, version in newest.libraries.items())
    device = f" on {newest.device}" if newest.device else ""
    return one_line(f"hf-transfer-score {newest.version}{device}; {libraries}".rstrip("; "), LONG)


def _rows(record: Record, sample: Sample) -> Iterator[dict[str, Any]]:
    """Yield the terms of a record in the order of the metric, which files do not keep."""
    metric = record.metric
    assert metric is not None
    known = known_metric(metric)
    order = [one.name for one in known.terms] if known is not None else []
    place, models = sample.standing.places.get(setting(metric), (0, 0)) if sample.standing else (0, 0)
    names = sorted(record.terms, key=lambda name: order.index(name) if name in order else len(order))
    for name in names:
        first = name == names[0]
        yield {
            "metric": metric if first else None,
            "options": chosen_options(metric),
            "term": name,
            "value": record.terms[name],
            "ends": record.interval.get(name),
            "direction": direction(metric, name),
            "place": f"{place} of {models}" if first and models > 1 else "",
        }


README = "README.md"
TITLE = "Add transferability scores"


@dataclass(frozen=True)
class Pushed:
    """The outcome of a push, and the address of the pull request, or the commit.

    Attributes:
        state: "proposed" as a pull request, "pending" if an open one says the same, "written" or "unchanged".
    """

    state: str
    where: str


def push_card(
    evidence: Evidence,
    *,
    create_pr: bool = False,
    metadata: bool = True,
    files: Mapping[str, bytes] | None = None,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> Pushed:
    """Add the section and metadata of a model to its page, whose own text stays.

    Args:
        evidence: what is known about the model.
        create_pr: propose it as a pull request, which needs no write access.
        metadata: whether the terms are added to the card's metadata too.
        files: other files by path, for the same commit.
        token: for the Hub; None for the one that its client finds.
        endpoint: a Hub other than HF_ENDPOINT.
    """
    if HUB_ID.fullmatch(evidence.model) is None:
        raise OptionError(
            f"{evidence.model!r} is not a model on the Hub, so it has no page: expected OWNER/NAME. "
            "Write its card to a file instead."
        )
    place = HubPlace(evidence.model, repo_type="model", create_pr=create_pr, token=token, endpoint=endpoint)
    wanted: dict[str, bytes] = {}

    def change(view: PlaceView) -> Mapping[str, bytes]:
        there = view.read([README, *(files or {})])
        card = model_card(evidence, _text(there.get(README, b""), evidence.model), metadata=metadata).encode()
        wanted.clear()
        wanted.update({path: new for path, new in {README: card, **(files or {})}.items() if there.get(path) != new})
        return wanted

    view = existing(place)
    change(view)
    if not wanted:
        return Pushed("unchanged", view.version)
    if create_pr:
        for revision, url in place.pull_requests(TITLE):  # an open one of ours that says the same
            if place.contents(revision, wanted) == wanted:
                return Pushed("pending", url)
    done = place.update(change, title=TITLE)
    return Pushed(("proposed" if create_pr else "written") if wanted else "unchanged", done)


def _text(content: bytes, model: str) -> str:
    if len(content) > RESULT_BYTES:
        raise HubError(
            f"{README} of {model} has more than {RESULT_BYTES:,} bytes: too many to read, so nothing can be added."
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise HubError(f"{README} of {model} is not UTF-8, so nothing can be added without damaging it.") from None


ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
YEAR = re.compile(r"\b(?:19|20)\d\d\b")


def metric_card(metric: Metric, words: Any) -> str:
    """Return the card of a metric as Markdown with metadata; the words are those of `metric_guide`."""
    needs = [NEED_REASONS[need].removeprefix("needs ") for need in metric.needs]
    citation = bibtex([metric])
    return markdown("metric_card.md.jinja", metric=metric, words=words, needs=needs, citation=citation, long=2000)


def bibtex(metrics: Iterable[Metric]) -> str:
    """Return one entry per paper, without trivial baselines.

    Example:
        >>> from hf_transfer_score.metrics.registry import get_metric
        >>> print(bibtex([get_metric("transrate")]))
        @misc{transferability-transrate,
          howpublished = {Huang et al., Frustratingly easy transferability estimation, ICML 2022, arXiv:2106.09362},
          year = {2022},
          eprint = {2106.09362},
          archivePrefix = {arXiv},
          url = {https://arxiv.org/abs/2106.09362}
        }
    """
    first: dict[str, str] = {}
    for metric in metrics:
        if not metric.baseline:
            first.setdefault(metric.citation, metric.name)
    return "\n\n".join(_entry(name, citation) for citation, name in first.items())


def _entry(name: str, citation: str) -> str:
    text = " ".join(citation.replace("{", "(").replace("}", ")").replace("\\", "/").split())
    text = re.sub(r"([%&#$_])", r"\\\1", text)  # BibTeX reads these as text
    lines = [f"howpublished = {{{text}}}"]
    year = YEAR.findall(ARXIV.sub("", citation))
    if year:
        lines.append(f"year = {{{year[-1]}}}")
    paper = ARXIV.search(citation)
    if paper:
        number = paper.group(1)
        lines += [f"eprint = {{{number}}}", "archivePrefix = {arXiv}", f"url = {{https://arxiv.org/abs/{number}}}"]
    inside = ",\n  ".join(lines)
    return f"@misc{{transferability-{re.sub(r'[^A-Za-z0-9_-]', '-', name)},\n  {inside}\n}}"
