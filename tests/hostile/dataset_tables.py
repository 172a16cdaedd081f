"""Datasets with hostile tables and archives."""

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from tests.hostile.dataset_making import (
    COLUMNS,
    LABELS,
    PICTURES,
    RNG,
    ROWS,
    TEXTS,
    DatasetCase,
    Files,
    case,
    csv,
    each,
    lines,
    table,
    tar,
)
from tests.hostile.feature_files import Payload, zipped
from tests.hostile.traps import Traps


def tables() -> Iterator[DatasetCase]:
    whole = table()

    def labelled(labels: Any) -> bytes:
        return table({"text": TEXTS, "label": labels})

    def worded(texts: list[str]) -> Callable[[], bytes]:
        return lambda: table({"text": texts, "label": LABELS})

    broken = {
        "empty": b"",
        "cut": whole[:-40],
        "half": whole[: len(whole) // 2],
        "footer-giant": whole[:-8] + struct.pack("<I", 2**31 - 1) + b"PAR1",
        "encrypted": whole[:-4] + b"PARE",
        "no-rows": table({"text": pa.array([], pa.string()), "label": pa.array([], pa.int64())}),
        "one-class": labelled([0] * ROWS),
        "hidden-labels": labelled([-1] * ROWS),
        "null-labels": labelled(pa.array([None] * ROWS, pa.int64())),
        "nan-labels": labelled([float("nan")] * ROWS),
        "no-labels": table({"text": TEXTS}),
        "nested-labels": labelled([{"a": {"b": 1}}] * ROWS),
        "binary-labels": labelled([b"\xff"] * ROWS),
    }
    many = [f"row {row}" for row in range(100_000)]
    odd = {
        "parquet-climbing-metadata": table(_about({"text": {"_type": "Image"}})),
        "features-classes-10-9": table(_about({"label": {"num_classes": 10**9, "_type": "ClassLabel"}})),
        "features-classes-negative": table(_about({"label": {"num_classes": -3, "_type": "ClassLabel"}})),
        "features-classes-too-few": table(_about({"label": {"names": ["only"], "_type": "ClassLabel"}})),
        "features-classes-twice": table(_about({"label": {"names": ["a", "a"], "_type": "ClassLabel"}})),
        "features-control-codes": table(
            _about({"label": {"names": ["\x1b[31mred\x1b]0;x\x07", "\u202eabc\0"], "_type": "ClassLabel"}})
        ),
        "features-unknown-type": table(_about({"label": {"_type": "os.system"}})),
        "features-not-a-dictionary": table(_about([1, 2])),
        "100000-classes": lambda: table({"text": many, "label": [one.replace("row", "class") for one in many]}),
        "labels-of-a-megabyte": lambda: labelled([f"{label}" * 1_000_000 for label in LABELS]),
        "labels-at-the-edge": labelled([(-(2**63), 2**63 - 1)[label] for label in LABELS]),
        "texts-of-10-megabytes": worded(["word " * 2_000_000] * 4 + TEXTS[4:]),
        "one-word-of-10-megabytes": worded(["x" * 10_000_000] * 4 + TEXTS[4:]),
        "texts-of-control-codes": worded([f"\0\x1b[2J{text}" for text in TEXTS]),
        "empty-texts": worded([""] * ROWS),
        "rows-repeated-by-encoding": _repeated,
        "5000-columns": lambda: table({**COLUMNS, **{f"c{n}": [0] * ROWS for n in range(5000)}}),
    }
    for group, prefix, more in ((broken, "parquet-", {}), (odd, "", {"accepted": "any"})):
        for one in each("", group, lambda content, traps: {"rows.parquet": content}, **more):
            yield replace(one, name=prefix + one.name[1:])
    arrow = {
        "of-nonsense": b"ARROW1\0\0" + bytes(1000),
        "cut": _arrow()[:-200],
        "flipped": _arrow().replace(b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", 2),
    }
    yield from each("arrow", arrow, lambda content, traps: {"rows.arrow": content})


def _about(features: Any) -> pa.Table:
    known = features if isinstance(features, list) else {"text": {"dtype": "string", "_type": "Value"}, **features}
    return pa.table(COLUMNS).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": known}})})


def _repeated() -> bytes:
    """Return a file of some kilobytes with 5 million rows."""
    column = pa.DictionaryArray.from_arrays(
        pa.array(np.arange(1_000_000, dtype=np.int32) % 2), pa.array(["bad", "good"])
    )
    return table(pa.table({"text": pa.chunked_array([column] * 5), "label": pa.chunked_array([column] * 5)}))


def _arrow() -> bytes:
    buffer, rows = io.BytesIO(), pa.table(COLUMNS)
    with pa.ipc.new_stream(buffer, rows.schema) as writer:
        writer.write_table(rows)
    return buffer.getvalue()


def texts() -> Iterator[DatasetCase]:
    """Yield broken and odd .csv and .json files."""
    tables = {
        "empty": b"",
        "nul": csv().replace(b"film", b"fi\0lm"),
        "binary": RNG.integers(0, 256, 5000, np.uint8).tobytes(),
        "utf-16": csv().decode().encode("utf-16"),
        "unclosed-quote": csv().replace(b"film", b'"film', 1),
        "header-only": b"text,label\n",
        "ragged": csv() + b"\n" + b"a,b,c,d,e,f" * 20,
        "latin-1": csv().replace(b"film", "fílm".encode("latin-1")),
        "one-line-of-20-megabytes": b"text,label\n" + b"x" * 20_000_000,
        "20000-columns": b",".join(b"c%d" % n for n in range(20_000)) + b"\n" + b",".join([b"1"] * 20_000),
        "formulas": csv([f"=cmd|' /C calc'!A{n}" for n in range(ROWS)]),
        "labels-beyond-64-bits": csv(labels=[10**30 + label for label in LABELS]),
        "doubled-columns": b"text,label,label\n" + b"\n".join(b"%s,0,1" % text.encode() for text in TEXTS),
    }
    yield from each("csv", tables, lambda content, traps: {"rows.csv": content}, accepted="any")
    yield case("csv-clean", {"rows.csv": csv()}, None, accepted="clean")
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]
    yield case("json-clean", {"rows.jsonl": lines(rows)}, None, accepted="clean")
    objects = {
        "nested": b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b', "label": 1}',
        "objects-nested": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "cut": lines(rows)[:-30],
        "nan": lines(rows).replace(b'"label": 1', b'"label": NaN'),
        "beyond-float": lines(rows).replace(b'"label": 1', b'"label": 1' + b"0" * 400),
        "surrogates": lines(rows).replace(b"film", b"\\ud800"),
        "doubled-keys": lines(rows).replace(b'"label": 1', b'"label": 0, "label": 1'),
        "mixed-types": lines(rows).replace(b'"label": 1', b'"label": [1]', 3),
        "a-number": b"17",
        "not-utf-8": lines(rows).replace(b"film", b"\xff\xfe"),
        "new-column-in-each-row": lines([{**row, f"c{n}": n} for n, row in enumerate(rows)]),
    }
    yield from each("json", objects, lambda content, traps: {"rows.jsonl": content}, accepted="any")
    yield case("csv-gz-bomb", lambda _: {"rows.csv.gz": _bomb(b"text,label\n", gzip_of)}, accepted="any")
    yield case("json-gz-bomb", lambda _: {"rows.jsonl.gz": _bomb(b'{"text": "', gzip_of)}, accepted="any")
    yield case("csv-gz-cut", {"rows.csv.gz": gzip.compress(csv())[:-20]})
    yield case("csv-gz-of-nothing", {"rows.csv.gz": b"\x1f\x8b"})
    yield case("csv-xz-of-nonsense", {"rows.csv.xz": b"\xfd7zXZ\0" + bytes(100)})


def gzip_of(buffer: io.BytesIO) -> Any:
    return gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1)


