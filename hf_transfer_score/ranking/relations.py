"""What models have in common: family, architecture, base model, training data and size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.records.record import RecordedFacts

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

PROPERTIES = ("family", "architecture", "base_model", "pretrained_on")
"""What models have in common, beside their size."""

MOST_VALUES = 40
"""Values of a property that are used, the most frequent ones."""

USUAL_SIZE, SIZE_UNIT, SIZE_LIMIT = 8.0, 0.5, 3.0
"""Of the logarithm of the parameters: the middle, one unit, and the limit in units."""


@dataclass(frozen=True)
class Relations:
    """What a model has in common with others.

    Attributes:
        family: the kind of network.
        architecture: its class.
        base_model: the checkpoint that it was fine-tuned from.
        pretrained_on: the data it was trained on.
        parameters: the number of its parameters.
    """

    family: str | None = None
    architecture: str | None = None
    base_model: str | None = None
    pretrained_on: str | None = None
    parameters: int | None = None

    @property
    def kin(self) -> str | None:
        """What it is most alike: its family, or else its architecture."""
        return self.family or self.architecture

    @classmethod
    def of(cls, facts: RecordedFacts, parameters: int | None) -> Relations:
        """Return the relations that follow from facts about a model."""
        return cls(facts.family, facts.architecture, facts.base_model, facts.pretrained_on, parameters)

    def beside(self, other: Relations) -> Relations:
        """Return these relations, with those of another source for what is not known here."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Relations(*(theirs if mine is None else mine for mine, theirs in pairs))


UNKNOWN = Relations()


class Related:
    """What is known of models as numbers.

    Args:
        known: the relations of models by id; others are unknown.
    """

    def __init__(self, known: Mapping[str, Relations]) -> None:
        self.known = known

    def of(self, name: str) -> Relations:
        """Return the relations of a model."""
        return self.known.get(name, UNKNOWN)

    @cached_property
    def values(self) -> list[tuple[str, str]]:
        """Values of properties that several models share, in the order of their effects."""
        found = []
        for name in PROPERTIES:
            counts = Counter(getattr(one, name) for one in self.known.values())
            found += [(name, value) for value, count in counts.most_common(MOST_VALUES) if value and count > 1]
        return found

    def properties(self, ids: Sequence[str]) -> tuple[Floats, Places]:
        """Return the properties of models (P, q), and the kind of each (q,)."""
        shared = [[float(getattr(one, name) == value) for name, value in self.values] for one in map(self.of, ids)]
        groups = [PROPERTIES.index(name) for name, _ in self.values]
        found = np.hstack([np.array(shared).reshape(len(ids), len(groups)), self.sizes(ids)[:, None]])
        return found, np.array([*groups, len(PROPERTIES)], np.intp)

    def sizes(self, ids: Sequence[str]) -> Floats:
        """Return the size of models in units (P,), 0 for the usual or an unknown size."""
        counts = [one.parameters for one in map(self.of, ids)]
        logs = np.log10(np.array([10**USUAL_SIZE if one is None else max(one, 1) for one in counts], np.float64))
        return np.clip((logs - USUAL_SIZE) / SIZE_UNIT, -SIZE_LIMIT, SIZE_LIMIT)

    def kin(self, ids: Sequence[str]) -> Places:
        """Return the number of each model's family among these (P,), -1 without one or any others of it."""
        kin = [one.kin for one in map(self.of, ids)]
        counts = Counter(one for one in kin if one)
        numbers = {name: number for number, (name, count) in enumerate(counts.most_common(MOST_VALUES)) if count > 1}
        return np.array([numbers.get(one or "", -1) for one in kin], np.intp)
