"""Class statistics: against NumPy, in parts, in streams, from disk."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_transfer_score import ClassStatistics
from hf_transfer_score.errors import FeaturesError
from tests.metrics.samples import mixture


def assert_equal(one: ClassStatistics, other: ClassStatistics, relative: float = 1e-10) -> None:
    np.testing.assert_array_equal(one.classes, other.classes)
    np.testing.assert_array_equal(one.counts, other.counts)
    for name in ("means", "class_sums", "mean", "within_scatter", "class_squares", "total_scatter"):
        ours, theirs = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(ours, theirs, rtol=relative, atol=relative * np.abs(theirs).max(), err_msg=name)


def test_against_numpy():
    features, labels = mixture(200, 7, 4)
    statistics = ClassStatistics.from_features(features, labels)
    within = sum(np.cov(features[labels == k].T, bias=True) * (labels == k).sum() for k in range(4))
    np.testing.assert_allclose(statistics.within_scatter, within, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(statistics.total_scatter, np.cov(features.T, bias=True) * 200, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(statistics.means, [features[labels == k].mean(axis=0) for k in range(4)])
    values, vectors = statistics.total_decomposition
    np.testing.assert_allclose((vectors * values) @ vectors.T, statistics.total_scatter, rtol=1e-9, atol=1e-9)
    assert (np.diff(values) <= 0).all()
    raw_values, raw_vectors = statistics.raw_decomposition
    np.testing.assert_allclose((raw_vectors * raw_values) @ raw_vectors.T, features.T @ features, rtol=1e-9, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 5000.0]), st.lists(st.integers(1, 39), min_size=6, max_size=6))
def test_seven_uneven_parts_merge_to_the_whole(seed, offset, cuts):
    features, labels = mixture(280, 6, 5, seed=seed)
    features += offset
    bounds = np.concatenate([[0], np.cumsum(cuts), [280]])
    parts = [
        ClassStatistics.from_features(features[start:stop], labels[start:stop])
        for start, stop in itertools.pairwise(bounds)
    ]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    assert_equal(merged, ClassStatistics.from_features(features, labels))


def test_parts_may_hold_other_classes():
    features, labels = mixture(100, 5, 4)
    parts = [ClassStatistics.from_features(features[labels == k], labels[labels == k]) for k in (3, 0, 2, 1)]
    merged = parts[0].merge(parts[1]).merge(parts[2]).merge(parts[3])
    assert_equal(merged, ClassStatistics.from_features(features, labels))


def test_a_stream_of_batches_is_the_whole():
    features, labels = mixture(500, 8, 5)
    batches = ((features[i : i + 37], labels[i : i + 37]) for i in range(0, 500, 37))
    assert_equal(ClassStatistics.from_batches(batches), ClassStatistics.from_features(features, labels))


def test_a_memory_map_is_read_in_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_transfer_score.metrics.checks.CHUNK_BYTES", 64 * 8 * 8)
    features, labels = mixture(500, 8, 5)
    np.save(tmp_path / "features.npy", features.astype(np.float32))
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    assert_equal(
        ClassStatistics.from_features(mapped, labels),
        ClassStatistics.from_features(features.astype(np.float32).astype(np.float64), labels),
    )


def test_processes_send_their_statistics_and_not_their_features():
    features, labels = mixture(4000, 6, 3)
    halves = [ClassStatistics.from_features(features[i::2], labels[i::2]) for i in (0, 1)]
    sent = [pickle.dumps(half) for half in halves]
    assert max(map(len, sent)) < 4000
    received = [pickle.loads(half) for half in sent]
    assert_equal(received[0].merge(received[1]), ClassStatistics.from_features(features, labels))


def test_errors():
    features, labels = mixture(60, 5, 3)
    with pytest.raises(FeaturesError, match="stream of batches is empty"):
        ClassStatistics.from_batches([])
    with pytest.raises(FeaturesError, match="5 and 4 dimensions cannot be merged"):
        ClassStatistics.from_features(features, labels).merge(ClassStatistics.from_features(features[:, :4], labels))
    with pytest.raises(FeaturesError, match="Expected 60 integer labels, got 59"):
        ClassStatistics.from_features(features, labels[1:])
