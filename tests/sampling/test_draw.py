"""The one-pass draw against sorting everything, and the quotas against hand counts."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_transfer_score.sampling import draw as draw_module
from hf_transfer_score.sampling.draw import Draw, RowFile, even_quotas, proportional_quotas, row_keys

COUNTS = st.lists(st.integers(1, 400), min_size=2, max_size=12)


def drawn_rows(labels: np.ndarray, most: int, each: int | None = None, seed: int = 0, chunk: int = 100) -> list[int]:
    with RowFile() as rows:
        draw = Draw(rows, most, each)
        for start in range(0, len(labels), chunk):
            part = labels[start : start + chunk]
            keys = row_keys(np.arange(start, start + len(part), dtype=np.uint64), seed)
            draw.offer(keys, part, lambda row, start=start: [start + row])
        return [rows.get(one.slot)[0] for one in draw.finish()]


def sorted_rows(labels: np.ndarray, most: int, each: int | None = None, seed: int = 0) -> list[int]:
    """Draw with everything in memory: the smallest keys of each class, in order."""
    keys = row_keys(np.arange(len(labels), dtype=np.uint64), seed)
    counts = [int((labels == label).sum()) for label in range(labels.max() + 1)]
    quotas = proportional_quotas(counts, most) if each is None else even_quotas(counts, each, most)
    chosen = []
    for label, quota in enumerate(quotas):
        rows = np.flatnonzero(labels == label)
        chosen += rows[np.argsort(keys[rows])][:quota].tolist()
    return sorted(chosen, key=lambda row: keys[row])


LABELS = {
    "mixed": np.random.default_rng(0).choice(6, 8000, p=[0.5, 0.3, 0.15, 0.04, 0.009, 0.001]),
    "sorted": np.repeat(np.arange(10), 700),
    "sorted, rare ones last": np.repeat(np.arange(4), [5000, 2000, 30, 3]),
    "rare ones first": np.repeat(np.arange(4), [3, 30, 2000, 5000]),
    "many classes": np.arange(6000) % 150,
}


@pytest.mark.parametrize("each", [None, 20])
@pytest.mark.parametrize("name", LABELS)
def test_one_pass_draws_the_same_rows_as_sorting(name, each):
    labels = LABELS[name]
    for seed in range(3):
        expected = sorted_rows(labels, 400, each, seed)
        assert drawn_rows(labels, 400, each, seed) == expected
        assert len(expected) == len(set(expected)) <= 400


def test_seeds_and_chunks():
    labels = LABELS["mixed"]
    assert drawn_rows(labels, 300, chunk=7) == drawn_rows(labels, 300, chunk=1000)
    assert set(drawn_rows(labels, 300)) != set(drawn_rows(labels, 300, seed=1))


def test_little_is_kept_of_a_long_stream():
    with RowFile() as rows:
        draw = Draw(rows, 500)
        for start in range(0, 50_000, 500):
            keys = row_keys(np.arange(start, start + 500, dtype=np.uint64), 0)
            draw.offer(keys, np.arange(500) % 10, lambda row: [row])
            assert len(rows) <= 2.5 * 500


def test_every_row_is_as_likely():
    hits = Counter(row for seed in range(400) for row in drawn_rows(np.arange(40) % 2, 10, seed=seed))
    expected = 400 * 10 / 40
    assert len(hits) == 40
    assert sum((hits[row] - expected) ** 2 / expected for row in range(40)) < 80  # 40 degrees of freedom: p = 0.0002


def test_quotas_by_hand():
    assert proportional_quotas([50, 30, 20], 10) == [5, 3, 2]
    assert proportional_quotas([45, 30, 25], 10) == [5, 3, 2]  # 4.5 and 2.5: the first of equal remainders
    assert proportional_quotas([3, 3, 3], 100) == [3, 3, 3]
    assert proportional_quotas([990, 8, 1, 1], 100) == [96, 2, 1, 1]
    assert even_quotas([100, 100, 5], 30, 1000) == [30, 30, 5]
    assert even_quotas([100, 100, 5], 30, 25) == [10, 10, 5]


@given(COUNTS, st.integers(24, 300))
def test_quotas_are_shares_to_rounding(counts, most):
    quotas = proportional_quotas(counts, most)
    assert sum(quotas) == min(most, sum(counts))
    raised = [index for index, count in enumerate(counts) if Fraction(count * most, sum(counts)) < 2]
    for index, (quota, count) in enumerate(zip(quotas, counts, strict=True)):
        assert min(2, count) <= quota <= count
        if not raised and sum(counts) > most:
            assert abs(quota - Fraction(count * most, sum(counts))) < 1, index


def test_a_file_of_rows_gives_room_back(monkeypatch):
    monkeypatch.setattr(draw_module, "LEAST_GARBAGE", 1000)
    with RowFile() as rows:
        numbers = [rows.put([bytes([number]) * 100, f"text {number}", [number, None]]) for number in range(100)]
        for number in numbers[:90]:
            rows.drop(number)
        assert rows.size < 3500
        for number in numbers[90:]:
            assert rows.get(number) == [bytes([number]) * 100, f"text {number}", [number, None]]


def splitmix(value: int) -> int:
    """Return the first number of the published generator with the state `value`."""
    mixed = (value + 0x9E3779B97F4A7C15) % 2**64
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % 2**64
    return mixed ^ (mixed >> 31)


def test_keys_are_those_of_splitmix():
    rows = [0, 1, 12345, 2**40, 2**64 - 1]
    assert row_keys(np.array(rows, dtype=np.uint64), 0).tolist() == [splitmix(row) for row in rows]
    assert splitmix(0) == 0xE220A8397B1DCDAF
