"""Agreement with accuracies measured several times: against scipy, against loops, and solved by hand."""

import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr, weightedtau

from hf_transfer_score.errors import InputError
from hf_transfer_score.ranking.agreement import (
    FIGURES,
    agreement,
    measured_agreement,
    noise_ceiling,
)
from hf_transfer_score.ranking.agreement.figures import all_figures, draw_models


def pool(models=12, seeds=3, noise=0.02, seed=0):
    generator = np.random.default_rng(seed)
    quality = generator.uniform(0.5, 0.9, size=models)
    scores = np.round(quality + generator.normal(scale=0.1, size=models), 2)
    return scores, quality[:, None] + generator.normal(scale=noise, size=(models, seeds))


def test_pearson_and_rel_at_k_are_those_of_scipy_and_of_a_sorted_list():
    scores, measured = pool(20)
    truth = measured.mean(axis=1)
    found = agreement(np.arange(20) * scores, truth)
    assert found.pearson == pytest.approx(pearsonr(np.arange(20) * scores, truth).statistic, abs=1e-12)
    first = truth[np.argsort(-np.arange(20) * scores)]
    assert found.rel_at_1 == pytest.approx(first[0] / truth.max())
    assert found.rel_at_3 == pytest.approx(first[:3].max() / truth.max())


def test_rel_at_k_by_hand():
    found = agreement([3, 9, 5, 4], [0.9, 0.6, 0.7, 0.5])
    assert (found.rel_at_1, found.rel_at_3) == pytest.approx((6 / 9, 7 / 9))
    assert agreement([9, 9, 5], [0.8, 0.4, 0.7]).rel_at_1 == pytest.approx(0.6 / 0.8), (
        "of two that tie, either is first"
    )
    assert agreement([1, 2], [0.0, 0.0]).rel_at_1 is None
    assert agreement([1, 2, 3], [5.0, 7.0, 9.0]).pearson == pytest.approx(1)
    assert agreement([0.1] * 9, range(9)).pearson is None
    assert agreement([1e6 + 1e-4 * one for one in range(5)], range(5)).pearson == pytest.approx(1)


def by_scipy(x, y):
    """The figures of one replicate, whose models stand there as often as they were drawn."""
    if min(np.ptp(x), np.ptp(y)) == 0:
        correlations = [np.nan] * 4
    else:
        correlations = [one(x, y).statistic for one in (weightedtau, kendalltau, spearmanr, pearsonr)]
    top = y.max() - y[x == x.max()].mean()
    orders = [np.lexsort([np.random.default_rng(one).random(len(x)), -x]) for one in range(4000)]
    top3 = y.max() - np.mean([y[order[:3]].max() for order in orders])
    return [*correlations, top, top3, 1 - top / y.max(), 1 - top3 / y.max()]


def test_replicates_are_those_of_scipy_one_by_one():
    scores, measured = pool(9)
    scores, truth = np.round(scores, 1), np.round(measured.mean(axis=1), 1)
    draws = np.vstack([draw_models(9, 12, 1), [9] + [0] * 8])
    found = all_figures(scores, truth, draws)
    for number, counts in enumerate(draws.astype(int)):
        drawn = np.repeat(np.arange(9), counts)
        expected = by_scipy(scores[drawn], truth[drawn])
        values = [found[name][number] for name in FIGURES]
        assert values[:5] == pytest.approx(expected[:5], abs=1e-12, nan_ok=True)
        assert values[5:] == pytest.approx(expected[5:], abs=0.01)
    assert np.isnan(found["weighted_tau"][-1]), "one model alone"


def test_large_pools_are_taken_in_parts(monkeypatch):
    scores, measured = pool(20)
    draws = draw_models(20, 6, 0)
    expected = all_figures(scores, measured[:, 0], draws)
    monkeypatch.setattr("hf_transfer_score.ranking.agreement.figures.LARGEST_MATRIX", 7)
    found = all_figures(scores, measured[:, 0], draws)
    for name in FIGURES:
        assert found[name] == pytest.approx(expected[name], abs=1e-12)


