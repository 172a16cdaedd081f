"""What a race works with, and its statistics: who is clearly behind, where a curve will end, whom to train next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import NormalDist
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_transfer_score.choosing.options import Budget
from hf_transfer_score.ranking.intervals import Interval

Floats = NDArray[np.float64]

DRAWS = 1000

BETS = np.linspace(0.02, 0.98, 25)
"""Stakes over which a bet is spread, as shares of the largest one that cannot lose everything."""

ENDS, POWERS = np.linspace(0, 1, 26), np.array([0.25, 0.5, 1.0, 1.5, 2.5])
"""Where a curve may end, as a share of the error now, and how fast it may get there."""

UNSTEADY = 0.01
"""How far the accuracies of epochs lie from a smooth curve, in addition to the sampling error of the rows."""

LATE, DOUBTED, LEAST_DOUBT, ERRORS_DOUBT = 0.5, 0.7, 0.015, 0.2
"""The share that a falling learning rate adds to the gain of a curve at its start; the extra uncertainty of a gain, as
a share of it; and the least uncertainty of any gain at the start, also as a share of the errors
(`python -m benchmarks.choosing`)."""

MISLED = 0.15
"""Probability that the features of a pool say nothing about its fine-tuning (`python -m benchmarks.choosing`)."""


class Gain(NamedTuple):
    """How much more accurate a model will be at the end of its training than at its best so far."""

    mean: float
    spread: float


def expected_gain(accuracies: Sequence[float], passes: int, rows: int) -> Gain:
    """Return how much a learning curve, measured on some rows, is expected to gain by its last epoch.

    Errors are assumed to fall as a power of the epochs towards an end between 0 and the error now; the curve so far
    tells which ends and powers are likely. After one epoch it tells nothing, so a slow starter may still end anywhere.

    Example:
        >>> early, late = expected_gain([0.5], 10, 200), expected_gain([0.5, 0.7, 0.75, 0.77, 0.77, 0.78], 10, 200)
        >>> early.spread > 3 * late.spread
        True
    """
    errors, steps = 1 - np.asarray(accuracies, np.float64), np.arange(1, len(accuracies) + 1)
    now = float(errors.min())
    if len(errors) >= passes or now <= 0:
        return Gain(0.0, 0.0)
    ends, powers = (grid.ravel() for grid in np.meshgrid(ENDS * now, POWERS, indexing="ij"))
    shapes = steps ** -powers[:, None]
    heights = ((errors - ends[:, None]) * shapes).sum(1) / (shapes**2).sum(1)
    misses = errors - ends[:, None] - heights[:, None] * shapes
    noise = errors * (1 - errors) / rows + UNSTEADY**2
    weights = np.exp(-0.5 * ((misses**2 / noise).sum(1) - (misses**2 / noise).sum(1).min()))
    gains = np.clip(now - ends - heights * float(passes) ** -powers, 0, now)
    ahead = 1 - len(errors) / passes
    mean = float(weights @ gains / weights.sum())
    variance = float(weights @ (gains - mean) ** 2 / weights.sum())
    doubt = LEAST_DOUBT**2 * ahead + (ERRORS_DOUBT * now * ahead) ** 2
    spread = np.sqrt(variance + (DOUBTED * mean) ** 2 + doubt)
    return Gain(min((1 + LATE * ahead) * mean, now), float(spread))


def bet(first: ArrayLike, second: ArrayLike, margin: float) -> float:
    """Return the value of a bet that the first model is right more often than the second by more than a margin.

    Both predict the same rows, and are right on each from 0 to 1 (N,). If the first is not ahead by more than the
    margin, the expected value of the bet is at most 1, so that it reaches 20 with probability at most 1/20: a high
    value is evidence, for any number of rows. Bets in several rounds share the allowed error.

    Example:
        >>> rows = np.arange(200)
        >>> bet(rows % 10 > 0, rows % 10 > 3, 0.0) > 1000, bet(rows % 10 > 0, rows % 10 > 3, 0.35) < 1
        (True, True)
    """
    if margin >= 1:
        return 0.0
    stakes = BETS / (1 + margin) if margin > -1 else BETS * 50
    gaps, counts = np.unique(np.asarray(first, np.float64) - np.asarray(second, np.float64), return_counts=True)
    worth = np.log1p(stakes[:, None] * (gaps - margin)) @ counts
    top = float(worth.max())
    return float(np.exp(min(top, 700.0)) * np.exp(worth - top).mean())


def largest_gain(ahead: Gain, behind: Gain, doubt: float) -> float:
    """Return how much the second may catch up with the first by the end, except with probability `doubt`."""
    spread = float(np.hypot(ahead.spread, behind.spread))
    return behind.mean - ahead.mean + NormalDist().inv_cdf(1 - doubt) * spread


def chance_within(outcomes: Floats, place: int, points: float) -> float:
    """Return the probability that no model is better than the one at `place` by more than some points (percent).

    Outcomes are accuracies in each draw (P, draws).
    """
    return float((outcomes.max(0) <= outcomes[place] + points / 100 + 1e-12).mean())


def by_chance(outcomes: Floats) -> list[int]:
    """Return the places of a pool, those with the best chance to be the best first, by accuracies (P, draws)."""
    chances = (outcomes >= outcomes.max(0)).mean(1)
    order: list[int] = np.lexsort((-outcomes.mean(1), -chances)).tolist()
    return order


def dispensable(
    outcomes: Floats, among: Sequence[int], points: float, doubt: float, pool: int = 0
) -> tuple[list[int], float]:
    """Return which models can be dropped, and the probability that one of them is better than the rest by some points.

    Models are dropped from the smallest chance upwards, while that probability stays within `doubt`. It allows for
    features that say nothing about fine-tuning, where any model may be the best.

    Args:
        outcomes: accuracies in each draw (P, draws).
        among: places that are still in; at least one stays.
        points: of accuracy in percent that do not matter.
        doubt: the probability that is allowed.
        pool: how many models there were at first, if more than are still in.
    """
    inside = outcomes[list(among)]
    best = inside >= inside.max(0) - points / 100
    order = np.lexsort((inside.mean(1), best.mean(1)))
    found: list[int] = []
    lost = 0.0
    for count in range(1, len(among)):
        out, kept = order[:count], order[count:]
        chance = float((inside[out].max(0) > inside[kept].max(0) + points / 100).mean())
        chance = (1 - MISLED) * chance + MISLED * count / max(pool, len(among))
        if chance > doubt:
            break
        found, lost = [among[place] for place in out.tolist()], chance
    return found, lost


def know_nothing(probes: Mapping[str, Interval], chance: float | None) -> list[str]:
    """Return the candidates whose features say nothing about the labels, where another's clearly do.

    Probes are accuracies with their intervals, by name; chance is that of always guessing the most frequent class.

    Example:
        >>> know_nothing({"noise": Interval(0.2, 0.17, 0.24), "good": Interval(0.6, 0.55, 0.65)}, 0.2)
        ['noise']
    """
    best = max((one.low for one in probes.values()), default=0.0)
    return [name for name, one in probes.items() if chance is not None and one.low <= chance and one.high < best]


EARLY, POWER, LATEST = 0.08, 2.5, 0.01
"""How far off the order by accuracy is at the start of a training; the power of what is left with which this falls; and
how far off it is at the end (`python -m benchmarks.choosing`)."""

SIMULATED = 250
"""Draws by which plans are compared."""


def worth_training(outcomes: Floats, costs: Floats, left: float, done: Sequence[float]) -> int:
    """Return how many arms, the first ones, to train in the next round.

    A plan says after which rounds the worse half goes, and so how many can begin. The plan counts by which the last one
    ends best in the draws. The earlier accuracies are, the less they say of the final ones, and the more those who go
    are chosen by what was expected before.

    Args:
        outcomes: final accuracies in each draw (arms, draws), the most promising arm first.
        costs: of training an arm in each round that is left (arms, rounds).
        left: what may be spent; the first arm is trained in any case.
        done: the share of the epochs that are done after each of these rounds.

    Example:
        >>> outcomes = np.random.default_rng(0).normal(0.6, 0.1, (4, 1000))
        >>> costs = np.array([[0.5, 0.5]] * 4)
        >>> [worth_training(outcomes, costs, left, [0.5, 1.0]) for left in (1.0, 2.5, 4.0)]
        [1, 3, 4]
    """
    some, generator = outcomes[:, :SIMULATED].T, np.random.default_rng(0)
    noise = generator.standard_normal((len(done), *some.shape))
    apart = some - some.mean(0)
    apart -= apart.mean(1, keepdims=True)  # what all have in common changes no order
    seen = []
    for share, luck in zip(done, noise, strict=True):
        off = LATEST + EARLY * (1 - share) ** POWER
        seen.append(some.mean(0) + apart.var(0) / (apart.var(0) + off**2) * (apart + off * luck))
    plans = dict.fromkeys(_plan(costs, left, cuts) for cuts in _cuts(len(done)))
    return max(plans, key=lambda plan: _worth(some, seen, plan))[0]


def _worth(outcomes: Floats, seen: Sequence[Floats], plan: Sequence[int]) -> float:
    """Return the expected final accuracy of the last arm of a plan, given what is seen after each round."""
    alive = np.tile(np.arange(plan[0]), (len(outcomes), 1))
    for after, count in zip(seen, [*plan[1:], 1], strict=True):
        if count < alive.shape[1]:
            order = np.argsort(-np.take_along_axis(after, alive, 1), axis=1)
            alive = np.take_along_axis(alive, order[:, :count], 1)
    return float(np.take_along_axis(outcomes, alive, 1).mean())


def _cuts(rounds: int) -> Iterator[tuple[bool, ...]]:
    """Yield after which rounds half of the arms go; after the last one only the best stays."""
    for size in range(rounds):
        for chosen in combinations(range(rounds - 1), size):
            yield tuple(number in chosen for number in range(rounds))


def _plan(costs: Floats, left: float, cuts: Sequence[bool]) -> tuple[int, ...]:
    """Return how many arms are trained in each round, as many as can be paid."""
    found = (1,) * len(cuts)
    for begin in range(2, len(costs) + 1):
        counts = [begin]
        for cut in cuts[:-1]:
            counts.append((counts[-1] + 1) // 2 if cut else counts[-1])
        if sum(costs[:count, number].sum() for number, count in enumerate(counts)) > left:
            break
        found = tuple(counts)
    return found


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
    chance: float = 0.0

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


def luck_of(kind: int, of: Arm | str) -> Floats:
    """Return standard normal draws (draws,), always the same for the same arm or candidate."""
    return np.random.default_rng([kind, *f"{of}".encode()]).standard_normal(DRAWS)


def drawn_shares(arm: Arm, right: Floats) -> Floats:
    """Return draws of the accuracy on all rows there are (draws,), of an arm of which some rows are known (N,).

    The weights of the rows are the same for all arms. Each arm has a row of its own in addition, which is half right
    and half wrong, so that its accuracy has Jeffreys' posterior: few rows that are all right leave doubt.
    """
    weights, total = _weights(len(right))
    luck = np.random.default_rng([3, *f"{arm}".encode()]).standard_gamma(0.5, (2, DRAWS))
    found: Floats = (weights @ right.astype(np.float32) + luck[0]) / (total + luck.sum(0))
    return found


@lru_cache(maxsize=4)
def _weights(rows: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the weights of rows in each draw (draws, rows), as in the Bayesian bootstrap, and their sums (draws,)."""
    found = np.random.default_rng(0).standard_exponential((DRAWS, rows), np.float32)
    return found, found.sum(1)
