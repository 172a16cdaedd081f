"""Agreement with measured accuracies, against scipy, against loops, and solved by hand."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr, weightedtau

from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.ranking.agreement import agreement
from hf_transfer_score.ranking.agreement.figures import draw_models, top_regrets, weighted_taus


def sample(count, seed=0, ties=True):
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(2, count))
    return (np.round(x, 1), np.round(y + x, 1)) if ties else (x, y + x)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_those_of_scipy(seed, ties):
    x, y = sample(30, seed, ties)
    found = agreement(x, y, replicates=10)
    assert found.weighted_tau == pytest.approx(weightedtau(x, y).statistic, abs=1e-12)
    assert found.tau == pytest.approx(kendalltau(x, y).statistic, abs=1e-12)
    assert found.spearman == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_replicates_are_those_of_scipy_one_by_one(ties):
    x, y = sample(14, 5, ties)
    draws = draw_models(14, 60, 3)
    found = weighted_taus(x, y, draws)
    regrets = top_regrets(x, y, draws)
    for counts, tau, regret in zip(draws.astype(int), found, regrets, strict=True):
        drawn = np.repeat(np.arange(14), counts)
        assert tau == pytest.approx(weightedtau(x[drawn], y[drawn]).statistic, abs=1e-12)
        first = y[drawn][x[drawn] == x[drawn].max()]
        assert regret == pytest.approx(y[drawn].max() - first.mean(), abs=1e-12)


def test_large_pools_take_the_way_without_pairs(monkeypatch):
    x, y = sample(20)
    draws = draw_models(20, 15, 0)
    expected = weighted_taus(x, y, draws)
    monkeypatch.setattr("hf_transfer_score.ranking.agreement.figures.LARGEST_MATRIX", 10)
    assert weighted_taus(x, y, draws) == pytest.approx(expected, abs=1e-12)


def test_the_regret_is_what_taking_the_first_costs():
    found = agreement([3, 9, 5, 4], [0.9, 0.6, 0.7, 0.5])
    assert found.top_regret == pytest.approx(0.3)
    assert found.top3_regret == pytest.approx(0.2)
    assert agreement([9, 9, 5], [0.9, 0.5, 0.7]).top_regret == pytest.approx(0.2)
    assert agreement([1.0], [0.5]).top_regret == 0.0


@pytest.mark.parametrize("scores", [[5, 5, 5, 5, 5], [9, 5, 5, 5, 1], [9, 8, 5, 5, 5], [9, 9, 9, 1, 1]])
def test_ties_among_the_first_three_are_broken_in_every_way(scores):
    truth = [0.1, 0.9, 0.4, 0.7, 0.95]
    costs = []
    for order in permutations(range(5)):
        ranked = sorted(order, key=lambda one: -scores[one])
        costs.append(max(truth) - max(truth[one] for one in ranked[:3]))
    assert agreement(scores, truth).top3_regret == pytest.approx(np.mean(costs))


def test_intervals_hold_the_value_and_shrink_with_more_models():
    few, many = (agreement(*sample(count, 2, ties=False), seed=1) for count in (10, 200))
    for one in (few, many):
        low, high = one.weighted_tau_interval
        assert low <= one.weighted_tau <= high
        assert one.top_regret_interval[0] <= one.top_regret <= one.top_regret_interval[1]
    width = [one.weighted_tau_interval[1] - one.weighted_tau_interval[0] for one in (few, many)]
    assert width[1] < width[0] / 2
    assert (few.replicates, few.enough) == (1000, True)


def test_intervals_are_as_wide_as_figures_of_other_models_differ():
    """Against many pools drawn anew, which the bootstrap stands for."""
    pools = [sample(60, seed, ties=False) for seed in range(150)]
    spread = np.std([weightedtau(x, y).statistic for x, y in pools])
    ends = [agreement(x, y, replicates=200).weighted_tau_interval for x, y in pools[:20]]
    implied = np.mean([high - low for low, high in ends]) / (2 * 1.645)
    assert implied == pytest.approx(spread, rel=0.25)


def test_large_pools_get_fewer_replicates_and_say_so():
    assert agreement(*sample(800), replicates=1000).replicates == 500


def test_below_eight_models_it_is_not_enough():
    found = agreement(range(7), range(7))
    assert (found.models, found.weighted_tau, found.enough, found.weighted_tau_interval) == (7, 1.0, False, None)
    assert agreement(range(8), range(8)).enough


def test_what_is_constant_has_no_tau_and_nothing_is_not_a_number():
    found = agreement([1.0] * 9, range(9))
    assert (found.weighted_tau, found.tau, found.spearman, found.weighted_tau_interval) == (None, None, None, None)
    assert found.top_regret == 4.0
    assert agreement([1.0], [0.5]).weighted_tau is None
    assert agreement([], []).models == 0
    assert agreement([], []).top_regret is None


def test_the_order_of_the_models_changes_no_figure():
    x, y = sample(12)
    order = np.random.default_rng(0).permutation(12)
    first, second = agreement(x, y), agreement(x[order], y[order])
    assert second.weighted_tau == pytest.approx(first.weighted_tau)
    assert (second.top_regret, second.top3_regret) == pytest.approx((first.top_regret, first.top3_regret))


def test_what_cannot_be_compared_is_said():
    with pytest.raises(InputError, match="got 2 scores and 3 accuracies"):
        agreement([1, 2], [1, 2, 3])
    with pytest.raises(InputError, match="finite scores"):
        agreement([1, float("nan")], [1, 2])
    with pytest.raises(OptionError, match="between 0 and 1"):
        agreement([1, 2], [1, 2], level=1)
    with pytest.raises(OptionError, match="at least 1, got 0"):
        agreement([1, 2], [1, 2], replicates=0)