def _bomb(start: bytes, opened: Callable[[io.BytesIO], Any]) -> bytes:
    """Return a few megabytes that are 4 GB of one line."""
    buffer, block = io.BytesIO(), b"x" * 10_000_000
    with opened(buffer) as file:
        file.write(start)
        for _ in range(400):
            file.write(block)
    return buffer.getvalue()


def archives() -> Iterator[DatasetCase]:
    """Yield .tar and .zip files: bombs, members that climb, pickles, devices."""
    rows = tar({f"{n}.png": one for n, one in enumerate(PICTURES)})
    climbing = {f"../../{row}.png": PICTURES[row] for row in range(10)}
    climbing |= {f"../../{row}.cls": b"%d" % (row % 2) for row in range(10)}

    @contextmanager
    def zip_of(buffer: io.BytesIO) -> Iterator[Any]:
        archive = zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        with archive, archive.open("rows.csv", "w", force_zip64=True) as file:
            yield file

    def pickled(traps: Traps) -> bytes:
        return pickle.dumps(Payload(traps.marker))

    for name, files, more in (
        ("tar-of-pickles", _tar_of_pickles, {"accepted": "any"}),
        ("tar-cut", {"rows.tar": rows[:3000]}, {"modality": "image"}),
        ("tar-of-nonsense", {"rows.tar": bytes(20_000)}, {"modality": "image"}),
        ("tar-that-climbs", {"rows.tar": tar(climbing)}, {"accepted": "any", "modality": "image"}),
        ("tar-of-links", _tar_of_links, {"accepted": "any", "modality": "image"}),
        ("zip-that-climbs", {"rows.zip": zipped({"../../rows.csv": csv()})}, {"accepted": "any"}),
        ("zip-of-nonsense", {"rows.zip": b"PK\x03\x04" + bytes(100)}, {}),
        ("zip-bomb", lambda _: {"rows.zip": _bomb(b"text,label\n", zip_of)}, {"accepted": "any"}),
        ("pickle", lambda traps: {"rows.pkl": pickled(traps)}, {}),
        ("pandas-pickle-in-gz", lambda traps: {"rows.pkl.gz": gzip.compress(pickled(traps))}, {}),
    ):
        yield case(name, files, on_hub=True, **more)


def _tar_of_pickles(traps: Traps) -> Files:
    payload, array = pickle.dumps(Payload(traps.marker)), io.BytesIO()
    np.save(array, np.array([Payload(traps.marker)]), allow_pickle=True)
    kinds = dict.fromkeys(("pkl", "pyd", "pickle", "pth"), payload)
    kinds |= {"npy": array.getvalue(), "npz": zipped({"a.npy": array.getvalue()})}
    rows = {f"{row}.{ending}": content for row in range(10) for ending, content in kinds.items()}
    return {"rows.tar": tar(rows | {f"{row}.cls": b"%d" % (row % 2) for row in range(10)})}


def _tar_of_links(traps: Traps) -> Files:
    buffer = io.BytesIO(tar({f"{row}.cls": b"%d" % (row % 2) for row in range(10)}))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        for row in range(10):
            link = tarfile.TarInfo(f"{row}.png")
            link.type, link.linkname = tarfile.SYMTYPE, str(traps.secret)
            archive.addfile(link)
        device = tarfile.TarInfo("x.png")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
    return {"rows.tar": buffer.getvalue()}
