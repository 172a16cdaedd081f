"""One flipped bit in a file that we write or read is an error or no difference, never another number."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from pyarrow import parquet

from hf_transfer_score.errors import StoreError, TransferScoreError
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


def places(content: bytes, least: int = 400) -> list[int]:
    """Return places all over a file, more of them where it is small."""
    return sorted(RNG.choice(len(content), min(least, len(content)), replace=False).tolist())


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_a_feature_file_with_page_checksums(tmp_path, compression):
    features = RNG.normal(size=(40, 4)).astype(np.float32)
    columns = {"features": list(features), "labels": RNG.integers(0, 3, 40)}
    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns), buffer, compression=compression, write_page_checksum=True)
    path, refused = tmp_path / "model.parquet", 0
    for place in places(buffer.getvalue()):
        path.write_bytes(flipped(buffer.getvalue(), place))
        try:
            found = read_features(path)
        except TransferScoreError:
            refused += 1
            continue
        np.testing.assert_array_equal(found.features, features)
        np.testing.assert_array_equal(found.labels, columns["labels"])
    assert refused > 100


def test_a_table_of_records(tmp_path):
    file = tmp_path / "records.parquet"
    RecordTable.of(map(stored, ALL)).write(file)
    content, whole, refused = file.read_bytes(), RecordTable.read(file, whole=True).data, 0
    for place in places(content):
        file.write_bytes(flipped(content, place))
        try:
            found = RecordTable.read(file, whole=True).data
        except (StoreError, TransferScoreError):
            refused += 1
            continue
        assert found.equals(whole)
    assert refused > 50


def test_the_pages_that_ship_have_checksums():
    from hf_transfer_score.records.shipped import shipped_folder

    content = (shipped_folder() / "reference.parquet").read_bytes()
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 4
    with pytest.raises(OSError, match=r"[Cc]hecksum|CRC"):
        parquet.read_table(pa.BufferReader(bytes(damaged)), page_checksum_verification=True)


def test_rows_of_a_dataset(tmp_path):
    rows = {"text": [f"text number {row}" for row in range(40)], "label": [row % 2 for row in range(40)]}
    path = tmp_path / "rows.parquet"
    with path.open("wb") as file:
        table = Dataset.from_dict(rows).data.table
        parquet.write_table(table, file, compression="none", write_page_checksum=True)
    _flip(path, path.read_bytes().index(b"text number 7"))
    with pytest.raises(TransferScoreError, match="CRC|checksum|corrupt"):
        load_sample(str(path))


def test_features_in_the_cache(tmp_path):
    features = RNG.normal(size=(50, 6)).astype(np.float32)
    writer = FeatureCache(tmp_path / "features", 10**9).writer("key", 50)
    writer.write(np.arange(50), {"last": features}, np.full((50, 2), 0.5, np.float32))
    writer.finish({"rows": 50, "width": 6.5})
    meta, absent = FeatureCache(tmp_path / "features", 10**9).get("key").meta, 0
    for path in sorted((tmp_path / "features" / "key").iterdir()):
        content = path.read_bytes()
        for place in places(content, 150):
            path.write_bytes(flipped(content, place))
            found = FeatureCache(tmp_path / "features", 10**9).get("key")
            if found is None:
                absent += 1
                continue
            assert path.name == "meta.json" and found.meta == {**meta, **extra(found.meta, meta)}
            np.testing.assert_array_equal(found.features["last"], features)
        path.write_bytes(content)
    assert absent > 400
    assert FeatureCache(tmp_path / "features", 10**9).get("key") is not None


def extra(found: dict, known: dict) -> dict:
    """Return what a flipped name of the checksum itself leaves behind."""
    return {name: value for name, value in found.items() if name not in known}


def test_a_sample_that_is_kept(tmp_path):
    sample = memory_sample("text-classification", [f"text {row}" for row in range(30)], [0, 1] * 15)
    store, request, absent = SampleStore(tmp_path), {"asked": 1}, 0
    store.keep(request, sample)
    for path in [*tmp_path.glob("*.arrow"), *tmp_path.glob("*.json")]:
        content = path.read_bytes()
        for place in places(content, 150):
            path.write_bytes(flipped(content, place))
            found = store.find(request)
            absent += found is None
            assert found is None or (found.table.equals(sample.table) and found.source == sample.source)
        path.write_bytes(content)
    assert absent > 250 and store.find(request) is not None


def test_what_is_known_of_checkpoints(tmp_path):
    known, answer, absent = Answers(tmp_path), {"parameters": 1234567, "hash": "0a1b"}, 0
    known.remember("question", answer)
    [path] = tmp_path.iterdir()
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(flipped(content, place))
        found = known.recall("question")
        absent += found is None
        assert found in (None, answer)
    assert absent > 80


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_feature_files_of_numpy(tmp_path, save):
    features, path = RNG.normal(size=(40, 4)).astype(np.float32), tmp_path / "model.npz"
    labels = RNG.integers(0, 3, 40)
    save(path, features=features, labels=labels)
    content = path.read_bytes()
    for place in places(content):
        path.write_bytes(flipped(content, place))
        try:
            found = read_features(path)
        except TransferScoreError:
            continue
        np.testing.assert_array_equal(found.features, features)
        np.testing.assert_array_equal(found.labels, labels)


def _flip(path: Path, place: int) -> None:
    path.write_bytes(flipped(path.read_bytes(), place))
