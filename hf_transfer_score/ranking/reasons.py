"""Why a model is expected to come out as it is, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hf_transfer_score.ranking.effects import Known
from hf_transfer_score.ranking.relations import Relations
from hf_transfer_score.text import joined

WORDS = {
    "family": "its family",
    "architecture": "its architecture",
    "base_model": "being based on",
    "pretrained_on": "training on",
}
"""What models have in common, in the order of the groups of properties; the size comes after them."""

SAID, STRONG, SLIGHT = 0.05, 0.5, 0.2
"""Normal scores from which a part is named, from which it is strong, and up to which it is slight."""

RISKY, MOST_REASONS, NAMED_METRICS = 0.1, 5, 3


def reasons_of(
    place: int,
    known: Known,
    relations: Relations,
    metrics: Mapping[str, float],
    *,
    measured: int,
    alike: float,
    kin: float,
    rate: float,
    accuracy: float | None,
) -> tuple[str, ...]:
    """Return what the forecast of a model is based on, the largest part first.

    Args:
        place: of the model in what is known.
        known: what other datasets say about the pool.
        relations: what it has in common with others.
        metrics: the part of each metric on this dataset.
        measured: the number of other datasets on which it was measured.
        alike: how much better it is expected to be on datasets that resemble this one.
        kin: what the accuracies of others on this dataset, above all of its family, say of it.
        rate: how often networks like it fail to learn.
        accuracy: measured on this dataset.
    """
    parts = [*_elsewhere(place, known, relations, measured), (alike, "what is known of datasets like this one")]
    if relations.kin and accuracy is None:
        parts.append((kin, "how models like it did here"))
    if metrics:
        parts.append((sum(metrics.values()), _metrics_part(metrics)))
    parts.sort(key=lambda one: -abs(one[0]))
    said = [in_words(part, words) for part, words in parts if abs(part) >= SAID]
    if rate >= RISKY:
        said.append(f"networks like it fail to learn in {rate:.0%} of runs")
    if accuracy is not None:
        said.insert(0, f"measured here: {accuracy:.1%}")
    return tuple(said[:MOST_REASONS]) or ("nothing is known that sets it apart",)


def in_words(part: float, subject: str) -> str:
    """Return how much a part counts, in words.

    Example:
        >>> in_words(-0.6, "its size")
        'its size counts strongly against it'
    """
    size = "strongly " if abs(part) >= STRONG else "slightly " if abs(part) <= SLIGHT else ""
    verb = "count" if subject.startswith("the metrics") else "counts"
    return f"{subject} {verb} {size}{'in its favour' if part > 0 else 'against it'}"


def _elsewhere(place: int, known: Known, relations: Relations, measured: int) -> Iterator[tuple[float, str]]:
    """Yield what other datasets say about a model, beside what they say about the pool on average."""
    beside = known.by_group[:, place] - known.by_group.mean(1)
    for kind, (name, words) in enumerate(WORDS.items()):
        value = getattr(relations, name)
        if value:
            yield float(beside[kind]), f"{words} {value}"
    if relations.parameters:
        yield float(beside[-1]), "its size"
    if measured:
        own = known.own[place] - known.own.mean()
        yield float(own), f"its own accuracy on {measured} other dataset{'s' * (measured > 1)}"


def _metrics_part(metrics: Mapping[str, float]) -> str:
    """Name the metrics that make up most of what all metrics say together."""
    if len(metrics) == 1:
        return f"{next(iter(metrics))} on this dataset"
    sign = 1 if sum(metrics.values()) >= 0 else -1
    most = sorted(metrics, key=lambda name: -sign * metrics[name])[:NAMED_METRICS]
    alike = [name for name in most if sign * metrics[name] > 0]
    return f"the metrics on this dataset ({'mainly ' * (len(alike) < len(metrics))}{joined(alike)})"
