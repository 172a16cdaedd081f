"""The one list of metrics, its door for others, and options."""

from dataclasses import FrozenInstanceError, fields, is_dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import hf_transfer_score.metrics
from hf_transfer_score import Metric, Outcome, Term, all_metrics, get_metric, register_metric, score_features
from hf_transfer_score.errors import DuplicateMetricError, NotApplicableError, OptionError, UnknownMetricError
from hf_transfer_score.metrics import registry
from tests.metrics.samples import mixture

BUILT_IN = list(all_metrics().values())


def own(name: str = "own", **changes) -> Metric:
    settings = {
        "title": "Own",
        "citation": "none",
        "compute": lambda data, options: Outcome({name: float(data.rows)}),
        "terms": (Term(name, "rows"),),
    }
    return Metric(name=name, **(settings | changes))


@pytest.mark.parametrize("metric", BUILT_IN, ids=lambda metric: metric.name)
def test_one_word_names_the_file_the_function_and_the_key(metric):
    assert metric.compute.__name__ == metric.name
    assert metric.compute.__module__ == f"hf_transfer_score.metrics.{metric.name}"
    assert metric.title
    assert metric.citation
    assert metric.terms
    assert is_dataclass(metric.options)
    for one in fields(metric.options):
        with pytest.raises(FrozenInstanceError):
            setattr(metric.options, one.name, None)


def test_face_and_ncti_come_first_and_baselines_last():
    names = list(all_metrics())
    assert names[:2] == ["face", "ncti"]
    assert set(names[-4:]) == {"downloads", "feature_width", "parameter_count", "random_order"}


def test_every_metric_file_is_registered():
    folder = Path(hf_transfer_score.metrics.__file__).parent
    shared = {"__init__", "checks", "class_stats", "gaussians", "labelled", "registry", "scores"}
    assert {path.stem for path in folder.glob("*.py")} - shared == set(all_metrics())


def test_unknown_names_say_the_nearest_and_the_known():
    with pytest.raises(
        UnknownMetricError, match=r"There is no metric 'logmee' \(did you mean 'logme'\?\). Known: face, ncti,"
    ):
        get_metric("logmee")


def test_a_metric_of_ones_own():
    register_metric(own())
    try:
        features, labels = mixture()
        assert score_features(features, labels, metrics="own")["own"].terms == {"own": 240.0}
        with pytest.raises(DuplicateMetricError, match="'own' is already registered"):
            register_metric(own())
    finally:
        registry.unregister_metric("own")
    with pytest.raises(UnknownMetricError):
        get_metric("own")


def test_built_in_names_cannot_be_taken():
    with pytest.raises(DuplicateMetricError, match="'face' is already registered"):
        register_metric(own("face"))


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, registry.ENTRY_POINT_GROUP)


def test_two_packages_with_one_name_are_refused_and_a_stale_install_is_not():
    one = point("face", "hf_transfer_score.metrics.face:METRIC")
    assert list(registry._load([one, one])) == ["face"]
    with pytest.raises(DuplicateMetricError, match="Two installed packages register a metric named 'face'"):
        registry._load([one, point("face", "hf_transfer_score.metrics.ncti:METRIC")])
    with pytest.raises(DuplicateMetricError, match="Entry point 'fase' holds a metric with another name: 'face'"):
        registry._load([point("fase", "hf_transfer_score.metrics.face:METRIC")])
    with pytest.raises(OptionError, match="expected a Metric, got function"):
        registry._load([point("face", "hf_transfer_score.metrics.face:face")])


def test_a_metric_that_ranks_by_one_value_has_one_term():
    with pytest.raises(OptionError, match="ranks by one value but has 2 terms"):
        register_metric(own(terms=(Term("a", ""), Term("b", ""))))


@pytest.mark.parametrize("version", [0, -1, True, 1.0, "2"])
def test_a_version_counts_from_one(version):
    assert all(type(metric.version) is int and metric.version >= 1 for metric in BUILT_IN)
    with pytest.raises(OptionError, match="register_metric: the version of 'own' must be a whole number above 0"):
        register_metric(own(version=version))


def test_options_are_checked_by_name_and_value():
    with pytest.raises(OptionError, match=r"face has no option 'temprature' \(did you mean 'temperature'\?\)"):
        get_metric("face", temprature=1)
    with pytest.raises(OptionError, match="vci has no option 'pca'. Its options: none"):
        get_metric("vci", pca=3)
    with pytest.raises(OptionError, match="covariance must be one of shrunk, full, pooled_spherical"):
        get_metric("face", covariance="round")
    with pytest.raises(OptionError, match="temperature must be a number above 0, got 0"):
        get_metric("face", temperature=0)
    with pytest.raises(
        OptionError, match='pca must be "auto", "none" or a whole number of components above 0, got 1.5'
    ):
        get_metric("ncti", pca=1.5)


def test_options_are_kept_with_the_result():
    features, labels = mixture()
    result = get_metric("face", temperature=0.5)(features, labels)
    assert result.parameters["temperature"] == 0.5
    assert result.parameters["pca"] == "auto"
    assert result.parameters["pca_components"] == 16


def test_what_is_not_there_is_not_faked():
    features, labels = mixture()
    with pytest.raises(NotApplicableError, match="leep needs source-class probabilities"):
        get_metric("leep")(features, labels)
    with pytest.raises(NotApplicableError, match="face needs class labels"):
        get_metric("face")(features, targets=labels.astype(float))
    skipped = score_features(features, labels, metrics=["parameter_count", "logme_regression"])
    assert [result.status for result in skipped.results.values()] == ["skipped", "skipped"]
    assert "parameter count" in skipped["parameter_count"].reason
    assert "regression targets" in skipped["logme_regression"].reason


def test_needs_are_declared_in_full():
    """Every need has a reason to show when it is not met."""
    assert {need for metric in BUILT_IN for need in metric.needs} <= set(registry.NEED_REASONS)
