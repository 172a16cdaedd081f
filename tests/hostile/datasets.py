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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from tests.hostile.feature_files import SENTENCE, Payload, zipped
from tests.hostile.traps import PRIVATE, Traps
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
        heavy: whether it takes seconds to make or to read, so that not every run of the tests tries it.
    """

    name: str
    write: Callable[[Path, Traps], object]
    refused: str | None = SENTENCE
    accepted: Literal["", "any", "clean"] = ""
    modality: Modality = "text"
    on_hub: bool = False
    heavy: bool = False


def case(
    name: str, files: Files | Callable[[Traps], Files], refused: str | None = SENTENCE, **more: Any
) -> DatasetCase:
    """Return a case whose files are known by their contents."""

    def write(folder: Path, traps: Traps) -> None:
        for path, content in (files(traps) if callable(files) else files).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)

    return DatasetCase(name, write, refused, **more)


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


def media(contents: list[bytes] | list[str], column: str = "image", kind: str = "Image") -> bytes:
    """Return a .parquet file of images or sounds as `datasets` writes it: contents, or paths in place of them."""
    known = [
        {"bytes": one, "path": None} if isinstance(one, bytes) else {"bytes": None, "path": one} for one in contents
    ]
    cells = pa.array(known, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    features = {column: {"_type": kind}, "label": {"names": ["a", "b"], "_type": "ClassLabel"}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    rows = pa.table({column: cells, "label": pa.array([row % 2 for row in range(len(contents))])})
    return table(rows.replace_schema_metadata(about))


def pictures() -> list[bytes]:
    """Return small pictures, each class brighter in another channel."""
    made = []
    for row in range(ROWS):
        values = np.random.default_rng(row).integers(0, 180, (12, 16, 3))
        values[..., row % 2] += 60
        made.append(image_bytes(values.astype(np.uint8)))
    return made


PICTURES = pictures()


def paths() -> Iterator[DatasetCase]:
    """Yield datasets of images whose rows lead elsewhere."""
    for name, lead in {
        "file-scheme": "file://{secret}",
        "chain-to-the-hub": "file://{secret}::hf://datasets/cases/own/README.md",
        "climbing-chain": "file://../../../../../../../../..{secret}::hf://datasets/cases/own/README.md",
        "absolute": "{secret}",
        "climbing": "../../../../../../../../../..{secret}",
        "home": "~/secret.png",
        "another-repository": f"hf://datasets/{PRIVATE}/x.png",
        "another-revision": f"hf://datasets/{PRIVATE}@main/x.png",
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
        "memory": "memory://x.png",
        "github": "github://owner:repo@main/x.png",
        "backslashes": "..\\..\\secret.png",
        "nul": "x\0.png",
        "long": "x" * 100_000,
        "upper-case": "FILE://{secret}",
        "blank-before": " file://{secret}",
        "encoded": "hf://datasets/cases/own/..%2f..%2f..%2fowner%2fprivate-data%2fx.png",
    }.items():

        def files(traps: Traps, lead: str = lead) -> Files:
            path = lead.format(secret=traps.secret, address=traps.address)
            return {"data/train.parquet": media([path] * ROWS), "README.md": b"# Data\n"}

        yield case(f"path-{name}", files, modality="image", on_hub=True)
    for name, lead in {"zeros": "/dev/zero", "http": "{address}/x.png", "chain": "file://{secret}::hf://a/b"}.items():

        def local(traps: Traps, lead: str = lead) -> Files:
            return {"train.parquet": media([lead.format(secret=traps.secret, address=traps.address)] * ROWS)}

        yield case(f"local-path-{name}", local, modality="image")
    for name, lead in {
        "climbs": "../../../../../../../../../..{secret}",
        "absolute": "{secret}",
        "http": "{address}/x.png",
    }.items():

        def folder(traps: Traps, lead: str = lead) -> Files:
            path = lead.format(secret=traps.secret, address=traps.address)
            rows = [{"file_name": path if row else "0.png", "label": row % 2} for row in range(10)]
            return {"train/metadata.jsonl": lines(rows), "train/0.png": PICTURES[0]}

        yield case(f"metadata-{name}", folder, modality="image", on_hub=True)


def cards() -> Iterator[DatasetCase]:
    """Yield datasets whose card lies, leads elsewhere or blows up."""
    data = {"rows.csv": csv()}
    for name, leads in {
        "http": "{address}/x.csv",
        "file": "file://{secret}.csv",
        "absolute": "{folder}/secret.csv",
        "climbing": "../../../../../../../../..{folder}/secret.csv",
        "another-repository": f"hf://datasets/{PRIVATE}/x.csv",
        "another-revision": f"hf://datasets/{PRIVATE}@main/*.csv",
        "zip-of-http": "zip://*.csv::{address}/x.zip",
        "zeros": "/dev/zero",
        "proc": "/proc/self/environ",
        "deep-glob": "/**/*.csv",
        "number": "17",
        "list-in-list": "[[[rows.csv]]]",
    }.items():

        def files(traps: Traps, leads: str = leads) -> Files:
            place = leads.format(address=traps.address, secret=traps.secret.with_suffix(""), folder=traps.folder)
            card = f"---\nconfigs:\n- config_name: default\n  data_files: {place}\n---\n"
            return {"README.md": card.encode(), **data}

        yield case(f"data-files-{name}", files, on_hub=True)
    laughs = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    for name, text in {
        "alias-bomb": laughs + "configs: *i",
        "python-tag": "configs: !!python/object/apply:os.mkdir ['{marker}']",
        "nested": "configs: " + "[" * 20_000 + "]" * 20_000,
        "configs-of-numbers": "configs: [1, 2, 3]",
        "configs-without-names": "configs:\n- data_files: rows.csv\n- data_files: rows.csv",
        "control-codes": 'configs:\n- config_name: "\\e[2J\\e]0;owned\\a"\n  data_files: nothing.csv',
        "data-dir-absolute": "configs:\n- config_name: default\n  data_dir: {folder}",
        "data-dir-climbs": "configs:\n- config_name: default\n  data_dir: ../../..",
        "unknown-builder-option": "configs:\n- config_name: default\n  data_files: rows.csv\n  converters: {{a: b}}",
        "catastrophic-separator": "configs:\n- config_name: default\n  data_files: rows.csv\n  sep: '(a+ ?)+$'",
        "iterator-file": "configs:\n- config_name: default\n  data_files: rows.csv\n  compression: zip",
        "giant-class-list": CLASSES_IN_CARD + ",".join(f"c{number}" for number in range(200_000)) + "]",
        "giant-number": "dataset_info:\n  splits:\n  - name: train\n    num_examples: 1" + "0" * 400,
        "not-utf-8": "license: \udcff\udcfe",
        "no-end": "configs:\n" + "- config_name: x\n  data_files: rows.csv\n" * 20_000,
    }.items():

        def carded(traps: Traps, text: str = text) -> Files:
            card = text.replace("{{", "{").replace("}}", "}").replace("{marker}", str(traps.marker))
            card = card.replace("{folder}", str(traps.folder))
            return {"README.md": f"---\n{card}\n---\n".encode(errors="surrogateescape"), **data}

        yield case(f"card-{name}", carded, accepted="any", on_hub=True)
    yield case(
        "card-of-60-megabytes",
        {"README.md": b"---\nx: " + b"y" * 60_000_000 + b"\n---\n", **data},
        accepted="any",
        on_hub=True,
    )
    infos = b'{"default": {"features": {"label": {"_type": "Payload"}}, "splits": ' + b"[" * 5000 + b"]" * 5000 + b"}}"
    yield case("infos-of-nonsense", {"dataset_infos.json": infos, **data}, accepted="any", on_hub=True)
    for name, code in {"script": b"import os\nos.mkdir('%s')\n", "setup": b"import os; os.mkdir('%s')\n"}.items():

        def scripted(traps: Traps, code: bytes = code, name: str = name) -> Files:
            return {f"{name}.py": code % str(traps.marker).encode()}

        yield case(name, scripted, on_hub=True)


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
    for name, content in {
        "png-60000": png(60_000, 60_000, kind=0, depth=1, rows=2000),
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
    }.items():
        rows = media([*PICTURES[:-1], content])
        yield case(f"picture-{name}", {"rows.parquet": rows}, accepted="any", modality="image")
    yield case("pictures-all-broken", {"rows.parquet": media([b"this is no picture at all"] * ROWS)}, modality="image")
    for name, make in {
        "png-9000": partial(png, 9000, 9000),
        "png-12000-grey": partial(png, 12_000, 12_000, kind=0),
        "png-one-long-row": partial(png, 60_000_000, 1, kind=0),
    }.items():
        yield case(f"picture-{name}", partial(_last, make, 30), accepted="any", modality="image", heavy=True)
    for name, make in {"text-bomb": _with_text, "gif-of-1000-frames": _gif}.items():
        yield case(f"picture-{name}", partial(_last, make, 1), accepted="any", modality="image", heavy=True)
    for name, content in {
        "palette": _saved("PNG", "P"),
        "cmyk": _saved("JPEG", "CMYK"),
        "1-bit": _saved("PNG", "1"),
        "one-pixel": image_bytes(np.zeros((1, 1, 3), np.uint8)),
        "one-row": image_bytes(np.zeros((1, 5000, 3), np.uint8)),
    }.items():
        rows = media([*PICTURES[:-1], content])
        yield case(f"picture-{name}", {"rows.parquet": rows}, accepted="any", modality="image")


def _last(make: Callable[[], bytes], count: int, _: Traps) -> Files:
    """Return pictures of which the last ones are the same one."""
    return {"rows.parquet": media([*PICTURES[: ROWS - count], *[make()] * count])}


def wave(samples: np.ndarray, rate: int = 8000, channels: int = 1, kind: int = 3, claimed: int | None = None) -> bytes:
    """Return a WAV file; 3 for floating numbers."""
    body = samples.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * 4 * channels & 0xFFFFFFFF, 4 * channels & 0xFFFF, 32)
    size = len(body) if claimed is None else claimed
    return (
        b"RIFF"
        + struct.pack("<I", 36 + len(body))
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + b"data"
        + struct.pack("<I", size)
        + body
    )


def sounds() -> Iterator[DatasetCase]:
    """Yield datasets with sounds that are bombs, broken, or no sounds."""
    good = [sound(row) for row in range(ROWS)]
    noise = RNG.normal(size=800) * 0.1
    for name, content in {
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
    }.items():
        rows = media([*good[:-1], content], "audio", "Audio")
        yield case(f"sound-{name}", {"rows.parquet": rows}, accepted="any", modality="sound")
    broken = media([b"this is no sound at all"] * ROWS, "audio", "Audio")
    yield case("sounds-all-broken", {"rows.parquet": broken}, modality="sound")
    for name, content in {
        "rate-of-2-31": wave(noise, rate=2**31 - 1),
        "1000-channels": wave(RNG.normal(size=8000) * 0.1, channels=1000),
        "claims-4-gb": wave(noise, claimed=2**32 - 1),
        "an-hour": wave(np.tile(noise, 18_000), rate=4000),
        "huge-numbers": wave(np.full(800, 3e38)),
    }.items():
        yield case(
            f"sound-{name}",
            {"rows.parquet": media([*good[:-1], content], "audio", "Audio")},
            accepted="any",
            modality="sound",
        )


def tables() -> Iterator[DatasetCase]:
    """Yield broken and odd tables."""
    whole = table()
    for name, content in {
        "empty": b"",
        "cut": whole[:-40],
        "half": whole[: len(whole) // 2],
        "footer-giant": whole[:-8] + struct.pack("<I", 2**31 - 1) + b"PAR1",
        "encrypted": whole[:-4] + b"PARE",
        "no-rows": table({"text": pa.array([], pa.string()), "label": pa.array([], pa.int64())}),
        "one-class": table({"text": TEXTS, "label": [0] * ROWS}),
        "hidden-labels": table({"text": TEXTS, "label": [-1] * ROWS}),
        "null-labels": table({"text": TEXTS, "label": pa.array([None] * ROWS, pa.int64())}),
        "nan-labels": table({"text": TEXTS, "label": [float("nan")] * ROWS}),
        "no-labels": table({"text": TEXTS}),
        "nested-labels": table({"text": TEXTS, "label": [{"a": {"b": 1}}] * ROWS}),
        "binary-labels": table({"text": TEXTS, "label": [b"\xff"] * ROWS}),
    }.items():
        yield case(f"parquet-{name}", {"rows.parquet": content})
    yield case(
        "parquet-climbing-metadata", {"rows.parquet": table(_about({"text": {"_type": "Image"}}))}, accepted="any"
    )
    for name, features in {
        "classes-10-9": {"label": {"num_classes": 10**9, "_type": "ClassLabel"}},
        "classes-negative": {"label": {"num_classes": -3, "_type": "ClassLabel"}},
        "classes-too-few": {"label": {"names": ["only"], "_type": "ClassLabel"}},
        "classes-twice": {"label": {"names": ["a", "a"], "_type": "ClassLabel"}},
        "control-codes": {"label": {"names": ["\x1b[31mred\x1b]0;x\x07", "\u202eabc\0"], "_type": "ClassLabel"}},
        "unknown-type": {"label": {"_type": "os.system"}},
        "not-a-dictionary": [1, 2],
    }.items():
        yield case(f"features-{name}", {"rows.parquet": table(_about(features))}, accepted="any")
    many = {"text": [f"row {row}" for row in range(100_000)], "label": [f"class {row}" for row in range(100_000)]}
    yield case("100000-classes", {"rows.parquet": table(many)}, accepted="any")
    yield case(
        "labels-of-a-megabyte",
        {"rows.parquet": table({"text": TEXTS, "label": [f"{label}" * 1_000_000 for label in LABELS]})},
        accepted="any",
    )
    yield case(
        "labels-at-the-edge",
        {"rows.parquet": table({"text": TEXTS, "label": [(-(2**63), 2**63 - 1)[label] for label in LABELS]})},
        accepted="any",
    )
    yield case(
        "texts-of-10-megabytes",
        {"rows.parquet": table({"text": ["word " * 2_000_000] * 4 + TEXTS[4:], "label": LABELS})},
        accepted="any",
    )
    yield case(
        "one-word-of-10-megabytes",
        {"rows.parquet": table({"text": ["x" * 10_000_000] * 4 + TEXTS[4:], "label": LABELS})},
        accepted="any",
    )
    yield case(
        "texts-of-control-codes",
        {"rows.parquet": table({"text": [f"\0\x1b[2J{text}" for text in TEXTS], "label": LABELS})},
        accepted="any",
    )
    yield case("empty-texts", {"rows.parquet": table({"text": [""] * ROWS, "label": LABELS})}, accepted="any")
    yield case("rows-repeated-by-encoding", {"rows.parquet": _repeated()}, accepted="any")
    yield case(
        "5000-columns",
        {"rows.parquet": table({**COLUMNS, **{f"c{n}": [0] * ROWS for n in range(5000)}})},
        accepted="any",
    )
    yield case("arrow-of-nonsense", {"rows.arrow": b"ARROW1\0\0" + bytes(1000)})
    yield case("arrow-cut", {"rows.arrow": _arrow()[:-200]})
    yield case("arrow-flipped", {"rows.arrow": _arrow().replace(b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", 2)})


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
    for name, content in {
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
    }.items():
        yield case(f"csv-{name}", {"rows.csv": content}, accepted="any")
    yield case("csv-clean", {"rows.csv": csv()}, None, accepted="clean")
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]
    yield case("json-clean", {"rows.jsonl": lines(rows)}, None, accepted="clean")
    for name, content in {
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
    }.items():
        yield case(f"json-{name}", {"rows.jsonl": content}, accepted="any")
    yield DatasetCase("csv-gz-bomb", _gz_bomb, accepted="any")
    yield DatasetCase("json-gz-bomb", _json_gz_bomb, accepted="any")
    yield case("csv-gz-cut", {"rows.csv.gz": gzip.compress(csv())[:-20]})
    yield case("csv-gz-of-nothing", {"rows.csv.gz": b"\x1f\x8b"})
    yield case("csv-xz-of-nonsense", {"rows.csv.xz": b"\xfd7zXZ\0" + bytes(100)})


def _gz_bomb(folder: Path, _: Traps) -> None:
    """Write a few megabytes that are 4 GB of one line."""
    with gzip.open(folder / "rows.csv.gz", "wb", compresslevel=1) as file:
        file.write(b"text,label\n")
        for _ in range(400):
            file.write(b"x" * 10_000_000)


def _json_gz_bomb(folder: Path, _: Traps) -> None:
    with gzip.open(folder / "rows.jsonl.gz", "wb", compresslevel=1) as file:
        file.write(b'{"text": "')
        for _ in range(400):
            file.write(b"x" * 10_000_000)


def archives() -> Iterator[DatasetCase]:
    """Yield .tar and .zip files: bombs, members that climb, pickles, devices."""
    yield DatasetCase("tar-of-pickles", _tar_of_pickles, accepted="any", on_hub=True)
    yield case(
        "tar-cut",
        {"rows.tar": tar({f"{n}.png": one for n, one in enumerate(PICTURES)})[:3000]},
        modality="image",
        on_hub=True,
    )
    yield case("tar-of-nonsense", {"rows.tar": bytes(20_000)}, modality="image", on_hub=True)
    climbing = {f"../../{row}.png": PICTURES[row] for row in range(10)} | {
        f"../../{row}.cls": b"%d" % (row % 2) for row in range(10)
    }
    yield case("tar-that-climbs", {"rows.tar": tar(climbing)}, accepted="any", modality="image", on_hub=True)
    yield DatasetCase("tar-of-links", _tar_of_links, accepted="any", modality="image", on_hub=True)
    yield case("zip-that-climbs", {"rows.zip": zipped({"../../rows.csv": csv()})}, accepted="any", on_hub=True)
    yield case("zip-of-nonsense", {"rows.zip": b"PK\x03\x04" + bytes(100)}, on_hub=True)
    yield DatasetCase("zip-bomb", _zip_bomb, accepted="any", on_hub=True)
    yield DatasetCase(
        "pickle",
        lambda folder, traps: (folder / "rows.pkl").write_bytes(pickle.dumps(Payload(traps.marker))),
        on_hub=True,
    )
    yield DatasetCase("pandas-pickle-in-gz", _pickle_in_gz, on_hub=True)


def tar(members: dict[str, bytes]) -> bytes:
    """Return a .tar file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            known = tarfile.TarInfo(name)
            known.size = len(content)
            archive.addfile(known, io.BytesIO(content))
    return buffer.getvalue()


