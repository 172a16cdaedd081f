"""Bootstrap within classes: the short ways against metrics computed anew on the drawn rows."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from hf_transfer_score import ModelFacts, Outcome, get_metric
from hf_transfer_score.errors import NotApplicableError, OptionError
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.resampling import Draws, bootstrap_pool, bootstrap_terms
from tests.metrics.samples import mixture

FACE, NCTI = get_metric("face"), get_metric("ncti")
ROUND = get_metric("face", covariance="pooled_spherical")


def both_ways(data, metric, replicates=6, seed=3):
    short = bootstrap_terms(data, [metric], replicates=replicates, seed=seed)[metric.name]
    anew = bootstrap_terms(data, [metric], replicates=replicates, seed=seed, short_ways=False)[metric.name]
    assert list(short) == list(anew) == [term.name for term in metric.terms]
    return short, anew


# --- what is drawn


def test_the_counts_of_the_classes_stay_and_rows_stay_in_their_class():
    features, labels = mixture()
    draws = Draws(LabelledFeatures(features, labels), replicates=5)
    for replicate in range(5):
        rows = draws.rows(replicate)
        assert np.array_equal(np.sort(labels[rows]), np.sort(labels))
        assert 0.5 < len(np.unique(rows)) / len(rows) < 0.75  # 1 - 1/e of the rows are drawn at all
        counts = np.bincount(rows, minlength=len(labels))
        assert np.array_equal(draws.weights()[replicate], counts[draws.order])


def test_every_row_of_a_class_is_drawn_equally_often():
    labels = np.repeat([0, 1], [3, 40])
    draws = Draws(LabelledFeatures(np.random.default_rng(0).normal(size=(43, 2)), labels), replicates=2000)
    assert draws.weights().mean(axis=0) == pytest.approx(np.ones(43), abs=0.1)


def test_draws_depend_on_labels_seed_and_number_only():
    features, labels = mixture()
    one, other = LabelledFeatures(features, labels), LabelledFeatures(features[:, :3] * 7, labels + 5)
    assert np.array_equal(Draws(one, 4).weights(), Draws(other, 9).weights()[:4])
    assert not np.array_equal(Draws(one, 4).weights(), Draws(one, 4, seed=1).weights())
    assert not np.array_equal(Draws(one, 2).rows(0), Draws(one, 2).rows(1))


@pytest.mark.parametrize("step", [1, 3, 7, 100])
def test_parts_of_the_positions_are_split_by_class(step):
    labels = np.repeat([0, 1, 2, 3], [4, 1, 6, 2])
    draws = Draws(LabelledFeatures(np.random.default_rng(0).normal(size=(13, 2)), labels), 1)
    seen = []
    for start in range(0, 13, step):
        part = slice(start, min(start + step, 13))
        for code, positions, places in draws.classes(part):
            assert positions.start - start == places.start
            assert positions.stop - start == places.stop
            seen += [(position, code) for position in range(positions.start, positions.stop)]
    assert seen == list(enumerate(labels))


@pytest.mark.parametrize(("options", "message"), [({"replicates": 0}, "replicates must"), ({"seed": -1}, "seed must")])
def test_wrong_options_are_named(options, message):
    with pytest.raises(OptionError, match=message):
        bootstrap_terms(LabelledFeatures(*mixture()), [FACE], **options)


# --- FaCe and NCTI


def test_variance_collapse_of_a_case_solved_by_hand():
    features, labels = np.array([[0.0], [2.0], [10.0], [14.0], [15.0]]), np.array([0, 0, 1, 1, 1])
    data = LabelledFeatures(features, labels)
    found = bootstrap_terms(data, [FACE], replicates=20)["face"]["variance_collapse"]
    draws, seen = Draws(data, 20), set()
    for replicate, value in enumerate(found):
        first, second = np.split(features[draws.rows(replicate), 0], [2])
        within = (first.var() + second.var()) / 2
        between = ((first.mean() - second.mean()) / 2) ** 2
        assert value == pytest.approx(-within / between / 2, rel=1e-5, abs=1e-7)
        seen.add(round(float(value), 6))
    assert len(seen) > 5


@pytest.mark.parametrize("weighting", ["class", "sample"])
@pytest.mark.parametrize(
    ("rows", "width", "classes"), [(240, 16, 5), (60, 100, 4), (300, 6, 12), (200, 40, 2)], ids=str
)
def test_variance_collapse_is_exact(rows, width, classes, weighting):
    features, labels = mixture(rows, width, classes, separation=1.0)
    data = LabelledFeatures((1e4 + features * np.linspace(1, 30, width)).astype(np.float64), labels)
    short, anew = both_ways(data, get_metric("face", weighting=weighting))
    assert short["variance_collapse"] == pytest.approx(anew["variance_collapse"], rel=2e-5)
    assert np.ptp(anew["variance_collapse"]) > 0.01 * abs(anew["variance_collapse"].mean())


@pytest.mark.parametrize("scale", [1e-40, 1e40])
def test_variance_collapse_does_not_leave_single_precision(scale):
    features, labels = mixture()
    plain = bootstrap_terms(LabelledFeatures(features, labels), [FACE], replicates=3)["face"]["variance_collapse"]
    scaled = bootstrap_terms(LabelledFeatures(features * scale, labels), [FACE], replicates=3)["face"]
    assert scaled["variance_collapse"] == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("covariance", ["pooled_spherical", "spherical", "diagonal"])
def test_class_fairness_is_exact_where_no_component_is_left_out(covariance):
    data = LabelledFeatures(*mixture(width=12, separation=0.7))
    short, anew = both_ways(data, get_metric("face", covariance=covariance, pca="none"))
    assert short["class_fairness"] == pytest.approx(anew["class_fairness"], rel=1e-8)
    assert np.ptp(anew["class_fairness"]) > 1e-3


@pytest.mark.parametrize("scale", [3.0, 0.1, 0.02], ids=["plain", "shrunk", "shrunk far"])
@pytest.mark.parametrize("classes", [2, 5, 20])
def test_ncti_is_exact_where_no_component_is_left_out(scale, classes):
    generator, labels = np.random.default_rng(classes), np.arange(300) % classes
    features = generator.normal(size=(300, 12)) @ generator.normal(size=(12, 12)) * np.linspace(0.3, 2, 12)
    data = LabelledFeatures(scale * (features + 0.7 * generator.normal(size=(classes, 12))[labels]), labels)
    assert (NCTI.measure(data).parameters["shrinkage"] > 1e-10) == (scale < 1)
    short, anew = both_ways(data, NCTI)
    for term in ("seli", "ncc", "vc"):
        assert short[term] == pytest.approx(anew[term], rel=2e-5), term
        assert np.ptp(anew[term]) > 1e-3 * anew[term].mean()


def test_components_of_the_full_sample_change_little():
    generator, labels = np.random.default_rng(1), np.arange(500) % 10
    scales = np.arange(1, 161) ** -0.6 * 4
    features = (generator.normal(size=(500, 160)) + generator.normal(size=(10, 160))[labels] * 0.2) * scales
    data = LabelledFeatures(features, labels)
    assert NCTI.measure(data).parameters["pca_components"] == 64
    for metric in (ROUND, NCTI):
        short, anew = both_ways(data, metric, replicates=25)
        for term in short:
            left = [values - values.mean() for values in (short[term], anew[term])]
            assert 0.7 < left[0].std() / left[1].std() < 1.4, term
            assert np.corrcoef(*left)[0, 1] > 0.6, term


@pytest.mark.parametrize("metric", [get_metric("face", covariance="full", pca=4), get_metric("ncti", pca=150)])
def test_options_without_a_short_way_are_computed_anew(metric):
    features, labels = mixture(240, 160)
    short, anew = both_ways(LabelledFeatures(features, labels), metric, replicates=2)
    for term in short:
        assert np.array_equal(short[term], anew[term])


def test_classes_of_one_row_and_rows_in_few_dimensions():
    features, labels = mixture(60, 8, 6)
    labels[0] = 99
    data = LabelledFeatures(features, labels)
    for metric in (ROUND, NCTI):
        short, anew = both_ways(data, metric)
        for term in short:
            assert short[term] == pytest.approx(anew[term], rel=1e-4), term
    assert all(np.isfinite(values).all() for values in both_ways(data, FACE)[0].values())


def test_shrunk_covariances_of_the_full_sample_change_little():
    data = LabelledFeatures(*mixture(600, 8, 5, separation=0.9))
    short, anew = both_ways(data, FACE, replicates=30)
    left = [values["class_fairness"] - values["class_fairness"].mean() for values in (short, anew)]
    assert 0.7 < left[0].std() / left[1].std() < 1.4
    assert np.corrcoef(*left)[0, 1] > 0.6


def test_replicates_whose_classes_hardly_vary_are_computed_anew():
    generator, labels = np.random.default_rng(2), np.repeat(np.arange(6), 2)
    data = LabelledFeatures(3 * generator.normal(size=(12, 2)) + generator.normal(size=(6, 2))[labels], labels)
    varying = [
        sum(len(np.unique(pair)) == 2 for pair in Draws(data, 60).rows(replicate).reshape(6, 2))
        for replicate in range(60)
    ]
    assert min(varying) < 2 < max(varying)  # two directions take two classes that vary
    short, anew = both_ways(data, NCTI, replicates=60, seed=0)
    for term in short:
        assert np.allclose(short[term], anew[term], rtol=1e-3, equal_nan=True), term


def test_replicates_of_two_models_are_paired():
    features, labels = mixture(separation=0.2)
    rotation = np.linalg.qr(np.random.default_rng(5).normal(size=(16, 16)))[0]
    turned = features[:, ::-1] @ rotation - 3.0
    one, other = (bootstrap_terms(LabelledFeatures(part, labels), [FACE, NCTI]) for part in (features, turned))
    unpaired = bootstrap_terms(LabelledFeatures(features, labels), [FACE, NCTI], seed=1)
    for metric, terms in one.items():
        for term, values in terms.items():
            assert other[metric][term] == pytest.approx(values, rel=1e-4)
            assert np.abs(unpaired[metric][term] - values).max() > 1e-3 * np.abs(values).mean()


def test_the_same_call_gives_the_same_numbers_whatever_the_workers():
    labels = mixture()[1]
    reads = {
        f"model {seed}": lambda seed=seed: LabelledFeatures(mixture(seed=seed)[0], labels) for seed in range(4)
    } | {"broken": lambda: LabelledFeatures(np.full((240, 4), np.nan), labels)}
    one = bootstrap_pool(reads, [FACE, NCTI], replicates=10, workers=1)
    two = bootstrap_pool(dict(reversed(reads.items())), [FACE, NCTI], replicates=10, workers=3)
    assert list(one) == [f"model {seed}" for seed in range(4)]
    for model, metrics in one.items():
        for metric, terms in metrics.items():
            for term, values in terms.items():
                assert np.array_equal(values, two[model][metric][term])


def test_no_replicate_is_ever_held():
    generator, labels = np.random.default_rng(0), np.arange(3000) % 10
    features = generator.normal(size=(3000, 512)).astype(np.float32) + 0.3 * np.eye(10, 512, dtype=np.float32)[labels]
    data = LabelledFeatures(features, labels)
    data.principal(64)
    bootstrap_terms(data, [FACE, NCTI], replicates=2)
    tracemalloc.start()
    bootstrap_terms(data, [FACE, NCTI], replicates=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6 < 100 * features.nbytes / 5


# --- any other metric


def test_other_metrics_are_computed_on_the_drawn_rows():
    features, labels = mixture()
    data, knn = LabelledFeatures(features, labels), get_metric("knn")
    found = bootstrap_terms(data, [knn], replicates=3)["knn"]["knn"]
    draws = Draws(data, 3)
    for replicate in range(3):
        rows = draws.rows(replicate)
        assert found[replicate] == knn(features[rows], labels[rows]).terms["knn"]


def test_targets_and_source_probabilities_go_with_their_rows():
    features, labels = mixture()
    generator = np.random.default_rng(1)
    targets, probabilities = features[:, :1] + generator.normal(size=(240, 1)), generator.dirichlet(np.ones(7), 240)
    regression = LabelledFeatures(features, targets=targets)
    found = bootstrap_terms(regression, [get_metric("logme_regression"), FACE], replicates=2)
    assert list(found) == ["logme_regression"]
    rows = Draws(regression, 2).rows(1)
    anew = get_metric("logme_regression")(features[rows], targets=targets[rows])
    assert found["logme_regression"]["logme_regression"][1] == anew.terms["logme_regression"]
    data = LabelledFeatures(features, labels, source_probs=probabilities)
    rows = Draws(data, 2).rows(1)
    anew = get_metric("leep")(features[rows], labels[rows], source_probs=probabilities[rows])
    assert bootstrap_terms(data, [get_metric("leep")], replicates=2)["leep"]["leep"][1] == anew.terms["leep"]


def test_baselines_have_no_spread_and_what_cannot_be_computed_is_absent():
    data = LabelledFeatures(*mixture(), facts=ModelFacts(name="a", parameters=7))
    metrics = [get_metric(name) for name in ("parameter_count", "random_order", "downloads", "leep", "cdnv")]
    found = bootstrap_terms(data, metrics, replicates=4)
    assert list(found) == ["parameter_count", "random_order", "cdnv"]
    assert found["parameter_count"]["parameter_count"].tolist() == [7.0] * 4
    assert len(set(found["random_order"]["random_order"])) == 1
    assert len(set(found["cdnv"]["cdnv"])) == 4


def test_a_replicate_without_a_value_is_not_a_number():
    features, labels = mixture()

    def picky(data, options):
        if not (data.features == features[0]).all(axis=1).any():
            raise NotApplicableError("the first row is missing")
        return Outcome({"nc1": 1.0})

    found = bootstrap_terms(LabelledFeatures(features, labels), [replace(get_metric("nc1"), compute=picky)])
    drawn = np.array([(Draws(LabelledFeatures(features, labels)).rows(one) == 0).any() for one in range(100)])
    assert 0 < drawn.sum() < 100
    assert np.array_equal(np.isfinite(found["nc1"]["nc1"]), drawn)
