"""Feature files as strangers send them: how each is written, and what must become of it."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from safetensors.numpy import save

from tests.hostile.forged_parquet import varint

ROWS, WIDTH, CLASSES = 60, 6, 3
RNG = np.random.default_rng(0)
LABELS = np.arange(ROWS) % CLASSES
FEATURES = (RNG.normal(size=(ROWS, WIDTH)) + RNG.normal(size=(CLASSES, WIDTH))[LABELS]).astype(np.float32)
SENTENCE = r"\w+\W+\w+\W+\w+"
"""What every refusal has at least: a few words."""
KINDS = (".npz", ".npy", ".safetensors", ".parquet")
HUGE = 1 << 40


class Payload:
    """What leaves a mark where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@dataclass(frozen=True)
class FeatureCase:
    """A file and what must become of it.

    Attributes:
        name: what is wrong with it.
        ending: of the file.
        write: writes it, given its path and the marker that a payload leaves.
        refused: what the message says, None where the file must be accepted.
        features: what the file must count as where it is accepted, with LABELS; None for what must never be.
    """

    name: str
    ending: str
    write: Callable[[Path, Path], object]
    refused: str | None = SENTENCE
    features: np.ndarray | None = None


def whole(ending: str, features: Any = FEATURES, labels: Any = LABELS, **more: Any) -> bytes:
    """Return the bytes of a file as it should be."""
    buffer = io.BytesIO()
    if ending == ".npz":
        np.savez(buffer, features=features, labels=labels, **more)
    elif ending == ".npy":
        np.save(buffer, features)
    elif ending == ".safetensors":
        return save({"features": np.ascontiguousarray(features), "labels": np.asarray(labels), **more})
    else:
        columns = {"features": list(features), "label": labels, **more}
        parquet.write_table(pa.table(columns), buffer, write_page_checksum=True)
    return buffer.getvalue()


def _bytes(content: bytes) -> Callable[[Path, Path], object]:
    """Return what writes a file, and labels beside it where its kind holds none."""

    def write(path: Path, marker: Path) -> None:
        if path.suffix == ".npy":
            np.save(path.with_name(f"{path.stem}.labels.npy"), LABELS)
        path.write_bytes(content)

    return write


def _pickle(path: Path, marker: Path) -> None:
    _bytes(pickle.dumps(Payload(marker)))(path, marker)


def _either(name: str, ending: str, content: bytes) -> FeatureCase:
    """Return a damaged file: refused, or its damage makes no difference."""
    return FeatureCase(name, ending, _bytes(content), features=FEATURES)


def _bad(name: str, ending: str, content: bytes, refused: str = SENTENCE) -> FeatureCase:
    return FeatureCase(name, ending, _bytes(content), refused)


def _good(name: str, ending: str, content: bytes, features: Any = FEATURES) -> FeatureCase:
    return FeatureCase(name, ending, _bytes(content), None, features)


def damaged() -> Iterator[FeatureCase]:
    """Yield files cut short, with a flipped bit, with more at their end, and empty ones."""
    for ending in KINDS:
        content = whole(ending)
        yield _bad("empty", ending, b"")
        yield _bad("zeros", ending, bytes(4096))
        yield _bad("one-byte", ending, content[:1])
        for part in (0.02, 0.3, 0.9, 0.999):
            yield _bad(f"cut-at-{part}", ending, content[: int(len(content) * part)])
        yield _either("more-at-the-end", ending, content + b"\0" * 100)
    for ending, upto in ((".npz", None), (".npy", 128), (".safetensors", 100), (".parquet", None)):
        content = whole(ending)
        for place in RNG.integers(0, upto or len(content), 5).tolist():
            flipped = bytearray(content)
            flipped[place] ^= 0x10
            yield _either(f"flipped-at-{place}", ending, bytes(flipped))


def npy(header: dict[str, Any] | str, body: bytes = bytes(64), version: bytes = b"\x01\x00") -> bytes:
    """Return an .npy file with any header."""
    text = (header if isinstance(header, str) else repr(header)).encode() + b"\n"
    length = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text + body


def _described(shape: Any, descr: Any = "<f4", order: Any = False) -> dict[str, Any]:
    return {"descr": descr, "fortran_order": order, "shape": shape}


