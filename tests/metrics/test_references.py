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
    terms = get_metric("face")(features, labels).terms
    assert terms["variance_collapse"] == pytest.approx(references.face_variance_collapse(features, labels), rel=1e-6)
    fairness = references.face_fairness(features, labels, components, 0.05)
    assert terms["class_fairness"] == pytest.approx(fairness, rel=1e-8)


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
    features, labels = mixture(60, 8, 3, separation=1.0, seed=seed)
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


def test_linear_probe_is_a_cross_validated_ridge_classifier():
    """The same folds and penalties, fitted by scikit-learn one by one."""
    features, labels = mixture(150, 12, 4, separation=0.8)
    data = LabelledFeatures(features + 100, labels)
    where = linear_probe._stratified_folds(data, 5, seed=0)
    shares = []
    for penalty in linear_probe.PENALTIES:
        correct = 0
        for fold in range(5):
            train, test = where != fold, where == fold
            centred = features[train] - features[train].mean(axis=0)
            unit = np.square(centred).sum() / features.shape[1]
            model = Ridge(alpha=penalty * unit).fit(features[train], np.eye(4)[labels[train]])
            correct += (model.predict(features[test]).argmax(axis=1) == labels[test]).sum()
        shares.append(correct / 150)
    result = get_metric("linear_probe").measure(data)
    assert result.terms["linear_probe"] == max(shares)
    assert result.parameters["penalty"] == linear_probe.PENALTIES[int(np.argmax(shares))]
    assert len(set(shares)) > 2
