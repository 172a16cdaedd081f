"""Datasets as strangers publish them: how each is written, and what must become of it."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from tests.hostile.feature_files import SENTENCE, Payload, zipped
from tests.hostile.traps import PRIVATE, Traps
from tests.hub.repositories import write_files
from tests.sampling.made import image_bytes, sound

ROWS = 40
Modality = Literal["text", "image", "sound"]
Files = dict[str, bytes]
TEXTS = [f"a {('bad slow cold', 'good warm wit')[row % 2].split()[row % 3]} film number {row}" for row in range(ROWS)]
LABELS = [row % 2 for row in range(ROWS)]
COLUMNS = {"text": TEXTS, "label": LABELS}
CLASSES_IN_CARD = "dataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n        names: ["
RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class DatasetCase:
    """A dataset and what must become of it.

    Attributes:
        name: what is wrong with it.
        write: writes its files into a folder.
        refused: what the message says, None where it must be accepted.
        accepted: "clean" where the numbers must be those of COLUMNS, "any" where it may be scored as it is, "" for what
            must never be.
        modality: the checkpoint that it is for.
        on_hub: whether it is served by a Hub; else it is a folder, or the only file in it.
    """

    name: str
    write: Callable[[Path, Traps], object]
    refused: str | None = SENTENCE
    accepted: Literal["", "any", "clean"] = ""
    modality: Modality = "text"
    on_hub: bool = False


def case(
    name: str, files: Files | Callable[[Traps], Files], refused: str | None = SENTENCE, **more: Any
) -> DatasetCase:
    """Return a case whose files are known by their contents."""

    def write(folder: Path, traps: Traps) -> None:
        write_files(folder, files(traps) if callable(files) else files)

    return DatasetCase(name, write, refused, **more)


def each(
    prefix: str, values: Mapping[str, Any], files: Callable[[Any, Traps], Files], **more: Any
) -> Iterator[DatasetCase]:
    """Yield a case for each value; a value that is called gives the real one when it is written."""
    for name, value in values.items():
        made = partial(lambda value, traps: files(value() if callable(value) else value, traps), value)
        yield case(f"{prefix}-{name}", made, **more)


def table(columns: Any = None, **options: Any) -> bytes:
    """Return a .parquet file."""
    buffer = io.BytesIO()
    made = columns if isinstance(columns, pa.Table) else pa.table(columns or COLUMNS)
    parquet.write_table(made, buffer, **options)
    return buffer.getvalue()


def csv(texts: Any = TEXTS, labels: Any = LABELS) -> bytes:
    """Return a .csv file."""
    return "\n".join(["text,label", *(f"{text},{label}" for text, label in zip(texts, labels, strict=True))]).encode()


def lines(rows: Any) -> bytes:
    """Return a .jsonl file."""
    return "\n".join(json.dumps(row) for row in rows).encode()


def media(contents: Sequence[bytes | str], column: str = "image", kind: str = "Image") -> bytes:
    """Return a .parquet file of images or sounds as `datasets` writes it: contents, or paths in place of them."""
    known = [{"bytes": one if isinstance(one, bytes) else None} for one in contents]
    known = [{**row, "path": None if row["bytes"] is one else one} for row, one in zip(known, contents, strict=True)]
    cells = pa.array(known, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    features = {column: {"_type": kind}, "label": {"names": ["a", "b"], "_type": "ClassLabel"}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    rows = pa.table({column: cells, "label": pa.array([row % 2 for row in range(len(contents))])})
    return table(rows.replace_schema_metadata(about))


def sounding(contents: Sequence[bytes | str]) -> bytes:
    """Return a .parquet file of sounds."""
    return media(contents, "audio", "Audio")


def pictures() -> list[bytes]:
    """Return small pictures, each class brighter in another channel."""
    made = []
    for row in range(ROWS):
        values = np.random.default_rng(row).integers(0, 180, (12, 16, 3))
        values[..., row % 2] += 60
        made.append(image_bytes(values.astype(np.uint8)))
    return made


PICTURES = pictures()
SOUNDS = [sound(row) for row in range(ROWS)]

ELSEWHERE = {
    "file-scheme": "file://{secret}",
    "chain-to-the-hub": "file://{secret}::hf://datasets/cases/own/README.md",
    "climbing-chain": "file://../../../../../../../../..{secret}::hf://datasets/cases/own/README.md",
    "absolute": "{secret}",
    "climbing": "../../../../../../../../../..{secret}",
    "home": "~/secret.png",
    "another-repository": f"hf://datasets/{PRIVATE}/x.png",
    "another-revision": f"hf://datasets/{PRIVATE}@main/x.png",
    "another-commit": f"hf://datasets/{PRIVATE}@{{commit}}/x.png",
    "a-model": "hf://owner/private-model/x.bin",
    "http": "{address}/x.png",
    "ftp": "ftp://127.0.0.1:1/x.png",
    "s3": "s3://bucket/x.png",
    "local-scheme": "local://{secret}",
    "data-scheme": "data:image/png;base64,AAAA",
    "zip-of-http": "zip://x.png::{address}/x.zip",
    "simplecache": "simplecache::{address}/x.png",
    "filecache": "filecache::file://{secret}",
    "reference": "reference://x::file://{secret}",
    "zeros": "/dev/zero",
    "zeros-by-scheme": "file://../../../../../../../../../dev/zero::hf://datasets/cases/own/README.md",
    "environment": "/proc/self/environ",
    "memory": "memory://x.png",
    "github": "github://owner:repo@main/x.png",
    "backslashes": "..\\..\\secret.png",
    "nul": "x\0.png",
    "long": "x" * 100_000,
    "upper-case": "FILE://{secret}",
    "blank-before": " file://{secret}",
    "encoded": "hf://datasets/cases/own/..%2f..%2f..%2fowner%2fprivate-data%2fx.png",
}
"""Paths of rows that lead elsewhere."""

ELSEWHERE_IN_CARDS = {
    "http": "{address}/x.csv",
    "file": "file://{secret.csv}",
    "absolute": "{folder}/secret.csv",
    "absolute-pattern": "{folder}/*.csv",
    "climbing": "../../../../../../../../..{folder}/secret.csv",
    "climbing-a-little": "../../x.csv",
    "another-repository": f"hf://datasets/{PRIVATE}/x.csv",
    "another-revision": f"hf://datasets/{PRIVATE}@main/*.csv",
    "a-model": "hf://owner/private-model/x.csv",
    "zip-of-http": "zip://*.csv::{address}/x.zip",
    "gzip-of-http": "gzip://x.csv::{address}/x.csv.gz",
    "zeros": "/dev/zero",
    "proc": "/proc/self/environ",
    "home": "~/x.csv",
    "scheme": "'http:x.csv'",
    "deep-glob": "/**/*.csv",
    "number": "17",
    "list-in-list": "[[[rows.csv]]]",
    "one-of-a-split": "\n  - split: train\n    path: [rows.csv, {address}/x.csv]",
    "second-configuration": "rows.csv\n- config_name: b\n  data_files: {address}/x.csv",
}
"""Data files that a card names elsewhere."""


def leading_elsewhere() -> Iterator[DatasetCase]:
    """Yield datasets whose rows or card lead elsewhere; `test_paths` tries each of them, and more."""
    rows = {"modality": "image", "on_hub": True}

    def in_metadata(lead: str, traps: Traps) -> Files:
        named = [{"file_name": traps.named(lead) if row else "0.png", "label": row % 2} for row in range(10)]
        return {"train/metadata.jsonl": lines(named), "train/0.png": PICTURES[0]}

    def in_card(lead: str, traps: Traps) -> Files:
        text = f"---\nconfigs:\n- config_name: default\n  data_files: {traps.named(lead)}\n---\n"
        return {"README.md": text.encode(), "rows.csv": csv()}

    def in_rows(lead: str, traps: Traps) -> Files:
        return {"data/train.parquet": media([traps.named(lead)] * ROWS), "README.md": b"# Data\n"}

    yield from each("path", ELSEWHERE, in_rows, **rows)
    local = {"zeros": "/dev/zero", "http": "{address}/x.png", "chain": "file://{secret}::hf://a/b"}
    yield from each(
        "local-path", local, lambda lead, traps: {"train.parquet": media([traps.named(lead)] * ROWS)}, modality="image"
    )
    yield from each(
        "metadata", {name: ELSEWHERE[name] for name in ("climbing", "absolute", "http")}, in_metadata, **rows
    )
    yield from each("data-files", ELSEWHERE_IN_CARDS, in_card, on_hub=True)


def cards() -> Iterator[DatasetCase]:
    """Yield datasets whose card lies or blows up, and code where a card would be."""
    data, free = {"rows.csv": csv()}, {"accepted": "any", "on_hub": True}
    laughs = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    one = "configs:\n- config_name: default\n  data_files: rows.csv\n"
    texts = {
        "alias-bomb": laughs + "configs: *i",
        "python-tag": "configs: !!python/object/apply:os.mkdir ['{marker}']",
        "nested": "configs: " + "[" * 20_000 + "]" * 20_000,
        "configs-of-numbers": "configs: [1, 2, 3]",
        "configs-without-names": "configs:\n- data_files: rows.csv\n- data_files: rows.csv",
        "control-codes": 'configs:\n- config_name: "\\e[2J\\e]0;owned\\a"\n  data_files: nothing.csv',
        "data-dir-absolute": "configs:\n- config_name: default\n  data_dir: {folder}",
        "data-dir-climbs": "configs:\n- config_name: default\n  data_dir: ../../..",
        "unknown-builder-option": f"{one}  converters: {{a: b}}",
        "catastrophic-separator": f"{one}  sep: '(a+ ?)+$'",
        "iterator-file": f"{one}  compression: zip",
        "giant-class-list": CLASSES_IN_CARD + ",".join(f"c{number}" for number in range(200_000)) + "]",
        "giant-number": "dataset_info:\n  splits:\n  - name: train\n    num_examples: 1" + "0" * 400,
        "not-utf-8": "license: \udcff\udcfe",
        "no-end": "configs:\n" + "- config_name: x\n  data_files: rows.csv\n" * 20_000,
        "of-60-megabytes": lambda: "x: " + "y" * 60_000_000,
    }

    def carded(text: str, traps: Traps) -> Files:
        return {"README.md": f"---\n{traps.named(text)}\n---\n".encode(errors="surrogateescape"), **data}

    yield from each("card", texts, carded, **free)
    infos = b'{"default": {"features": {"label": {"_type": "Payload"}}, "splits": ' + b"[" * 5000 + b"]" * 5000 + b"}}"
    yield case("infos-of-nonsense", {"dataset_infos.json": infos, **data}, **free)
    code = "import os\nos.mkdir('{marker}')\n"
    yield case("script", lambda traps: {"script.py": traps.named(code).encode()}, on_hub=True)
    yield case("setup", lambda traps: {"setup.py": traps.named(code).encode()}, on_hub=True)


def png(width: int, height: int, kind: int = 2, depth: int = 8, rows: int | None = None) -> bytes:
    """Return a PNG of zeros of any size: 2 for colours, 0 for grey."""
    across = (width * (3 if kind == 2 else 1) * depth + 7) // 8 + 1
    squeeze = zlib.compressobj(1)
    body = [squeeze.compress(bytes(across)) for _ in range(height if rows is None else rows)]
    data = b"".join([*body, squeeze.flush()])
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, (b"IHDR", b"IDAT", b"IEND"), (head, data, b"")))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _with_text() -> bytes:
    """Return a small picture with a compressed text that is large."""
    picture = PICTURES[0]
    text = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(300_000_000), 1))
    return picture[:33] + text + picture[33:]


def _gif() -> bytes:
    buffer = io.BytesIO()
    images = [Image.fromarray(np.full((64, 64), number % 256, np.uint8)) for number in range(1000)]
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:])
    return buffer.getvalue()


def _saved(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(PICTURES[0])).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def images() -> Iterator[DatasetCase]:
    """Yield datasets with pictures that are bombs, broken, or no pictures."""
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    tiff = _saved("TIFF")
    contents = {
        "png-60000": partial(png, 60_000, 60_000, kind=0, depth=1, rows=2000),
        "png-of-no-size": png(0, 0),
        "tiff-forged-size": tiff.replace(struct.pack("<HHII", 256, 4, 1, 16), struct.pack("<HHII", 256, 4, 1, 2**31)),
        "truncated-jpeg": _saved("JPEG")[:200],
        "jpeg-header-only": b"\xff\xd8\xff\xe0\0\x10JFIF",
        "svg": svg,
        "text": b"this is no picture at all",
        "html": b"<html>404</html>",
        "nothing": b"",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch marker) (w) file\n",
        "pickle": pickle.dumps({"a": 1}),
        "zip": zipped({"x.png": PICTURES[0]}),
        "text-bomb": _with_text,
        "gif-of-1000-frames": _gif,
        "palette": _saved("PNG", "P"),
        "cmyk": _saved("JPEG", "CMYK"),
        "1-bit": _saved("PNG", "1"),
        "one-pixel": image_bytes(np.zeros((1, 1, 3), np.uint8)),
        "one-row": image_bytes(np.zeros((1, 5000, 3), np.uint8)),
    }
    giants = {
        "png-9000": partial(png, 9000, 9000),
        "png-12000-grey": partial(png, 12_000, 12_000, kind=0),
        "png-one-long-row": partial(png, 60_000_000, 1, kind=0),
    }
    for count, values in ((1, contents), (30, giants)):

        def last(value: bytes, traps: Traps, count: int = count) -> Files:
            return {"rows.parquet": media([*PICTURES[: ROWS - count], *[value] * count])}

        yield from each("picture", values, last, accepted="any", modality="image")
    yield case("pictures-all-broken", {"rows.parquet": media([contents["text"]] * ROWS)}, modality="image")


def wave(samples: np.ndarray, rate: int = 8000, channels: int = 1, kind: int = 3, claimed: int | None = None) -> bytes:
    """Return a WAV file; 3 for floating numbers."""
    body = samples.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * 4 * channels & 0xFFFFFFFF, 4 * channels & 0xFFFF, 32)
    size = len(body) if claimed is None else claimed
    chunks = (b"WAVEfmt ", struct.pack("<I", 16), form, b"data", struct.pack("<I", size), body)
    return b"RIFF" + struct.pack("<I", 36 + len(body)) + b"".join(chunks)


def sounds() -> Iterator[DatasetCase]:
    """Yield datasets with sounds that are bombs, broken, or no sounds."""
    noise = RNG.normal(size=800) * 0.1
    contents = {
        "no-sound": b"this is no sound at all",
        "nothing": b"",
        "header-only": wave(noise)[:44],
        "truncated": wave(noise)[:30],
        "no-samples": wave(noise[:0]),
        "nan": wave(np.full(800, np.nan)),
        "inf": wave(np.full(800, np.inf)),
        "rate-of-zero": wave(noise, rate=0),
        "no-channels": wave(noise, channels=0),
        "rate-of-one": wave(RNG.normal(size=1_000_000), rate=1),
        "rate-of-2-31": wave(noise, rate=2**31 - 1),
        "1000-channels": wave(RNG.normal(size=8000) * 0.1, channels=1000),
        "claims-4-gb": wave(noise, claimed=2**32 - 1),
        "an-hour": partial(wave, np.tile(noise, 18_000), rate=4000),
        "huge-numbers": wave(np.full(800, 3e38)),
    }
    yield from each(
        "sound",
        contents,
        lambda value, traps: {"rows.parquet": sounding([*SOUNDS[:-1], value])},
        accepted="any",
        modality="sound",
    )
    yield case("sounds-all-broken", {"rows.parquet": sounding([contents["no-sound"]] * ROWS)}, modality="sound")


def tables() -> Iterator[DatasetCase]:
    """Yield broken and odd tables."""
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
    """Return a .gz file to write into."""
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


def tar(members: dict[str, bytes]) -> bytes:
    """Return a .tar file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            known = tarfile.TarInfo(name)
            known.size = len(content)
            archive.addfile(known, io.BytesIO(content))
    return buffer.getvalue()


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


