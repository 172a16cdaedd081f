"""The options of a choice: its budget, how sure it has to be, and how candidates are fine-tuned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from hf_transfer_score.errors import OptionError, check_known, check_least
from hf_transfer_score.finetune.recipe import Recipe, check_changes, default_recipe
from hf_transfer_score.tasks import Modality

RacedMethod = Literal["full", "layer", "scl", "lora", "probe"]
RACED: tuple[str, ...] = get_args(RacedMethod)

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|d(?:ays?)?)")
TUNINGS = re.compile(r"(\d+(?:\.\d+)?)\s*fine-?\s?tunings?")

FIRST_ROWS, GROWTH = 256, 4
"""Rows that each candidate reads first, and how many times as many come next."""


@dataclass(frozen=True)
class Budget:
    """What a choice may cost: seconds, or fine-tunings of one candidate by the whole recipe at all learning rates."""

    amount: float
    unit: Literal["seconds", "fine-tunings"]

    def __post_init__(self) -> None:
        check_known(self, unit=("seconds", "fine-tunings"))
        if not self.amount > 0:
            raise OptionError(f"amount={self.amount}: expected a number above 0.")

    @classmethod
    def of(cls, text: str | Budget) -> Budget:
        """Return the budget that a text stands for.

        Example:
            >>> Budget.of("20m").amount, str(Budget.of("2h")), str(Budget.of("3 fine-tunings"))
            (1200.0, '2 h', '3 fine-tunings')
        """
        if isinstance(text, Budget):
            return text
        bare = str(text).strip().lower()
        time, tunings = TIME.fullmatch(bare), TUNINGS.fullmatch(bare)
        if time and float(time[1]) > 0:
            return cls(float(time[1]) * SECONDS[time[2][0]], "seconds")
        if tunings and float(tunings[1]) > 0:
            return cls(float(tunings[1]), "fine-tunings")
        raise OptionError(f'budget={text!r}: expected a time such as 20m or 2h, or a number such as "3 fine-tunings".')

    def __str__(self) -> str:
        if self.unit == "fine-tunings":
            return f"{self.amount:g} fine-tuning{'' if self.amount == 1 else 's'}"
        unit = next(name for name in ("d", "h", "m", "s") if self.amount >= SECONDS[name] or name == "s")
        words = {"d": "d", "h": "h", "m": "min", "s": "s"}
        return f"{self.amount / SECONDS[unit]:g} {words[unit]}"


@dataclass(frozen=True)
class ChooseOptions:
    """How one of many candidates is chosen.

    Attributes:
        budget: what it may cost: a time such as 20m or 2h, or "3 fine-tunings" of one candidate by the whole recipe.
        within: points of accuracy that do not matter to you.
        confidence: how sure it has to be that no candidate is better by more than `within` points.
        method: how the winner is trained: "full", "layer", "scl" or "lora" fine-tuning, or a "probe".
        recipe: the training recipe; None for the default of the modality and method.
        changes: fields of that default by name, with their new values.
        first_rows: rows that each candidate reads first; the next step reads four times as many.
        looks: candidates whose weights are read at most; if there are more, those most likely to be the best.
        licenses: only candidates with one of these licences take part; empty for any licence.
        seed: of the order of rows, and of dropout.
        test_split: the split to test on; None for one called test or validation, else the rows outside the sample.
        test_samples: test rows at most.
    """

    budget: str | Budget = "3 fine-tunings"
    within: float = 0.5
    confidence: float = 0.9
    method: RacedMethod = "full"
    recipe: Recipe | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    first_rows: int = FIRST_ROWS
    looks: int = 100
    licenses: tuple[str, ...] = ()
    seed: int = 0
    test_split: str | None = None
    test_samples: int = 1000

    def __post_init__(self) -> None:
        Budget.of(self.budget)
        check_known(self, method=RACED)
        check_least(self, first_rows=16, looks=1, test_samples=1)
        if not 0 <= self.within <= 50:
            raise OptionError(f"within={self.within:g}: expected points of accuracy from 0 to 50.")
        if not 0.5 <= self.confidence < 1:
            raise OptionError(f"confidence={self.confidence:g}: expected a probability from 0.5 to below 1.")
        if self.recipe is not None and self.recipe.method not in RACED:
            raise OptionError(f"The recipe has the method {self.recipe.method!r}: expected one of {', '.join(RACED)}.")
        check_changes(self.changes, self.recipe.method if self.recipe else self.method)

    def recipe_for(self, modality: Modality) -> Recipe:
        """Return the recipe for a modality; a probe counts as one epoch."""
        found = replace(self.recipe or default_recipe(modality, self.method), **self.changes)
        return replace(found, epochs=1, learning_rates=(1.0,)) if found.method == "probe" else found
