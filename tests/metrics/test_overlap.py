"""Which classes overlap: read off FaCe's own coefficients, for the classes that overlap most."""

import json
import math
from itertools import combinations

import numpy as np
import pytest

from hf_transfer_score import get_metric, score_features
from hf_transfer_score.metrics.face import SHOWN_CLASSES, FaceOptions, class_overlap, in_components, overlaps
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import ClassOverlap
from tests.metrics.test_hand_solved import FEATURES, LABELS


def crowd(classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels of classes at random places, some close to each other."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), 12)
    places = generator.normal(size=(classes, 6)) * 2
    return places[labels] + generator.normal(size=(len(labels), 6)), labels


def test_three_classes_by_hand():
    # One variance for all, (1 + 1e-4) / 2 along the two axes; squared distances of the means are 9, 36 and 45.
    found = get_metric("face", pca="none", covariance="pooled_spherical")(FEATURES, LABELS).overlap
    expected = [math.exp(-distance / (4 * (1 + 1e-4))) for distance in (9, 36, 45)]
    assert found == ClassOverlap((0, 1, 2), tuple(round(value, 4) for value in expected))
    assert found.values[0] > 0.1


def test_classes_are_named_as_the_labels_name_them():
    plain = get_metric("face")(FEATURES, LABELS).overlap
    named = get_metric("face")(FEATURES, np.array([40, 7, 1_000])[LABELS]).overlap
    assert plain.classes == (0, 1, 2) and named.classes == (7, 40, 1_000)
    first, second, third = plain.values  # of 0 and 1, 0 and 2, 1 and 2
    assert named.values == (first, third, second)
    assert [type(one) for one in (*named.classes, *named.values)] == [int] * 3 + [float] * 3


@pytest.mark.parametrize("covariance", ["shrunk", "pooled_spherical", "spherical", "diagonal", "full"])
def test_of_many_classes_those_that_overlap_most_are_kept(covariance):
    features, labels = crowd(SHOWN_CLASSES + 9)
    data = LabelledFeatures(features, labels)
    metric = get_metric("face", covariance=covariance)
    found = metric.measure(data).overlap
    whole = overlaps(in_components(data, metric.options), metric.options)
    means = {one: sum(whole[one, other] for other in range(len(whole)) if other != one) for one in range(len(whole))}
    most = sorted(sorted(means, key=means.__getitem__)[-SHOWN_CLASSES:])
    assert list(found.classes) == most != list(range(SHOWN_CLASSES))
    pairs = list(combinations(most, 2))
    assert found.values == pytest.approx([whole[pair] for pair in pairs], abs=0.5001e-4)
    assert len(found.values) == len(pairs) == 190


def test_equal_classes_give_way_in_order_and_stay_in_the_unit_interval():
    coefficients = np.full((30, 30), 1 + 1e-12)
    found = class_overlap(coefficients, np.arange(100, 130))
    assert found.classes == tuple(range(100, 120))
    assert set(found.values) == {1.0}
    assert set(class_overlap(-1e-12 * coefficients, np.arange(30)).values) == {0.0}


def test_two_classes_have_one_overlap():
    found = get_metric("face")(*crowd(2)).overlap
    assert found.classes == (0, 1) and len(found.values) == 1


def test_the_order_of_rows_changes_nothing():
    features, labels = crowd(7)
    order = np.random.default_rng(1).permutation(len(labels))
    one, other = (get_metric("face")(features[rows], labels[rows]).overlap for rows in (slice(None), order))
    assert one.classes == other.classes
    assert one.values == pytest.approx(other.values, abs=1.01e-4)


def test_the_options_are_those_of_the_metric():
    features, labels = crowd(5)
    plain, floored = (get_metric("face", variance_floor=floor)(features, labels).overlap for floor in (1e-4, 50.0))
    assert min(floored.values) > max(plain.values)
    data = LabelledFeatures(features, labels)
    expected = overlaps(data.turned("auto"), FaceOptions(variance_floor=50.0))[0, 1]
    assert floored.values[0] == pytest.approx(expected, abs=0.5001e-4)


def test_other_metrics_have_none_and_all_is_plain_json():
    scores = score_features(FEATURES, LABELS, metrics=["face", "nc1", "leep"])
    found = json.loads(json.dumps(scores.as_dict(), allow_nan=False))
    assert found == scores.as_dict()
    assert [found["results"][name]["overlap"] for name in ("nc1", "leep")] == [None, None]
    assert found["results"]["face"]["overlap"]["classes"] == [0, 1, 2]