def forged_npy() -> Iterator[FeatureCase]:
    """Yield .npy files whose header promises what is not there."""
    for name, header in {
        "giant-shape": _described((HUGE, 4)),
        "overflowing-shape": _described((1 << 62, 1 << 62)),
        "negative-shape": _described((-4, 4)),
        "no-shape": _described(()),
        "many-axes": _described((1,) * 70),
        "zero-rows": _described((0, 4)),
        "zero-width-giant": _described((HUGE, 0)),
        "object-array": _described((4, 4), "|O"),
        "structured": _described((4,), [("a", "<f4"), ("b", "|O")]),
        "strings": _described((4, 4), "<U1"),
        "giant-strings": _described((4, 4), "<U400000000"),
        "void": _described((4, 4), "|V4"),
        "dates": _described((4, 2), "<M8[s]"),
        "complex": _described((4, 2), "<c8"),
        "booleans": _described((8, 8), "|b1"),
        "no-literal": "__import__('os').mkdir('never')",
        "nested-literal": "(" * 5000 + ")" * 5000,
        "long-literal": "{'descr': '<f4', 'shape': (4, " + "1" * 9_000 + "), 'fortran_order': False}",
        "unknown-kind": _described((4, 4), "<q9"),
        "wrong-order": _described((4, 4), order="yes"),
    }.items():
        yield _bad(name, ".npy", npy(header))
    yield _bad("giant-header", ".npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{" * 100)
    yield _bad("unknown-version", ".npy", npy(_described((4, 4)), version=b"\x09\x00"))
    yield _good("fortran-order", ".npy", whole(".npy", np.asfortranarray(FEATURES)))
    yield _good("big-endian", ".npy", whole(".npy", FEATURES.astype(">f4")))
    yield FeatureCase("pickle-by-another-name", ".npy", _pickle, "pickled")
    yield FeatureCase("labels-are-pickled", ".npy", _pickled_labels, "pickled")
    yield FeatureCase("no-labels", ".npy", lambda path, _: path.write_bytes(whole(".npy")), "no labels")


def _pickled_labels(path: Path, marker: Path) -> None:
    path.write_bytes(whole(".npy"))
    np.save(path.with_name(f"{path.stem}.labels.npy"), np.array([Payload(marker)] * 4), allow_pickle=True)


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _bomb(path: Path, _: Path) -> None:
    """Write 1.2 GB of zeros in some megabytes: features of a shape that fits them."""
    header = npy(_described((300_000, 1000)), b"")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("features.npy", "w", force_zip64=True) as file:
            file.write(header)
            block = bytes(10_000_000)
            for _ in range(120):
                file.write(block)
        archive.writestr("labels.npy", npy(_described((300_000,), "<i8"), bytes(2_400_000)))


def _lying_sizes(content: bytes) -> bytes:
    """Return a zip file whose directory says that a member is tiny."""
    directory = content.index(b"PK\x01\x02")
    lying = bytearray(content)
    lying[directory + 24 : directory + 28] = struct.pack("<I", 64)
    return bytes(lying)


def forged_npz() -> Iterator[FeatureCase]:
    """Yield .npz files: bombs, pickles, lies about sizes, odd names."""
    arrays = {"features.npy": whole(".npy"), "labels.npy": whole(".npy", LABELS)}
    yield FeatureCase("bomb", ".npz", _bomb, "bytes|GB|MB|large|memory")
    yield _bad("giant-shape-inside", ".npz", zipped(arrays | {"features.npy": npy(_described((HUGE, 4)))}))
    yield _bad("giant-labels-inside", ".npz", zipped(arrays | {"labels.npy": npy(_described((HUGE,), "<i8"))}))
    yield _bad("lying-sizes", ".npz", _lying_sizes(zipped(arrays)))
    yield _bad("no-members", ".npz", zipped({}))
    yield _bad("no-features", ".npz", zipped({"labels.npy": arrays["labels.npy"]}), "no features")
    yield _bad("no-labels", ".npz", zipped({"features.npy": arrays["features.npy"]}), "no labels")
    yield _bad("members-of-another-kind", ".npz", zipped({"features": b"text", "labels": b"text"}))
    yield _good("names-that-climb", ".npz", zipped(arrays | {"../../climbs.npy": whole(".npy")}))
    yield _good("thousands-of-members", ".npz", zipped(arrays | {f"{n}.npy": b"" for n in range(3000)}))
    yield _bad("zip-in-zip", ".npz", zipped({"features.npz": zipped(arrays)}), "no features|no labels")
    yield _bad("encrypted-flag", ".npz", zipped(arrays).replace(b"\x14\0\0\0\x08\0", b"\x14\0\x01\0\x08\0"))
    yield FeatureCase("pickle-by-another-name", ".npz", _pickle, "pickled")
    yield FeatureCase("object-features", ".npz", _object_features, "pickled")
    yield FeatureCase("object-labels", ".npz", _object_labels, "pickled")


