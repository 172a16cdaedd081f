"""How long a verification takes, as its first passes over the training rows tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.text import rough_duration

STEP_COST = 3
"""A training step takes as long as so many forward passes of its rows: one forward, and one backward worth two."""

STEADY = 2
"""The pass whose time counts where there are several: in the first one examples are decoded and encoded too."""


@dataclass(frozen=True)
class ExpectedTime:
    """How long the measurements take that were not made before.

    Attributes:
        seconds: altogether, if no learning rate stops early.
        models: that are fine-tuned.
        seeds: that each is measured with.
        measurements: of models times seeds, those that were not made before.
        rates: learning rates that are tried each time; 0 for a probe.
        passes: of each learning rate at most.
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
            about 6 min at most for 4 models x 3 seeds x 2 learning rates of up to 30 passes
        """
        parts = [_counted(self.models, "model"), _counted(self.seeds, "seed")]
        parts += [_counted(self.rates, "learning rate")] if self.rates else []
        most = " at most" if self.passes > 1 else ""
        each = f" of up to {self.passes} passes" if self.passes > 1 else ""
        before = self.models * self.seeds - self.measurements
        known = f" ({before} of {self.models * self.seeds} measured before)" if before else ""
        return f"about {rough_duration(self.seconds)}{most} for {' x '.join(parts)}{each}{known}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class RowCounts:
    """How many rows are trained on, chosen by and tested on."""

    trained: int
    chosen: int
    tested: int


class Pace:
    """Listens to the first passes, and says once how long everything takes.

    Models differ in what a pass of them takes; it is taken to be in proportion to the time that the ranking needed to
    read their features, or to their parameters where that is not known.
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
        """Take the models by name, and how many measurements of each are waiting."""
        self._models, self._waiting, self._recipe, self._rows = models, waiting, recipe, rows
        self._seeds, self._tell, self._told = seeds, tell, False
        self._heard: dict[str, int] = {}

    @property
    def passes(self) -> int:
        """Passes of one learning rate at most."""
        if self._recipe.method == "probe":
            return 1
        steps = math.ceil(self._rows.trained / self._recipe.batch_size)
        most = self._recipe.steps
        return self._recipe.epochs if most is None else min(self._recipe.epochs, math.ceil(most / steps))

    def after_pass(self, name: str, seconds: float) -> None:
        """Take the time of a pass of a model, the evaluation behind it included."""
        self._heard[name] = self._heard.get(name, 0) + 1
        if self._heard[name] < min(STEADY, self.passes):
            return
        rows, rates = self._rows, len(self._recipe.learning_rates)
        row = seconds / (STEP_COST * rows.trained + rows.chosen)
        self._say(name, rates * self.passes * seconds + row * (rows.trained + rows.tested), rates)

    def after_probe(self, name: str, seconds: float) -> None:
        """Take the time of the whole measurement of a probe."""
        if self._recipe.method == "probe":
            self._say(name, seconds, 0)

    def _say(self, name: str, measurement: float, rates: int) -> None:
        """Say what everything takes, by the time that one measurement of a model takes."""
        count = sum(self._waiting.values())
        if self._told or count * max(rates, 1) * self.passes < STEADY:
            return  # what was just timed is all there is
        self._told = True
        seconds = sum(measurement * self._beside(one, name) * number for one, number in self._waiting.items())
        models = len(self._waiting)
        self._tell(ExpectedTime(seconds, models, self._seeds, count, rates, self.passes))

    def _beside(self, name: str, timed: str) -> float:
        """Return how many times as long a model takes as the one that was timed."""
        one, other = self._models[name], self._models[timed]
        times = one.extraction.get("seconds"), other.extraction.get("seconds")
        for mine, known in (times, (one.parameters, other.parameters)):
            if mine and known:
                return float(mine) / float(known)
        return 1.0
