"""The race: finalists are fine-tuned in rounds, each resuming from its own last state.

All train on the same batches and are judged on the same validation rows. Those that are clearly behind are dropped, and
where the budget is too small for all, the least promising: many go on briefly or few to the end, as promises more.
"""

from collections.abc import Sequence

import numpy as np

from hf_transfer_score.choosing.evidence import (
    DRAWS,
    Arm,
    Floats,
    Forecast,
    Gain,
    Leg,
    Terms,
    Track,
    bet,
    by_chance,
    chance_within,
    drawn_shares,
    expected_gain,
    largest_gain,
    luck_of,
    worth_training,
)
from hf_transfer_score.choosing.history import ChooseListener, Round, Spent
from hf_transfer_score.errors import CheckpointError

SHOWN = 0.25
"""Share of all epochs before which no candidate is clearly behind, no answer is sure, and no other learning rates are
tried: slow starters need time."""

LARGER = 0.1
"""The share of its errors that a network at the largest learning rate loses in addition, as the rate falls."""

FAILED, SETTLED = 0.5, 0.6
"""The share of the accuracy at another learning rate below which a larger one has failed at the start; and the share
of all epochs after which any lower accuracy decides."""

OTHER_RATE, RATE_TRUST = 0.04, 1.0
"""How far apart the accuracies of one candidate at two learning rates lie, and how many candidates that were trained at
both outweigh that assumption."""

LEARNT, AHEAD = 0.1, 0.9
"""The share of the way from chance to the forecast below which a training has learned nothing yet; and the share of the
accuracy at a smaller learning rate below which one that is not the largest is far behind."""

SCOUTS, FOLLOWERS, SCOUTED, TOLD = 3, 8, 0.4, 0.75
"""How many candidates are trained at two learning rates before the others begin, at most; how many candidates there are
for each of these; the share of the budget left that this may take; and the share of the accuracy that the forecast
expects below which curves do not tell the better rate (`python -m benchmarks.choosing`)."""

ALIKE = 0.9
"""How much of what a curve does not tell of its end is common to the learning rates of a candidate."""

LEAST_SPREAD, RESTLESS = 0.12, 0.015
"""The least spread of a forecast before the race; and the spread of an accuracy in addition to the sampling error of
the rows, since it differs by seed and the best of many looks better than it is."""


