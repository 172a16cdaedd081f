"""Trivial baseline: a random order, the same for the same seed and model names."""

import hashlib
from dataclasses import dataclass

from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import Metric, Outcome, Term


@dataclass(frozen=True)
class RandomOrderOptions:
    """Options of the random order.

    Attributes:
        seed: another seed gives another order.
    """

    seed: int = 0


def random_order(data: LabelledFeatures, options: RandomOrderOptions) -> Outcome:
    """Return a number in [0, 1) that looks random and follows from the seed and the model's name."""
    digest = hashlib.sha256(f"{options.seed}:{data.facts.name}".encode()).digest()
    value = int.from_bytes(digest[:6], "big") / 2**48
    return Outcome({"random_order": value}, headline=value)


METRIC = Metric(
    name="random_order",
    title="Baseline: random order",
    citation="trivial baseline",
    compute=random_order,
    terms=(Term("random_order", "a pseudo-random number", bounded=True),),
    needs=("name",),
    options=RandomOrderOptions(),
    baseline=True,
)
