"""Pools: scaling, flags, ranks and agreement."""

import numpy as np
import pytest

from hf_transfer_score import (
    MetricResult,
    ModelFacts,
    Ranking,
    get_metric,
    rank_features,
    rank_pool,
    weighted_kendall,
)
from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.ranking.pools import PoolRanking, headline_ranks


def result(metric: str, **terms: float) -> MetricResult:
    return MetricResult(metric=metric, status="ok", terms=terms)


def test_ncti_adds_and_subtracts_scaled_terms():
    pool = {
        "a": result("ncti", seli=10.0, ncc=0.5, vc=3.0),
        "b": result("ncti", seli=20.0, ncc=0.9, vc=2.0),
        "c": result("ncti", seli=15.0, ncc=0.6, vc=4.0),
    }
    ranking = rank_pool(get_metric("ncti"), pool)
    assert ranking.scores == pytest.approx({"a": 0 + 0 - 0.5, "b": 1 + 1 - 0, "c": 0.5 + 0.25 - 1})
    assert ranking.ranks == {"b": 1, "c": 2, "a": 3}
    assert ranking.flags == {}


def test_a_metric_may_be_named_and_what_is_no_result_of_it_is_refused():
    pool = {"a": result("nc1", nc1=1.0), "b": result("nc1", nc1=2.0)}
    assert rank_pool("nc1", pool).ranks == {"a": 1, "b": 2}
    for wrong, kind in ((None, "NoneType"), ({"a": np.ones((3, 2))}, "ndarray"), (pool | {"c": result("knn")}, "knn")):
        with pytest.raises(InputError, match=rf"Expected a result of nc1 by the name of its model, .*; got {kind}\."):
            rank_pool("nc1", wrong)


def test_one_more_candidate_changes_every_score_but_no_raw_term():
    pool = {
        "a": result("face", variance_collapse=-2.0, class_fairness=0.1),
        "b": result("face", variance_collapse=-1.0, class_fairness=0.2),
    }
    before = rank_pool(get_metric("face"), pool).scores
    pool["c"] = result("face", variance_collapse=-9.0, class_fairness=0.9)
    after = rank_pool(get_metric("face"), pool).scores
    assert before == {"a": 0.0, "b": 2.0}
    assert after["a"] == pytest.approx(7 / 8)


def test_a_pool_of_one_scales_to_zero_and_says_so():
    ranking = rank_pool(get_metric("face"), {"a": result("face", variance_collapse=-2.0, class_fairness=0.1)})
    assert ranking.scores == {"a": 0.0}
    assert ranking.ranks == {"a": 1}
    assert set(ranking.flags) == {"variance_collapse", "class_fairness"}
    assert "a single model" in ranking.flags["class_fairness"]


def test_a_term_that_hardly_varies_counts_zero_and_is_flagged():
    pool = {
        "a": result("face", variance_collapse=-2.0, class_fairness=0.9995),
        "b": result("face", variance_collapse=-1.0, class_fairness=0.9999),
    }
    ranking = rank_pool(get_metric("face"), pool)
    assert ranking.scores == {"a": 0.0, "b": 1.0}
    assert list(ranking.flags) == ["class_fairness"]
    assert ranking.scaled["b"] == {"variance_collapse": 1.0, "class_fairness": 0.0}


@pytest.mark.parametrize(("spread", "flagged"), [(0.0, True), (0.9e-3, True), (1.1e-3, False)])
def test_the_range_is_relative_for_terms_without_bounds(spread, flagged):
    pool = {"a": result("logme", logme=-100.0), "b": result("logme", logme=-100.0 * (1 - spread))}
    ranking = rank_pool(get_metric("logme"), pool)
    assert ("logme" in ranking.flags) is flagged
    assert ranking.ranks["a"] == (1 if flagged else 2)