def _object_features(path: Path, marker: Path) -> None:
    np.savez(path, features=np.array([Payload(marker)] * 4), labels=LABELS)


def _object_labels(path: Path, marker: Path) -> None:
    np.savez(path, features=FEATURES, labels=np.array([Payload(marker)] * ROWS))


def safetensors(header: Any, body: bytes = bytes(1024), length: int | None = None) -> bytes:
    """Return a .safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def _tensor(kind: str, shape: list[Any], start: int, end: int) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


def forged_safetensors() -> Iterator[FeatureCase]:
    """Yield .safetensors files with broken and forged headers."""
    labels = _tensor("I64", [8], 128, 192)
    for name, header in {
        "giant-shape": {"features": _tensor("F32", [HUGE, 4], 0, 128), "labels": labels},
        "overflowing-shape": {"features": _tensor("F32", [2**63, 2**63], 0, 128), "labels": labels},
        "negative-shape": {"features": _tensor("F32", [-8, -4], 0, 128), "labels": labels},
        "overlapping": {"features": _tensor("F32", [8, 4], 0, 128), "labels": _tensor("I64", [8], 0, 64)},
        "offsets-outside": {"features": _tensor("F32", [8, 4], 0, 1 << 50), "labels": labels},
        "offsets-backwards": {"features": _tensor("F32", [8, 4], 128, 0), "labels": labels},
        "unknown-kind": {"features": _tensor("F33", [8, 4], 0, 128), "labels": labels},
        "wrong-kind": {"features": _tensor("F64", [8, 4], 0, 128), "labels": labels},
        "no-tensor": {"features": 3, "labels": []},
        "list": [1, 2, 3],
        "nested": json.loads("[" * 200 + "]" * 200),
        "float-shape": {"features": {"dtype": "F32", "shape": [8.5, 4], "data_offsets": [0, 128]}},
        "metadata-of-another-kind": {"__metadata__": {"a": [1]}, "features": _tensor("F32", [8, 4], 0, 128)},
    }.items():
        yield _bad(name, ".safetensors", safetensors(header))
    yield _bad("giant-length", ".safetensors", safetensors({}, length=2**63))
    yield _bad("length-past-the-end", ".safetensors", safetensors({}, length=10_000))
    yield _bad("deep-nesting", ".safetensors", safetensors(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b""))
    yield _bad("not-utf-8", ".safetensors", safetensors(b'{"\xff\xfe": 1}'))
    yield _bad("duplicate-keys", ".safetensors", _duplicated())
    yield _bad("million-entries", ".safetensors", _entries(80_000))
    yield FeatureCase("pickle-by-another-name", ".safetensors", _pickle)


def _duplicated() -> bytes:
    one = json.dumps(_tensor("F32", [8, 4], 0, 128))
    return safetensors(f'{{"features": {one}, "features": {one}}}'.encode(), bytes(128))


def _entries(count: int) -> bytes:
    header = {f"tensor.{number}": _tensor("F32", [0] * 20, 0, 0) for number in range(count)}
    return safetensors(header, b"")


def tables(columns: dict[str, Any], **options: Any) -> bytes:
    """Return a .parquet file of some columns."""
    buffer = io.BytesIO()
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    parquet.write_table(table, buffer, **options)
    return buffer.getvalue()


def forged_parquet() -> Iterator[FeatureCase]:
    """Yield .parquet files: forged footers, bombs, odd columns."""
    content, listed = whole(".parquet"), list(FEATURES)
    for name, length in {"negative": 2**32 - 1, "giant": 2**31 - 1, "zero": 0, "whole-file": len(content) - 12}.items():
        yield _bad(f"footer-length-{name}", ".parquet", content[:-8] + struct.pack("<I", length) + b"PAR1")
    yield _bad("encrypted-footer", ".parquet", content[:-4] + b"PARE")
    yield _bad("no-columns", ".parquet", tables({}))
    yield _bad("no-rows", ".parquet", tables({"features": pa.array([], pa.list_(pa.float32())), "label": []}))
    yield FeatureCase("bomb-of-repeated-values", ".parquet", _repeated, "bytes|GB|MB|large|memory")
    yield FeatureCase("bomb-of-lists", ".parquet", _repeated_lists, "bytes|GB|MB|large|memory")
    yield FeatureCase("forged-row-count", ".parquet", _forged_rows)
    ragged = [list(row[: 2 + number % 3]) for number, row in enumerate(FEATURES)]
    yield _bad("ragged", ".parquet", tables({"features": ragged, "label": LABELS}), "ragged")
    yield _bad("nulls", ".parquet", tables({"features": [None, *listed[1:]], "label": LABELS}), "null")
    yield _bad("nulls-within", ".parquet", tables({"features": [[None] * WIDTH, *listed[1:]], "label": LABELS}), "null")
    yield _bad("nested-lists", ".parquet", tables({"features": [[list(row)] for row in FEATURES], "label": LABELS}))
    yield _bad("structs", ".parquet", tables({"features": [{"a": float(row[0])} for row in FEATURES], "label": LABELS}))
    yield _bad("text-features", ".parquet", tables({"features": ["a"] * ROWS, "label": LABELS}))
    yield _bad("struct-labels", ".parquet", tables({"features": listed, "label": [{"a": 1}] * ROWS}))
    yield _bad("binary-labels", ".parquet", tables({"features": listed, "label": [b"\xff\xfe"] * ROWS}))
    yield _bad("null-labels", ".parquet", tables({"features": listed, "label": [None] * ROWS}), "null")
    doubled = pa.Table.from_arrays([pa.array(listed), pa.array(listed), pa.array(LABELS)], ["features"] * 2 + ["label"])
    yield _bad("duplicated-columns", ".parquet", tables(doubled))
    wide = pa.Table.from_arrays([pa.array(FEATURES[:, 0])] * 2 + [pa.array(LABELS)], ["f", "f", "label"])
    yield _bad("duplicated-numeric-columns", ".parquet", tables(wide))
    yield _bad("many-columns", ".parquet", tables({f"c{n}": ["a"] for n in range(5000)}))
    metadata = pa.table({"features": listed, "label": LABELS}).replace_schema_metadata({"pandas": b"\xff{" * 1000})
    yield _good("metadata-of-nonsense", ".parquet", tables(metadata))
    schema = pa.table({"features": listed, "label": LABELS}).replace_schema_metadata({"ARROW:schema": b"\xff" * 100})
    yield FeatureCase("schema-of-nonsense", ".parquet", _bytes(tables(schema, store_schema=False)), features=FEATURES)
    yield _good(
        "dictionary-labels",
        ".parquet",
        tables({"features": listed, "label": pa.array(_named(LABELS)).dictionary_encode()}),
    )
    for compression in ("gzip", "brotli", "zstd", "lz4", "none"):
        yield _good(
            f"{compression}", ".parquet", tables({"features": listed, "label": LABELS}, compression=compression)
        )


def _named(labels: np.ndarray) -> list[str]:
    return [f"class {label}" for label in labels]


def _repeated(path: Path, _: Path) -> None:
    """Write a file of some kilobytes with 150 million equal values."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1_000_000, np.int8)), pa.array([1.5]))
    table = pa.table({"features": pa.chunked_array([column] * 150), "label": pa.chunked_array([column] * 150)})
    parquet.write_table(table, path, row_group_size=1 << 26)


