"""How long a verification will take, estimated from its first epochs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.text import rough_duration

STEP_COST = 3
"""A training step costs as much as this many forward passes of its rows: one forward, and one backward worth two."""

STEADY = 2
"""The epoch whose time counts: in the first one, examples are also decoded and encoded."""


@dataclass(frozen=True)
class ExpectedTime:
    """How long the measurements that are still to be made will take.

    Attributes:
        seconds: in total, if no learning rate stops early.
        models: how many are fine-tuned.
        seeds: how many seeds each is measured with.
        measurements: how many of models times seeds are still to be made.
        rates: how many learning rates are tried each time; 0 for a probe.
        passes: epochs of each learning rate at most.
    """

    seconds: float
    models: int
    seeds: int
    measurements: int
    rates: int
    passes: int

    def __str__(self) -> str:
        """Return it as a sentence.

        Example:
            >>> print(ExpectedTime(372.0, 4, 3, 12, 2, 30))
            about 6 min at most for 4 models x 3 seeds x 2 learning rates of up to 30 epochs
        """
        counts = {"model": self.models, "seed": self.seeds, "learning rate": self.rates}
        parts = [f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items() if count]
        most, each = (" at most", f" of up to {self.passes} epochs") if self.passes > 1 else ("", "")
        before = self.models * self.seeds - self.measurements
        known = f" ({before} of {self.models * self.seeds} measured before)" if before else ""
        return f"about {rough_duration(self.seconds)}{most} for {' x '.join(parts)}{each}{known}"


@dataclass(frozen=True)
class RowCounts:
    """How many rows are for training, validation and testing."""

    trained: int
    chosen: int
    tested: int


class Pace:
    """Times the first epochs, and reports once how long everything will take.

    The time of other models is assumed to be in proportion to the time of their features, or to their parameters where
    that is not known.
    """

    def __init__(
        self,
        models: Mapping[str, RankedModel],
        waiting: Mapping[str, int],
        recipe: Recipe,
        rows: RowCounts,
        seeds: int,
        tell: Callable[[ExpectedTime], None],
    ) -> None:
        """Take the models by name, and how many measurements of each are still to be made."""
        self._models, self._waiting, self._recipe, self._rows = models, waiting, recipe, rows
        self._seeds, self._tell, self._told = seeds, tell, False
        self._heard: dict[str, int] = {}

    @property
    def passes(self) -> int:
        """Epochs of one learning rate at most."""
        if self._recipe.method == "probe":
            return 1
        steps = math.ceil(self._rows.trained / self._recipe.batch_size)
        most = self._recipe.steps
        return self._recipe.epochs if most is None else min(self._recipe.epochs, math.ceil(most / steps))

    def after_pass(self, name: str, seconds: float) -> None:
        """Add the time of an epoch of a model, evaluation included."""
        self._heard[name] = self._heard.get(name, 0) + 1
        if self._heard[name] < min(STEADY, self.passes):
            return
        rows, rates = self._rows, len(self._recipe.learning_rates)
        row = seconds / (STEP_COST * rows.trained + rows.chosen)
        self._say(name, rates * self.passes * seconds + row * (rows.trained + rows.tested), rates)

    def after_probe(self, name: str, seconds: float) -> None:
        """Add the time of the whole measurement of a probe."""
        if self._recipe.method == "probe":
            self._say(name, seconds, 0)

    def _say(self, name: str, measurement: float, rates: int) -> None:
        """Report the total time, from the time of one measurement of a model."""
        count = sum(self._waiting.values())
        if self._told or count * max(rates, 1) * self.passes < STEADY:
            return  # nothing is left to be measured
        self._told = True
        seconds = sum(measurement * self._beside(one, name) * number for one, number in self._waiting.items())
        models = len(self._waiting)
        self._tell(ExpectedTime(seconds, models, self._seeds, count, rates, self.passes))

    def _beside(self, name: str, timed: str) -> float:
        """Return the time of a model as a multiple of the one that was timed."""
        one, other = self._models[name], self._models[timed]
        times = one.extraction.get("seconds"), other.extraction.get("seconds")
        for mine, known in (times, (one.parameters, other.parameters)):
            if mine and known:
                return float(mine) / float(known)
        return 1.0