def test_the_truth_is_the_mean_and_every_figure_has_intervals():
    scores, measured = pool()
    found = measured_agreement(scores, measured.tolist(), replicates=200)
    plain = agreement(scores, measured.mean(axis=1).round(12), replicates=200)
    assert {name: getattr(found, name) for name in FIGURES} == {name: getattr(plain, name) for name in FIGURES}
    assert set(found.intervals) == set(found.seed_intervals) == set(FIGURES)
    assert found.intervals["weighted_tau"] == pytest.approx(found.weighted_tau_interval)
    assert found.intervals["top_regret"] == pytest.approx(found.top_regret_interval)
    for name in FIGURES:
        for low, high in (found.intervals[name], found.seed_intervals[name]):
            assert low <= getattr(found, name) <= high
    assert (found.seeds, found.enough, found.warning) == (3, True, None)


def test_intervals_over_seeds_are_as_wide_as_figures_of_other_seeds_differ():
    """Against truths measured anew of the same models, which the bootstrap stands for."""
    generator = np.random.default_rng(1)
    quality = np.linspace(0.5, 0.9, 30)
    scores = quality + generator.normal(scale=0.1, size=30)
    pools = [quality[:, None] + generator.normal(scale=0.05, size=(30, 3)) for _ in range(120)]
    spread = np.std([pearsonr(scores, one.mean(axis=1)).statistic for one in pools])
    ends = [measured_agreement(scores, one, replicates=150).seed_intervals["pearson"] for one in pools[:10]]
    assert np.mean([high - low for low, high in ends]) / (2 * 1.645) == pytest.approx(spread, rel=0.3)


def test_intervals_over_seeds_hold_nothing_where_nothing_varies():
    scores, measured = pool()
    same = np.repeat(measured[:, :1], 3, axis=1)
    found = measured_agreement(scores, same, replicates=50)
    assert all(high - low < 1e-9 for low, high in found.seed_intervals.values())
    once = measured_agreement(scores, measured[:, :1], replicates=50)
    assert (once.seeds, once.seed_intervals) == (1, {}) and once.intervals
    some = measured_agreement(scores, [measured[0], *measured[1:, :1]], replicates=50)
    assert some.seeds == 1 and some.seed_intervals, "one model was measured several times"


def test_below_eight_models_nothing_can_be_told():
    scores, measured = pool(7)
    found = measured_agreement(scores, measured)
    assert (found.intervals, found.seed_intervals, found.enough) == ({}, {}, False)
    assert found.weighted_tau is not None
    assert found.warning == (
        "7 models cannot tell how well a metric works: with fewer than 8, agreement depends mostly on which models "
        "were measured."
    )
    assert agreement([1.0], [0.5]).warning.startswith("1 model cannot tell")


def test_the_noise_ceiling_is_one_seed_against_the_mean_of_the_others():
    _, measured = pool(10, seeds=3, noise=0.1)
    found = noise_ceiling(measured, replicates=40)
    taus, regrets = [], []
    for one in range(3):
        others = (measured.sum(axis=1) - measured[:, one]) / 2
        taus.append(weightedtau(measured[:, one], others).statistic)
        regrets.append(others.max() - others[measured[:, one].argmax()])
    assert found.weighted_tau == pytest.approx(np.mean(taus), abs=1e-12)
    assert found.top_regret == pytest.approx(np.mean(regrets), abs=1e-12)
    assert (found.models, found.seeds, found.enough, found.replicates) == (10, 3, True, 40)
    low, high = found.intervals["weighted_tau"]
    assert low <= found.weighted_tau <= high < 1 and found.weighted_tau_interval == (low, high)


def test_more_noise_lowers_the_ceiling_and_one_measurement_has_none():
    ceilings = [noise_ceiling(pool(30, noise=noise)[1], replicates=2).weighted_tau for noise in (0.0, 0.05, 0.5)]
    assert ceilings[0] == pytest.approx(1) and ceilings[0] > ceilings[1] > ceilings[2]
    assert noise_ceiling([[0.5, 0.6], [0.7]]) is None
    assert noise_ceiling([]) is None
    few = noise_ceiling([[0.5, 0.6, 0.1], [0.7, 0.7]])
    assert (few.seeds, few.models, few.enough, few.weighted_tau) == (2, 2, False, pytest.approx(1))


def test_what_makes_no_sense_is_said():
    with pytest.raises(InputError, match="model 1 has \\[\\]"):
        measured_agreement([1, 2], [[0.5], []])
    with pytest.raises(InputError, match="got 2 scores and 1 accuracies"):
        measured_agreement([1, 2], [[0.5, 0.6]])
    with pytest.raises(InputError, match="finite scores and accuracies"):
        measured_agreement([1, 2], [[0.5], [float("nan")]])
