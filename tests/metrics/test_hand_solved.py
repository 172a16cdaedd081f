"""Cases small enough to solve with pen and paper."""

import math

import numpy as np
import pytest

from hf_transfer_score import ModelFacts, get_metric

# Three classes of two rows on a line of two dimensions: means (0,0), (3,0), (0,6), each row one unit off its mean
# along the first axis.
MEANS = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 6.0]])
FEATURES = np.repeat(MEANS, 2, axis=0) + np.tile([[1.0, 0.0], [-1.0, 0.0]], (3, 1))
LABELS = np.array([0, 0, 1, 1, 2, 2])


def test_nc1_and_variance_collapse():
    # Σ_W = diag(1, 0); centred means (-1,-2), (2,-2), (-1,4) give Σ_B = [[2, -2], [-2, 8]], whose inverse has 8/12 at
    # (0, 0); trace = 2/3, over K = 3.
    assert get_metric("nc1")(FEATURES, LABELS).terms["nc1"] == pytest.approx(2 / 9)
    assert get_metric("face")(FEATURES, LABELS).terms["variance_collapse"] == pytest.approx(-2 / 9)


def test_trace_ratio():
    assert get_metric("nc1", form="trace_ratio")(FEATURES, LABELS).terms["nc1"] == pytest.approx(1 / 10)


def test_cdnv():
    # Every class has mean squared distance 1 to its mean; squared distances of the means are 9, 36 and 45.
    assert get_metric("cdnv")(FEATURES, LABELS).terms["cdnv"] == pytest.approx((1 / 9 + 1 / 36 + 1 / 45) / 3)


def test_hscore_and_vci():
    # Σ_T = Σ_W + Σ_B = [[3, -2], [-2, 8]] with inverse [[8, 2], [2, 3]] / 20; trace with Σ_B = (16 - 4 - 4 + 24) / 20.
    assert get_metric("hscore", pca="none")(FEATURES, LABELS).terms["hscore"] == pytest.approx(1.6)
    assert get_metric("vci")(FEATURES, LABELS).terms["vci"] == pytest.approx(1 - 1.6 / 2)


def test_gbc_counts_ordered_pairs():
    # Spherical variances: (1 + 1e-4) / 2 in each class, so the distances are |μ_i - μ_j|² / (8 s).
    spread = (1 + 1e-4) / 2
    expected = -2 * sum(math.exp(-distance / (8 * spread)) for distance in (9, 36, 45))
    assert get_metric("gbc", pca="none")(FEATURES, LABELS).terms["gbc"] == pytest.approx(expected)


def test_face_fairness_of_an_equilateral_triangle_is_one():
    corners = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, math.sqrt(3)]])
    noise = np.random.default_rng(0).normal(size=(40, 2))
    features = np.concatenate([corner + noise for corner in corners])
    spherical = get_metric("face", covariance="pooled_spherical")
    assert spherical(features, np.repeat([0, 1, 2], 40)).terms["class_fairness"] == pytest.approx(1.0)


def test_face_fairness_of_one_overlapping_pair():
    # Classes 0 and 1 coincide and class 2 is far away: 0 and 1 each put all weight on the other at a low temperature
    # (entropy 0), class 2 meets nobody (entropy ln 2); the mean is 1/3 of ln 2.
    noise = np.random.default_rng(0).normal(size=(40, 2))
    features = np.concatenate([noise, noise, noise + 1000.0])
    found = get_metric("face", temperature=0.01)(features, np.repeat([0, 1, 2], 40)).terms["class_fairness"]
    assert found == pytest.approx(1 / 3, abs=1e-9)


def test_transrate_of_one_dimension():
    features = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    labels = np.array([0, 0, 1, 1])
    whole = 0.5 * math.log(1 + 1 / (4 * 1e-4))
    part = 0.5 * math.log(1 + 0.5 / (2 * 1e-4))
    assert get_metric("transrate")(features, labels).terms["transrate"] == pytest.approx(whole - part)


def test_leep_of_a_perfect_source_is_zero_and_of_a_blind_one_is_the_entropy():
    features, labels = np.arange(8.0).reshape(4, 2), np.array([0, 0, 0, 1])
    perfect = np.eye(2)[labels]
    blind = np.full((4, 3), 1 / 3)
    assert get_metric("leep")(features, labels, source_probs=perfect).terms["leep"] == pytest.approx(0.0)
    entropy = (3 * math.log(3 / 4) + math.log(1 / 4)) / 4
    assert get_metric("leep")(features, labels, source_probs=blind).terms["leep"] == pytest.approx(entropy)


def test_a_source_class_without_mass_counts_nothing():
    features, labels = np.arange(8.0).reshape(4, 2), np.array([0, 0, 1, 1])
    with_empty = np.column_stack([np.eye(2)[labels], np.zeros(4)])
    assert get_metric("leep")(features, labels, source_probs=with_empty).terms["leep"] == pytest.approx(0.0)


def test_knn_votes():
    features = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, -0.1], [0.0, 1.0], [0.1, 1.0], [0.9, 0.2]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    # The last row lies among class 0; every other row has one of its own class nearest.
    assert get_metric("knn", neighbours=1)(features, labels).terms["knn"] == pytest.approx(5 / 6)


def test_knn_ties_go_to_the_nearest():
    features = np.array([[0.0], [1.0], [-1.5], [40.0], [41.0]])
    labels = np.array([1, 1, 0, 0, 0])
    nearest = get_metric("knn", neighbours=2, distance="euclidean")(features, labels).terms["knn"]
    smallest = get_metric("knn", neighbours=2, distance="euclidean", ties="smallest_label")(features, labels)
    assert nearest == pytest.approx(4 / 5)
    assert smallest.terms["knn"] == pytest.approx(2 / 5)


def test_parc_of_features_that_say_the_label_is_the_largest_it_can_be():
    features = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    assert get_metric("parc")(features, np.array([0, 0, 1, 1])).terms["parc"] == pytest.approx(100.0)
    assert get_metric("parc")(features, np.array([0, 1, 0, 1])).terms["parc"] < 0


def test_linear_probe_of_separable_and_of_meaningless_features():
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 30)
    noise = generator.normal(size=(120, 6))
    far = noise + 40 * np.eye(6)[labels]
    assert get_metric("linear_probe")(far, labels).terms["linear_probe"] == 1.0
    assert get_metric("linear_probe")(noise, labels).terms["linear_probe"] < 0.45


def test_logme_regression_prefers_the_target_that_the_features_explain():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(80, 5))
    metric = get_metric("logme_regression")
    explained = metric(features, targets=features @ np.arange(5) + 0.01 * generator.normal(size=80))
    unexplained = metric(features, targets=generator.normal(size=80) * 5)
    assert explained.terms["logme_regression"] > 0 > unexplained.terms["logme_regression"]


def test_trivial_baselines_say_what_they_are():
    facts = ModelFacts(name="a", parameters=10, downloads=7)
    values = {
        name: get_metric(name)(FEATURES, LABELS, facts=facts).terms[name]
        for name in ("parameter_count", "downloads", "feature_width", "random_order")
    }
    assert (
        values.pop("random_order")
        == get_metric("random_order")(FEATURES * 2, LABELS, facts=facts).terms["random_order"]
    )
    assert values == {"parameter_count": 10.0, "downloads": 7.0, "feature_width": 2.0}
    other = get_metric("random_order", seed=1)(FEATURES, LABELS, facts=facts).terms["random_order"]
    assert other != get_metric("random_order")(FEATURES, LABELS, facts=facts).terms["random_order"]
