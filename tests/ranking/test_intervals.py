"""Ranges from stored intervals: against the confidence of the very replicates that are drawn."""

import numpy as np
import pytest

from hf_transfer_score import MetricResult, get_metric, rank_confidence
from hf_transfer_score.ranking.confidence import stored_confidence
from hf_transfer_score.ranking.intervals import DrawnPool, spreads
from hf_transfer_score.ranking.pools import HeadlineRanks


def test_a_wider_interval_is_a_wider_spread_by_its_level():
    low, high, level = np.array([[-1.0], [-1.0]]), np.array([[1.0], [1.0]]), np.array([[0.9], [0.5]])
    assert spreads(low, high, level)[:, 0] == pytest.approx([1 / 1.6448536, 1 / 0.6744898])


def test_close_models_are_grouped_as_by_the_ranking():
    """One metric, lower is better, and so many close models that shares of all sizes occur."""
    count, nc1 = 60, get_metric("nc1")
    values = 1 + 0.01 * np.arange(count)[None]
    drawn_pool = DrawnPool(nc1, values, np.full(values.shape, 0.05), np.arange(count))
    generator, noise = np.random.default_rng(0), np.empty((count, 400))
    for pair in range(0, 400, 2):
        noise[:, pair] = 0.05 * generator.standard_normal(values.shape)[0]
        noise[:, pair + 1] = -noise[:, pair]
    replicates = {f"m{i}": {"nc1": {"nc1": values[0, i] + noise[i]}} for i in range(count)}
    results = {f"m{i}": {"nc1": MetricResult("nc1", "ok", {"nc1": float(values[0, i])})} for i in range(count)}
    expected = rank_confidence(replicates, results, [nc1])
    found = stored_confidence([drawn_pool], HeadlineRanks(("nc1",), {}, {f"m{i}": i + 1 for i in range(count)}))
    assert (found.ranks, found.groups, found.ranges) == (expected.ranks, expected.groups, expected.ranges)
