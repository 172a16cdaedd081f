"""FaCe, NCTI and LogME agree with slow references written from the definitions."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge

from hf_transfer_score import get_metric
from hf_transfer_score.metrics import linear_probe, logme, parc
from hf_transfer_score.metrics.labelled import LabelledFeatures
from tests.metrics import references
from tests.metrics.samples import mixture

shapes = st.tuples(
    st.integers(60, 160), st.integers(3, 20), st.integers(3, 6), st.floats(0.2, 4.0), st.integers(0, 10**6)
)


@settings(max_examples=25, deadline=None)
@given(shapes)
@example((60, 6, 6, 1.0, 2))  # fewer features than components, and a class without variance along some axis
def test_face(shape):
    rows, width, classes, separation, seed = shape
    features, labels = mixture(rows, width, classes, separation=separation, seed=seed)
    components = min(64, width, rows // 5)
    terms = get_metric("face", covariance="pooled_spherical")(features, labels).terms
    assert terms["variance_collapse"] == pytest.approx(references.face_variance_collapse(features, labels), rel=1e-6)
    fairness = references.face_fairness(features, labels, components, 0.05)
    assert terms["class_fairness"] == pytest.approx(fairness, rel=1e-8)


@settings(max_examples=25, deadline=None)
@given(shapes)
def test_face_of_shrunk_covariances(shape):
    rows, width, classes, separation, seed = shape
    features, labels = mixture(rows, width, classes, separation=separation, seed=seed)
    found = get_metric("face")(features, labels)
    assert found.parameters["pca_components"] == min(64, width, rows // 5)
    fairness = references.face_fairness(features, labels, min(64, width, rows // 5), 0.05, shrunk=True)
    assert found.terms["class_fairness"] == pytest.approx(fairness, rel=1e-8)


def test_shrunk_covariances_of_many_classes_live_in_few_components():
    features, labels = mixture(1000, 80, 200, separation=1.0)
    found = get_metric("face")(features, labels)
    assert found.parameters["pca_components"] == 17 < 64  # 200 squared times 17 cubed is just below 2e8
    assert get_metric("face", pca=20)(features, labels).parameters["pca_components"] == 20


@settings(max_examples=25, deadline=None)
@given(shapes, st.sampled_from([0.15, 1.0, 6.0]))
def test_ncti(shape, scale):
    rows, width, classes, separation, seed = shape
    features, labels = mixture(rows, width, classes, separation=separation, seed=seed)
    components = min(64, width, rows // 5)
    terms = get_metric("ncti")(features * scale, labels).terms
    for name, expected in references.ncti(features * scale, labels, components).items():
        assert terms[name] == pytest.approx(expected, rel=1e-6), name


@pytest.mark.parametrize("seed", range(4))
def test_logme_is_the_largest_evidence(seed):
    features, labels = mixture(40, 6, 3, separation=1.0, seed=seed)
    ours = get_metric("logme")(features, labels).terms["logme"]
    assert ours == pytest.approx(references.logme(features, labels), abs=2e-6)


@pytest.mark.parametrize(("rows", "width"), [(60, 8), (40, 60)])
def test_logme_is_the_evidence_of_its_own_precisions(rows, width):
    """Every precision counts, also those of the D - N directions that no row spans."""
    features, labels = mixture(rows, width, 3, separation=0.5)
    data = LabelledFeatures(features, labels)
    targets = logme.spectrum(data, data.statistics.class_sums, data.counts.astype(np.float64))
    fit = logme._fixed_point(targets, 1000, 1e-12)
    for label, evidence in enumerate(logme.log_evidence(targets, logme.LogMEOptions(tolerance=1e-12))):
        target = (labels == label).astype(np.float64)
        direct = references.log_evidence(features, target, fit.alpha[label], fit.beta[label])
        assert evidence == pytest.approx(direct, abs=1e-8)


def test_the_official_logme_differs_where_there_are_more_features_than_rows():
    features, labels = mixture(40, 60, 3, separation=0.5)
    ours = get_metric("logme", pca="none")(features, labels).terms["logme"]
    official = get_metric("logme", pca="none", convention="official")(features, labels).terms["logme"]
    assert abs(official - ours) > 0.01


def test_the_reference_of_logme_tells_right_from_wrong():
    features, labels = mixture(40, 6, 2)
    target = (labels == 0).astype(np.float64)
    assert references.log_evidence(features, target, 1.0, 8.0) != references.log_evidence(features, target, 2.0, 8.0)


@pytest.mark.parametrize("rows", [5, 30, 60])
def test_parc_ranks_tied_distances_like_scipy(rows):
    generator = np.random.default_rng(rows)
    codes = generator.integers(0, 3, rows)
    distances = generator.integers(0, 6, rows * (rows - 1) // 2).astype(np.float64)
    differ = np.concatenate([codes[i] != codes[i + 1 :] for i in range(rows - 1)])
    expected = spearmanr(distances, differ).statistic
    assert parc._rank_correlation(distances, codes) == pytest.approx(expected, abs=1e-12)


def test_linear_probe_is_a_ridge_classifier_that_leaves_each_row_out():
    features, labels = mixture(90, 12, 4, separation=0.8)
    labels[labels == 3] = np.where(np.arange((labels == 3).sum()) % 2, 3, 0)  # classes of different sizes
    unit = np.square(features - features.mean(axis=0)).sum() / features.shape[1]
    targets, rows = np.eye(4)[labels], np.arange(len(labels))
    shares = []
    for penalty in linear_probe.PENALTIES:
        right = 0
        for row in rows:
            # What is left out keeps its place in the means, as in the scores of the fit to all.
            left = np.where(rows == row, 0.0, 1.0)
            model = Ridge(alpha=penalty * unit, fit_intercept=False)
            design = np.column_stack([features - features.mean(axis=0), np.full(len(rows), 1e6)])
            right += model.fit(design, targets, left).predict(design[[row]]).argmax() == labels[row]
        shares.append(right / len(rows))
    result = get_metric("linear_probe")(features + 100, labels)
    assert result.terms["linear_probe"] == pytest.approx(max(shares))
    assert result.parameters["penalty"] == linear_probe.PENALTIES[int(np.argmax(shares))]
    assert result.parameters["chance"] == (labels == 0).mean() and len(set(shares)) > 2


@pytest.mark.parametrize("shape", [(60, 100, 5), (120, 30, 3)])
def test_linear_probe_of_more_features_than_rows_and_of_other_scales(shape):
    features, labels = mixture(*shape, separation=0.12)
    plain = get_metric("linear_probe")(features, labels).terms["linear_probe"]
    assert get_metric("linear_probe")(features * 1e-9, labels).terms["linear_probe"] == pytest.approx(plain)
    assert 1 / shape[2] < plain < 1
    shuffled = np.random.default_rng(0).permutation(labels)
    assert get_metric("linear_probe")(features, shuffled).terms["linear_probe"] < plain


@pytest.mark.parametrize("name", ["knn", "parc"])
def test_large_samples_are_cut_to_a_part_that_tells_nearly_the_same(name):
    features, labels = mixture(1200, 20, 5, separation=0.7)
    whole, part = (get_metric(name, max_rows=most)(features, labels) for most in (1200, 400))
    assert whole.parameters["rows"] == 1200 and 395 <= part.parameters["rows"] <= 400
    assert part.terms[name] == pytest.approx(whole.terms[name], abs=0.06 * (100 if name == "parc" else 1))
