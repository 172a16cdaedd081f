"""Scoring one model, ranking a pool."""

import json

import numpy as np
import pytest

from hf_transfer_score import ModelFacts, get_metric, rank_features, score_features, weighted_kendall
from hf_transfer_score.errors import FeaturesError, InputError, OptionError
from tests.metrics.samples import mixture


def test_the_default_set_leaves_slow_metrics_out_and_all_means_all():
    features, labels = mixture()
    default = score_features(features, labels).results
    every = score_features(features, labels, metrics="all").results
    assert list(default)[:2] == ["face", "ncti"]
    assert set(every) - set(default) == {"sfda", "nleep"}


def test_a_metric_in_the_set_gives_the_number_it_gives_alone():
    features, labels = mixture(300, 24, 6)
    together = score_features(features, labels, metrics="all").results
    for name, result in together.items():
        if result.status == "ok":
            alone = get_metric(name)(features, labels)
            assert result.terms == pytest.approx(alone.terms, rel=1e-9), name
            assert result.parameters == alone.parameters, name


@pytest.mark.parametrize("shape", [(300, 24), (40, 90)])
def test_the_order_of_metrics_does_not_matter(shape):
    features, labels = mixture(*shape, 4)
    names = ["ncti", "face", "hscore", "logme", "gbc", "transrate", "reg_hscore"]
    forth = score_features(features, labels, metrics=names).results
    back = score_features(features, labels, metrics=names[::-1]).results
    for name in names:
        assert forth[name].terms == pytest.approx(back[name].terms, rel=1e-9), name


def test_times_are_reported_separately():
    features, labels = mixture(3000, 128, 5)
    scores = score_features(features, labels, metrics=["face", "ncti", "hscore"])
    own = sum(result.seconds for result in scores.results.values())
    shared = sum(scores.shared_seconds.values())
    assert {"class means", "total scatter"} <= set(scores.shared_seconds)
    assert 0 < own + shared <= scores.seconds


def test_results_are_plain_values():
    features, labels = mixture()
    ranking = rank_features({"a": features, "b": features * np.arange(16)}, labels, metrics="all")
    assert json.loads(json.dumps(ranking.as_dict(), allow_nan=False)) == ranking.as_dict()
    assert json.loads(json.dumps(score_features(features, labels).as_dict(), allow_nan=False))["status"] == "ok"


def test_a_pool_is_ranked_by_every_metric():
    labels = mixture(300, 12, 5)[1]
    pool = {f"separation {s}": mixture(300, 12, 5, separation=s)[0] for s in (0.4, 2.0, 0.9)}
    facts = {name: ModelFacts(name=name, parameters=len(pool) - i) for i, name in enumerate(pool)}
    ranking = rank_features(pool, labels, facts=facts)
    for name in ("ncti", "logme", "hscore", "nc1"):
        ranks = ranking.pools[name].ranks
        assert ranks == {"separation 2.0": 1, "separation 0.9": 2, "separation 0.4": 3}, name
    assert ranking.pools["parameter_count"].ranks["separation 0.4"] == 1
    assert set(ranking.pools["random_order"].ranks.values()) == {1, 2, 3}
    assert "leep" not in ranking.pools


def test_a_model_that_fails_is_a_row_and_the_others_are_ranked():
    features, labels = mixture()
    broken = features.copy()
    broken[3, 2] = np.nan
    ranking = rank_features({"good": features, "broken": broken, "short": features[:-1]}, labels, metrics="nc1")
    assert ranking.models["broken"].status == "failed"
    assert "first rows: 3" in ranking.models["broken"].reason
    assert "240 labels for 239 rows" in ranking.models["short"].reason
    assert ranking.pools["nc1"].ranks == {"good": 1}
    with pytest.raises(FeaturesError, match="non-finite"):
        rank_features({"broken": broken}, labels)


def test_wrong_calls():
    features, labels = mixture()
    with pytest.raises(InputError, match="The pool is empty"):
        rank_features({}, labels)
    with pytest.raises(InputError, match="The name of a model has to be a text; got 1"):
        rank_features({1: features}, labels)
    with pytest.raises(InputError, match="'face' was chosen twice"):
        score_features(features, labels, metrics=["face", get_metric("face", temperature=1.0)])
    with pytest.raises(InputError, match="No metric was chosen"):
        score_features(features, labels, metrics=[])
    for given in ({"labels": labels, "task": "image-regression"}, {"targets": labels, "task": "text-classification"}):
        with pytest.raises(OptionError, match="does not fit: (class labels|targets) were passed"):
            rank_features({"a": features}, dataset="owner/pets", **given)
    with pytest.raises(OptionError, match="across='speed': expected parameters or throughput"):
        rank_features({"a": features}, labels, metrics="nc1").plot(across="speed")
    with pytest.raises(InputError, match="needs finite numbers"):
        weighted_kendall([1.0, np.nan, 2.0], [0.1, 0.2, 0.3])


def test_regression_needs_no_labels():
    features, _ = mixture()
    scores = score_features(features, targets=features[:, 0])
    assert scores.classes is None
    assert scores["logme_regression"].status == "ok"
    assert scores["face"].reason == "face needs class labels"
    wide = score_features(features[:12], targets=features[:12, 0])
    assert wide["logme_regression"].parameters["pca_components"] == 2


def test_huge_scores_are_read_in_chunks(monkeypatch):
    features, labels = mixture(700, 12, 4)
    whole = score_features(features, labels, metrics="all", source_probs=np.full((700, 2), 0.5))
    monkeypatch.setattr("hf_transfer_score.metrics.checks.CHUNK_BYTES", 8 * 12 * 64)
    parts = score_features(features, labels, metrics="all", source_probs=np.full((700, 2), 0.5))
    for name, result in whole.results.items():
        tolerance = 1e-6 if name == "nleep" else 1e-9
        assert parts[name].terms == pytest.approx(result.terms, rel=tolerance), name
