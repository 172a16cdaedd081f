"""Headers of .safetensors and Parquet files, valid and forged, before a reader opens the file."""

import json
import struct
import time

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from hf_transfer_score.errors import FeatureFileError, StoreError, UnreadableError
from hf_transfer_score.features.files import read_features
from hf_transfer_score.file_heads import FOOTER_BYTES, MAGIC, CutShortError, chunks_of, expanded_bytes, read_header
from hf_transfer_score.records.table import RecordTable
from tests.hostile.forged_parquet import page_bomb, varint, with_footer

WHOLE = {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}


def forged(path, header, body=bytes(24)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def test_files_of_the_library_are_read(tmp_path):
    from safetensors.numpy import save_file

    kinds = (np.float64, np.float32, np.float16, np.int64, np.int32, np.int16, np.int8, np.uint8, np.bool_)
    arrays = {np.dtype(kind).name: np.ones((3, number), kind) for number, kind in enumerate(kinds)}
    arrays["scalar"] = np.array(1.0)
    save_file(arrays, tmp_path / "a.safetensors", metadata={"format": "np", "note": "x" * 300_000})
    found = read_header(tmp_path / "a.safetensors")
    about = {name: (one.shape, one.end - one.start) for name, one in found.items()}
    assert about == {name: (one.shape, one.nbytes) for name, one in arrays.items()}


def test_kinds_that_torch_alone_knows_are_read(tmp_path):
    import torch
    from safetensors.torch import save_file

    kinds = (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
    save_file({str(kind): torch.zeros(5, dtype=kind) for kind in kinds}, tmp_path / "a.safetensors")
    found = {tensor.kind for tensor in read_header(tmp_path / "a.safetensors").values()}
    assert found == {"BF16", "F8_E4M3", "F8_E5M2"}


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ([1], "damaged"),
        (b"{", "not JSON"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested too deeply"),
        ({"a": 3}, "'a' has no kind, shape and place"),
        ({"a": {**WHOLE["a"], "shape": [-2, -3]}}, "no kind, shape and place"),
        ({"a": {**WHOLE["a"], "shape": [2.0, 3]}}, "no kind, shape and place"),
        ({"a": {**WHOLE["a"], "shape": [True, 6]}}, "no kind, shape and place"),
        ({"a": {**WHOLE["a"], "shape": [1] * 1000}}, "no kind, shape and place"),
        ({"a": {**WHOLE["a"], "shape": [2**40, 2**20]}}, "of shape .* in F32 has 24 bytes"),
        ({"a": {**WHOLE["a"], "dtype": "F64"}}, r"of shape \(2, 3\) in F64 has 24 bytes"),
        ({"a": {**WHOLE["a"], "data_offsets": [24, 0]}}, "no kind, shape and place"),
        ({**WHOLE, "b": WHOLE["a"]}, "tensors share bytes"),
        ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [20, 24]}}, "leave some out"),
        ({f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(1001)}, "1,001 arrays"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(tmp_path, monkeypatch, header, said):
    monkeypatch.setattr("hf_transfer_score.file_heads.HEADER_ENTRIES", 1000)
    with pytest.raises(UnreadableError, match=said):
        read_header(forged(tmp_path / "a.safetensors", header))


def test_a_file_of_another_length_is_cut_short(tmp_path):
    with pytest.raises(CutShortError, match=r"It has 96 bytes where its header says 97\."):
        read_header(forged(tmp_path / "a.safetensors", WHOLE, bytes(23)))
    (tmp_path / "b").write_bytes(struct.pack("<Q", 1000) + b"{}")
    with pytest.raises(CutShortError):
        read_header(tmp_path / "b")
    for content in (b"", b"1234567", b"<!DOCTYPE html>", struct.pack("<Q", 2**63) + bytes(100)):
        (tmp_path / "b").write_bytes(content)
        with pytest.raises(UnreadableError, match="It is not a safetensors file"):
            read_header(tmp_path / "b")
    (tmp_path / "b").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    with pytest.raises(UnreadableError, match="only a pointer of Git LFS: `git lfs pull` downloads the file"):
        read_header(tmp_path / "b")


def test_a_header_larger_than_any_is_not_read(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.write(struct.pack("<Q", 90_000_000))
        file.truncate(100_000_000)
    with pytest.raises(UnreadableError, match="90,000,000 bytes, more than the 32,000,000"):
        read_header(tmp_path / "a")


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


def expanded(path):
    return expanded_bytes(path, chunks_of(path))


@pytest.mark.parametrize("options", WAYS)
def test_sizes_match_those_of_the_read_file(tmp_path, options):
    parquet.write_table(TABLE, tmp_path / "a.parquet", **options)
    chunks = chunks_of(tmp_path / "a.parquet")
    assert all(any(chunk.is_in({name}) for chunk in chunks) for name in TABLE.column_names)
    for name in ("features", "number"):
        found = expanded_bytes(tmp_path / "a.parquet", [chunk for chunk in chunks if chunk.is_in({name})])
        assert TABLE.column(name).nbytes <= found <= 2.5 * TABLE.column(name).nbytes


def test_parts_without_values_become_nothing(tmp_path):
    with parquet.ParquetWriter(tmp_path / "a.parquet", TABLE.schema) as writer:
        for rows in (TABLE, TABLE.slice(0, 0), TABLE):
            writer.write_table(rows)
    assert len(chunks_of(tmp_path / "a.parquet")) == 3 * TABLE.num_columns
    parquet.write_table(TABLE, tmp_path / "b.parquet")
    assert expanded(tmp_path / "a.parquet") == 2 * expanded(tmp_path / "b.parquet")


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


@pytest.mark.parametrize(
    ("indices", "words", "size"),
    [
        (np.arange(2000) % 2, ["x" * 1_000_000, "y"], "8,000,000,000"),
        ([1, 2] * 10, ["x" * 1_000_000, *map(str, range(400))], "1,604,000,000"),
    ],
    ids=["in many rows", "unused, beside many words"],
)
def test_one_long_word_of_a_dictionary_is_refused_before_it_is_copied(tmp_path, indices, words, size):
    labels = pa.DictionaryArray.from_arrays(pa.array(indices), words)
    columns = {"features": np.ones((len(labels), 2)).tolist(), "label": labels}
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(FeatureFileError, match=f"column 'label' is too large: .* would become {size}"):
        read_features(tmp_path / "a.parquet")


def test_texts_that_repeat_the_one_before_count_each_time(tmp_path):
    table = pa.table({"label": [f"{'x' * 1_000_000}{row}" for row in range(40)]})
    way = {"use_dictionary": False, "column_encoding": {"label": "DELTA_BYTE_ARRAY"}}
    parquet.write_table(table, tmp_path / "a.parquet", **way)
    assert (tmp_path / "a.parquet").stat().st_size < 200_000
    assert expanded(tmp_path / "a.parquet") >= 40_000_000


def test_words_of_a_dictionary_count_beside_their_letters(tmp_path):
    words = [str(number) for number in range(50_000)]
    parquet.write_table(pa.table({"label": words}), tmp_path / "a.parquet", compression="none")
    assert expanded(tmp_path / "a.parquet") >= 2 * 16 * len(words)


@pytest.mark.parametrize("kind", [pa.decimal128(12, 2), pa.time32("s"), pa.date32()])
def test_values_that_are_not_numbers_are_not_read(tmp_path, monkeypatch, kind):
    labels = pa.array([0, 1] * 10, pa.int32()).cast(kind)
    parquet.write_table(pa.table({"features": np.ones((20, 2)).tolist(), "label": labels}), tmp_path / "a.parquet")
    monkeypatch.setattr("hf_transfer_score.features.parquet.ParquetArrays._column", None)
    with pytest.raises(FeatureFileError, match="column 'label' must hold numbers, holds"):
        read_features(tmp_path / "a.parquet")


NUMBERS = pa.table({"first": np.arange(ROWS), "second": np.arange(ROWS)})


def footer_changed(content, *changes):
    """Return a file with other bytes of the same length in its footer, where each stands once per column."""
    start = len(content) - 8 - struct.unpack("<I", content[-8:-4])[0]
    footer = content[start:]
    for old, new in changes:
        assert footer.count(old) == NUMBERS.num_columns and len(old) == len(new)
        footer = footer.replace(old, new)
    return content[:start] + footer


def head_changed(content, change):
    """Return a file of one column with a changed header of its first page."""
    about = parquet.read_metadata(pa.BufferReader(content)).row_group(0).column(0)
    start, total = about.data_page_offset, about.total_compressed_size
    end = content.index(b"\x2c", start)
    head = change(content[start:end])
    return with_footer(content[:start] + head + content[end:], {total: total + len(head) - (end - start)})


def number_too_long(head):
    size = sum((one & 127) << 7 * place for place, one in enumerate(head.split(b"\x15")[3])) >> 1
    return head[: head.rindex(b"\x15") + 1] + varint(size + 2**32)


def field_twice(head):
    return head + b"\x06\x06" + varint(2**40)


def test_columns_are_those_of_the_schema(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(NUMBERS, path, write_statistics=False)
    before, content = expanded(path), path.read_bytes()
    path.write_bytes(footer_changed(content, (b"\x1c\x15\x04", b"\x1c\x15\x00")))
    assert expanded(path) == before and parquet.read_table(path).equals(NUMBERS)
    place = content.rindex(b"\x06second")
    path.write_bytes(content[:place] + b"\x06SECOND" + content[place + 7 :])
    found = [chunk for chunk in chunks_of(path) if chunk.is_in({"second"})]
    assert expanded_bytes(path, found) >= NUMBERS.column("second").nbytes
    assert parquet.read_table(path, columns=["second"]).num_rows == ROWS


@pytest.mark.parametrize("change", [number_too_long, field_twice])
def test_ambiguous_page_headers_are_refused(tmp_path, change):
    one, path = NUMBERS.select(["first"]), tmp_path / "a.parquet"
    parquet.write_table(
        one, path, use_dictionary=False, data_page_size=1000, write_batch_size=100, write_statistics=False
    )
    path.write_bytes(head_changed(path.read_bytes(), change))
    assert parquet.read_table(path).equals(one)
    with pytest.raises(UnreadableError, match="not a Parquet file"):
        expanded(path)


def test_a_list_of_an_unexpected_kind_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(NUMBERS, path)
    path.write_bytes(footer_changed(path.read_bytes(), (b"\x1c\x15\x04\x19\x35", b"\x1c\x15\x04\x19\x33")))
    assert parquet.read_table(path).equals(NUMBERS)
    with pytest.raises(UnreadableError, match="not a Parquet file"):
        chunks_of(path)


def test_pages_with_fewer_values_than_the_footer_says_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(NUMBERS, path)
    path.write_bytes(with_footer(path.read_bytes(), {ROWS: ROWS + 1}))
    with pytest.raises(UnreadableError, match="pages hold fewer values"):
        expanded(path)


def test_a_footer_that_becomes_gigabytes_is_refused_unread(tmp_path):
    path, length = tmp_path / "a.parquet", FOOTER_BYTES + 1
    path.write_bytes(MAGIC + bytes(length) + struct.pack("<I", length) + MAGIC)
    with pytest.raises(FeatureFileError, match="Its footer has 8,000,001 bytes"):
        read_features(path)
    with pytest.raises(StoreError, match="Its footer has 8,000,001 bytes"):
        RecordTable.read(path)


def test_parts_of_columns_without_content_are_refused_before_a_reader_makes_them_large(tmp_path, monkeypatch):
    columns = b"\x19\xfc\xe8\x07" + b"\x26\x00\x00" * 1000
    footer = b"\x15\x02\x19\x0c\x16\x00\x19\x1c" + columns + b"\x16\x00\x16\x00\x00\x00"
    path = tmp_path / "a.parquet"
    path.write_bytes(MAGIC + footer + struct.pack("<I", len(footer)) + MAGIC)

    def opened(*_, **__):
        raise AssertionError("opened")

    monkeypatch.setattr(parquet, "ParquetFile", opened)
    with pytest.raises(FeatureFileError, match="not a Parquet file"):
        read_features(path)


def test_pages_outside_the_file_are_refused(tmp_path):
    parquet.write_table(TABLE, tmp_path / "a.parquet")
    place = parquet.read_metadata(tmp_path / "a.parquet").row_group(0).column(3).data_page_offset
    content = with_footer((tmp_path / "a.parquet").read_bytes(), {place: 10**9})
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(UnreadableError, match="pages outside the file"):
        expanded(tmp_path / "a.parquet")
