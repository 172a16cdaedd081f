"""Datasets with hostile images and sounds."""

import io
import pickle
import struct
import zlib
from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image

from tests.hostile.dataset_making import PICTURES, RNG, ROWS, SOUNDS, DatasetCase, Files, case, each, media, sounding
from tests.hostile.feature_files import zipped
from tests.hostile.traps import Traps
from tests.sampling.made import image_bytes


def png(width: int, height: int, kind: int = 2, depth: int = 8, rows: int | None = None) -> bytes:
    """Return a PNG of zeros of any size; `kind` is 2 for colours, 0 for grey."""
    across = (width * (3 if kind == 2 else 1) * depth + 7) // 8 + 1
    squeeze = zlib.compressobj(1)
    body = [squeeze.compress(bytes(across)) for _ in range(height if rows is None else rows)]
    data = b"".join([*body, squeeze.flush()])
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, (b"IHDR", b"IDAT", b"IEND"), (head, data, b"")))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _with_text() -> bytes:
    """Return a small picture with a compressed text that expands to 300 MB."""
    picture = PICTURES[0]
    text = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(300_000_000), 1))
    return picture[:33] + text + picture[33:]


def _gif() -> bytes:
    buffer = io.BytesIO()
    images = [Image.fromarray(np.full((64, 64), number % 256, np.uint8)) for number in range(1000)]
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:])
    return buffer.getvalue()


def _saved(kind: str, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(PICTURES[0])).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def images() -> Iterator[DatasetCase]:
    """Yield datasets with pictures that are bombs, broken, or not pictures."""
    tiff = _saved("TIFF")
    contents = {
        "png-60000": partial(png, 60_000, 60_000, kind=0, depth=1, rows=2000),
        "png-of-no-size": png(0, 0),
        "tiff-forged-size": tiff.replace(struct.pack("<HHII", 256, 4, 1, 16), struct.pack("<HHII", 256, 4, 1, 2**31)),
        "truncated-jpeg": _saved("JPEG")[:200],
        "jpeg-header-only": b"\xff\xd8\xff\xe0\0\x10JFIF",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
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
    """Return a WAV file; `kind` is 3 for floats."""
    body = samples.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * 4 * channels & 0xFFFFFFFF, 4 * channels & 0xFFFF, 32)
    size = len(body) if claimed is None else claimed
    chunks = (b"WAVEfmt ", struct.pack("<I", 16), form, b"data", struct.pack("<I", size), body)
    return b"RIFF" + struct.pack("<I", 36 + len(body)) + b"".join(chunks)


def sounds() -> Iterator[DatasetCase]:
    """Yield datasets with sounds that are bombs, broken, or not sounds."""
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
