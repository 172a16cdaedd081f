"""Hostile feature files: how each is written, and what must become of it."""

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

from tests.hostile.forged_parquet import with_footer

ROWS, WIDTH, CLASSES = 60, 6, 3
RNG = np.random.default_rng(0)
LABELS = np.arange(ROWS) % CLASSES
NAMED = [f"class {label}" for label in LABELS]
FEATURES = (RNG.normal(size=(ROWS, WIDTH)) + RNG.normal(size=(CLASSES, WIDTH))[LABELS]).astype(np.float32)
SENTENCE = r"\w+\W+\w+\W+\w+"  # what every refusal has at least: a few words
KINDS = (".npz", ".npy", ".safetensors", ".parquet")
HUGE = 1 << 40


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@dataclass(frozen=True)
class FeatureCase:
    """A file and what must become of it.

    Attributes:
        features: the features that the file must have (with LABELS) if it is accepted; None if it must not be.
    """

    name: str  # what is wrong with it
    ending: str  # its suffix
    write: Callable[[Path, Path], object]  # writes it, given its path and the marker of a payload
    refused: str | None = SENTENCE  # pattern of the message, None if the file must be accepted
    features: np.ndarray | None = None


def whole(ending: str, features: Any = FEATURES, labels: Any = LABELS, **more: Any) -> bytes:
    if ending == ".safetensors":
        return save({"features": np.ascontiguousarray(features), "labels": np.asarray(labels), **more})
    if ending == ".parquet":
        return tables({"features": list(features), "label": labels, **more}, write_page_checksum=True)
    buffer = io.BytesIO()
    if ending == ".npz":
        np.savez(buffer, features=features, labels=labels, **more)
    else:
        np.save(buffer, features)
    return buffer.getvalue()


def _bytes(content: bytes) -> Callable[[Path, Path], object]:
    """Return a function that writes a file, and its labels if they need a separate one."""

    def write(path: Path, marker: Path) -> None:
        if path.suffix == ".npy":
            np.save(path.with_name(f"{path.stem}.labels.npy"), LABELS)
        path.write_bytes(content)

    return write


def _marked(content: Callable[[Path], bytes]) -> Callable[[Path, Path], object]:
    """Return what writes a file that depends on the marker."""
    return lambda path, marker: _bytes(content(marker))(path, marker)


_pickle = _marked(lambda marker: pickle.dumps(Payload(marker)))


def _either(name: str, ending: str, content: bytes, features: Any = FEATURES) -> FeatureCase:
    """Return a file that may be refused or accepted."""
    return FeatureCase(name, ending, _bytes(content), features=features)


def _bad(name: str, ending: str, content: bytes, refused: str = SENTENCE) -> FeatureCase:
    return FeatureCase(name, ending, _bytes(content), refused)


def _good(name: str, ending: str, content: bytes, features: Any = FEATURES) -> FeatureCase:
    return FeatureCase(name, ending, _bytes(content), None, features)


def damaged() -> Iterator[FeatureCase]:
    """Yield files cut short, with a flipped bit, with more at their end, and empty ones."""
    for ending in KINDS:
        content = whole(ending)
        for name, broken in {"empty": b"", "zeros": bytes(4096), "one-byte": content[:1]}.items():
            yield _bad(name, ending, broken)
        for part in (0.02, 0.3, 0.9, 0.999):
            yield _bad(f"cut-at-{part}", ending, content[: int(len(content) * part)])
        yield _either("more-at-the-end", ending, content + b"\0" * 100)
    for ending, upto in ((".npz", None), (".npy", 128), (".safetensors", 100), (".parquet", None)):
        content = whole(ending)
        for place in RNG.integers(0, upto or len(content), 5).tolist():
            flipped = content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]
            yield _either(f"flipped-at-{place}", ending, flipped)


def npy(header: dict[str, Any] | str, body: bytes = bytes(64), version: bytes = b"\x01\x00") -> bytes:
    text = (header if isinstance(header, str) else repr(header)).encode() + b"\n"
    length = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text + body


def _described(shape: Any, descr: Any = "<f4", order: Any = False) -> dict[str, Any]:
    return {"descr": descr, "fortran_order": order, "shape": shape}


