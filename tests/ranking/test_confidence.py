"""How sure a ranking is: by hand, and against pools whose true order is known."""

from bisect import bisect_left, bisect_right

import numpy as np
import pytest

from hf_transfer_score import MetricResult, get_metric, rank_pool
from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.resampling import bootstrap_terms
from hf_transfer_score.ranking.confidence import rank_confidence, results_of
from hf_transfer_score.ranking.pools import headline_ranks
from tests.ranking.test_pools import result

FACE, NCTI, NC1 = get_metric("face"), get_metric("ncti"), get_metric("nc1")


def one_term(values, spread, replicates=200, seed=0, noise=None):
    """A pool ranked by NC1 alone, lower is better, with noise of its own for each model."""
    noise = np.random.default_rng(seed).normal(size=(len(values), replicates)) if noise is None else noise
    results = {f"m{i}": {"nc1": result("nc1", nc1=float(value))} for i, value in enumerate(values)}
    terms = {f"m{i}": {"nc1": {"nc1": value + spread * noise[i]}} for i, value in enumerate(values)}
    return terms, results


def drawn_pool(models=6, replicates=50, seed=0):
    """A pool with both headline metrics, biased replicates, and a term that sometimes tells nothing."""
    generator = np.random.default_rng(seed)
    results, terms = {}, {}
    for i in range(models):
        values = {
            "face": {"variance_collapse": -3 + 0.1 * i, "class_fairness": 0.5 + 2e-4 * (i % 3)},
            "ncti": {"seli": 80 + i, "ncc": 0.8 - 0.01 * i, "vc": 5.0 + 0.01 * (i % 2)},
        }
        sizes = {"variance_collapse": 0.1, "class_fairness": 2e-4, "seli": 1.0, "ncc": 0.01, "vc": 0.01}
        results[f"m{i}"] = {name: result(name, **found) for name, found in values.items()}
        terms[f"m{i}"] = {
            name: {term: value + sizes[term] * (generator.normal(size=replicates) + i) for term, value in found.items()}
            for name, found in values.items()
        }
    return terms, results


def headline(results):
    return headline_ranks({m.name: rank_pool(m, results_of(m, results)) for m in (FACE, NCTI)})


def test_far_apart_models_are_told_apart():
    found = rank_confidence(*one_term([1.0, 2.0, 3.0], 0.05), [NC1])
    assert found.ranges == {"m0": (1, 1), "m1": (2, 2), "m2": (3, 3)}
    assert found.groups == {"m0": 1, "m1": 2, "m2": 3}
    assert found.first == {"m0": 1.0, "m1": 0.0, "m2": 0.0}
    assert found.separated == (("m0", "m1"), ("m0", "m2"), ("m1", "m2"))


def test_models_that_cannot_be_told_apart_share_a_rank():
    two = rank_confidence(*one_term([1.0, 1.05], 0.5), [NC1])
    assert two.ranks == {"m0": 1, "m1": 1}
    assert two.ranges == {"m0": (1, 2), "m1": (1, 2)}
    sure = rank_confidence(*one_term([1.0, 1.05], 0.001), [NC1])
    assert sure.ranks == {"m0": 1, "m1": 2}
    several = rank_confidence(*one_term([1.0, 1.01, 2.0, 2.01, 3.0], 0.1), [NC1])
    assert several.ranks == {"m0": 1, "m1": 1, "m2": 3, "m3": 3, "m4": 5}
    assert several.groups == {"m0": 1, "m1": 1, "m2": 2, "m3": 2, "m4": 3}


def test_a_common_movement_does_not_make_models_equal():
    noise = np.random.default_rng(0).normal(size=(1, 200)).repeat(3, axis=0)
    together = rank_confidence(*one_term([1.0, 1.1, 1.2], 0.5, noise=noise), [NC1])
    alone = rank_confidence(*one_term([1.0, 1.1, 1.2], 0.5), [NC1])
    assert set(together.groups.values()) == {1, 2, 3}
    assert set(alone.groups.values()) == {1}


def test_a_group_is_led_by_its_best_model():
    terms, results = one_term([1.0, 1.15, 1.3, 1.45], 0.1, replicates=2000)
    found = rank_confidence(terms, results, [NC1])
    # neighbours are 1.06 standard deviations of a difference apart, and next neighbours 2.12: above 1.64, 95 %
    assert found.groups == {"m0": 1, "m1": 1, "m2": 2, "m3": 2}
    assert ("m1", "m3") in found.separated
    assert ("m1", "m2") not in found.separated