def test_lower_is_better_where_the_direction_says_so():
    pool = {"a": result("nc1", nc1=3.0), "b": result("nc1", nc1=1.0)}
    ranking = rank_pool(get_metric("nc1"), pool)
    assert ranking.ranks == {"a": 2, "b": 1}
    assert ranking.scores == {"a": -3.0, "b": -1.0}


def test_ties_share_the_better_rank_and_skipped_models_are_absent():
    pool = {
        "a": result("knn", knn=0.5),
        "b": result("knn", knn=0.5),
        "c": result("knn", knn=0.1),
        "d": MetricResult(metric="knn", status="skipped", reason="too few rows"),
    }
    assert rank_pool(get_metric("knn"), pool).ranks == {"a": 1, "b": 1, "c": 3}


def test_agreement_counts_the_best_most():
    truth = [5.0, 4.0, 3.0, 2.0, 1.0]
    assert weighted_kendall(truth, truth) == pytest.approx(1.0)
    assert weighted_kendall([1, 2, 3, 4, 5], truth) == pytest.approx(-1.0)
    swapped_best, swapped_worst = weighted_kendall([4, 5, 3, 2, 1], truth), weighted_kendall([5, 4, 3, 1, 2], truth)
    assert swapped_best < swapped_worst < 1
    with pytest.raises(InputError, match="same length above 1, got 2 and 3"):
        weighted_kendall([1, 2], [1, 2, 3])


def ranked(metric: str, **ranks: int) -> PoolRanking:
    return PoolRanking(metric, {model: float(-rank) for model, rank in ranks.items()}, ranks, {})


def test_the_headline_is_the_mean_rank_over_both():
    pools = {"face": ranked("face", a=1, b=3, c=2), "ncti": ranked("ncti", a=3, b=2, c=1), "nc1": ranked("nc1", b=1)}
    headline = headline_ranks(pools)
    assert headline.metrics == ("face", "ncti")
    assert headline.mean_ranks == {"c": 1.5, "a": 2.0, "b": 2.5}
    assert headline.ranks == {"c": 1, "a": 2, "b": 3}
    assert list(headline.ranks) == ["c", "a", "b"]


def test_without_both_the_first_metric_decides():
    pools = {"nc1": ranked("nc1", a=2, b=1), "face": ranked("face", a=1, b=2)}
    assert headline_ranks(pools).metrics == ("nc1",)
    assert headline_ranks(pools).ranks == {"b": 1, "a": 2}
    assert headline_ranks(pools, ("face",)).ranks == {"a": 1, "b": 2}
    assert headline_ranks({}).ranks == {}


def test_what_is_told_of_models_without_features_is_refused():
    features = {name: np.random.default_rng(0).normal(size=(40, 8)) for name in ("near", "far")}
    labels = np.arange(40) % 4
    with pytest.raises(OptionError, match="facts name the model 'naer', which has no features. Did you mean 'near'?"):
        rank_features(features, labels, facts={"naer": ModelFacts(parameters=3)})
    with pytest.raises(OptionError, match="source_probs name the model 'other', which has no features"):
        rank_features(features, labels, source_probs={"other": np.ones((40, 1))})
    with pytest.raises(OptionError, match="facts have to be ModelFacts by model name; got dict"):
        rank_features(features, labels, facts={"near": {"parameters": 3}})


def test_labels_of_any_type_are_one_sample():
    features = {name: np.random.default_rng(0).normal(size=(40, 8)) for name in ("near", "far")}
    labels = np.arange(40) % 2
    kinds = (labels, labels.astype(np.int8), labels == 1, labels.tolist())
    about = {"dataset": "owner/pets", "task": "image-classification"}
    made = [rank_features(features, one, metrics="ncti", **about).records() for one in kinds]
    assert len({one.dataset.fingerprint for records in made for one in records}) == 1


@pytest.mark.parametrize("given", ["results", [{"model": "a"}], ["a", "b"]])
def test_what_is_no_record_is_refused(given):
    with pytest.raises(
        InputError, match=r"Expected records, such as those of `read_records\(folder\)`; got (str|dict)."
    ):
        Ranking.of(given)
