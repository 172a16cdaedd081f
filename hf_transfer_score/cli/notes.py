"""What to know before trusting scores, in short lines: failures, skipped metrics, flags and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.ranking.ranking import Ranking

SHOWN_NAMES = 3


class Note(NamedTuple):
    """One line: its kind in a word, and what it says."""

    kind: str
    text: str


def score_notes(ranking: Ranking) -> list[Note]:
    """Return the notes to some models; what is said of several models or metrics is said once."""
    return [
        *(Note("failed", f"{name}: {one.why}") for name, one in ranking.models.items() if one.why),
        *_skipped(ranking.models),
        *_flags(ranking),
        *_pairs(ranking),
        *_warnings(ranking.models),
    ]


def _skipped(models: Mapping[str, RankedModel]) -> Iterator[Note]:
    found: dict[str, list[str]] = {}
    for model, scores in models.items():
        for result in scores.results.values():
            if result.reason:
                found.setdefault(result.reason, []).append(model)
    scored = sum(scores.why is None for scores in models.values())
    for reason, where in found.items():
        yield Note("skipped", f"{reason}{_where(where, scored)}")


def _flags(ranking: Ranking) -> Iterator[Note]:
    found: dict[str, list[str]] = {}
    for metric, pool in ranking.pools.items():
        for term, reason in pool.flags.items():
            found.setdefault(reason, []).append(metric if term == metric else f"{metric}.{term}")
    for reason, terms in found.items():
        yield Note("flag", f"{_joined(terms, len(terms))}: {reason}; counts as 0 for all")


def _pairs(ranking: Ranking) -> Iterator[Note]:
    """Yield what to know of a pool of two, whose terms are scaled to 0 and 1 whatever their difference is."""
    scaled = [name for name, pool in ranking.pools.items() if any(len(terms) > 1 for terms in pool.scaled.values())]
    two = [name for name in scaled if len(ranking.pools[name].scores) == 2]
    if two:
        yield Note(
            "note",
            f"{_joined(two, len(two))}: in a pool of two, scaling makes any difference 0 against 1, however small; "
            "the raw terms tell how large it is (--terms)",
        )


def _warnings(models: Mapping[str, RankedModel]) -> Iterator[Note]:
    found: dict[str, list[tuple[str, str]]] = {}
    for model, scores in models.items():
        for metric, result in scores.results.items():
            for warning in result.warnings:
                found.setdefault(warning, []).append((metric, model))
    scored = sum(scores.why is None for scores in models.values())
    for warning, places in found.items():
        metrics, where = (list(dict.fromkeys(names)) for names in zip(*places, strict=True))
        about = f"{len(metrics)} metrics" if len(metrics) > SHOWN_NAMES else _joined(metrics, SHOWN_NAMES)
        yield Note("warning", f"{about}: {warning}{_where(where, scored)}")


def _where(models: Sequence[str], of: int) -> str:
    """Return which of the scored models a note is about, or nothing where it is about all."""
    return "" if len(models) == of else f" ({len(models)} of {of} models: {_joined(models, SHOWN_NAMES)})"


def _joined(names: Sequence[str], most: int) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
