"""What rows and curves say: bets that hold their promise, curves that keep slow starters in, and parts of a sample."""

from dataclasses import replace

import numpy as np
import pytest

from hf_transfer_score import OptionError
from hf_transfer_score.choosing.evidence import MISLED, bet, dispensable, expected_gain, worth_training
from hf_transfer_score.choosing.nested import evenly, nested, part, steps
from hf_transfer_score.choosing.options import Budget, ChooseOptions
from tests.finetune.made import pictures


def test_a_bet_on_what_is_not_so_rarely_wins_and_one_on_what_is_so_does():
    generator = np.random.default_rng(0)
    won = dict.fromkeys((0.0, 0.05, 0.3), 0)
    for _ in range(1000):
        luck = generator.random((2, 200))
        for gap in won:
            won[gap] += bet(luck[0] < 0.6 + gap, luck[1] < 0.6, 0.05) >= 20
    assert won[0.0] <= won[0.05] <= 50  # 1 in 20 of those where the margin is just reached
    assert won[0.3] > 950


def test_a_bet_counts_pairs_and_not_sums():
    rows = np.arange(300)
    ahead, behind = rows % 10 < 8, rows % 10 < 7
    assert bet(ahead, behind, 0.0) > 1e5  # ahead wherever they differ
    shuffled = np.random.default_rng(0).permutation(behind)
    assert 0.1 < bet(ahead, shuffled, 0.0) < 100  # as often right, elsewhere


def test_a_curve_after_one_pass_may_still_become_anything():
    slow, fast = expected_gain([0.2], 16, 500), expected_gain([0.7], 16, 500)
    assert slow.mean > fast.mean and 0.2 + slow.mean + 2 * slow.spread > 0.7 + fast.mean
    flat = expected_gain([0.2] * 8, 16, 500)
    assert flat.mean + 2 * flat.spread < 0.3
    assert expected_gain([0.2] * 16, 16, 500) == (0, 0) == expected_gain([1.0], 16, 500)


def test_the_chance_that_one_of_those_that_go_is_the_best_is_kept_small():
    generator = np.random.default_rng(0)
    outcomes = np.array([0.9, 0.89, 0.8, 0.5])[:, None] + 0.02 * generator.standard_normal((4, 4000))
    gone, lost = dispensable(outcomes, range(4), 0.5, 0.05)
    assert gone == [3] and MISLED / 4 <= lost < 0.05  # features may mislead
    assert dispensable(outcomes, range(4), 0.5, 0.05, pool=8)[0] == [3, 2]
    assert dispensable(outcomes, range(4), 0.5, 0.999)[0] == [3, 2, 1]  # one stays, whatever is allowed
    assert dispensable(outcomes, [1], 0.5, 0.5) == ([], 0.0)


def test_parts_of_a_sample_lie_in_each_other_and_hold_each_class_in_its_share(tmp_path):
    sample = pictures(90, 0)
    ordered = nested(sample, tmp_path / "kept.arrow")
    named = replace(sample, source=replace(sample.source, dataset="Birds of Wales"))
    assert nested(named, tmp_path / "kept.arrow").source.dataset == "Birds of Wales"
    assert sorted(ordered.table["input"].to_pylist()) == sorted(sample.table["input"].to_pylist())
    assert ordered.fingerprint != sample.fingerprint == pictures(90, 0).fingerprint
    ends = steps(ordered, 16, 2)
    assert ends == [16, 32, 90]
    parts = [part(ordered, start, end) for start, end in zip([0, *ends], ends, strict=False)]
    assert [len(one) for one in parts] == [16, 16, 58]
    assert [len({one.fingerprint for one in parts}), np.bincount(parts[0].labels).max()] == [3, 6]
    assert np.concatenate([one.labels for one in parts]).tolist() == ordered.labels.tolist()
    codes = np.repeat([0, 1], [80, 20])
    assert codes[evenly(codes)][:10].sum() == 2


@pytest.mark.parametrize("text", ["soon", "0m", "-2h", "3", "3 tunings", "0 fine-tunings", "5 dec"])
def test_a_budget_that_means_nothing_is_refused(text):
    with pytest.raises(OptionError, match="expected a time such as 20m"):
        ChooseOptions(budget=text)


def test_budgets_are_times_or_fine_tunings():
    assert Budget.of("90s") == Budget.of("1.5m") == Budget.of("1.5 min") == Budget(90, "seconds")
    assert [Budget.of(text).amount for text in ("20 mins", "2 hrs", "1 hour", "30 secs", "2 days")] == [
        *(1200, 7200, 3600, 30, 172_800)
    ]
    assert Budget.of("1 fine-tuning") == Budget(1, "fine-tunings") and str(Budget.of("90m")) == "1.5 h"


DONE = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
COSTS = np.tile(np.diff(DONE, prepend=0.0), (12, 1))
ALIKE = np.random.default_rng(0).normal(0.6, 0.1, (12, 1000))


@pytest.mark.parametrize(("left", "least", "most"), [(0.2, 1, 1), (1.0, 1, 1), (2.0, 4, 12), (12.0, 12, 12)])
def test_more_can_begin_than_the_budget_trains_to_the_end(left, least, most):
    assert least <= worth_training(ALIKE, COSTS, left, DONE) <= most


def test_candidates_that_differ_by_less_than_early_rounds_tell_are_trained_to_the_end():
    begun = [worth_training(0.6 + spread * (ALIKE - 0.6), COSTS, 3.0, DONE) for spread in (2.0, 0.05)]
    assert begun[0] > begun[1] >= 3


@pytest.mark.parametrize(("gap", "spread"), [(0.05, 0.05), (0.03, 0.03)])
def test_a_short_look_at_a_second_candidate_is_worth_its_price_though_it_tells_little(gap, spread):
    """The first one goes on unless the other looks far better, so the look can only help."""
    outcomes = np.random.default_rng(0).normal((0.7 - gap * np.arange(4))[:, None], spread, (4, 1000))
    assert worth_training(outcomes, np.array([[1 / 12, 11 / 12]] * 4), 1.3, [1 / 12, 1.0]) >= 2


def test_one_that_is_expensive_leaves_less_for_others():
    dear = COSTS.copy()
    dear[0] *= 2
    assert worth_training(ALIKE, dear, 3.0, DONE) < worth_training(ALIKE, COSTS, 3.0, DONE)
    assert worth_training(ALIKE, dear, 1.0, DONE) == 1  # the first one in any case
