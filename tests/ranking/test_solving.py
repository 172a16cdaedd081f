"""The searches in NumPy find what SciPy's find."""

import numpy as np
import pytest
from scipy.optimize import minimize, nnls

from hf_transfer_score.ranking.solving import lowest, not_negative


@pytest.mark.parametrize("seed", range(40))
def test_weights_above_zero_are_those_of_scipy(seed):
    generator = np.random.default_rng(seed)
    size = int(generator.integers(1, 30))
    matrix = generator.normal(size=(size + 5, size)) + 0.7 * generator.normal(size=(size + 5, 1))
    wanted = matrix @ generator.normal(size=size) + generator.normal(size=size + 5)
    found = not_negative(matrix.T @ matrix, matrix.T @ wanted)
    assert found == pytest.approx(nnls(matrix, wanted)[0], abs=1e-8)


def test_nothing_and_equal_metrics_have_weights_too():
    assert not_negative(np.zeros((0, 0)), np.zeros(0)).shape == (0,)
    assert not_negative(np.eye(3), -np.ones(3)).tolist() == [0, 0, 0]
    alike = np.full((3, 3), 0.7) + 0.3 * np.eye(3)
    assert not_negative(alike, np.full(3, 0.5)) == pytest.approx(np.full(3, 0.5 / 2.4))


def valley(point):
    return float(100 * (point[1:] - point[:-1] ** 2) @ (point[1:] - point[:-1] ** 2) + ((1 - point) ** 2).sum())


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("most", "near"), [(5, 0.05), (80, 0.05), (2000, 1e-6)])
def test_the_simplex_goes_the_way_of_scipys(seed, most, near):
    start = np.random.default_rng(seed).normal(size=2 + seed % 4)
    start[0] *= seed % 2
    options = {"maxfev": most, "xatol": near, "fatol": near}
    theirs = minimize(valley, start, method="Nelder-Mead", options=options)
    assert lowest(valley, start, most=most, near=near) == pytest.approx(theirs.x, rel=1e-6, abs=1e-9)
