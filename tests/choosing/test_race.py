"""The race on curves that are known: who stays in, who goes and why, and what it costs."""

import numpy as np
import pytest

from hf_transfer_score.choosing.evidence import Arm, Gain, Leg, Terms
from hf_transfer_score.choosing.history import Spent
from hf_transfer_score.choosing.options import Budget
from hf_transfer_score.choosing.race import LEAST_SPREAD, RESTLESS, Race
from hf_transfer_score.errors import CheckpointError

ROWS = 400
LUCK = np.random.default_rng(0).random(ROWS)


class Known:
    """A track on which each candidate's accuracy after each pass is known, the same luck for all."""

    def __init__(self, curves):
        self.curves, self.ran = curves, []

    def run(self, arm, passes):
        self.ran.append((arm, passes))
        curve = self.curves[arm.name]
        if curve is None:
            raise CheckpointError("out_of_memory", "does not fit into memory")
        seen = [np.mean(curve[number] * (1 - arm.rate) > LUCK) for number in range(passes)]
        best = int(np.argmax(seen))
        return Leg(tuple(map(float, seen)), curve[best] * (1 - arm.rate) > LUCK, passes >= len(curve), 1.0)

    def price(self, arm, budget):
        return 1 / (len(self.curves[arm.name] or [0] * 16) * 2)


class Nothing:
    """A forecast that knows nothing before the race."""

    absolute = False

    def __init__(self, names):
        self.names = list(names)

    def outcomes(self, drawn):
        found = np.random.default_rng(0).normal(0.6, 0.2, (len(self.names), 1000))
        for place, name in enumerate(self.names):
            found[place] = drawn.get(name, found[place])
        return found


def rising(start, end, passes=16, power=1.0):
    """Return a curve whose error falls as a power of the passes."""
    return [1 - (1 - end) - (end - start) * (step**-power) for step in range(1, passes + 1)]


def race(curves, *, tunings=100.0, rates=(0.0, 0.3), **changes):
    track, spent = Known(curves), Spent()
    terms = Terms(16, rates, **{"within": 2.0, "confidence": 0.9, **changes}, budget=Budget(tunings, "fine-tunings"))
    run = Race(list(curves), track, Nothing(curves), terms, spent)
    return run.run(), run, track


def test_the_best_wins_and_who_is_surely_behind_goes_before_the_end():
    winner, run, track = race({"good": rising(0.5, 0.9), "bad": rising(0.1, 0.35), "none": [0.1] * 16})
    assert winner == Arm("good", 0.0)
    why = {name: said for one in run.history for name, said in one.gone.items()}
    assert set(why) <= {"bad", "none"} and all(said.startswith("clearly behind: ") for said in why.values())
    assert max(passes for arm, passes in track.ran if arm.name == "none") < 16
    assert run.history[-1].chance >= 0.9 and run.history[-1].first == "good"
    assert run.spent.tunings == pytest.approx(run.spent.passes / 32) and run.spent.tunings < 2


def test_a_slow_starter_is_not_dropped_by_its_first_steps():
    slow = [0.15 + 0.8 * (1 - np.exp(-step / 5)) for step in range(16)]
    winner, run, _ = race({"fast": rising(0.6, 0.72), "slow": slow}, rates=(0.0, 0.1))
    assert winner.name == "slow"
    assert "slow" not in run.history[0].gone and run.history[0].first != run.history[-1].first


def test_each_goes_on_from_where_it_was_and_all_run_the_same_passes():
    _, _, track = race({"one": rising(0.4, 0.8), "two": rising(0.4, 0.79)}, rates=(0.0,), within=0.0)
    for name in ("one", "two"):
        assert [passes for arm, passes in track.ran if arm.name == name] == [1, 5, 8, 11, 16]


def test_the_budget_is_kept_and_one_that_is_not_enough_makes_the_answer_less_sure():
    curves = {f"model {number}": rising(0.4, 0.7 + 0.002 * number) for number in range(8)}
    winner, run, _ = race(curves, tunings=2.0, within=0.1)
    assert winner is not None and run.legs[winner].ended
    assert run.spent.tunings <= 2.0
    assert run.history[-1].chance < 0.9
    assert any("the budget of 2 fine-tunings" in said for one in run.history for said in one.gone.values())


