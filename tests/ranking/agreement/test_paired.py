"""Differences of two scores: the same models drawn for both, checked against a loop over the drawn models."""

import numpy as np
import pytest

from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.ranking.agreement import FIGURES, agreement, difference, weighted_kendall
from hf_transfer_score.ranking.agreement.figures import draw_models

GENERATOR = np.random.default_rng(5)
TRUTH = GENERATOR.random(20)
NEAR, FAR = (TRUTH + GENERATOR.normal(0, spread, 20) for spread in (0.05, 0.6))


def test_interval_is_that_of_a_loop_over_drawn_models():
    found = difference(NEAR, FAR, TRUTH, replicates=200, seed=3, level=0.8)
    values = []
    for counts in draw_models(20, 200, 3):
        drawn = np.repeat(np.arange(20), counts.astype(int))
        first, second = (weighted_kendall(one[drawn].tolist(), TRUTH[drawn].tolist()) for one in (NEAR, FAR))
        values.append(first - second)
    assert found.interval == pytest.approx(tuple(np.quantile(values, [0.1, 0.9])))
    assert found.value == pytest.approx(agreement(NEAR, TRUTH).weighted_tau - agreement(FAR, TRUTH).weighted_tau)
    assert found.sure


def test_turned_round_it_is_the_opposite():
    one, other = difference(NEAR, FAR, TRUTH), difference(FAR, NEAR, TRUTH)
    assert one.value == -other.value
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))


def test_a_score_does_not_differ_from_itself_nor_from_one_that_orders_alike():
    for other in (NEAR, np.exp(NEAR)):
        found = difference(NEAR, other, TRUTH)
        assert found.value == 0
        assert found.interval == (0, 0)
        assert not found.sure


def test_two_scores_with_overlapping_intervals_can_differ_surely():
    generator, values = np.random.default_rng(2), np.arange(30.0)
    second = values + generator.normal(0, 12, 30)
    first = second + 0.4 * (values - second)
    alone = [agreement(one, values).weighted_tau_interval for one in (first, second)]
    assert alone[0][0] < alone[1][1]
    assert difference(first, second, values).sure


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_can_be_compared(figure):
    found = difference(NEAR, FAR, TRUTH, figure=figure, replicates=50)
    expected = [getattr(agreement(one, TRUTH), figure) for one in (NEAR, FAR)]
    assert found.value == pytest.approx(expected[0] - expected[1])
    assert found.interval[0] <= found.value <= found.interval[1]


def test_few_models_and_constant_scores_tell_nothing():
    few = difference(NEAR[:7], FAR[:7], TRUTH[:7])
    assert few.value is not None
    assert few.interval is None
    assert not few.sure
    assert difference(np.ones(20), FAR, TRUTH).value is None


def test_what_makes_no_sense_is_refused():
    with pytest.raises(OptionError, match="figure='tau_w': expected one of weighted_tau, tau"):
        difference(NEAR, FAR, TRUTH, figure="tau_w")
    with pytest.raises(InputError, match="one accuracy for each score, got 19 scores and 20"):
        difference(NEAR, FAR[:19], TRUTH)
