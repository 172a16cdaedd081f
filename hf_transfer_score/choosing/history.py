"""The history of a choice: its rounds, who is still in, who was dropped and why, and what it cost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from hf_transfer_score.choosing.options import Budget
from hf_transfer_score.text import joined, rough_duration

Stage = Literal["facts", "rows", "race", "proof"]


@dataclass
class Spent:
    """What a choice has cost so far: seconds of forward passes and training, whenever they ran; the same in tunings.

    A tuning is the fine-tuning of one candidate by the whole recipe. `rows` counts forward passes of one example,
    `passes` the training epochs, over all candidates and learning rates.
    """

    seconds: float = 0.0
    tunings: float = 0.0
    rows: int = 0
    passes: int = 0

    def of(self, budget: Budget) -> float:
        """Return it in the unit of a budget."""
        return self.seconds if budget.unit == "seconds" else self.tunings

    def __str__(self) -> str:
        return f"{rough_duration(self.seconds)}, {self.tunings:.2f} fine-tunings"


@dataclass(frozen=True)
class Round:
    """One round of a choice.

    Attributes:
        stage: "facts" before any weights, "rows" for forward passes, "race" for fine-tuning, "proof" for the test rows.
        words: what was done, such as "256 rows" or "4 epochs".
        inside: the candidates that are still in, the most promising first.
        gone: the candidates that were dropped, with the reason.
        first: the most promising candidate.
        chance: probability that no candidate is better than the first by more than `within` points.
        gain: points of accuracy to be gained by knowing the best candidate for certain.
        spent: what the choice has cost so far, in words.
        accuracies: best accuracy so far on the validation rows, of the candidates that are being trained.
    """

    stage: Stage
    words: str
    inside: tuple[str, ...]
    gone: Mapping[str, str] = field(default_factory=dict)
    first: str | None = None
    chance: float | None = None
    gain: float | None = None
    spent: str = ""
    accuracies: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LearningCurve:
    """The learning curve of a finalist at one learning rate.

    Attributes:
        name: of the candidate.
        rate: the learning rate; None for a probe.
        accuracies: on the validation rows, after each epoch.
        ended: whether the training is complete.
    """

    name: str
    rate: float | None
    accuracies: tuple[float, ...]
    ended: bool


class ChooseListener:
    """Is told how a choice proceeds; does nothing by default."""

    def stage(self, words: str) -> None:
        """Called when a step begins."""

    def ended(self, found: Round) -> None:
        """Called after each round."""


def summary(found: Round, show: Callable[[str], str] = str) -> str:
    """Return a round in one line.

    Example:
        >>> summary(Round("race", "4 epochs", ("a", "b"), {"c": "slow"}, "a", 0.8, None, "1 s"))
        '4 epochs: a and b are left; a is good enough with probability 80%; spent 1 s; dropped: c (slow)'
    """
    few, more = [show(name) for name in found.inside[:3]], len(found.inside) - 3
    names = f"{', '.join(few)} and {more} more" if more > 0 else joined(few)
    if found.stage == "proof":
        parts = [f"tested {names}"]
    else:
        parts = [f"{names} {'is' if len(few) == 1 else 'are'} left" if few else "no candidate is left"]
    if found.first is not None and found.chance is not None:
        sure = f"{show(found.first)} is good enough with probability {found.chance:.0%}"
        parts.append(sure if found.gain is None else f"{sure}, going on can gain {found.gain:.1f} points")
    parts += [f"spent {found.spent}"] if found.spent else []
    reasons: dict[str, list[str]] = {}
    for name, why in found.gone.items():
        reasons.setdefault(why, []).append(show(name))
    if reasons:
        parts.append(f"dropped: {', '.join(f'{joined(some)} ({why})' for why, some in reasons.items())}")
    return f"{found.words}: {'; '.join(parts)}"