def _repeated_lists(path: Path, _: Path) -> None:
    """Write a file of some kilobytes with 150 million equal values in lists."""
    rows, width = 500, 10_000
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(rows * width)), width)
    labels = pa.array(np.zeros(rows * 30, np.int64))
    parquet.write_table(pa.table({"features": pa.chunked_array([lists] * 30), "label": labels}), path)


def _forged_rows(path: Path, _: Path) -> None:
    """Write a file whose footer says that there are many more rows than its pages hold."""
    content = bytearray(tables({"features": list(FEATURES), "label": LABELS}, store_schema=False))
    length = struct.unpack("<I", content[-8:-4])[0]
    footer = bytearray(content[-8 - length : -8])
    forged = bytes(footer).replace(varint(ROWS), varint(1_000_000_000))
    path.write_bytes(bytes(content[: -8 - length]) + forged + struct.pack("<I", len(forged)) + b"PAR1")


def odd_numbers() -> Iterator[FeatureCase]:
    """Yield whole files whose numbers are not what they should be, and those that only look like it."""
    for ending in (".npz", ".safetensors", ".parquet"):
        for name, value in {"nan": np.nan, "inf": np.inf, "minus-inf": -np.inf}.items():
            features = FEATURES.copy()
            features[7, 3] = value
            yield _bad(name, ending, whole(ending, features), "finite|NaN|nan|inf")
        yield _bad("one-class", ending, whole(ending, labels=np.zeros(ROWS, np.int64)), "class")
        yield _bad("labels-too-few", ending, whole(ending, labels=LABELS[:40]) if ending != ".parquet" else b"PAR1")
        yield _bad("label-of-minus-one", ending, whole(ending, labels=np.where(LABELS == 2, -1, LABELS)), "-1|label")
        yield _bad("float-labels", ending, whole(ending, labels=LABELS + 0.5), "label|class|integer")
    for name, labels in {
        "labels-nan": np.where(LABELS == 1, np.nan, LABELS),
        "labels-2d": np.tile(LABELS[:, None], 2),
        "labels-one-hot": np.eye(CLASSES)[LABELS],
        "labels-complex": LABELS + 1j,
    }.items():
        yield _bad(name, ".npz", whole(".npz", labels=labels), "[Ll]abels")
    yield _good("labels-beyond-63-bits", ".npz", whole(".npz", labels=LABELS.astype(np.uint64) + np.uint64(2**63)))
    yield _good("labels-far-apart", ".npz", whole(".npz", labels=LABELS * (2**62 - 1)))
    yield _good("labels-as-text", ".npz", whole(".npz", labels=np.array(_named(LABELS))))
    yield _good("control-codes-in-labels", ".npz", whole(".npz", labels=np.array([f"\x1b[2J{n}" for n in LABELS])))
    for name, features in {
        "one-axis": FEATURES[:, 0],
        "three-axes": FEATURES[:, :, None],
        "no-axis": np.float32(1),
        "no-width": FEATURES[:, :0],
        "one-row": FEATURES[:1],
        "complex": FEATURES + 1j,
        "text": FEATURES.astype(str),
        "dates": FEATURES.astype("M8[s]"),
        "structured": np.zeros(ROWS, [("a", "f4"), ("b", "i4")]),
        "beyond-float": np.full_like(FEATURES, 1.7e308, dtype=np.float64) * np.sign(FEATURES),
    }.items():
        yield _bad(f"features-{name}", ".npz", whole(".npz", features), SENTENCE)
    halved = FEATURES.astype(np.float16)
    yield _good("float16", ".npz", whole(".npz", halved), halved)
    yield _good("float16", ".parquet", tables({"features": pa.array(list(halved)), "label": LABELS}), halved)
    whole_numbers = (FEATURES * 1000).astype(np.int64)
    yield _good("int64", ".npz", whole(".npz", whole_numbers), whole_numbers)
    bytes_like = (FEATURES * 20).astype(np.int8)
    yield _good("int8", ".npz", whole(".npz", bytes_like), bytes_like)
    tiny = (FEATURES * 2e-7).astype(np.float16)
    yield FeatureCase("float16-subnormals", ".npz", _bytes(whole(".npz", tiny)), features=tiny)
    far = FEATURES + np.float32(1e7)
    yield FeatureCase("far-from-zero", ".npz", _bytes(whole(".npz", far)), features=far)
    yield _good(
        "giant-scale", ".npz", whole(".npz", FEATURES.astype(np.float64) * 1e30), FEATURES.astype(np.float64) * 1e30
    )
    yield _bad("constant", ".npz", whole(".npz", np.ones_like(FEATURES)), SENTENCE)


