"""Candidates whose features are there are scored beside each other, and say what they would have said alone."""

from threading import Event

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from hf_transfer_score.features.cache import CachedFeatures
from hf_transfer_score.metrics.class_stats import one_thread
from hf_transfer_score.metrics.scores import choose_metrics
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.runs.ahead import FEW, ScoresAhead, few_enough

pytestmark = pytest.mark.filterwarnings("error")


def test_scores_come_by_name_and_what_was_raised_is_raised_at_its_turn():
    def broken():
        raise ValueError("no features")

    with ScoresAhead({"one": list, "broken": broken, "left": lambda: None}) as ahead:
        assert ahead.take("left") is None
        assert ahead.take("one") == []
        assert ahead.take("one") is None  # once only
        assert ahead.take("unknown") is None
        with pytest.raises(ValueError, match="no features"):
            ahead.take("broken")


def test_what_has_not_begun_is_dropped():
    begun, go, started = [], Event(), Event()

    def slow(number: int):
        def job():
            begun.append(number)
            started.set()
            go.wait(60)
            return [(RankedModel(str(number), "ok", str(number)), None)]

        return job

    with ScoresAhead({str(number): slow(number) for number in range(200)}):
        assert started.wait(60)
    go.set()
    assert len(begun) < 200


def test_large_features_and_slow_metrics_wait_for_their_turn():
    def of(rows: int, width: int) -> CachedFeatures:
        matrix = np.broadcast_to(np.float32(0), (rows, width))
        return CachedFeatures({"last": matrix}, None, {}, None)

    usual = choose_metrics(["ncti", "face"])
    assert few_enough(of(5_000, 768), usual)
    assert not few_enough(of(FEW // 768 + 1, 768), usual)
    assert not few_enough(of(100, 4096), usual)
    assert not few_enough(of(5_000, 768), choose_metrics(["ncti", "nleep"]))


def test_linear_algebra_has_one_thread_until_the_last_scores_are_taken():
    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with one_thread():
        pass  # its library is there from here on
    before = threads()
    with ScoresAhead({"one": threads, "two": threads}) as ahead:  # type: ignore[dict-item]
        assert ahead.take("one") == {1}
        assert threads() == {1}
        assert ahead.take("two") == {1}
        assert threads() == before
    with ScoresAhead({"one": threads, "two": threads}):  # type: ignore[dict-item]
        assert threads() == {1}
    assert threads() == before