def test_all_begin_at_one_learning_rate_and_others_join_once_enough_is_shown():
    curves = {f"model {number}": rising(0.5, 0.8) for number in range(24)}
    _, run, track = race(curves, tunings=18.0, rates=(0.0, 0.1, 0.12), within=0.1)
    assert run.history[0].words == "learning rate 0.12" and run.history[0].inside == tuple(curves)
    assert [(arm.name, arm.rate, passes) for arm, passes in track.ran[:8]] == [
        ("model 0", 0.12, 1),
        ("model 0", 0.1, 1),
        *((f"model {number}", rate, 5) for number in range(3) for rate in (0.12, 0.1)),
    ]
    first = {arm for arm, passes in track.ran if passes == 1}
    assert {arm.name for arm in first} == {*curves} - {"model 1", "model 2"}
    assert {arm.rate for arm in first if arm.name != "model 0"} == {0.12}
    assert {arm.rate for arm, passes in track.ran if passes in (8, 11)} == {0.0, 0.1, 0.12}


@pytest.mark.parametrize(
    ("large", "count", "tunings", "begin"),
    [(0.6, 8, 1.0, 0.0), (0.1, 8, 1.0, 0.0), (0.01, 8, 1.0, 0.01), (0.1, 8, 0.65, 0.1), (0.1, 7, 1.0, 0.1)],
    ids=["it fails", "it stays behind", "it may still catch up", "too little budget to find out", "few follow"],
)
def test_the_first_candidate_tells_the_others_which_learning_rate_to_begin_with(large, count, tunings, begin):
    curves = {f"model {number}": rising(0.5, 0.8) for number in range(count)}
    _, _, track = race(curves, tunings=tunings, rates=(0.0, large))
    others = [(arm, passes) for arm, passes in track.ran if arm.name != "model 0"]
    assert {arm.rate for arm, passes in others if passes == 1} == {begin}
    longest = max(passes for arm, passes in track.ran if arm == Arm("model 0", large))
    assert longest == {0.6: 1}.get(large, longest), "what failed is not trained any further"


class Steps(Known):
    """A track on which the larger learning rate looks worse until late."""

    def run(self, arm, passes):
        curve = [0.25 + 0.7 * (step / 15) for step in range(16)] if arm.rate else rising(0.4, 0.55)
        seen = [np.mean(curve[number] > LUCK) for number in range(passes)]
        return Leg(tuple(map(float, seen)), curve[passes - 1] > LUCK, passes >= 16)


def test_a_smaller_learning_rate_that_looks_better_at_first_does_not_win():
    terms = Terms(16, (0.0, 0.3), 2.0, 0.9, Budget(0.75, "fine-tunings"))
    assert Steps({}).run(Arm("one", 0.0), 1).level > Steps({}).run(Arm("one", 0.3), 1).level
    run = Race(["one", "two"], Steps({"one": [0] * 16, "two": [0] * 16}), Nothing(["one", "two"]), terms, Spent())
    assert run.run().rate == 0.3


class Late(Known):
    """A track on which the larger learning rate looks far worse at first, and much better in the end."""

    def run(self, arm, passes):
        curve = [0.3] * 8 + [0.9] * 8 if arm.rate else [0.5] * 16
        return Leg(tuple(curve[:passes]), np.full(ROWS, curve[passes - 1]), passes >= 16)


@pytest.mark.parametrize("count", [8, 4], ids=["enough to find out", "few"])
@pytest.mark.parametrize("promised", [0.5, 0.9])
def test_curves_far_below_what_features_promise_do_not_tell_the_learning_rate(promised, count):
    class Sure(Nothing):
        absolute = True

        def outcomes(self, drawn):
            return np.array([drawn.get(name, np.full(1000, promised)) for name in self.names])

    names = [f"model {number}" for number in range(count)]
    terms = Terms(16, (0.0, 0.3), 2.0, 0.9, Budget(1.5, "fine-tunings"))
    run = Race(names, Late({name: [0] * 16 for name in names}), Sure(names), terms, Spent())
    run.run()
    assert run.rate == (0.3 if promised == 0.9 else 0.0)


class Failing(Known):
    """A track on which nothing is learned at the largest learning rate, and forgotten by one candidate at another."""

    def run(self, arm, passes):
        self.ran.append((arm, passes))
        curve = [0.1] * 16 if arm.rate == 0.3 else rising(0.05, 0.6 + arm.rate)
        if arm == Arm("model 0", 0.1):
            curve = [0.3] + [0.1] * 15
        seen = tuple(np.mean(one > LUCK) for one in curve[:passes])
        return Leg(seen, (curve[int(np.argmax(seen))] > LUCK).astype(float), passes >= 16)


