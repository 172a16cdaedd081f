"""Features on disk: complete or absent, limited in size, shared by several processes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hf_transfer_score.features.cache import META, FeatureCache, feature_key


def fill(cache, key, *, rows=50, width=8, value=1.0, probs=None):
    writer = cache.writer(key, rows)
    writer.write(np.arange(rows), {"last": np.full((rows, width), value)}, probs)
    writer.finish({"model": key})


def test_what_is_written_in_any_order_is_read_back(tmp_path):
    cache = FeatureCache(tmp_path, 10**9)
    features = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    probs = np.random.default_rng(1).dirichlet(np.ones(4), size=10).astype(np.float32)
    writer = cache.writer("a", 10)
    for rows in (np.array([7, 8, 9]), np.array([0, 2, 4, 6]), np.array([5, 3, 1])):
        writer.write(rows, {"0": features[rows], "1": 2 * features[rows]}, probs[rows])
    writer.finish({"model": "m"})
    found = cache.get("a")
    assert np.array_equal(found.features["0"], features)
    assert np.array_equal(found.features["1"], 2 * features)
    assert np.array_equal(found.source_probs, probs)
    assert found.meta["model"] == "m"
    assert all(isinstance(array, np.memmap) for array in found.features.values())


def test_keys_change_with_everything_they_are_made_of():
    parts = {"model": "a", "options": {"layer": "last"}}
    others = [{**parts, "model": "b"}, {**parts, "options": {"layer": 1}}, {**parts, "dtype": "float16"}]
    assert len({feature_key(one) for one in [parts, *others]}) == 4
    assert feature_key(parts) == feature_key(dict(reversed(parts.items())))


def test_an_entry_is_absent_until_it_is_finished(tmp_path):
    cache = FeatureCache(tmp_path, 10**9)
    writer = cache.writer("a", 5)
    writer.write(np.arange(3), {"last": np.ones((3, 2))}, None)
    assert cache.get("a") is None and "a" not in cache and cache.entries() == []
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_is_killed_leaves_no_entry_and_is_swept(tmp_path):
    code = (
        "import os, sys, numpy as np, pathlib\n"
        "from hf_transfer_score.features.cache import FeatureCache\n"
        "writer = FeatureCache(pathlib.Path(sys.argv[1]), 10**9).writer('a', 5)\n"
        "writer.write(np.arange(3), {'last': np.ones((3, 2))}, None)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == -9
    cache = FeatureCache(tmp_path, 10**9)
    (left,) = tmp_path.iterdir()
    assert cache.get("a") is None
    fill(cache, "b")
    assert left.exists(), "it may belong to a process that still writes"
    os.utime(left, (time.time() - 10**6,) * 2)
    fill(FeatureCache(tmp_path, 10**9), "c")  # as the next run does
    assert not left.exists()


def test_who_makes_an_entry_removes_what_a_killed_writer_of_it_left(tmp_path):
    cache = FeatureCache(tmp_path, 10**9)
    for key in ("a", "b"):
        cache.writer(key, 3).write(np.arange(3), {"last": np.ones((3, 2))}, None)
    with cache.alone("a"):
        assert [path.name.split(".")[1] for path in tmp_path.glob(".*.tmp")] == ["b"]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (META, lambda path: path.write_text("{")),
        ("features.0.npy", lambda path: path.write_bytes(b"\x93NUMPY")),
        ("features.0.npy", Path.unlink),
    ],
)
def test_an_entry_that_cannot_be_read_counts_as_absent_and_can_be_made_anew(tmp_path, name, damage):
    cache = FeatureCache(tmp_path, 10**9)
    fill(cache, "a")
    damage(tmp_path / "a" / name)
    assert cache.get("a") is None
    fill(cache, "a", value=2.0)
    assert cache.get("a").features["last"][0, 0] == 2.0


def test_the_least_recently_used_goes_first_and_the_runs_own_stay(tmp_path):
    size = 50 * 8 * 4
    old = FeatureCache(tmp_path, 10**9)
    for number, key in enumerate("abcd"):
        fill(old, key)
        os.utime(tmp_path / key / META, (1000 + number,) * 2)
    assert old.get("a") is not None  # used now
    cache = FeatureCache(tmp_path, int(3.5 * size) + 4 * 400)
    fill(cache, "e")
    kept = {entry.key for entry in cache.entries()}
    assert kept == {"a", "d", "e"}
    tiny = FeatureCache(tmp_path, 1)
    fill(tiny, "f")
    fill(tiny, "g")
    assert {entry.key for entry in tiny.entries()} == {"f", "g"}, "this run needs both, whatever the limit"


def test_entries_are_counted_and_all_are_looked_at_only_where_room_is_short(tmp_path, monkeypatch):
    looks = []
    cache = FeatureCache(tmp_path, 20_000)
    monkeypatch.setattr(cache, "shrink", lambda: looks.append(1) or FeatureCache.shrink(cache))
    for key in "abcd":  # each of some 1,900 bytes
        fill(cache, key)
    assert len(looks) == 1
    cache._kept.clear()  # as another run has it
    for number in range(8):
        fill(cache, f"e{number}")
        cache._kept.clear()
        assert sum(entry.size for entry in cache.entries()) <= 20_000
    assert 1 < len(looks) < 8


def test_what_others_add_is_counted_after_a_while(tmp_path, monkeypatch):
    cache, other = FeatureCache(tmp_path, 4_500), FeatureCache(tmp_path, 10**9)
    fill(cache, "a")
    fill(other, "b")
    fill(other, "c")
    monkeypatch.setattr("hf_transfer_score.features.cache.LOOK_SECONDS", -1.0)
    fill(cache, "d")
    assert sum(entry.size for entry in cache.entries()) <= 4_500 and {"a", "d"} <= {e.key for e in cache.entries()}


def test_an_entry_that_is_removed_can_be_read_on(tmp_path):
    cache = FeatureCache(tmp_path, 10**9)
    fill(cache, "a", value=3.0)
    found = cache.get("a")
    assert cache.clear()[0] == 1
    assert found.features["last"].sum() == 3.0 * 50 * 8
    assert cache.get("a") is None and cache.clear() == (0, 0)


def test_many_processes_may_write_one_entry(tmp_path):
    code = (
        "import sys, numpy as np, pathlib\n"
        "from hf_transfer_score.features.cache import FeatureCache\n"
        "for _ in range(20):\n"
        "    cache = FeatureCache(pathlib.Path(sys.argv[1]), 10**9)\n"
        "    writer = cache.writer('a', 5)\n"
        "    writer.write(np.arange(5), {'last': np.full((5, 2), 7.0)}, None)\n"
        "    writer.finish({'by': sys.argv[2]})\n"
        "    assert (cache.get('a').features['last'] == 7).all()\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(n)]) for n in range(3)]
    assert [one.wait() for one in running] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_rows_that_are_not_finite_are_counted(tmp_path):
    writer = FeatureCache(tmp_path, 10**9).writer("a", 6)
    values = np.ones((6, 2))
    values[2, 1], values[5, 0] = np.nan, np.inf
    writer.write(np.arange(6), {"last": values}, None)
    assert writer.non_finite() == (2, 2)
    writer.discard()


def test_a_listing_says_what_is_kept(tmp_path):
    cache = FeatureCache(tmp_path, 10**9)
    fill(cache, "a")
    (entry,) = cache.entries()
    assert entry.meta["model"] == "a" and entry.size > 50 * 8 * 4
    assert json.loads((tmp_path / "a" / META).read_text())["files"] == {"last": "features.0.npy"}
