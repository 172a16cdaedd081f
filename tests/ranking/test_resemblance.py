"""Datasets that resemble one: recognised by their metrics, and of use for accuracies there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge

from hf_transfer_score.ranking.effects import normal_scores
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.history import History, MeasuredColumn
from hf_transfer_score.ranking.looks import Looks
from hf_transfer_score.ranking.relations import Relations
from hf_transfer_score.ranking.resemblance import SCORED, TRUST, mixture, usual_scores

MODELS, DATASETS = 60, 8
IDS = tuple(f"owner/model-{number}" for number in range(MODELS))
TARGET = "owner/digits-1"


def columns(protocol: str, values: np.ndarray) -> tuple[MeasuredColumn, ...]:
    """Return values (datasets, models) as columns; every second dataset is of digits, the others are of photos."""
    names = [f"owner/{('photos', 'digits')[number % 2]}-{number}" for number in range(len(values))]
    return tuple(
        MeasuredColumn(name, "image-classification", protocol, dict(zip(IDS, row.tolist(), strict=True)))
        for name, row in zip(names, values, strict=True)
    )


@pytest.fixture(scope="module")
def better_on_digits() -> np.ndarray:
    """How much better each model is on digits than on photos."""
    return np.random.default_rng(0).normal(0, 1, MODELS)


@pytest.fixture(scope="module")
def history(better_on_digits) -> History:
    """Accuracies and a metric; each model is better on one kind of dataset, and the metric flatters some models."""
    generator = np.random.default_rng(1)
    sign = np.where(np.arange(DATASETS) % 2, 1, -1)[:, None]
    quality = generator.normal(0, 1, MODELS) + sign * better_on_digits / 2
    accuracies = quality + generator.normal(0, 0.5, quality.shape)
    scores = quality + generator.normal(0, 1, MODELS) + generator.normal(0, 0.7, quality.shape)
    families = {name: Relations(family=f"family-{number % 4}") for number, name in enumerate(IDS)}
    return History(columns("full", 0.8 + 0.02 * accuracies), columns("logme", scores), families)


@pytest.fixture(scope="module")
def looks(history) -> Looks:
    """The metric on the target."""
    (scores,) = history.on(TARGET).scores
    return Looks(IDS, {"logme": dict(enumerate(scores.values.values()))})


def expected(history: History, looks: Looks) -> np.ndarray:
    """Return how much better models are expected to be on the target."""
    return Forecaster(history.elsewhere(TARGET)).resemblance.expected(looks)


def test_models_that_are_better_on_digits_are_expected_to_be_better_on_digits(history, looks, better_on_digits):
    assert np.corrcoef(expected(history, looks), better_on_digits)[0, 1] > 0.7
    (photos,) = history.on("owner/photos-0").scores
    elsewhere = Looks(IDS, {"logme": dict(enumerate(photos.values.values()))})
    assert np.corrcoef(expected(history, elsewhere), better_on_digits)[0, 1] < -0.7


def test_the_forecast_follows_and_says_so(history, looks, better_on_digits):
    forecaster = Forecaster(history.elsewhere(TARGET))
    alone = Forecaster(replace(history.elsewhere(TARGET), scores=()))  # no usual scores, so no resemblance
    (truth,) = history.on(TARGET).accuracies
    true = normal_scores(list(truth.values.values()))
    found, less = ([one.score for one in each.forecast(looks)] for each in (forecaster, alone))
    assert np.corrcoef(found, true)[0, 1] > np.corrcoef(less, true)[0, 1] + 0.03
    best = int(np.argmax(better_on_digits))
    assert "what is known of datasets like this one counts" in " ".join(forecaster.forecast(looks)[best].why)


def test_models_without_records_do_not_change_which_datasets_resemble(history, looks):
    before = expected(history, looks)
    junk = {MODELS + number: -100.0 - number for number in range(10)}
    more = Looks((*IDS, *(f"junk/{number}" for number in range(10))), {"logme": looks.metrics["logme"] | junk})
    after = expected(history, more)
    assert_allclose(after, [*before, *[0.0] * 10])


@pytest.mark.parametrize("missing", ["models", "datasets", "scores elsewhere"])
def test_nothing_is_expected_of_few_models_or_datasets(history, looks, missing):
    if missing == "models":
        looks = Looks(IDS[:4], {"logme": {place: looks.metrics["logme"][place] for place in range(4)}})
    elif missing == "datasets":
        history = replace(history, accuracies=history.accuracies[:5])  # the target is one of them
    else:
        history = replace(history, scores=())
    assert not expected(history, looks).any()


def test_the_mixture_is_a_ridge_regression():
    generator = np.random.default_rng(2)
    surprises, deviations, properties = (generator.normal(size=shape) for shape in ((30,), (30, 5), (30, 3)))
    scale = 1 / np.sqrt([5 * TRUST] * 5 + [TRUST] * 3)
    ridge = Ridge(alpha=1.0).fit(np.hstack([deviations, properties]) * scale, surprises)
    assert_allclose(mixture(surprises, deviations, properties), (ridge.coef_ * scale)[:5], atol=1e-9)


def test_the_usual_score_is_a_shrunk_mean_over_datasets():
    values = np.random.default_rng(3).uniform(size=(4, MODELS))
    scores = np.array([normal_scores(row) for row in values])
    found = usual_scores(columns("logme", values), ["logme"])
    noise, own, _ = SCORED
    assert_allclose([found[name] for name in IDS], scores.mean(0) * 4 * own / (4 * own + noise), atol=1e-4)
    assert usual_scores(columns("logme", values), ["knn"]) == {}
