"""What a metric's formula promises not to depend on, on every golden input."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hf_transfer_score import all_metrics, score_features
from hf_transfer_score.metrics.scores import FeatureScores
from tests.metrics.samples import mixture

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = sorted(path.stem for path in GOLDEN.glob("*.npz"))

TRANSLATION = ("face", "ncti", "nc1", "cdnv", "vci", "hscore", "reg_hscore", "gbc", "transrate", "sfda", "parc")
ROTATION = ("face", "ncti", "nc1", "cdnv", "vci", "hscore", "reg_hscore", "gbc", "transrate", "sfda", "knn", "logme")
SCALE = ("nc1", "cdnv", "vci", "hscore", "reg_hscore", "transrate", "parc", "knn", "linear_probe")
DEPENDS_ON_ROW_ORDER = ("nleep", "parc", "knn")
"""The start of a mixture, and the part of a large sample, are drawn for row positions."""

ALL = tuple(name for name, metric in all_metrics().items() if metric.needs == ("labels",))


@cache
def arrays(case: str) -> tuple[np.ndarray, np.ndarray]:
    found = np.load(GOLDEN / f"{case}.npz")
    return found["X"].astype(np.float64), found["y"]


@cache
def plain(case: str) -> FeatureScores:
    return score_features(*arrays(case), metrics=[name for name in ALL if name != "nleep"])


def assert_same(case: str, other: FeatureScores, relative: float) -> None:
    for name, result in other.results.items():
        for term, value in result.terms.items():
            expected = plain(case)[name].terms[term]
            assert value == pytest.approx(expected, rel=relative, abs=1e-12), f"{name}.{term}"


@pytest.mark.parametrize("case", CASES)
def test_single_and_double_precision_agree(case):
    features, labels = arrays(case)
    names = list(plain(case).results)
    assert_same(case, score_features(features.astype(np.float32), labels, metrics=names), 1e-5)


@pytest.mark.parametrize("case", CASES)
def test_a_large_common_offset_changes_nothing(case):
    features, labels = arrays(case)
    assert_same(case, score_features(features + 5000.0, labels, metrics=TRANSLATION), 1e-5)


def test_an_offset_does_change_what_is_not_centred():
    features, labels = arrays("gauss_balanced")
    moved = score_features(features + 5000.0, labels, metrics=["logme"])["logme"].terms["logme"]
    assert moved != pytest.approx(plain("gauss_balanced")["logme"].terms["logme"], rel=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_rotation(case):
    features, labels = arrays(case)
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(features.shape[1],) * 2))
    assert_same(case, score_features(features @ rotation, labels, metrics=ROTATION), 1e-8)


@pytest.mark.parametrize("case", CASES)
def test_scale(case):
    features, labels = arrays(case)
    assert_same(case, score_features(features * 3.0, labels, metrics=SCALE), 1e-8)
    collapse = score_features(features * 3.0, labels, metrics=["face"])["face"].terms["variance_collapse"]
    assert collapse == pytest.approx(plain(case)["face"].terms["variance_collapse"], rel=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_row_order(case):
    features, labels = arrays(case)
    order = np.random.default_rng(1).permutation(len(labels))
    names = [name for name in ALL if name not in DEPENDS_ON_ROW_ORDER]
    assert_same(case, score_features(features[order], labels[order], metrics=names), 1e-8)


@pytest.mark.parametrize("name", ["parc", "knn"])
def test_row_order_of_a_sample_that_is_not_cut(name):
    features, labels = arrays("gauss_balanced")
    order = np.random.default_rng(1).permutation(len(labels))
    assert_same("gauss_balanced", score_features(features[order], labels[order], metrics=[name]), 1e-8)


@pytest.mark.parametrize("case", CASES)
def test_label_names(case):
    features, labels = arrays(case)
    names = np.random.default_rng(2).permutation(np.arange(100, 100 + 7 * (labels.max() + 1), 7))
    chosen = [name for name in ALL if name not in DEPENDS_ON_ROW_ORDER]
    assert_same(case, score_features(features, names[labels], metrics=chosen), 1e-8)


@pytest.mark.parametrize("name", ["face", "nc1", "cdnv", "hscore", "vci", "gbc", "ncti"])
def test_every_row_twice(name):
    """Statistics with divisor n do not change when every row comes twice, but for what counts rows."""
    features, labels = mixture(400, 12, 4)
    one = score_features(features, labels, metrics=[name])[name].terms
    two = score_features(np.repeat(features, 2, axis=0), np.repeat(labels, 2), metrics=[name])[name].terms
    for term in set(one) - {"seli", "vc"}:
        assert two[term] == pytest.approx(one[term], rel=1e-8), term
    if name == "ncti":
        assert two["seli"] == pytest.approx(one["seli"] * np.sqrt(2), rel=1e-8)
        assert two["vc"] == pytest.approx(one["vc"] + np.log(2) / 2, rel=1e-8)


@pytest.mark.parametrize("name", ALL)
def test_better_separated_classes_score_higher(name):
    metric = all_metrics()[name]
    assert not metric.baseline, "a baseline needs no labels and must not be in this list"
    near, far = (metric(*mixture(300, 10, 5, separation=separation)) for separation in (0.3, 1.5))
    assert far.headline > near.headline
    term = metric.terms[0]
    assert term.direction * (far.terms[term.name] - near.terms[term.name]) > 0


@pytest.mark.parametrize("name", ALL)
def test_scoring_twice_gives_the_same_number_and_never_writes_to_the_input(name):
    features, labels = mixture(150, 9, 3)
    kept, kept_labels = features.copy(), labels.copy()
    features.setflags(write=False)
    labels.setflags(write=False)
    first, second = (all_metrics()[name](features, labels).terms for _ in range(2))
    assert first == second
    np.testing.assert_array_equal(features, kept)
    np.testing.assert_array_equal(labels, kept_labels)
