"""What happened: the rounds of a choice, who is in, who went and why, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hf_transfer_score.choosing.options import Budget
from hf_transfer_score.text import rough_duration

Stage = Literal["facts", "rows", "race", "proof"]


@dataclass
class Spent:
    """What a choice cost so far.

    Attributes:
        seconds: of forward passes and of training, whenever they were run.
        tunings: fine-tunings of one candidate by the whole recipe that this is worth.
        rows: forward passes of one example.
        passes: of training, over all candidates and learning rates.
    """

    seconds: float = 0.0
    tunings: float = 0.0
    rows: int = 0
    passes: int = 0

    def of(self, budget: Budget) -> float:
        """Return it in the unit of a budget."""
        return self.seconds if budget.unit == "seconds" else self.tunings

    def __str__(self) -> str:
        """Return it in words."""
        return f"{rough_duration(self.seconds)}, {self.tunings:.2f} fine-tunings"


@dataclass(frozen=True)
class Round:
    """One round of a choice.

    Attributes:
        stage: "facts" before any weights, "rows" for forward passes, "race" for fine-tuning, "proof" for the test rows.
        words: what was done, such as "256 rows" or "4 passes".
        inside: who is in afterwards, the most promising first.
        gone: who went, and why.
        first: the most promising.
        chance: probability that nobody is better than that one by more than the points that do not matter.
        gain: points of accuracy that certainty about who is best would be worth.
        spent: in words.
        accuracies: of those that are being trained, the best so far on the validation rows.
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
    """How a finalist came along at one learning rate.

    Attributes:
        name: of the candidate.
        rate: the learning rate; None where none is raced, as of probes.
        accuracies: on the validation rows, after each pass.
        ended: whether nothing more is to be trained.
    """

    name: str
    rate: float | None
    accuracies: tuple[float, ...]
    ended: bool


class ChooseListener:
    """Hears how a choice goes on; nothing by default."""

    def stage(self, words: str) -> None:
        """Something is being done."""

    def ended(self, found: Round) -> None:
        """A round is done."""