def no_files() -> Iterator[FeatureCase]:
    """Yield what is no plain file, under the name of one."""
    for ending in KINDS:
        yield FeatureCase("folder", ending, lambda path, _: path.mkdir(), "folder")
        yield FeatureCase("fifo", ending, lambda path, _: os.mkfifo(path), "FIFO|pipe|regular|no file|not a file")
    for ending in (".npz", ".parquet"):
        yield FeatureCase("absent", ending, lambda path, _: None, "no such file")
        yield FeatureCase("link-to-itself", ending, lambda path, _: path.symlink_to(path.name))
        yield FeatureCase("link-to-nothing", ending, lambda path, _: path.symlink_to("nothing"), "no such file")
        yield FeatureCase("link-to-zeros", ending, lambda path, _: path.symlink_to("/dev/zero"))
        yield FeatureCase("link-to-a-memory", ending, lambda path, _: path.symlink_to("/proc/self/mem"))
        yield FeatureCase("sparse-giant", ending, _sparse)
    for ending in (".pt", ".pkl", ".bin", ".joblib"):
        yield FeatureCase("pickle", ending, _pickle, "pickled")
    yield _bad("gz", ".gz", b"\x1f\x8b" + bytes(100), "unknown ending")
    yield _bad("csv-with-nul", ".csv", b"a,b\0\n1,2\n", "unknown ending")
    yield _bad("no-ending", "", whole(".npz"), "unknown ending")


def _sparse(path: Path, _: Path) -> None:
    with path.open("wb") as file:
        file.write(whole(path.suffix)[:4])
        file.truncate(1 << 37)


def feature_cases() -> list[FeatureCase]:
    """Return all of them."""
    makers = (damaged, forged_npy, forged_npz, forged_safetensors, forged_parquet, odd_numbers, no_files)
    return [case for maker in makers for case in maker()]