class Race:
    """A race of finalists on a track, the most promising first; its cost is added to what was spent."""

    def __init__(
        self,
        names: Sequence[str],
        track: Track,
        forecast: Forecast,
        terms: Terms,
        spent: Spent,
        heard: ChooseListener | None = None,
    ) -> None:
        self.track, self.forecast, self.terms, self.spent = track, forecast, terms, spent
        self.heard = heard or ChooseListener()
        self.rates, self.enough = sorted(terms.rates, reverse=True), SHOWN * terms.passes
        self.rate = self.rates[0]
        self.arms = [Arm(name, self.rate) for name in names]
        self.level = 0.0
        self.legs: dict[Arm, Leg] = {}
        self.drawn: dict[str, Floats] = {}
        self.history: list[Round] = []
        self.outcomes = forecast.outcomes({})
        self.before = {name: self.outcomes[forecast.names.index(name)] for name in names}

    def run(self) -> Arm | None:
        """Race until the answer is sure, the budget is spent, or all trainings are complete; return the winner."""
        for number, passes in enumerate(self.terms.rounds):
            if not number and len(self.rates) > 1:
                self._scout()
            gone = self._afford(number, passes)
            self._train(passes, gone)
            if not self.arms:
                return None
            if self._compare(passes, gone) or all(self.legs[arm].ended for arm in self.arms):
                break
        return self._finish()

    def _scout(self) -> None:
        """Try learning rates with the first candidates, the largest first; all others begin at the best one.

        Whether the largest fails shows at once. Otherwise two are compared after a third of the epochs, since a larger
        one often looks worse until it falls; few candidates, for whom that is too expensive, begin at the larger one.
        """
        gone, names, rates = dict[str, str](), self.names, self.rates
        soon, later = self.terms.rounds[0], self.terms.rounds[:2][-1]
        self.arms = []
        while names and not self.arms:
            self.arms = [Arm(names[0], rate) for rate in rates[:2]]
            self._train(soon, gone)
            names = [name for name in names if name not in gone]
        while len(self.arms) > 1 and self._useless(*self.arms):
            self.rate, *_ = rates = rates[1:]
            self.arms = [Arm(names[0], rate) for rate in rates[:2]]
            self._train(soon, gone)
            names = [name for name in names if name not in gone]
        if len(self.arms) > 1:
            self.arms = [Arm(name, rate) for name in self._scouts(names, rates[:2], later) for rate in rates[:2]]
            self._train(later, gone)
            names = [name for name in names if name not in gone]
            gained = sum(self._gained(*(Arm(name, rate) for rate in rates[:2])) for name in self.names)
            self.rate = rates[gained < 0]
        others = [arm for arm in self.legs if arm.name in names and (arm.rate < self.rate or not self._stuck(arm))]
        others = [arm for arm in others if arm.rate != self.rate and not self._failed(arm, Arm(arm.name, self.rate))]
        self.arms = [*(Arm(name, self.rate) for name in names), *others]
        self._tell(Round("race", f"learning rate {self.rate:g}", tuple(names), gone, spent=str(self.spent)))

    def _useless(self, larger: Arm, smaller: Arm) -> bool:
        """Whether a larger rate is not needed: the largest if it fails, others if the smaller one is far ahead."""
        if larger.rate == self.rates[0]:
            return self._stuck(larger) or self._failed(larger, smaller) or self._reached(larger, smaller)
        return self._reached(larger, smaller) and self.legs[larger].level < AHEAD * self.legs[smaller].level

    def _gained(self, larger: Arm, smaller: Arm) -> float:
        """Return how much better an arm is expected to end than one at a smaller learning rate, as far as they tell."""
        told = max(self.legs[arm].level for arm in (larger, smaller))
        expected = float(self.before[larger.name].mean()) if self.forecast.absolute else 0.0
        return self.end(larger) - self.end(smaller) if told >= TOLD * expected else 0.0

    def _failed(self, arm: Arm, other: Arm) -> bool:
        """Whether an arm is so far behind another that its learning rate is of no use."""
        return self.legs[arm].level < FAILED * self.legs[other].level

    def _stuck(self, arm: Arm) -> bool:
        """Whether an arm has learned nothing so far, or has forgotten it."""
        expected = float(self.before[arm.name].mean()) if self.forecast.absolute else 1.0
        return self.legs[arm].accuracies[-1] <= self.terms.chance + LEARNT * max(0.0, expected - self.terms.chance)

    def _open(self, name: str) -> list[Arm]:
        """Return the arms of a candidate that were not trained and may learn.

        Rates at which nobody learned anything, the largest at once and others in enough epochs, are not tried again,
        nor any larger than one at which this one did not.
        """
        stuck = [arm for arm in self.legs if self._stuck(arm)]
        tried = [arm for arm in stuck if arm.rate == self.rates[0] or len(self.legs[arm].accuracies) >= self.enough]
        failed = {arm.rate for arm in tried} - {arm.rate for arm in self.legs if arm not in stuck}
        least = min((arm.rate for arm in stuck if arm.name == name), default=self.rates[0] + 1)
        arms = [Arm(name, rate) for rate in self.rates if rate < least and rate not in failed]
        return [arm for arm in arms if arm not in self.legs]

    def untold(self, name: str) -> bool:
        """Whether a candidate learned nothing so far, and has learning rates left."""
        return all(self._stuck(arm) for arm in self.legs if arm.name == name) and bool(self._open(name))

    def _reached(self, larger: Arm, smaller: Arm) -> bool:
        """Whether the smaller rate is ahead, and so near to what the forecast expects that no larger one is needed."""
        level, ahead = self.legs[smaller].level, self.legs[smaller].level > self.legs[larger].level
        return self.forecast.absolute and ahead and level >= TOLD * float(self.before[smaller.name].mean())

    def _scouts(self, names: Sequence[str], rates: Sequence[float], passes: int) -> Sequence[str]:
        """Return the candidates that the budget allows to be trained at some learning rates, up to this many epochs."""
        left = self.terms.budget.amount - self.spent.of(self.terms.budget)
        for count in range(min(SCOUTS, len(names) // FOLLOWERS), 0, -1):
            cost = sum(self._cost(Arm(name, rate), passes) for name in names[:count] for rate in rates)
            rest = (self.terms.passes - passes) * self.track.price(Arm(names[0], rates[-1]), self.terms.budget)
            if cost <= SCOUTED * left and cost + rest <= left:
                return names[:count]
        return ()

    @property
    def names(self) -> list[str]:
        """The candidates that are still in."""
        return list(dict.fromkeys(arm.name for arm in self.arms))

    def _cost(self, arm: Arm, passes: int) -> float:
        """Return what it costs to train an arm up to this number of epochs."""
        leg = self.legs.get(arm)
        done = len(leg.accuracies) if leg else 0
        return 0.0 if leg and leg.ended else max(0, passes - done) * self.track.price(arm, self.terms.budget)

    def _afford(self, number: int, passes: int) -> dict[str, str]:
        """Drop the arms that the budget has no room for; return the candidates dropped, with the reason.

        Once enough is shown, other learning rates join; they take the place of those at which nothing was learned.
        """
        terms, before = self.terms, self.names
        if not before:
            return {}
        if number and terms.rounds[number - 1] >= self.enough:
            stuck = [arm for arm in self.arms if self._stuck(arm)]
            lost = {arm.name: arm.rate for arm in stuck} | {arm.name: 0.0 for arm in self.arms if arm not in stuck}
            more = [arm for arm in self.legs if arm.rate < lost.get(arm.name, 0.0)]
            more += [arm for name in before for arm in self._open(name)]
            able = {arm.name for arm in [*more, *self.arms] if arm not in stuck}
            self.arms = [arm for arm in self.arms if arm not in stuck or arm.name not in able] + more
        order = self._promising() if number else self.arms
        rounds = terms.rounds[number:]
        costs = np.diff([[self._cost(arm, end) for end in rounds] for arm in order], prepend=0.0)
        outcomes = np.array([self._arm_draws(arm) for arm in order])
        left = terms.budget.amount - self.spent.of(terms.budget)
        kept = worth_training(outcomes, costs, left, [end / terms.passes for end in rounds])
        self.arms = [arm for arm in self.arms if arm in order[:kept]]
        why = f"the budget of {terms.budget} goes to more promising candidates"
        return {name: why for name in before if name not in self.names}

    def _promising(self) -> list[Arm]:
        """Return the arms, those with the best chance first."""
        ordered = [self.arms[place] for place in by_chance(np.array([self._arm_draws(arm) for arm in self.arms]))]
        leader = self._leader() if any(arm in self.legs for arm in self.arms) else None
        return sorted(ordered, key=lambda arm: (arm != leader) + (arm not in self.legs))

    def _train(self, passes: int, gone: dict[str, str]) -> None:
        """Train all arms up to this number of epochs; one that cannot be trained takes its candidate out."""
        for arm in list(self.arms):
            done = self.legs.get(arm)
            if arm.name in gone or (done and (done.ended or len(done.accuracies) >= passes)):
                continue
            self.heard.stage(f"{arm.name}, learning rate {arm.rate:g}, to epoch {passes} of {self.terms.passes}")
            try:
                self.legs[arm] = leg = self.track.run(arm, passes)
            except CheckpointError as error:
                gone[arm.name] = f"cannot be fine-tuned: {error}"
                continue
            more = len(leg.accuracies) - (len(done.accuracies) if done else 0)
            self.spent.seconds += leg.seconds
            self.spent.passes += more
            self.spent.tunings += more / (self.terms.passes * len(self.terms.rates))
        self.arms = [arm for arm in self.arms if arm.name not in gone]

    def _compare(self, passes: int, gone: dict[str, str]) -> bool:
        """Drop the candidates that are clearly behind, and return whether the answer is sure."""
        self._believe()
        places = {name: place for place, name in enumerate(self.forecast.names)}
        means = self.outcomes.mean(1)
        leader = self._leader()
        first, chance = leader.name, self.chance(leader)
        shown = passes >= self.enough
        gone |= self._behind(first) if shown else {}
        inside = sorted(self.names, key=lambda name: -means[places[name]])
        alive = self.outcomes[[places[name] for name in inside]]
        gain = 100 * float(alive.max(0).mean() - means[places[first]])
        words = f"{passes} epoch{'' if passes == 1 else 's'}"
        best = {name: max(leg.level for arm, leg in self.legs.items() if arm.name == name) for name in inside}
        found = Round("race", words, tuple(inside), gone, first, chance, gain, str(self.spent), best)
        self._tell(found)
        return chance >= self.terms.confidence and (shown or len(inside) == 1)

    def _tell(self, found: Round) -> None:
        self.history.append(found)
        self.heard.ended(found)

    def chance(self, arm: Arm) -> float:
        """Return the probability that no candidate, at any learning rate, is better by more than points that matter."""
        own = self.forecast.outcomes(self.drawn | {arm.name: self._arm_draws(arm)})
        both = np.array([self.outcomes.max(0), own[self.forecast.names.index(arm.name)]])
        return max(0.0, chance_within(both, 1, self.terms.within) - self.terms.lost)

    def _believe(self) -> None:
        """Update the forecast with the validation rows and learning curves of all that were trained.

        The forecast before was also a guess of the level; the arms that were trained longest show how far it was off.
        """
        told = {arm.name: [one for one in self.legs if one.name == arm.name] for arm in self.legs}
        told = {name: arms for name, arms in told.items() if not self.untold(name)}
        furthest = max(len(leg.accuracies) for leg in self.legs.values())
        shown = {arm.name for arm, leg in self.legs.items() if len(leg.accuracies) == furthest or leg.ended}
        off = [max(map(self.end, told[name])) - self.before[name].mean() for name in told.keys() & shown]
        self.level = float(np.median(off)) if off else 0.0
        self.drawn = {name: np.max([self._arm_draws(arm) for arm in arms], axis=0) for name, arms in told.items()}
        self.outcomes = self.forecast.outcomes(self.drawn)

    def _arm_draws(self, arm: Arm) -> Floats:
        """Return draws of the final accuracy of an arm (draws,): its curve, shrunk towards the forecast before."""
        if arm not in self.legs:  # as far from the best rate of its candidate as for other candidates
            noise = luck_of(2, arm)
            known = self.drawn.get(arm.name)
            if known is None:
                return np.resize(self.before[arm.name], DRAWS)
            rested: Floats = known + self._other_rate(arm.rate) + OTHER_RATE * noise
            return rested
        leg = self.legs[arm]
        gain = self.gain(arm)
        noise = ALIKE**0.5 * luck_of(1, arm.name) + (1 - ALIKE) ** 0.5 * luck_of(1, arm)
        spread = float(np.hypot(gain.spread, RESTLESS))
        seen: Floats = np.clip(drawn_shares(arm, leg.right) + gain.mean + spread * noise, 0, 1)
        if not self.forecast.absolute:
            return seen
        expected = np.resize(self.before[arm.name], DRAWS) + self.level
        prior, own = max(float(expected.var()), LEAST_SPREAD**2), float(seen.var()) + 1e-6
        expected = expected + np.sqrt(prior - expected.var()) * luck_of(4, arm.name)
        found: Floats = expected + prior / (prior + own) * (seen - expected)
        return found

    def _other_rate(self, rate: float) -> float:
        """Return how much a candidate is expected to gain at a learning rate that it was not trained at."""
        found = []
        for name in {arm.name for arm in self.legs}:
            ends = {arm.rate: self.end(arm) for arm in self.legs if arm.name == name}
            if rate in ends and len(ends) > 1:
                found.append(ends[rate] - max(end for other, end in ends.items() if other != rate))
        return (sum(found) - OTHER_RATE * RATE_TRUST / 2) / (len(found) + RATE_TRUST)

    def end(self, arm: Arm) -> float:
        """Return the accuracy that an arm is expected to have at its end."""
        return self.legs[arm].level + self.gain(arm).mean

    def gain(self, arm: Arm) -> Gain:
        """Return how much more accurate an arm is expected to be at its end: by its curve, and by complete ones."""
        leg = self.legs[arm]
        if leg.ended:
            return Gain(0.0, 0.0)
        found, epochs = self._curve_gain(arm, leg.accuracies), len(leg.accuracies)
        more = [self._surprise(one, epochs) for one, other in self.legs.items() if other.ended]
        shift = sum(more) / (len(more) + 1)
        return Gain(min(found.mean + shift, 1 - leg.level), float(np.hypot(found.spread, shift)))

    def _surprise(self, arm: Arm, epochs: int) -> float:
        """Return how much more a complete training gained than its curve said after some epochs."""
        leg, seen = self.legs[arm], self.legs[arm].accuracies[:epochs]
        return leg.level - max(seen) - self._curve_gain(arm, seen).mean

    def _curve_gain(self, arm: Arm, accuracies: Sequence[float]) -> Gain:
        best = max(accuracies)
        found = expected_gain(accuracies, self.terms.passes, len(self.legs[arm].right))
        ahead = 1 - len(accuracies) / self.terms.passes
        larger = LARGER * ahead * (1 - best) if arm.rate == self.rates[0] else 0.0
        mean = min(found.mean + larger, 1 - best)
        below = float(self.before[arm.name].mean()) - best - mean if self.forecast.absolute else 0.0
        return Gain(mean, float(np.hypot(found.spread, ahead * max(0.0, below))))

    def _behind(self, first: str) -> dict[str, str]:
        """Drop the arms that are clearly behind; return the candidates dropped with them, with the reason.

        The allowed error is shared between curves and rows, and among the rounds, so that comparing after every round
        makes no error more likely than was asked for.
        """
        doubt = (1 - self.terms.confidence) / 2 / len(self.terms.rounds)
        before = self.names
        best = {name: self._best_arm(name) for name in before}
        for arm in list(self.arms):
            ahead = best[first] if arm == best[arm.name] else best[arm.name]
            if arm == ahead:
                continue
            points = self.terms.within if arm.name != first else 0.0
            margin = largest_gain(self.gain(ahead), self.gain(arm), doubt) - points / 100
            if bet(self.legs[ahead].right, self.legs[arm].right, max(margin, -0.99)) >= 1 / doubt:
                self.arms.remove(arm)
        shares = {name: f"{self.legs[arm].level:.1%}" for name, arm in best.items()}
        behind = [name for name in before if name not in self.names]
        return {
            name: f"clearly behind: {shares[name]} of the validation rows right, {first} has {shares[first]}"
            for name in behind
        }

    def _leader(self) -> Arm:
        """Return the arm that is expected to end best."""
        best = [self._best_arm(name) for name in {arm.name: 0 for arm in self.arms if arm in self.legs}]
        return max(best, key=lambda arm: float(self._arm_draws(arm).mean()))

    def _best_arm(self, name: str) -> Arm:
        """Return the learning rate at which a candidate is expected to end best.

        A larger one has the benefit of the doubt until it was trained for long, unless it has failed.
        """
        arms = [arm for arm in self.arms if arm.name == name and arm in self.legs]
        done = {arm: len(self.legs[arm].accuracies) / self.terms.passes / SETTLED for arm in arms}
        level = max(self.legs[arm].level for arm in arms)
        able = [
            arm for arm in arms if self.legs[arm].level >= level * (FAILED + (1 - FAILED) * done[arm]) or done[arm] >= 1
        ]
        best = max(able, key=self.end)
        larger = [arm for arm in able if best.rate < arm.rate <= self.rate and done[arm] < 1]
        return max(larger, key=lambda arm: arm.rate, default=best)

    def _finish(self) -> Arm | None:
        """Train the most promising candidate to its end, at the learning rate that now looks best."""
        while self.arms:
            arm, gone = self._leader(), dict[str, str]()
            if self.legs[arm].ended:
                return arm
            self.heard.stage(f"{arm.name}, learning rate {arm.rate:g}, to the last epoch")
            others, self.arms = self.arms, [arm]
            self._train(self.terms.passes, gone)
            self.arms = [one for one in others if one.name not in gone]
            if self.arms:
                self._believe()
        return None
