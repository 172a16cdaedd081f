"""What the chart of a race shows: one curve of each finalist, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_transfer_score.choosing.race import doubling
from hf_transfer_score.drawing.race_chart import Curves, RaceCurve
from hf_transfer_score.drawing.words import printable

if TYPE_CHECKING:
    from hf_transfer_score.choosing.history import LearningCurve
    from hf_transfer_score.choosing.result import Choice


def drawn_race(choice: Choice) -> Curves:
    """Return the race of a choice: the winner first, then who was in at the end, then who went, the last one first."""
    rounds = [found for found in choice.history if found.stage == "race"]
    gone = {name: printable(why) for found in rounds for name, why in found.gone.items()}
    last = rounds[-1].inside if rounds else ()
    names = dict.fromkeys([choice.winner, *last, *reversed(gone), *(one.name for one in choice.curves)])
    best = {name: _best(choice, name) for name in names if name is not None}
    curves = tuple(
        RaceCurve(printable(one.name), one.accuracies, one.rate, gone.get(one.name), one.ended)
        for one in best.values()
        if one is not None
    )
    known, proof = choice.accuracy, ""
    if known is not None:
        share = f"{known.value:.1%} ({known.low:.1%} to {known.high:.1%})"
        proof = f"It has {share} of {len(choice.test):,} test rows right, which had no part in the choice."
    return Curves(
        curves,
        tuple(doubling(choice.recipe.epochs)),
        won=choice.winner is not None and not choice.interrupted,
        dataset=printable(choice.ranking.dataset),
        proof=proof,
    )


def _best(choice: Choice, name: str) -> LearningCurve | None:
    """Return the curve of a candidate at its best learning rate."""
    own = [one for one in choice.curves if one.name == name]
    if name == choice.winner:
        own = [one for one in own if one.rate == choice.rate] or own
    return max(own, key=lambda one: max(one.accuracies), default=None)
