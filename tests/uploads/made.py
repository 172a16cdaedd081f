"""Uploads for tests, valid ones and bombs, and a Space that takes them."""

import inspect
import io
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from hf_transfer_score.metrics.registry import get_metric
from hf_transfer_score.metrics.scores import FeatureScores
from hf_transfer_score.uploads.scoring import scored_files
from tests.conftest import clean_environment, free_port
from tests.hostile.forged_parquet import varint
from tests.runs.warm import until

LABELS = np.repeat([0, 1, 2], 30)


def scored_here(files: Sequence[Path], metrics: Sequence[str]) -> list[FeatureScores]:
    """Return what `score_in_box` returns, without a process for it."""
    named = [get_metric(name) for name in metrics]
    found = {place: one for place, one, _ in scored_files(dict(enumerate(files)), named, looked_at=str)}
    return [found[place] for place in range(len(files))]


def features(seed: int = 0, distance: float = 2.0, width: int = 8) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(len(LABELS), width))
    return (noise + distance * np.eye(width)[LABELS]).astype(np.float32)


def file_data(path: Path) -> dict[str, object]:
    """Return how a page names an uploaded file."""
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def save_npz(path: Path, seed: int = 0) -> Path:
    """Write a whole file."""
    np.savez_compressed(path, features=features(seed), labels=LABELS)
    return path


def save_bfloat16(path: Path) -> Path:
    """Write a .safetensors file of bfloat16 features, the upper halves of single precision."""
    halves = (features().view("<u4") >> 16).astype("<u2")
    parts = {"features": ("BF16", halves), "labels": ("I64", LABELS.astype("<i8"))}
    header, start = {}, 0
    for name, (kind, array) in parts.items():
        end = start + array.nbytes
        header[name] = f'"{name}":{{"dtype":"{kind}","shape":{list(array.shape)},"data_offsets":[{start},{end}]}}'
        start = end
    text = "{" + ",".join(header.values()) + "}"
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode() + b"".join(a.tobytes() for _, a in parts.values()))
    return path


def forged_parquet() -> bytes:
    """Return a small file whose footer claims a thousand rows; reading one takes gigabytes, a page of each column."""
    columns, rows, claimed = 60, 4_000_000, 1000  # a page of 32 MB for each column
    zeros, target = pa.array(np.zeros(rows)), io.BytesIO()
    table = pa.table({f"f{place}": zeros for place in range(columns)})
    whole = {"use_dictionary": False, "compression": "zstd", "write_statistics": False, "write_batch_size": rows}
    if "max_rows_per_page" in inspect.signature(parquet.write_table).parameters:  # older versions have no such limit
        whole["max_rows_per_page"] = rows
    parquet.write_table(table, target, data_page_size=2**30, row_group_size=rows, **whole)
    content = target.getvalue()
    length = struct.unpack("<I", content[-8:-4])[0]
    footer, about = content[-8 - length : -8], parquet.read_metadata(target).row_group(0)
    for size in (rows, about.column(0).total_uncompressed_size, about.total_byte_size):
        footer = footer.replace(varint(size), _padded(claimed, len(varint(size))))
    return content[: -8 - length] + footer + content[-8:]


def _padded(number: int, length: int) -> bytes:
    """Encode a number in more bytes than it needs, which readers accept."""
    short = varint(number)
    return (
        bytes([*[one | 128 for one in short], *[128] * (length - len(short) - 1), 0]) if len(short) < length else short
    )


@contextmanager
def running_space(
    command: Sequence[str | Path], home: Path, folder: Path | None = None, **more: str
) -> Iterator[tuple[httpx.Client, int]]:
    """Run the app of a Space in a process of its own; yield a client of it and its process once it answers."""
    port = free_port()
    environment = clean_environment(home) | {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), **more}
    app = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)

    def answers() -> bool:
        assert app.poll() is None, f"it ended with status {app.returncode}"
        try:
            return client.get("/").status_code == 200
        except httpx.TransportError:
            return False

    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            until(answers)
            yield client, app.pid
    finally:
        app.terminate()
        app.wait(timeout=30)