def test_a_bias_of_the_replicates_counts_nothing():
    terms, results = drawn_pool()
    plain = rank_confidence(terms, results, [FACE, NCTI])
    for number, found in enumerate(terms.values()):
        for values in (values for metric in found.values() for values in metric.values()):
            values += 17.0 * number
    assert rank_confidence(terms, results, [FACE, NCTI]) == plain


def test_small_pools_and_models_without_every_result():
    terms, results = drawn_pool(3)
    alone = rank_confidence({"m0": terms["m0"]}, {"m0": results["m0"]}, [FACE, NCTI])
    assert (alone.ranges, alone.groups, alone.first) == ({"m0": (1, 1)}, {"m0": 1}, {"m0": 1.0})
    results["m1"]["ncti"] = MetricResult(metric="ncti", status="skipped", reason="no")
    del terms["m1"]["ncti"]
    results["failed"] = {}
    assert set(rank_confidence(terms, results, [FACE, NCTI]).ranges) == {"m0", "m2"}
    assert rank_confidence({}, {}, [FACE]).ranges == {}


def test_what_has_no_replicates_has_no_spread():
    terms, results = one_term([1.0, 1.5], 2.0)
    del terms["m0"], terms["m1"]
    steady = rank_confidence({"other": {"nc1": {"nc1": np.zeros(10)}}}, results, [NC1])
    assert steady.ranges == {"m0": (1, 1), "m1": (2, 2)}
    assert steady.replicates == 10
    unknown = rank_confidence({}, results, [NC1])
    assert unknown.ranges == {"m0": (1, 2), "m1": (1, 2)}
    assert unknown.groups == {"m0": 1, "m1": 1}
    assert unknown.ranks == {"m0": 1, "m1": 1}
    assert unknown.replicates == 0


def test_wrong_input_is_named():
    terms, results = one_term([1.0, 2.0], 0.1)
    with pytest.raises(OptionError, match="level must be a number between 0 and 1"):
        rank_confidence(terms, results, [NC1], level=90)
    terms["m0"]["nc1"]["nc1"] = np.zeros(7)
    with pytest.raises(InputError, match="different numbers of replicates: 7, 200"):
        rank_confidence(terms, results, [NC1])


# --- pools whose true order is known


def simulated(strengths, seed, rows=160, width=10, classes=4):
    """Features of models that see the same rows, with noise that they share in part."""
    generator, labels = np.random.default_rng(seed), np.arange(rows) % classes
    shared, found = generator.normal(size=(rows, width)), {}
    for number, strength in enumerate(strengths):
        means = 3 * strength * np.random.default_rng(100 + number).normal(size=(classes, width))
        found[f"m{number}"] = 2 * (0.7 * shared + 0.7 * generator.normal(size=(rows, width))) + means[labels]
    return {model: LabelledFeatures(features, labels) for model, features in found.items()}


def measured(pool):
    return {model: {metric.name: metric.measure(data) for metric in (FACE, NCTI)} for model, data in pool.items()}


def true_ranks(strengths, samples=40):
    """Lowest and highest rank by the means of the terms over many samples."""
    many = [measured(simulated(strengths, 1000 + seed)) for seed in range(samples)]

    def mean(model, metric):
        terms = [one[model][metric].terms for one in many]
        return result(metric, **{term: float(np.mean([one[term] for one in terms])) for term in terms[0]})

    ranks = headline({model: {metric: mean(model, metric) for metric in found} for model, found in many[0].items()})
    ordered = sorted(ranks.mean_ranks.values())
    return {
        model: (bisect_left(ordered, mean) + 1, bisect_right(ordered, mean)) for model, mean in ranks.mean_ranks.items()
    }


@pytest.mark.parametrize(
    "strengths", [(0.5, 0.52, 0.54, 0.56, 0.58, 0.6), (0.4, 0.45, 0.5, 0.7, 0.9, 1.2)], ids=["close", "wide"]
)
def test_ranges_cover_the_true_ranks(strengths):
    truth, inside, widths, wrong, told = true_ranks(strengths), [], [], 0, 0
    for seed in range(10):
        pool = simulated(strengths, seed)
        terms = {model: bootstrap_terms(data, [FACE, NCTI], replicates=60) for model, data in pool.items()}
        found = rank_confidence(terms, measured(pool), [FACE, NCTI])
        inside += [low <= truth[model][1] and high >= truth[model][0] for model, (low, high) in found.ranges.items()]
        widths += [high - low for low, high in found.ranges.values()]
        wrong += sum(truth[better] > truth[worse] for better, worse in found.separated)
        told += len(found.separated)
    assert np.mean(inside) >= 0.9
    assert np.mean(widths) < 3
    assert told > 40
    assert wrong <= 0.05 * told
