"""One flipped bit in any file is an error or makes no difference, and never changes a number."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from pyarrow import parquet

from hf_transfer_score.errors import TransferScoreError
from hf_transfer_score.features.cache import FeatureCache
from hf_transfer_score.features.files import read_features
from hf_transfer_score.hub.downloads import Answers
from hf_transfer_score.records.table import RecordTable
from hf_transfer_score.sampling.load import SampleStore, load_sample
from hf_transfer_score.sampling.sample import memory_sample
from tests.records.test_store import ALL, stored

RNG = np.random.default_rng(0)


def flipped(content: bytes, place: int) -> bytes:
    damaged = bytearray(content)
    damaged[place] ^= 1 << int(RNG.integers(8))
    return bytes(damaged)


def outcomes(path: Path, read: Callable[[], Any], least: int = 400) -> Iterator[Any]:
    """Yield what is read with one flipped bit in each of many places of a file, None for an error; then restore it."""
    content = path.read_bytes()
    for place in sorted(RNG.choice(len(content), min(least, len(content)), replace=False).tolist()):
        path.write_bytes(flipped(content, place))
        try:
            yield read()
        except TransferScoreError:
            yield None
    path.write_bytes(content)


def feature_file(path: Path, write: Callable[..., Any]) -> int:
    """Return how many flipped bits are errors in a feature file; all others must make no difference."""
    features, labels = RNG.normal(size=(40, 4)).astype(np.float32), RNG.integers(0, 3, 40)
    write(path, features=features, labels=labels)
    found = list(outcomes(path, lambda: read_features(path)))
    for one in filter(None, found):
        np.testing.assert_array_equal(one.features, features)
        np.testing.assert_array_equal(one.labels, labels)
    return found.count(None)


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_a_feature_file_with_page_checksums(tmp_path, compression):
    def write(path, features, labels):
        table = pa.table({"features": list(features), "labels": labels})
        parquet.write_table(table, path, compression=compression, write_page_checksum=True)

    assert feature_file(tmp_path / "model.parquet", write) > 100


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_feature_files_of_numpy(tmp_path, save):
    feature_file(tmp_path / "model.npz", save)


def test_a_table_of_records(tmp_path):
    file = tmp_path / "records.parquet"
    RecordTable.of(map(stored, ALL)).write(file)
    whole = RecordTable.read(file, whole=True).data
    found = list(outcomes(file, lambda: RecordTable.read(file, whole=True).data))
    assert all(one.equals(whole) for one in found if one is not None)
    assert found.count(None) > 50


def test_the_pages_that_ship_have_checksums():
    from hf_transfer_score.records.shipped import shipped_folder

    content = (shipped_folder() / "reference.parquet").read_bytes()
    damaged = flipped(content, len(content) // 2)
    with pytest.raises(OSError, match=r"[Cc]hecksum|CRC"):
        parquet.read_table(pa.BufferReader(damaged), page_checksum_verification=True)


def test_rows_of_a_dataset(tmp_path):
    rows = {"text": [f"text number {row}" for row in range(40)], "label": [row % 2 for row in range(40)]}
    path = tmp_path / "rows.parquet"
    with path.open("wb") as file:
        parquet.write_table(Dataset.from_dict(rows).data.table, file, compression="none", write_page_checksum=True)
    content = path.read_bytes()
    path.write_bytes(flipped(content, content.index(b"text number 7")))
    with pytest.raises(TransferScoreError, match="CRC|checksum|corrupt"):
        load_sample(str(path))


def test_features_in_the_cache(tmp_path):
    features = RNG.normal(size=(50, 6)).astype(np.float32)
    writer = FeatureCache(tmp_path / "features", 10**9).writer("key", 50)
    writer.write(np.arange(50), {"last": features}, np.full((50, 2), 0.5, np.float32))
    writer.finish({"rows": 50, "width": 6.5})

    def read():
        return FeatureCache(tmp_path / "features", 10**9).get("key")

    meta, absent = read().meta, 0
    for path in sorted((tmp_path / "features" / "key").iterdir()):
        for found in outcomes(path, read, 150):
            if found is None:
                absent += 1
                continue
            left = {name: value for name, value in found.meta.items() if name not in meta}
            assert path.name == "meta.json" and found.meta == {**meta, **left}, "a name of the checksum itself"
            np.testing.assert_array_equal(found.features["last"], features)
    assert absent > 400 and read() is not None


def test_a_sample_that_is_kept(tmp_path):
    sample = memory_sample("text-classification", [f"text {row}" for row in range(30)], [0, 1] * 15)
    store, request, absent = SampleStore(tmp_path), {"asked": 1}, 0
    store.keep(request, sample)
    for path in [*tmp_path.glob("*.arrow"), *tmp_path.glob("*.json")]:
        for found in outcomes(path, lambda: store.find(request), 150):
            absent += found is None
            assert found is None or (found.table.equals(sample.table) and found.source == sample.source)
    assert absent > 250 and store.find(request) is not None


def test_answers_about_checkpoints(tmp_path):
    known, answer = Answers(tmp_path), {"parameters": 1234567, "hash": "0a1b"}
    known.remember("question", answer)
    found = list(outcomes(next(tmp_path.iterdir()), lambda: known.recall("question")))
    assert all(one in (None, answer) for one in found)
    assert found.count(None) > 80