@pytest.mark.parametrize("tunings", [0.45, 3.0])
def test_where_nothing_is_learned_a_smaller_rate_is_tried_and_no_larger_one(tunings):
    names = [f"model {number}" for number in range(6)]
    track = Failing({name: [0] * 16 for name in names})
    terms = Terms(16, (0.0, 0.1, 0.3), 0.5, 0.9, Budget(tunings, "fine-tunings"), chance=0.1)
    run = Race(names, track, Promising(names), terms, Spent())
    winner = run.run()
    assert run.rate == 0.1 and [arm for arm, _ in track.ran if arm.rate == 0.3] == [Arm("model 0", 0.3)]
    assert max(passes for arm, passes in track.ran if arm == Arm("model 0", 0.1)) <= 5
    assert run.legs[winner].ended and run.legs[winner].level > 0.5
    assert winner.rate == (0.1 if tunings > 1 else 0.0)
    assert not any(run.untold(arm.name) for arm in run.legs if arm.name != "model 0")
    assert run.untold("model 0") == (Arm("model 0", 0.0) not in run.legs) == ("model 0" not in run.drawn)


def test_what_was_forgotten_says_nothing_of_other_rates():
    names, arm = ["model 0", "model 1"], Arm("model 0", 0.1)
    track = Failing({name: [0] * 16 for name in names})
    terms = Terms(16, (0.0, 0.1), 0.5, 0.9, Budget(1.0, "fine-tunings"), chance=0.1)
    run = Race(names, track, Promising(names), terms, Spent())
    known = []
    for passes in (1, 5):
        run.legs[arm] = track.run(arm, passes)
        run._believe()
        known.append(set(run.drawn))
    assert known == [{"model 0"}, set()] and run.level == 0.0


class Slow(Known):
    """A track on which the smaller learning rate shows nothing in the first epoch, and is far better in the end."""

    def run(self, arm, passes):
        self.ran.append((arm, passes))
        curve = [0.4] * 16 if arm.rate else [0.1] * 2 + rising(0.3, 0.9, 14)
        seen = tuple(np.mean(one > LUCK) for one in curve[:passes])
        return Leg(seen, (curve[int(np.argmax(seen))] > LUCK).astype(float), passes >= 16)


def test_a_smaller_rate_is_not_given_up_for_its_first_epoch():
    names = ["one", "two", "three"]
    track = Slow({name: [0] * 16 for name in names})
    terms = Terms(16, (0.0, 0.3), 0.5, 0.99, Budget(9.0, "fine-tunings"), chance=0.1)
    assert Race(names, track, Promising(names), terms, Spent()).run().rate == 0.0
    assert {arm.name for arm, _ in track.ran if arm.rate == 0.0} == {*names}


class Promising(Nothing):
    """A forecast that expects 70% of the first candidate, and 69% of the others."""

    absolute = True

    def outcomes(self, drawn):
        spread = np.random.default_rng(0).normal(0, 0.05, 1000)
        expected = [0.7 if place == 0 else 0.69 for place in range(len(self.names))]
        return np.array([drawn.get(name, mean + spread) for name, mean in zip(self.names, expected, strict=True)])


def test_a_curve_far_below_what_features_promise_is_not_behind():
    early, late = (
        [start] * 6 + [start + rise * step for step in range(1, 11)] for start, rise in ((0.4, 0.03), (0.1, 0.08))
    )
    curves = {"early": early, "late": late}
    terms = Terms(16, (0.0,), 2.0, 0.9, Budget(100.0, "fine-tunings"))
    winners = [
        Race(list(curves), Known(curves), kind(curves), terms, Spent()).run().name for kind in (Nothing, Promising)
    ]
    assert winners == ["early", "late"]


def test_complete_trainings_tell_how_much_others_may_still_gain():
    late, gains = [0.2] * 8 + [0.8] * 8, []
    one, two = Arm("one", 0.0), Arm("two", 0.0)
    for complete in (late, [0.2] * 16):
        track = Known({"one": complete, "two": late})
        run = Race(
            ["one", "two"], track, Nothing(["one", "two"]), Terms(16, (0.0,), 2.0, 0.9, Budget(1, "seconds")), Spent()
        )
        run.legs = {one: track.run(one, 16), two: track.run(two, 8)}
        gains.append(run.gain(two))
    assert gains[0].mean > gains[1].mean + 0.2 and gains[0].spread > gains[1].spread


