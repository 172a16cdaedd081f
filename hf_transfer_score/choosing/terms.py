"""What a race works with: arms and their states, where they are trained, the forecast, and the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hf_transfer_score.choosing.evidence import Floats
from hf_transfer_score.choosing.options import Budget

ROUNDS = (1 / 12, 1 / 3, 1 / 2, 2 / 3, 1.0)
"""Shares of all epochs after which finalists are compared. The first tells whether a learning rate fails, but hardly
how a candidate will end; most is told between a third and two thirds (`python -m benchmarks.choosing`)."""


class Arm(NamedTuple):
    """A candidate at one learning rate."""

    name: str
    rate: float


@dataclass(frozen=True)
class Leg:
    """The state of an arm.

    Attributes:
        accuracies: on the validation rows, after each epoch so far.
        right: the share of the states that count which are right on each row (N,), as `counted` says.
        seconds: spent on the epochs since the last round.
    """

    accuracies: tuple[float, ...]
    right: Floats
    ended: bool
    seconds: float = 0.0

    @property
    def level(self) -> float:
        """The accuracy of the states that count."""
        return float(self.right.mean())


class Track(Protocol):
    """Where arms are trained."""

    def run(self, arm: Arm, passes: int) -> Leg:
        """Train up to this number of epochs in total; raise CheckpointError if that is not possible."""

    def price(self, arm: Arm, budget: Budget) -> float:
        """Return the cost of one epoch, in the unit of a budget."""


class Forecast(Protocol):
    """The one forecast that every round updates."""

    @property
    def names(self) -> Sequence[str]:
        """All candidates that were in when the race began."""

    @property
    def absolute(self) -> bool:
        """Whether the level of accuracies was measured before the race."""

    def outcomes(self, drawn: Mapping[str, Floats]) -> Floats:
        """Return accuracies in each draw (P, draws), given draws for some of the candidates."""


@dataclass(frozen=True)
class Terms:
    """The rules of a race."""

    passes: int
    rates: tuple[float, ...]
    within: float
    confidence: float
    budget: Budget
    lost: float = 0.0

    @property
    def rounds(self) -> list[int]:
        """Numbers of epochs after which finalists are compared.

        Example:
            >>> Terms(30, (1e-3,), 0.5, 0.9, Budget(3, "fine-tunings")).rounds
            [2, 10, 15, 20, 30]
        """
        return compared_after(self.passes)


def compared_after(passes: int) -> list[int]:
    """Return the numbers of epochs after which finalists are compared."""
    return sorted({max(1, round(share * passes)) for share in ROUNDS})
