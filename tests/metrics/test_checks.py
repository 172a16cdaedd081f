"""Every kind of bad input has its own error, and says what to do."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hf_transfer_score import get_metric, score_features
from hf_transfer_score.errors import FeaturesError, LabelsError, NotApplicableError, SourceProbabilitiesError
from tests.metrics.samples import mixture

FEATURES, LABELS = mixture(60, 6, 3)


def changed(row: int, value: float) -> np.ndarray:
    features = FEATURES.copy()
    features[row] = value
    return features


BAD_FEATURES = {
    r"hold 12 non-finite values \(NaN or Inf\); first rows: 7, 9.": np.where(
        np.isin(np.arange(60), [7, 9])[:, None], np.nan, FEATURES
    ),
    r"hold 6 non-finite values": changed(3, np.inf),
    r"hold 1 non-finite value \(NaN or Inf\); first rows: 59": np.where(
        np.arange(360).reshape(60, 6) == 359, -np.inf, 1.5
    ),
    r"largest feature is 1e\+200, a scale at which squares overflow": np.where(FEATURES > 0, 1e200, 1.0),
    r"largest feature is 1e-200": np.where(FEATURES > 0, 1e-200, 0.0),
    r"Features are empty: got shape \(0, 6\)": FEATURES[:0],
    r"must have shape \(N, D\).*Got shape \(60,\)": FEATURES[:, 0],
    r"must have shape \(N, D\).*Got shape \(60, 3, 2\)": FEATURES.reshape(60, 3, 2),
    r"All 60 rows of features are identical": np.ones((60, 6)),
    r"object array": FEATURES.astype(object),
    r"real numbers, got dtype complex128": FEATURES.astype(complex),
    r"real numbers, got dtype <U": FEATURES.astype(str),
    r"features are ragged": [[1.0, 2.0], [3.0]],
    r"The features have masked entries.*Leave these rows out": np.ma.masked_greater(FEATURES, 1.0),
    r"There is one row of features; classes can only be compared with two": FEATURES[:1],
}


@pytest.mark.parametrize("message", BAD_FEATURES)
def test_bad_features(message):
    with pytest.raises(FeaturesError, match=message):
        score_features(BAD_FEATURES[message], LABELS, metrics="face")


BAD_LABELS = {
    r"At least 2 classes are needed, got 1 \(every label is 4\)": np.full(60, 4),
    r"Labels must be integers, got dtype float64. As they are whole, pass `labels.astype.*pass `targets=`": LABELS
    / 1.0,
    r"Labels must be integers, got dtype float64. Encode names with .*pass `targets=`": LABELS / 2,
    r"Labels must be integers, got dtype <U": LABELS.astype(str),
    r"^2 of 60 labels are missing \(NaN\): leave out these rows and their features": np.where(
        np.arange(60) < 2, np.nan, LABELS
    ),
    r"Got 59 labels for 60 rows": LABELS[:-1],
    r"Labels must have shape \(N,\).*\(60, 3\)": np.eye(3, dtype=int)[LABELS],
    r"All labels are -1: this split has no labels, use the train or validation split": np.full(60, -1),
    r"5 of 60 labels are -1.*use the train or validation split or drop those rows": np.where(
        np.arange(60) < 5, -1, LABELS
    ),
    r"Neither labels nor targets": None,
}


@pytest.mark.parametrize("message", BAD_LABELS)
def test_bad_labels(message):
    with pytest.raises(LabelsError, match=message):
        score_features(FEATURES, BAD_LABELS[message], metrics="face")


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.ones(59), r"Targets must have shape \(60,\) or \(60, T\), got \(59,\)"),
        (np.where(np.arange(60) == 4, np.nan, 1.0), r"1 targets are not finite; first rows: 4"),
        (np.array(["a"] * 60), r"Targets must be real numbers"),
        (np.full(60, 2.5), r"All targets are the same, so there is nothing to predict"),
    ],
)
def test_bad_targets(targets, message):
    with pytest.raises(LabelsError, match=message):
        score_features(FEATURES, targets=targets, metrics="logme_regression")


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (np.full((60, 4), 0.5), "do not sum to one. Apply a softmax"),
        (np.full((59, 2), 0.5), r"must be floats of shape \(60, S\)"),
        (np.full((60, 2), np.nan), "finite and not negative"),
        (np.tile([1.5, -0.5], (60, 1)), "finite and not negative"),
    ],
)
def test_bad_source_probabilities(probabilities, message):
    with pytest.raises(SourceProbabilitiesError, match=message):
        score_features(FEATURES, LABELS, metrics="leep", source_probs=probabilities)


def test_one_sample_classes_are_scored_with_a_warning_or_refused_by_name():
    features, labels = FEATURES, LABELS.copy()
    labels[10] = 9
    scores = score_features(features, labels, metrics="all")
    assert "1 of 4 classes have one sample" in " ".join(scores["face"].warnings)
    assert scores["linear_probe"].status == "skipped"
    assert scores["linear_probe"].reason == (
        "linear_probe needs two samples in every class to cross-validate; 1 have one"
    )
    with pytest.raises(NotApplicableError, match="gbc with unbiased variances needs two samples in every class"):
        get_metric("gbc", variance="unbiased")(features, labels)


def test_small_samples_and_saturated_metrics_are_warned_of():
    features, labels = mixture(40, 60, 9, separation=1.0)
    scores = score_features(features, labels, metrics=["face", get_metric("hscore", pca="none"), "vci"])
    assert any("small sample: 40 rows for 9 classes" in text for text in scores["face"].warnings)
    assert any("separate any labels" in text for text in scores["hscore"].warnings)
    far, labels = mixture(400, 30, 4, separation=9.0)
    scores = score_features(far, labels, metrics=["face", "ncti"])
    assert any("ncc is saturated" in text for text in scores["ncti"].warnings)
    assert any("class_fairness is saturated" in text for text in scores["face"].warnings)
    two = score_features(far, labels % 2, metrics="face")["face"]
    assert two.terms["class_fairness"] == 1.0
    assert any("two classes" in text for text in two.warnings)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int16", "uint8", "bool"])
def test_other_precisions_are_computed_in_double(dtype):
    features = np.maximum(FEATURES * 10, 0).astype(dtype)
    expected = score_features(features.astype(np.float64), LABELS, metrics=["face", "ncti", "logme"])
    found = score_features(features, LABELS, metrics=["face", "ncti", "logme"])
    for name, result in found.results.items():
        assert result.terms == expected[name].terms


def test_tensors_of_any_kind():
    tensor = torch.tensor(FEATURES, requires_grad=True)
    labels = torch.tensor(LABELS)
    expected = score_features(FEATURES, LABELS, metrics="ncti")["ncti"].terms
    assert score_features(tensor, labels, metrics="ncti")["ncti"].terms == expected
    half = tensor.detach().to(torch.bfloat16)
    expected = score_features(half.double().numpy(), LABELS, metrics="ncti")["ncti"].terms
    assert score_features(half, labels, metrics="ncti")["ncti"].terms == expected


def test_bool_and_offset_labels_are_labels():
    expected = score_features(FEATURES, LABELS > 0, metrics="nc1")["nc1"].terms
    assert score_features(FEATURES, np.where(LABELS > 0, 7, 3).astype(np.uint8), metrics="nc1")["nc1"].terms == expected


def test_what_has_no_finite_value_is_skipped_with_the_reason():
    metric = get_metric("transrate", distortion=1e-320)
    with np.errstate(all="ignore"):
        result = score_features(FEATURES, LABELS, metrics=[metric])["transrate"]
    assert result.status == "skipped"
    assert result.reason.startswith("transrate ")


def test_what_linear_algebra_cannot_solve_is_skipped_with_the_reason():
    def impossible(data, options):
        np.linalg.inv(np.zeros((2, 2)))

    result = score_features(FEATURES, LABELS, metrics=[replace(get_metric("vci"), compute=impossible)])["vci"]
    assert result.reason == "vci cannot be computed on these features: Singular matrix"


def test_rounding_is_no_variation_within_classes():
    generator = np.random.default_rng(0)
    means, labels = generator.normal(size=(20, 16)), np.repeat(np.arange(20), 5)
    for features, classes in ((means[labels], labels), (generator.normal(size=(100, 16)), np.arange(100))):
        result = score_features(features, classes, metrics="ncti")["ncti"]
        assert result.reason == "ncti needs some variation within classes, and every row equals its class mean"
    varied = means[labels] + 1e-4 * generator.normal(size=(100, 16))
    assert score_features(varied, labels, metrics="ncti")["ncti"].status == "ok"


def test_masked_labels_are_refused():
    with pytest.raises(FeaturesError, match="The labels have masked entries"):
        score_features(FEATURES, np.ma.masked_equal(LABELS, 2))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_scales_are_scored_or_skipped_with_a_reason(scale):
    scores = score_features(FEATURES * scale, LABELS, metrics="all")
    for name in ("face", "nc1", "cdnv", "vci", "hscore", "reg_hscore", "transrate", "knn", "linear_probe"):
        assert scores[name].status == "ok", scores[name].reason
    for result in scores.results.values():
        assert result.terms or result.reason
