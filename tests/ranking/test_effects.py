"""The linear model of other datasets against the same one written out with full matrices."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hf_transfer_score.ranking.effects import FLAT, Effects, Observations, normal_scores

MODELS, COLUMNS, VARIANCES = 7, 4, np.array([0.5, 0.3, 0.2, 0.1, 0.4])


@pytest.fixture(scope="module")
def seen() -> Observations:
    """Every model in most columns; the last two columns are of another protocol."""
    generator = np.random.default_rng(0)
    pairs = [(model, column) for model in range(MODELS) for column in range(COLUMNS) if (model + column) % 5]
    models, columns = np.array(pairs).T
    properties = np.column_stack(
        [np.arange(MODELS) % 2 == 0, np.arange(MODELS) % 3 == 0, generator.normal(size=MODELS)]
    )
    return Observations(
        generator.normal(size=len(pairs)),
        models,
        columns,
        (columns >= 2).astype(np.intp),
        properties.astype(float),
        np.array([0, 0, 1]),
        np.where(columns == 1, 0.5, 1.0),
    )


def dense(seen: Observations, variances: np.ndarray = VARIANCES) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the covariance of what was seen, that with a new value of each model, and that of new values."""
    noise, own, protocol = variances[:3]
    spread = variances[3:][seen.groups]
    kin = (seen.properties * spread) @ seen.properties.T + own * np.eye(MODELS)
    same = seen.models[:, None] == seen.models
    foreign = same & (seen.protocols[:, None] == seen.protocols) & (seen.protocols > 0)
    level = (seen.columns[:, None] == seen.columns) / FLAT
    here = kin[np.ix_(seen.models, seen.models)] + protocol * foreign + level + np.diag(noise / seen.weights)
    return here, kin[:, seen.models], kin + noise * np.eye(MODELS)


def test_what_is_known_of_models_is_the_conditional_distribution(seen):
    found = Effects(seen, VARIANCES).known(seen.properties, np.arange(MODELS))
    here, across, there = dense(seen)
    assert_allclose(found.mean, across @ np.linalg.solve(here, seen.values), atol=1e-6)
    assert_allclose(found.covariance, there - across @ np.linalg.solve(here, across.T), atol=1e-6)
    assert_allclose(found.by_group.sum(0) + found.own, found.mean)


def test_a_model_without_records_has_what_its_kind_has(seen):
    effects = Effects(seen, VARIANCES)
    found = effects.known(seen.properties[:1], np.array([-1]))
    with_records = effects.known(seen.properties[:1], np.array([0]))
    assert_allclose(found.by_group, with_records.by_group)
    assert found.own[0] == 0 and found.covariance[0, 0] > with_records.covariance[0, 0]


def test_the_likelihood_is_that_of_the_full_matrix(seen):
    effects, other = Effects(seen, VARIANCES), VARIANCES * [2, 0.5, 1, 3, 1]

    def by_matrix(variances: np.ndarray) -> float:
        here = dense(seen, variances)[0]
        return 0.5 * (np.linalg.slogdet(here)[1] + seen.values @ np.linalg.solve(here, seen.values))

    found = effects._solve(other).cost - effects._solve(VARIANCES).cost
    assert found == pytest.approx(by_matrix(other) - by_matrix(VARIANCES), abs=1e-6)


def test_fitting_finds_more_likely_variances(seen):
    fitted = Effects(seen)
    assert fitted._solve(fitted.variances).cost < fitted._solve(VARIANCES).cost + 1


def test_a_column_of_noise_counts_less():
    generator = np.random.default_rng(1)
    quality, rows = generator.normal(size=60), []
    for column in range(5):
        noise = 10 if column == 4 else 0.3
        rows.append(normal_scores(quality + generator.normal(0, noise, 60)))
    models, columns = np.tile(np.arange(60), 5), np.repeat(np.arange(5), 60)
    nothing = np.zeros((60, 0)), np.zeros(0, np.intp)
    seen = Observations(np.concatenate(rows), models, columns, np.zeros(300, np.intp), *nothing, np.ones(300))
    weights = Effects(seen).with_columns_weighed().seen.weights[::60]
    assert weights[4] < 0.5 * weights[:4].min()


def test_normal_scores_of_equal_values_are_equal():
    assert normal_scores([3.0, 3.0, 3.0]).tolist() == [0.0, 0.0, 0.0]
    assert normal_scores([]).shape == (0,)