def forged_npy() -> Iterator[FeatureCase]:
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
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _bomb(path: Path, _: Path) -> None:
    """Write 1.2 GB of zeros in some megabytes: features of a shape that fits them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("features.npy", "w", force_zip64=True) as file:
            file.write(npy(_described((300_000, 1000)), b""))
            for _ in range(120):
                file.write(bytes(10_000_000))
        archive.writestr("labels.npy", npy(_described((300_000,), "<i8"), bytes(2_400_000)))


def forged_npz() -> Iterator[FeatureCase]:
    """Yield .npz files: bombs, pickles, false sizes, odd names."""
    arrays = {"features.npy": whole(".npy"), "labels.npy": whole(".npy", LABELS)}
    yield FeatureCase("bomb", ".npz", _bomb, "bytes|GB|MB|large|memory")
    yield _bad("giant-shape-inside", ".npz", zipped(arrays | {"features.npy": npy(_described((HUGE, 4)))}))
    yield _bad("giant-labels-inside", ".npz", zipped(arrays | {"labels.npy": npy(_described((HUGE,), "<i8"))}))
    lying = bytearray(zipped(arrays))
    directory = lying.index(b"PK\x01\x02")
    lying[directory + 24 : directory + 28] = struct.pack("<I", 64)  # the size of the first member
    yield _bad("lying-sizes", ".npz", bytes(lying))
    yield _bad("no-members", ".npz", zipped({}))
    yield _bad("no-features", ".npz", zipped({"labels.npy": arrays["labels.npy"]}), "no features")
    yield _bad("no-labels", ".npz", zipped({"features.npy": arrays["features.npy"]}), "no labels")
    yield _bad("members-of-another-kind", ".npz", zipped({"features": b"text", "labels": b"text"}))
    yield _good("names-that-climb", ".npz", zipped(arrays | {"../../climbs.npy": whole(".npy")}))
    yield _good("thousands-of-members", ".npz", zipped(arrays | {f"{n}.npy": b"" for n in range(3000)}))
    yield _bad("zip-in-zip", ".npz", zipped({"features.npz": zipped(arrays)}), "no features|no labels")
    yield _bad("encrypted-flag", ".npz", zipped(arrays).replace(b"\x14\0\0\0\x08\0", b"\x14\0\x01\0\x08\0"))
    yield FeatureCase("pickle-by-another-name", ".npz", _pickle, "pickled")
    objects = _marked(lambda marker: whole(".npz", np.array([Payload(marker)] * 4)))
    yield FeatureCase("object-features", ".npz", objects, "pickled")
    objects = _marked(lambda marker: whole(".npz", labels=np.array([Payload(marker)] * ROWS)))
    yield FeatureCase("object-labels", ".npz", objects, "pickled")


def safetensors(header: Any, body: bytes = bytes(1024), length: int | None = None) -> bytes:
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
    one = json.dumps(_tensor("F32", [8, 4], 0, 128))
    twice = f'{{"features": {one}, "features": {one}}}'.encode()
    yield _bad("duplicate-keys", ".safetensors", safetensors(twice, bytes(128)))
    entries = {f"tensor.{number}": _tensor("F32", [0] * 20, 0, 0) for number in range(80_000)}
    yield _bad("million-entries", ".safetensors", safetensors(entries, b""))
    yield FeatureCase("pickle-by-another-name", ".safetensors", _pickle)


def tables(columns: dict[str, Any], **options: Any) -> bytes:
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
    plain = tables({"features": listed, "label": LABELS}, store_schema=False)
    yield _bad("forged-row-count", ".parquet", with_footer(plain, {ROWS: 1_000_000_000}))
    for name, (features, refused) in {
        "ragged": ([list(row[: 2 + number % 3]) for number, row in enumerate(FEATURES)], "ragged"),
        "nulls": ([None, *listed[1:]], "null"),
        "nulls-within": ([[None] * WIDTH, *listed[1:]], "null"),
        "nested-lists": ([[list(row)] for row in FEATURES], SENTENCE),
        "structs": ([{"a": float(row[0])} for row in FEATURES], SENTENCE),
        "text-features": (["a"] * ROWS, SENTENCE),
    }.items():
        yield _bad(name, ".parquet", tables({"features": features, "label": LABELS}), refused)
    for name, label in {"struct": {"a": 1}, "binary": b"\xff\xfe", "null": None}.items():
        refused = "null" if label is None else SENTENCE
        yield _bad(f"{name}-labels", ".parquet", tables({"features": listed, "label": [label] * ROWS}), refused)
    for name, column in {"duplicated-columns": listed, "duplicated-numeric-columns": FEATURES[:, 0]}.items():
        doubled = [pa.array(column)] * 2 + [pa.array(LABELS)]
        yield _bad(name, ".parquet", tables(pa.Table.from_arrays(doubled, ["features"] * 2 + ["label"])))
    yield _bad("many-columns", ".parquet", tables({f"c{n}": ["a"] for n in range(5000)}))
    metadata = pa.table({"features": listed, "label": LABELS}).replace_schema_metadata({"pandas": b"\xff{" * 1000})
    yield _good("metadata-of-nonsense", ".parquet", tables(metadata))
    schema = pa.table({"features": listed, "label": LABELS}).replace_schema_metadata({"ARROW:schema": b"\xff" * 100})
    yield _either("schema-of-nonsense", ".parquet", tables(schema, store_schema=False))
    encoded = pa.array(NAMED).dictionary_encode()
    yield _good("dictionary-labels", ".parquet", tables({"features": listed, "label": encoded}))
    for kind in ("gzip", "brotli", "zstd", "lz4", "none"):
        yield _good(kind, ".parquet", tables({"features": listed, "label": LABELS}, compression=kind))


def _repeated(path: Path, _: Path) -> None:
    """Write a file of some kilobytes with 150 million equal values."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1_000_000, np.int8)), pa.array([1.5]))
    table = pa.table({"features": pa.chunked_array([column] * 150), "label": pa.chunked_array([column] * 150)})
    parquet.write_table(table, path, row_group_size=1 << 26)


