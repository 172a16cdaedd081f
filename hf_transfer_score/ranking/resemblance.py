"""Which other datasets resemble one, as its metrics tell, and what follows for the accuracies on it.

Some models do better on photos, others on digits: their accuracies deviate from what the fit of all datasets expects.
On a new dataset only metrics are known. A model's scores there deviate from its usual scores, too. Other datasets whose
accuracies deviate in the same way resemble this one, so the accuracies here are expected to deviate as they do there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from functools import cache
from itertools import chain
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.ranking.effects import GROUP, NOISE, Effects, Observations
from hf_transfer_score.ranking.history import MeasuredColumn, beside_junk
from hf_transfer_score.ranking.looks import FEWEST, Looks

Floats = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)

TRUST = NOISE / GROUP
"""The prior precision of an effect on one dataset, of a property or of the mixture, in units of the noise."""

SCORED = (0.3, 0.5, 0.0)
"""Variances of the scores of metrics, as in `Effects`. They are rounded from fits to published tables; half or twice as
much changes little."""


class Resemblance:
    """How accuracies deviate on other datasets, and the usual scores of their models.

    Args:
        effects: what other datasets say.
        numbers: the number of each model among them.
        scores: by metrics on other datasets.
    """

    def __init__(self, effects: Effects, numbers: Mapping[str, int], scores: Collection[MeasuredColumn]) -> None:
        self.numbers = numbers
        self.deviations, self.properties = effects.deviations(), effects.seen.properties
        self.usual = cache(lambda metrics: usual_scores(scores, metrics))

    def expected(self, looks: Looks) -> Floats:
        """Return how much better here than elsewhere models are expected to be (P,).

        It is 0 for models without records, and for all if these or the other datasets are few.
        """
        metrics = {name: values for name, values in looks.metrics.items() if len(set(values.values())) > 1}
        normal = (dict(zip(one, beside_junk([*one.values()]).tolist(), strict=True)) for one in metrics.values())
        here, usual = mean_scores(normal), self.usual(frozenset(metrics))
        known = np.array([self.numbers.get(name, -1) for name in looks.ids], np.intp)
        places = [place for place in sorted(here) if known[place] >= 0 and looks.ids[place] in usual]
        found = np.zeros(len(looks.ids))
        if min(len(places), self.deviations.shape[1]) >= FEWEST:
            surprises = np.array([here[place] - usual[looks.ids[place]] for place in places])
            chosen, there = known[places], known >= 0
            better = self.deviations[known[there]] @ mixture(
                surprises, self.deviations[chosen], self.properties[chosen]
            )
            found[there] = better - better.mean()
        return found


def mean_scores(columns: Iterable[Mapping[Key, float]]) -> dict[Key, float]:
    """Return the mean score of each model in columns of scores.

    Example:
        >>> mean_scores([{"a": -0.5, "b": 0.5}, {"b": 0.0}])
        {'a': -0.5, 'b': 0.25}
    """
    found: dict[Key, list[float]] = defaultdict(list)
    for column in columns:
        for name, score in column.items():
            found[name].append(score)
    return {name: sum(scores) / len(scores) for name, scores in found.items()}


def usual_scores(columns: Iterable[MeasuredColumn], metrics: Collection[str]) -> dict[str, float]:
    """Return what is usual for each model by some metrics: its mean over datasets, smaller if there are few.

    Args:
        columns: scores; of a metric on a dataset, the column with most models counts.
        metrics: their names.
    """
    longest: dict[str, dict[str, Mapping[str, float]]] = defaultdict(dict)
    for one in sorted(columns, key=lambda one: len(one.values)):
        if one.protocol in metrics and one.values:
            longest[one.dataset][one.protocol] = one.normal
    found = [mean_scores(each.values()) for each in longest.values()]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(chain(*found)))}
    if not numbers:
        return {}
    models, datasets = np.array([(numbers[name], number) for number, one in enumerate(found) for name in one]).T
    values = np.array([score for one in found for score in one.values()])
    alone = np.zeros((len(numbers), 0))
    seen = Observations(values, models, datasets, 0 * models, alone, np.zeros(0, np.intp), np.ones(len(values)))
    own = Effects(seen, np.array(SCORED)).known(alone, np.arange(len(numbers))).own
    return dict(zip(numbers, own.tolist(), strict=True))


def mixture(surprises: Floats, deviations: Floats, properties: Floats) -> Floats:
    """Return how much each other dataset resembles this one (C,).

    A metric flatters some families on one dataset and others on the next, so what a family shares counts less.

    Args:
        surprises: how far the scores of models are above the usual ones (P,).
        deviations: how far their accuracies on other datasets are above the expected ones (P, C).
        properties: what they have in common (P, q).
    """
    count = deviations.shape[1]
    design = np.hstack([deviations, properties])
    design -= design.mean(0)
    trust = TRUST * np.where(np.arange(design.shape[1]) < count, count, 1.0)  # all datasets together count as one
    found = np.linalg.solve(design.T @ design + np.diag(trust), design.T @ (surprises - surprises.mean()))
    return np.asarray(found[:count])