def _tar_of_pickles(folder: Path, traps: Traps) -> None:
    payload = pickle.dumps(Payload(traps.marker))
    array = io.BytesIO()
    np.save(array, np.array([Payload(traps.marker)]), allow_pickle=True)
    kinds = {
        "pkl": payload,
        "pyd": payload,
        "pickle": payload,
        "pth": payload,
        "npy": array.getvalue(),
        "npz": zipped({"a.npy": array.getvalue()}),
    }
    rows = {f"{row}.{ending}": content for row in range(10) for ending, content in kinds.items()}
    (folder / "rows.tar").write_bytes(tar(rows | {f"{row}.cls": b"%d" % (row % 2) for row in range(10)}))


def _tar_of_links(folder: Path, traps: Traps) -> None:
    with tarfile.open(folder / "rows.tar", "w") as archive:
        for row in range(10):
            link = tarfile.TarInfo(f"{row}.png")
            link.type, link.linkname = tarfile.SYMTYPE, str(traps.secret)
            archive.addfile(link)
            label = tarfile.TarInfo(f"{row}.cls")
            label.size = 1
            archive.addfile(label, io.BytesIO(b"%d" % (row % 2)))
        device = tarfile.TarInfo("x.png")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)


def _zip_bomb(folder: Path, _: Traps) -> None:
    archive = zipfile.ZipFile(folder / "rows.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open("rows.csv", "w", force_zip64=True) as file:
        file.write(b"text,label\n")
        for _ in range(400):
            file.write(b"x" * 10_000_000)


def _pickle_in_gz(folder: Path, traps: Traps) -> None:
    (folder / "rows.pkl.gz").write_bytes(gzip.compress(pickle.dumps(Payload(traps.marker))))


def no_files() -> Iterator[DatasetCase]:
    """Yield folders with what is no plain file."""
    yield DatasetCase("nothing-there", lambda folder, _: None, "empty")
    yield DatasetCase("fifo", lambda folder, _: os.mkfifo(folder / "rows.csv"))
    yield DatasetCase("fifo-beside", _fifo_beside, accepted="clean")
    yield DatasetCase("link-loop", _loop, accepted="clean")
    yield DatasetCase("link-to-itself", lambda folder, _: (folder / "rows.csv").symlink_to("rows.csv"))
    yield DatasetCase("link-to-zeros", lambda folder, _: (folder / "rows.csv").symlink_to("/dev/zero"))
    yield DatasetCase("folder-named-as-file", lambda folder, _: (folder / "rows.csv").mkdir())
    yield DatasetCase("not-readable-name", _bad_name, accepted="any")
    yield DatasetCase("stored-with-nonsense", _stored)
    yield DatasetCase("deep-folders", _deep, accepted="any")
    yield DatasetCase("20000-files", _many, accepted="any")


def _fifo_beside(folder: Path, _: Traps) -> None:
    (folder / "train").mkdir()
    (folder / "train" / "rows.csv").write_bytes(csv())
    os.mkfifo(folder / "train" / "pipe")


def _loop(folder: Path, _: Traps) -> None:
    (folder / "rows.csv").write_bytes(csv())
    (folder / "again").symlink_to(".")


def _bad_name(folder: Path, _: Traps) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe-rows.csv")).write_bytes(csv())


def _stored(folder: Path, _: Traps) -> None:
    (folder / "state.json").write_text('{"_data_files": [{"filename": "../../../../etc/passwd"}], "_fingerprint": 7}')
    (folder / "dataset_info.json").write_text("[" * 3000)


def _deep(folder: Path, _: Traps) -> None:
    deep = folder.joinpath(*["x"] * 400)
    deep.mkdir(parents=True)
    (deep / "rows.csv").write_bytes(csv())


def _many(folder: Path, _: Traps) -> None:
    for number in range(20_000):
        (folder / f"{number}.txt").touch()


def dataset_cases() -> list[DatasetCase]:
    """Return all of them."""
    makers = (paths, cards, images, sounds, tables, texts, archives, no_files)
    return [one for maker in makers for one in maker()]
