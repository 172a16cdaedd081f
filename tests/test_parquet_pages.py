"""What the pages of a Parquet file become is known before a reader is handed the file, whatever its footer says."""

import time

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from hf_transfer_score.errors import FeatureFileError, UnreadableError
from hf_transfer_score.features.files import read_features
from hf_transfer_score.parquet_pages import chunks_of, expanded_bytes
from tests.hostile.forged_parquet import page_bomb, with_footer

ROWS, WIDTH = 5000, 8
TABLE = pa.table(
    {
        "features": pa.FixedSizeListArray.from_arrays(
            pa.array(np.random.default_rng(0).normal(size=ROWS * WIDTH)), WIDTH
        ),
        "label": ["cat", "dog"] * (ROWS // 2),
        "number": np.arange(ROWS),
        "truth": [True, None] * (ROWS // 2),
        "code": pa.array([b"123456"] * ROWS, pa.binary(6)),
    }
)
WAYS = (
    {},
    {"compression": "zstd", "write_page_checksum": True},
    {"data_page_version": "2.0", "row_group_size": 1000},
    {"use_dictionary": False, "compression": "none"},
    {"use_dictionary": False, "column_encoding": {"number": "DELTA_BINARY_PACKED"}},
    {"write_page_index": True, "store_schema": False, "write_statistics": False},
)


@pytest.mark.parametrize("options", WAYS)
def test_sizes_are_those_of_what_a_reader_makes_of_the_file(tmp_path, options):
    parquet.write_table(TABLE, tmp_path / "a.parquet", **options)
    chunks = chunks_of(tmp_path / "a.parquet")
    assert {chunk.name for chunk in chunks} == set(TABLE.column_names)
    for name in ("features", "number"):
        found = expanded_bytes(tmp_path / "a.parquet", [chunk for chunk in chunks if chunk.name == name])
        assert TABLE.column(name).nbytes <= found <= 2.5 * TABLE.column(name).nbytes


def test_a_file_is_read_as_before(tmp_path):
    parquet.write_table(TABLE, tmp_path / "a.parquet")
    found = read_features(tmp_path / "a.parquet")
    assert found.label_names == ("cat", "dog")
    assert np.array_equal(found.labels, [0, 1] * (ROWS // 2))
    assert np.array_equal(
        found.features, TABLE.column("features").combine_chunks().flatten().to_numpy().reshape(ROWS, WIDTH)
    )


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_labels_of_any_kind_of_text_in_many_parts(tmp_path, kind):
    labels = pa.chunked_array([pa.array(part).cast(kind) for part in (["b", "a"], ["c", "a"], ["b", "d"])])
    columns = {"features": pa.array(np.eye(6).tolist()), "labels": labels}
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=2)
    assert read_features(tmp_path / "a.parquet").label_names == ("a", "b", "c", "d")
    assert read_features(tmp_path / "a.parquet").labels.tolist() == [1, 0, 2, 0, 1, 3]


def test_a_page_that_becomes_more_than_its_footer_says_is_refused_unread(tmp_path):
    bomb = tmp_path / "bomb.parquet"
    bomb.write_bytes(page_bomb(pa.table({"features": np.eye(20).tolist(), "label": np.arange(20) % 2})))
    start, before = time.process_time(), pa.total_allocated_bytes()
    with pytest.raises(FeatureFileError, match="column 'label' is too large: its .* bytes would become 1,153,433"):
        read_features(bomb)
    assert time.process_time() - start < 2
    assert pa.total_allocated_bytes() - before < 10**7


def test_one_long_label_for_many_rows_is_refused_before_each_row_has_it(tmp_path):
    rows = 2000
    labels = pa.DictionaryArray.from_arrays(pa.array(np.arange(rows) % 2), ["x" * 1_000_000, "y"])
    parquet.write_table(pa.table({"features": np.ones((rows, 2)).tolist(), "label": labels}), tmp_path / "a.parquet")
    with pytest.raises(FeatureFileError, match="column 'label' is too large: .* would become 8,000,000,000"):
        read_features(tmp_path / "a.parquet")


def test_texts_that_repeat_the_one_before_count_each_time(tmp_path):
    table = pa.table({"label": [f"{'x' * 1_000_000}{row}" for row in range(40)]})
    way = {"use_dictionary": False, "column_encoding": {"label": "DELTA_BYTE_ARRAY"}}
    parquet.write_table(table, tmp_path / "a.parquet", **way)
    assert (tmp_path / "a.parquet").stat().st_size < 200_000
    assert expanded_bytes(tmp_path / "a.parquet", chunks_of(tmp_path / "a.parquet")) >= 40_000_000


@pytest.mark.parametrize("cut", [0, 1, 11, 12, 40, -1, -5, -9])
def test_what_is_no_parquet_file_is_one_kind_of_error(tmp_path, cut):
    parquet.write_table(TABLE, tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[:cut] + (content[-12:] if cut > 12 else b""))
    with pytest.raises(UnreadableError):
        chunks_of(tmp_path / "a.parquet")


def test_pages_outside_the_file_are_refused(tmp_path):
    parquet.write_table(TABLE, tmp_path / "a.parquet")
    place = parquet.read_metadata(tmp_path / "a.parquet").row_group(0).column(3).data_page_offset
    content = with_footer((tmp_path / "a.parquet").read_bytes(), {place: 10**9})
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(UnreadableError, match="pages outside the file"):
        chunks_of(tmp_path / "a.parquet")


def test_any_damage_is_one_kind_of_error(tmp_path):
    parquet.write_table(TABLE.slice(0, 100), tmp_path / "a.parquet")
    content, random = (tmp_path / "a.parquet").read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 3):
            damaged[place] = random.integers(0, 256)
        (tmp_path / "a.parquet").write_bytes(damaged)
        try:
            expanded_bytes(tmp_path / "a.parquet", chunks_of(tmp_path / "a.parquet"))
        except UnreadableError:
            continue