def no_files() -> Iterator[DatasetCase]:
    """Yield folders with what is no plain file."""

    def fifo_beside(folder: Path, _: Traps) -> None:
        write_files(folder, {"train/rows.csv": csv()})
        os.mkfifo(folder / "train" / "pipe")

    def loop(folder: Path, _: Traps) -> None:
        (folder / "rows.csv").write_bytes(csv())
        (folder / "again").symlink_to(".")

    def bad_name(folder: Path, _: Traps) -> None:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe-rows.csv")).write_bytes(csv())

    yield DatasetCase("nothing-there", lambda folder, _: None, "empty")
    yield DatasetCase("fifo", lambda folder, _: os.mkfifo(folder / "rows.csv"))
    yield DatasetCase("fifo-beside", fifo_beside, accepted="clean")
    yield DatasetCase("link-loop", loop, accepted="clean")
    yield DatasetCase("link-to-itself", lambda folder, _: (folder / "rows.csv").symlink_to("rows.csv"))
    yield DatasetCase("link-to-zeros", lambda folder, _: (folder / "rows.csv").symlink_to("/dev/zero"))
    yield DatasetCase("folder-named-as-file", lambda folder, _: (folder / "rows.csv").mkdir())
    yield DatasetCase("not-readable-name", bad_name, accepted="any")
    state = b'{"_data_files": [{"filename": "../../../../etc/passwd"}], "_fingerprint": 7}'
    yield case("stored-with-nonsense", {"state.json": state, "dataset_info.json": b"[" * 3000})
    yield case("deep-folders", {"/".join([*["x"] * 400, "rows.csv"]): csv()}, accepted="any")
    yield case("20000-files", lambda _: {f"{number}.txt": b"" for number in range(20_000)}, accepted="any")


def dataset_cases() -> list[DatasetCase]:
    """Return all of them."""
    makers = (leading_elsewhere, cards, images, sounds, tables, texts, archives, no_files)
    return [one for maker in makers for one in maker()]