def test_one_that_cannot_be_trained_goes_with_the_reason():
    winner, run, _ = race({"large": None, "small": rising(0.3, 0.6)})
    assert winner.name == "small"
    assert run.history[0].gone == {"large": "cannot be fine-tuned: does not fit into memory"}
    winner, run, _ = race({"large": None})
    assert winner is None and set(run.history[0].gone) == {"large"}


class Breaks(Known):
    """A track on which the first candidate cannot be trained at the smaller learning rate."""

    def run(self, arm, passes):
        if arm == Arm("first", 0.0):
            raise CheckpointError("out_of_memory", "does not fit into memory")
        return super().run(arm, passes)


def test_one_that_fails_at_one_learning_rate_goes_and_the_next_tries_both():
    curves = {"first": rising(0.5, 0.9), "second": rising(0.3, 0.6)}
    terms = Terms(16, (0.0, 0.1), 2.0, 0.9, Budget(9.0, "fine-tunings"))
    track = Breaks(curves)
    run = Race(list(curves), track, Nothing(curves), terms, Spent())
    assert run.run().name == "second"
    assert set(run.history[0].gone) == {"first"} and run.history[0].inside == ("second",)
    assert {arm.rate for arm, _ in track.ran if arm.name == "second"} == {0.0, 0.1}


def test_a_budget_goes_to_the_better_learning_rate_of_the_best_before_others():
    class Rated(Known):
        """A larger rate ends far worse for the best one alone."""

        def run(self, arm, passes):
            leg = super().run(Arm(arm.name, arm.rate if arm.name == "best" else 0.0), passes)
            self.ran[-1] = (arm, passes)
            return leg

    curves = {"best": rising(0.6, 0.9), **{f"model {number}": rising(0.4, 0.7) for number in range(9)}}
    track = Rated(curves)
    terms = Terms(16, (0.0, 0.2), 0.5, 0.9, Budget(3.0, "fine-tunings"))
    assert Race(list(curves), track, Nothing(curves), terms, Spent()).run() == Arm("best", 0.0)


class Rows(Known):
    """A track on which so many of the validation rows are right at any time, those of the smaller rate one fewer."""

    def __init__(self, right, rows):
        self.right, self.rows = right, rows

    def run(self, arm, passes):
        right = np.arange(self.rows) < self.right - (arm.rate == 0)
        return Leg((float(right.mean()),) * passes, right.astype(float), passes >= 16)

    def price(self, arm, budget):
        return 1 / 32


def raced_to_the_end(right, rows, rates=(0.1,), kind=Nothing):
    """Return a race of five candidates that are all right on the same rows."""
    names = [f"model {number}" for number in range(5)]
    run = Race(names, Rows(right, rows), kind(names), Terms(16, rates, 0.5, 0.9, Budget(99, "fine-tunings")), Spent())
    return run.run(), run


def test_few_rows_that_are_all_right_leave_doubt():
    few, many = (raced_to_the_end(rows, rows)[1].history[-1].chance for rows in (8, 5000))
    assert few < 0.5 < many


def test_an_accuracy_on_few_rows_has_the_posterior_of_jeffreys():
    run = raced_to_the_end(7, 8)[1]
    run.gain = lambda arm: Gain(0.0, 0.0)
    drawn = run._arm_draws(next(iter(run.legs)))
    expected = np.random.default_rng(1).beta(7.5, 1.5, 100_000)
    assert drawn.mean() == pytest.approx(expected.mean(), abs=0.02)
    assert drawn.std() == pytest.approx(expected.std(), rel=0.15)


class Certain(Nothing):
    """A forecast without any doubt."""

    absolute = True

    def outcomes(self, drawn):
        return np.array([drawn.get(name, np.full(1000, 0.5)) for name in self.names])


def test_a_forecast_is_never_believed_more_than_its_least_spread_says():
    winner, run = raced_to_the_end(10, 20, kind=Certain)
    own = 0.25 / 20 + RESTLESS**2
    expected = (LEAST_SPREAD**2 * own / (LEAST_SPREAD**2 + own)) ** 0.5
    assert run._arm_draws(winner).std() == pytest.approx(expected, rel=0.12)


def test_the_chance_is_that_of_the_learning_rate_that_was_chosen():
    winner, run = raced_to_the_end(40, 50, rates=(0.0, 0.1))
    assert winner.rate == 0.1 and Arm(winner.name, 0.0) in run.legs
    assert run.chance(Arm(winner.name, 0.0)) < run.chance(winner) == run.history[-1].chance
