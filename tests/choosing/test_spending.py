"""How many finalists a budget is spent on."""

import numpy as np
import pytest

from hf_transfer_score.choosing.spending import worth_training

DONE = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
COSTS = np.tile(np.diff(DONE, prepend=0.0), (12, 1))
ALIKE = np.random.default_rng(0).normal(0.6, 0.1, (12, 1000))


@pytest.mark.parametrize(("left", "least", "most"), [(0.2, 1, 1), (1.0, 1, 1), (2.0, 4, 12), (12.0, 12, 12)])
def test_more_can_begin_than_the_budget_trains_to_the_end(left, least, most):
    assert least <= worth_training(ALIKE, COSTS, left, DONE) <= most


def test_candidates_that_differ_by_less_than_early_rounds_tell_are_trained_to_the_end():
    begun = [worth_training(0.6 + spread * (ALIKE - 0.6), COSTS, 3.0, DONE) for spread in (2.0, 0.05)]
    assert begun[0] > begun[1] >= 3


def test_one_that_is_expensive_leaves_less_for_others():
    dear = COSTS.copy()
    dear[0] *= 2
    assert worth_training(ALIKE, dear, 3.0, DONE) < worth_training(ALIKE, COSTS, 3.0, DONE)
    assert worth_training(ALIKE, dear, 1.0, DONE) == 1  # the first one in any case
