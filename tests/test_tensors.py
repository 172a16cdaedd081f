"""Headers of .safetensors files, against the library that writes them, and forged ones."""

import json
import struct

import numpy as np
import pytest

from hf_transfer_score.errors import UnreadableError
from hf_transfer_score.file_heads import CutShortError, read_header

WHOLE = {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}


def forged(path, header, body=bytes(24)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def test_what_the_library_writes_is_read(tmp_path):
    from safetensors.numpy import save_file

    kinds = (np.float64, np.float32, np.float16, np.int64, np.int32, np.int16, np.int8, np.uint8, np.bool_)
    arrays = {np.dtype(kind).name: np.ones((3, number), kind) for number, kind in enumerate(kinds)}
    arrays["scalar"] = np.array(1.0)
    save_file(arrays, tmp_path / "a.safetensors", metadata={"format": "np", "note": "x" * 300_000})
    found = read_header(tmp_path / "a.safetensors")
    assert {name: tensor.shape for name, tensor in found.items()} == {name: one.shape for name, one in arrays.items()}
    assert {name: tensor.end - tensor.start for name, tensor in found.items()} == {
        name: one.nbytes for name, one in arrays.items()
    }


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
        ({f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(100_001)}, "100,001 arrays"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(tmp_path, header, said):
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


def test_a_header_larger_than_any_is_not_read(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.write(struct.pack("<Q", 90_000_000))
        file.truncate(100_000_000)
    with pytest.raises(UnreadableError, match="90,000,000 bytes, more than the 32,000,000"):
        read_header(tmp_path / "a")
