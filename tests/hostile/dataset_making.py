"""A hostile dataset as a test case, and how its files are made."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tests.hostile.feature_files import SENTENCE
from tests.hostile.traps import Traps
from tests.hub.repositories import write_files
from tests.sampling.made import image_bytes, sound

ROWS = 40
Modality = Literal["text", "image", "sound"]
Files = dict[str, bytes]
TEXTS = [f"a {('bad slow cold', 'good warm wit')[row % 2].split()[row % 3]} film number {row}" for row in range(ROWS)]
LABELS = [row % 2 for row in range(ROWS)]
COLUMNS = {"text": TEXTS, "label": LABELS}
RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class DatasetCase:
    """A dataset and what must become of it.

    Attributes:
        accepted: "clean" if it may be read with the numbers of COLUMNS, "any" if it may be read with any numbers, ""
            if it must be refused.
    """

    name: str  # what is wrong with it
    write: Callable[[Path, Traps], object]  # writes its files into a folder
    refused: str | None = SENTENCE  # pattern of the message, None if it must be accepted
    accepted: Literal["", "any", "clean"] = ""
    modality: Modality = "text"  # the kind of checkpoint for it
    on_hub: bool = False  # whether it is served by a Hub; otherwise it is a folder, or the only file in it


def case(
    name: str, files: Files | Callable[[Traps], Files], refused: str | None = SENTENCE, **more: Any
) -> DatasetCase:
    """Return a case from the contents of its files."""

    def write(folder: Path, traps: Traps) -> None:
        write_files(folder, files(traps) if callable(files) else files)

    return DatasetCase(name, write, refused, **more)


def each(
    prefix: str, values: Mapping[str, Any], files: Callable[[Any, Traps], Files], **more: Any
) -> Iterator[DatasetCase]:
    """Yield a case for each value; a callable value is called when the files are written."""
    for name, value in values.items():
        made = partial(lambda value, traps: files(value() if callable(value) else value, traps), value)
        yield case(f"{prefix}-{name}", made, **more)


def table(columns: Any = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    made = columns if isinstance(columns, pa.Table) else pa.table(columns or COLUMNS)
    parquet.write_table(made, buffer, **options)
    return buffer.getvalue()


def csv(texts: Any = TEXTS, labels: Any = LABELS) -> bytes:
    return "\n".join(["text,label", *(f"{text},{label}" for text, label in zip(texts, labels, strict=True))]).encode()


def lines(rows: Any) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def media(contents: Sequence[bytes | str], column: str = "image", kind: str = "Image") -> bytes:
    """Return a .parquet file of images or sounds as `datasets` writes it, with contents, or paths instead of them."""
    known = [{"bytes": one if isinstance(one, bytes) else None} for one in contents]
    known = [{**row, "path": None if row["bytes"] is one else one} for row, one in zip(known, contents, strict=True)]
    cells = pa.array(known, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    features = {column: {"_type": kind}, "label": {"names": ["a", "b"], "_type": "ClassLabel"}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    rows = pa.table({column: cells, "label": pa.array([row % 2 for row in range(len(contents))])})
    return table(rows.replace_schema_metadata(about))


def sounding(contents: Sequence[bytes | str]) -> bytes:
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


def tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            known = tarfile.TarInfo(name)
            known.size = len(content)
            archive.addfile(known, io.BytesIO(content))
    return buffer.getvalue()