def _repeated_lists(path: Path, _: Path) -> None:
    """Write a file of some kilobytes with 150 million equal values in lists."""
    rows, width = 500, 10_000
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(rows * width)), width)
    columns = {"features": pa.chunked_array([lists] * 30), "label": np.zeros(rows * 30, np.int64)}
    parquet.write_table(pa.table(columns), path)


def odd_numbers() -> Iterator[FeatureCase]:
    """Yield valid files with invalid numbers, and with unusual but valid ones."""
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
    yield _good("labels-as-text", ".npz", whole(".npz", labels=np.array(NAMED)))
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
    yield _good("float16", ".parquet", tables({"features": pa.array(list(halved)), "label": LABELS}), halved)
    for name, features in {
        "float16": halved,
        "int64": (FEATURES * 1000).astype(np.int64),
        "int8": (FEATURES * 20).astype(np.int8),
        "giant-scale": FEATURES.astype(np.float64) * 1e30,
    }.items():
        yield _good(name, ".npz", whole(".npz", features), features)
    tiny, far = (FEATURES * 2e-7).astype(np.float16), FEATURES + np.float32(1e7)
    yield _either("float16-subnormals", ".npz", whole(".npz", tiny), tiny)
    yield _either("far-from-zero", ".npz", whole(".npz", far), far)
    yield _bad("constant", ".npz", whole(".npz", np.ones_like(FEATURES)))


def no_files() -> Iterator[FeatureCase]:
    """Yield paths that are not regular files."""
    for ending in KINDS:
        yield FeatureCase("folder", ending, lambda path, _: path.mkdir(), "folder")
        yield FeatureCase("fifo", ending, lambda path, _: os.mkfifo(path), "FIFO|pipe|regular|no file|not a file")
    for ending in (".npz", ".parquet"):
        yield FeatureCase("absent", ending, lambda path, _: None, "no such file")
        yield FeatureCase("link-to-nothing", ending, lambda path, _: path.symlink_to("nothing"), "no such file")
        for name, target in {"itself": f"file{ending}", "zeros": "/dev/zero", "a-memory": "/proc/self/mem"}.items():
            yield FeatureCase(f"link-to-{name}", ending, lambda path, _, to=target: path.symlink_to(to))
        yield FeatureCase("sparse-giant", ending, _sparse)
    for ending in (".pt", ".pkl", ".bin", ".joblib"):
        yield FeatureCase("pickle", ending, _pickle, "pickled")
    contents = {".gz": b"\x1f\x8b" + bytes(100), ".csv": b"a,b\0\n1,2\n", "": whole(".npz")}
    for ending, content in contents.items():
        yield _bad("unknown", ending, content, "unknown ending")


def _sparse(path: Path, _: Path) -> None:
    with path.open("wb") as file:
        file.write(whole(path.suffix)[:4])
        file.truncate(1 << 37)


def feature_cases() -> list[FeatureCase]:
    makers = (damaged, forged_npy, forged_npz, forged_safetensors, forged_parquet, odd_numbers, no_files)
    return [case for maker in makers for case in maker()]
