"""Why a model is expected to come out as it is, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hf_transfer_score.ranking.effects import Known
from hf_transfer_score.ranking.history import Relations
from hf_transfer_score.text import joined

WORDS = {
    "family": "its family",
    "architecture": "its architecture",
    "base_model": "being based on",
    "pretrained_on": "training on",
}
"""What models have in common, in the order of the groups of properties; the size comes after them."""

SAID, STRONG, SLIGHT = 0.05, 0.5, 0.2
"""Normal scores from which a part is told, from which it is strong, and up to which it is slight."""

RISKY, MOST_REASONS, NAMED_METRICS = 0.1, 5, 3


def reasons_of(
    place: int,
    known: Known,
    relations: Relations,
    metrics: Mapping[str, float],
    *,
    measured: int,
    rate: float,
    accuracy: float | None,
) -> tuple[str, ...]:
    """Return what the forecast of a model is based on, the largest part first.

    Args:
        place: of the model in what is known.
        known: what other datasets say of the pool.
        relations: what it has in common with others.
        metrics: the part of each metric of this dataset.
        measured: on how many other datasets it was.
        rate: how often networks like it do not learn.
        accuracy: measured on this dataset.
    """
    parts = list(_elsewhere(place, known, relations, measured))
    if metrics:
        parts.append((sum(metrics.values()), _of_metrics(metrics)))
    parts.sort(key=lambda one: -abs(one[0]))
    said = [told(part, words) for part, words in parts if abs(part) >= SAID]
    if rate >= RISKY:
        said.append(f"networks like it fail to learn in {rate:.0%} of the runs")
    if accuracy is not None:
        said.insert(0, f"measured here: {accuracy:.1%}")
    return tuple(said[:MOST_REASONS]) or ("nothing is known that sets it apart",)


def told(part: float, words: str) -> str:
    """Return a part in words.

    Example:
        >>> told(-0.6, "its size")
        'its size speaks strongly against it'
    """
    size = "strongly " if abs(part) >= STRONG else "slightly " if abs(part) <= SLIGHT else ""
    verb = "speak" if words.startswith("the metrics") else "speaks"
    return f"{words} {verb} {size}{'for' if part > 0 else 'against'} it"


def _elsewhere(place: int, known: Known, relations: Relations, measured: int) -> Iterator[tuple[float, str]]:
    for kind, name in enumerate(WORDS):
        value = getattr(relations, name)
        if value and known.by_group.size:
            yield float(known.by_group[kind, place]), f"{WORDS[name]} {value}"
    if relations.parameters and known.by_group.size:
        yield float(known.by_group[-1, place]), "its size"
    if measured:
        yield float(known.own[place]), f"its own accuracy on {measured} other dataset{'s' * (measured > 1)}"


def _of_metrics(metrics: Mapping[str, float]) -> str:
    """Return how the metrics of this dataset are named: those that say most of what all say together."""
    sign = 1 if sum(metrics.values()) >= 0 else -1
    most: Sequence[str] = sorted(metrics, key=lambda name: -sign * metrics[name])[:NAMED_METRICS]
    if len(metrics) == 1:
        return f"{most[0]} on this dataset"
    alike = [name for name in most if sign * metrics[name] > 0]
    return f"the metrics on this dataset ({joined(alike)}{' most' * (len(alike) < len(metrics))})"
