"""What to do: the answer that a ranking gives, in sentences."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from hf_transfer_score.ranking.forecast import LEVEL, ModelForecast
from hf_transfer_score.ranking.intervals import Interval
from hf_transfer_score.text import joined, short_count

if TYPE_CHECKING:
    from hf_transfer_score.ranking.ranking import Ranking

SHOWN_ALIKE = 3

MAY_BE_AS_GOOD = 0.25
"""Chance to be within one point of the best above which the answer names a model beside the first."""

UNLIKELY = 0.02
"""Chance to be the best up to which a model need not be fine-tuned where others were measured."""


def answer_of(ranking: Ranking) -> str:
    """Return what to do, and how sure that is."""
    if not ranking.ranks:
        return "No model could be ranked."
    if len(ranking.ranks) == 1:
        advice = [_alone(ranking)]
    else:
        advice = list(_expected(ranking)) if ranking.forecasts else [_on_this_sample(ranking)]
    return " ".join([*_cautions(ranking), *advice])


def next_step(ranking: Ranking, dataset: str = "", typed: Mapping[str, str] | None = None) -> str | None:
    """Return the command that measures what the answer leaves open; None if there is nothing to measure.

    Args:
        ranking: with a forecast.
        dataset: as it was typed; "" for the one that the ranking names.
        typed: what was typed for each model, by name, where that is not its name.
    """
    dataset = dataset or ranking.dataset
    if not dataset or len(ranking.ranks) < 2 or not ranking.forecasts:
        return None
    names = _undecided(ranking)
    if not names:
        return None
    models = dict.fromkeys(ranking.models[name].model for name in names)
    arguments = shlex.join((typed or {}).get(model, model) for model in models)
    return f"hf-transfer-score verify {shlex.quote(dataset)} --models {arguments}"


def _undecided(ranking: Ranking) -> list[str]:
    """Return the models to fine-tune to be surer: the first, and what may be as good and has not been measured yet."""
    known, (first, second, *_) = ranking.forecasts, ranking.ranks
    if not any(one.measured for one in known.values()):
        return [first, *(_as_good(ranking)[:SHOWN_ALIKE] or [second])]
    likely = [name for name in ranking.ranks if not known[name].measured and known[name].best_probability > UNLIKELY]
    likely.sort(key=lambda name: -known[name].best_probability)
    names = list(dict.fromkeys([first, *likely[:SHOWN_ALIKE]])) if likely else []
    return names if len(names) != 1 else [first, second]


def place_sentence(one: ModelForecast, rank: int, models: int) -> str:
    """Return how one model of a pool is expected to come out, in a sentence.

    Args:
        one: its forecast.
        rank: its place in the order.
        models: how many models have a place.
    """
    if models < 2:
        return "It is the only one that could be ranked, so there is nothing to compare it with."
    (low, high), below = one.places, one.points_below_best
    places = f" ({min(low, rank)} to {max(high, rank)} in {LEVEL:.0%} of the cases)" if high > low else ""
    ends = f" ({below.low:.1f} to {below.high:.1f})" if below.high > below.low else ""
    accuracy = f"accuracy {_level(one)}, " if one.expected_accuracy else ""
    chance = f"{a_percentage(one.best_probability)} chance to be the best"
    return (
        f"Expected place {rank} of {models} after fine-tuning{places}: {accuracy}{chance}, "
        f"about {below.value:.1f} points{ends} below the best."
    )


def a_percentage(share: float) -> str:
    """Return a share in percent with its article.

    Example:
        >>> a_percentage(0.54), a_percentage(0.84), a_percentage(0.11)
        ('a 54%', 'an 84%', 'an 11%')
    """
    text = f"{share:.0%}"
    return f"{'an' if text.startswith('8') or text in ('11%', '18%') else 'a'} {text}"


def _level(one: ModelForecast) -> str:
    """Return an expected accuracy; without an interval it was measured, or probes of unknown size were all right."""
    level = cast("Interval", one.expected_accuracy)
    if level.high > level.low:
        value, low, high = (f"{one:.0%}" for one in level)
        if low == high:
            value, low, high = (f"{one:.1%}" for one in level)
        return f"about {value} ({low} to {high})"
    if level.value in (0, 1) and not one.measured:
        return f"about {level.value:.0%}, as far as this sample can show"
    return f"{level.value:.1%}, as measured here"


def _cautions(ranking: Ranking) -> Iterator[str]:
    """Yield what a reader has to know before a model is named."""
    last, chance = len(ranking.ranks), ranking.chance
    chances = [one.best_probability for one in ranking.forecasts.values()]
    probes = [one for name, one in ranking.probes.items() if name in ranking.ranks]
    if probes and chance is not None and all(one.low <= chance for one in probes):
        yield (
            f"No model is clearly better than always predicting the most frequent class ({chance:.0%}): their features "
            "may say nothing about these labels."
        )
    elif (
        not all(one.measured for one in ranking.forecasts.values())
        and max(chances) <= 1 - MAY_BE_AS_GOOD
        and (len({*ranking.ranks.values()}) == 1 or {one.places for one in ranking.forecasts.values()} == {(1, last)})
    ):
        yield "Too little is known about these models to distinguish them."


def _on_this_sample(ranking: Ranking) -> str:
    """Return what to do by the order of the deciding metrics."""
    first, *others = ranking.ranks
    place = f"Fine-tune {first}: it is first of {len(ranking.ranks)}"
    if ranking.confidence is None:
        return f"{place}. How sure that is cannot be known without bootstrap samples or intervals."
    groups = ranking.confidence.groups
    alike = [name for name in others if first in groups and groups.get(name) == groups[first]]
    if not alike:
        return f"{place}, and ahead of all others on this sample."
    return f"{place}. {joined(alike, SHOWN_ALIKE)} may be as good: this sample cannot distinguish them."


def _alone(ranking: Ranking) -> str:
    """Return what can be said about a single model."""
    (name,), failed = ranking.ranks, len(ranking.models) > 1
    start = f"Only {name} could be ranked" if failed else f"{name} is the only candidate"
    sentences = [f"{start}, so there is nothing to compare it with."]
    probe, known = ranking.probe_of(name), ranking.forecasts.get(name)
    if known is not None and known.measured and known.expected_accuracy:
        sentences.append(f"Its accuracy after fine-tuning is {_level(known)}.")
    if probe is not None:
        ends = f"{probe.low:.0%} to {probe.high:.0%}"
        sentences.append(f"A linear classifier on its features reaches an accuracy of {probe.value:.0%} ({ends}).")
    if not failed:
        sentences.append("A ranking takes two or more models.")
    return " ".join(sentences)


def _expected(ranking: Ranking) -> Iterator[str]:
    """Yield what to do by the forecast: the first, what may be as good, and what is smaller."""
    first, *others = ranking.ranks
    one = ranking.forecasts[first]
    yield f"Fine-tune {first}: {_level(one)}." if one.expected_accuracy else f"Fine-tune {first}."
    near = _as_good(ranking)
    if near:
        has = "each has" if len(near) > 1 else "it has"
        yield (
            f"{joined(near, SHOWN_ALIKE)} may be as good ({has} a chance above {MAY_BE_AS_GOOD:.0%} to come within "
            "1 point of the best)."
        )
    else:
        yield f"It has {a_percentage(one.best_probability)} chance to be the best."
    likeliest = max(others, key=lambda name: ranking.forecasts[name].best_probability)
    other = ranking.forecasts[likeliest]
    if other.best_probability > one.best_probability and likeliest not in near[:SHOWN_ALIKE]:
        yield (
            f"{likeliest} has the largest chance to be the best ({other.best_probability:.0%}), but may end "
            f"{other.points_below_best.high:.1f} points below it."
        )
    size = ranking.models[first].parameters or 0
    smaller = next((name for name in others if 0 < (ranking.models[name].parameters or size) <= size / 2), None)
    if smaller is not None:
        cost = max(ranking.forecasts[smaller].points_below_best.value - one.points_below_best.value, 0.0)
        count = short_count(ranking.models[smaller].parameters or 0)
        yield f"If a smaller model is needed, {smaller} ({count} parameters) costs about {cost:.1f} points."


def _as_good(ranking: Ranking) -> list[str]:
    """Return the models after the first that may be as good."""
    known = ranking.forecasts
    return [name for name in list(ranking.ranks)[1:] if known and known[name].near_best > MAY_BE_AS_GOOD]
