"""What to do: the answer that a ranking gives, in sentences."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hf_transfer_score.ranking.forecast import LEVEL, ModelForecast
from hf_transfer_score.ranking.intervals import Interval
from hf_transfer_score.text import joined, short_count

if TYPE_CHECKING:
    from hf_transfer_score.ranking.ranking import Ranking

SHOWN_ALIKE = 3

MAY_BE_AS_GOOD = 0.25
"""Probability to be within one point of the best above which the answer names a model beside the first."""


def answer_of(ranking: Ranking) -> str:
    """Return what to do, and how sure it is."""
    if not ranking.ranks:
        return "No model could be ranked."
    return " ".join([*_cautions(ranking), *(_expected(ranking) if ranking.forecasts else [_on_this_sample(ranking)])])


def next_step(ranking: Ranking, dataset: str = "", typed: Mapping[str, str] | None = None) -> str | None:
    """Return the command that measures what the answer leaves open; None where that is nothing.

    Args:
        ranking: with a forecast.
        dataset: as it was typed; "" for the one that the ranking names.
        typed: how models were typed, by name, where that is not their name.
    """
    dataset = dataset or ranking.dataset
    if not dataset or len(ranking.ranks) < 2 or not ranking.forecasts:
        return None
    first, *_ = ranking.ranks
    names = [first, *_as_good(ranking)[:SHOWN_ALIKE]]
    if len(names) == 1:
        names = list(ranking.ranks)[:2]
    models = dict.fromkeys(ranking.models[name].model for name in names)
    told = " ".join(shlex.quote((typed or {}).get(model, model)) for model in models)
    return f"hf-transfer-score verify {shlex.quote(dataset)} --models {told}"


def place_told(one: ModelForecast, rank: int, models: int) -> str:
    """Return how one model of a pool is expected to come out, in a sentence.

    Args:
        one: its forecast.
        rank: its place in the order.
        models: how many have one.
    """
    if models < 2:
        return "It is the only one that could be ranked, so there is nothing to compare it with."
    (low, high), below, level = one.places, one.points_below_best, one.expected_accuracy
    places = f" ({min(low, rank)} to {max(high, rank)} in {LEVEL:.0%} of the cases)" if high > low else ""
    ends = f" ({below.low:.1f} to {below.high:.1f})" if below.high > below.low else ""
    said = [
        f"the best with probability {one.best_probability:.0%}",
        f"about {below.value:.1f} points{ends} below the best",
    ]
    if level is not None:
        said.insert(0, f"accuracy {_level(level)}")
    return f"Expected place {rank} of {models} after fine-tuning{places}: {', '.join(said)}."


def _level(level: Interval) -> str:
    """Return an expected accuracy, which has no interval where it was measured."""
    if level.high == level.low:
        return f"{level.value:.1%}, as measured here"
    return f"about {level.value:.0%} ({level.low:.0%} to {level.high:.0%})"


def _cautions(ranking: Ranking) -> Iterator[str]:
    """Yield what has to be said before a model is named."""
    probes, chance = {name: one for name, one in ranking.probes.items() if name in ranking.ranks}, ranking.chance
    if probes and chance is not None and all(one.low <= chance for one in probes.values()):
        yield (
            f"No model is surely better than always naming the most frequent class ({chance:.0%}): what their features "
            "say of these labels may be nothing."
        )
    elif ranking.forecasts and len(ranking.ranks) > 1:
        last = len(ranking.ranks)
        if all(one.places[0] == 1 and one.places[1] == last for one in ranking.forecasts.values()):
            yield "These models cannot be told apart by what is known of them."


def _on_this_sample(ranking: Ranking) -> str:
    """Return what to do by the order of the deciding metrics."""
    first, *others = ranking.ranks
    if not others:
        return _alone(ranking, first)
    place = f"it is first of {len(ranking.ranks)}"
    if ranking.confidence is None:
        return f"Fine-tune {first}: {place}; how sure that is, is not known without bootstrap samples or intervals."
    groups = ranking.confidence.groups
    alike = [name for name in others if first in groups and groups.get(name) == groups[first]]
    if not alike:
        return f"Fine-tune {first}: {place}, and ahead of all others on this sample."
    named = ", ".join(alike[:SHOWN_ALIKE]) + (f" and {len(alike) - SHOWN_ALIKE} more" * (len(alike) > SHOWN_ALIKE))
    return f"Fine-tune {first}: {place}; {named} may be as good, this sample cannot distinguish them."


def _alone(ranking: Ranking, name: str) -> str:
    """Return what can be said of a single model."""
    probe, failed = ranking.probes.get(name), len(ranking.models) > 1
    said = f"Only {name} could be ranked" if failed else f"{name} is the only candidate"
    said = f"{said}, so there is nothing to compare it with."
    if probe is not None:
        ends = f"{probe.low:.0%} to {probe.high:.0%}"
        said += f" A linear classifier on its features is right for {probe.value:.0%} ({ends})."
    return said if failed else f"{said} Name two or more models to have them ranked."


def _expected(ranking: Ranking) -> Iterator[str]:
    """Yield what to do by the forecast: the first, what may be as good, and what is smaller."""
    first, *others = ranking.ranks
    if not others:
        yield _alone(ranking, first)
        return
    one = ranking.forecasts[first]
    level = one.expected_accuracy
    about = f": {_level(level)}" if level else ""
    yield f"Fine-tune {first}{about}."
    near = _as_good(ranking)
    if near:
        more = f" and {len(near) - SHOWN_ALIKE} more" if len(near) > SHOWN_ALIKE else ""
        named = joined(near[:SHOWN_ALIKE]) if not more else ", ".join(near[:SHOWN_ALIKE]) + more
        each = "each within" if len(near) > 1 else "within"
        yield f"{named} may be as good ({each} 1 point of the best with probability above {MAY_BE_AS_GOOD:.0%})."
    else:
        yield f"It is the best with probability {one.best_probability:.0%}."
    smaller = _smaller(ranking, first, others)
    if smaller is not None:
        cost = max(ranking.forecasts[smaller].points_below_best.value - one.points_below_best.value, 0.0)
        size = ranking.models[smaller].parameters or 0
        yield f"On the smaller side {smaller} ({short_count(size)}) costs about {cost:.1f} points."


def _as_good(ranking: Ranking) -> list[str]:
    """Return the models after the first that may be as good."""
    return [name for name in list(ranking.ranks)[1:] if ranking.forecasts[name].near_best > MAY_BE_AS_GOOD]


def _smaller(ranking: Ranking, first: str, others: Sequence[str]) -> str | None:
    """Return the best model of at most half the size of the first one."""
    size = ranking.models[first].parameters
    if not size:
        return None
    return next((name for name in others if (ranking.models[name].parameters or size) <= size / 2), None)
