"""Changed feature files, alone and as uploads beside valid ones."""

import io
import json
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st
from pyarrow import parquet

from hf_transfer_score import score_features
from hf_transfer_score.errors import FeatureFileError, TransferScoreError
from hf_transfer_score.features.files import read_features
from hf_transfer_score.metrics.registry import get_metric
from hf_transfer_score.uploads.scoring import scored_files
from tests.hostile.feature_files import FEATURES, KINDS, LABELS, npy, safetensors, whole, zipped
from tests.hostile.judging import check_message, outcome
from tests.hostile.mutating import DEEP, DIGITS, HOSTILE, TWICE, changed_bytes, changed_tree, json_of

HEADER = {"descr": "<f4", "fortran_order": False, "shape": list(FEATURES.shape)}
BODY = FEATURES.tobytes() + LABELS.tobytes()
File = tuple[str, bytes]


@cache
def sound() -> dict[str, bytes]:
    """Return a valid file of each kind, by its ending."""
    rows = [f"{row[0]},{row[1]},{label}" for row, label in zip(FEATURES, LABELS, strict=True)]
    return {**{ending: whole(ending) for ending in KINDS}, ".csv": "\n".join(["a,b,label", *rows]).encode()}


def _npy(header: Any) -> bytes:
    text = json.dumps(header).replace("[", "(").replace("]", ",)").replace("false", "False").replace("null", "None")
    text = text.replace(DEEP, "(" * 3000).replace(DIGITS, "7" * 5000).replace(TWICE, "")
    return npy(text[:65534], BODY)


def _column(values: list[Any]) -> bytes:
    """Return a .parquet file whose features or labels are hostile values, or bytes if no column can hold these."""
    name, buffer = "labels" if len(values) % 2 else "features", io.BytesIO()
    columns = {"features": list(FEATURES), "labels": LABELS}
    try:
        parquet.write_table(pa.table(columns | {name: pa.array((values * len(LABELS))[: len(LABELS)])}), buffer)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        buffer = io.BytesIO()
        parquet.write_table(pa.table(columns | {name: [b"\xff\xfe"] * len(LABELS)}), buffer)
    return buffer.getvalue()


def _changed() -> st.SearchStrategy[File]:
    by_bytes = [changed_bytes([content]).map(lambda found, end=end: (end, found)) for end, content in sound().items()]
    headers = changed_tree([HEADER]).map(_npy)
    content = sound()[".safetensors"]
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    return st.one_of(
        *by_bytes,
        headers.map(lambda found: (".npy", found)),
        headers.map(lambda found: (".npz", zipped({"features.npy": found, "labels.npy": whole(".npy", LABELS)}))),
        changed_tree([header]).map(lambda header: (".safetensors", safetensors(json_of(header), BODY))),
        st.lists(st.integers(0, len(HOSTILE) - 1), min_size=1, max_size=4).map(
            lambda places: (".parquet", _column([HOSTILE[place] for place in places]))
        ),
    )


def feature_files() -> tuple[st.SearchStrategy[File], Callable[[File, Path], None]]:
    return _changed(), _check_file


def _check_file(file: File, folder: Path) -> None:
    path = folder / f"file{file[0]}"
    path.write_bytes(file[1])
    (folder / "labels.npy").write_bytes(whole(".npy", LABELS))
    found = outcome(lambda: read_features(path), FeatureFileError)
    if found is not None and found.labels is not None:
        outcome(lambda: score_features(found.features, found.labels, metrics=["knn"]), TransferScoreError)


def uploads() -> tuple[st.SearchStrategy[tuple[File, bool]], Callable[[tuple[File, bool], Path], None]]:
    """Return changed uploads, before or after valid ones, and their check."""
    return st.tuples(_changed(), st.booleans()), _check_upload


@cache
def _terms() -> dict[str, float]:
    return dict(score_features(FEATURES, LABELS, metrics=["knn"]).results["knn"].terms)


def _check_upload(drawn: tuple[tuple[File, bool], bool], folder: Path) -> None:
    """Check that valid files are scored as usual, or refused as other samples than a changed file before them."""
    (ending, content), first = drawn
    paths = [folder / "good.npz", folder / "fine.safetensors"]
    for path in paths:
        path.write_bytes(sound()[path.suffix])
    changed = folder / f"changed{ending}"
    changed.write_bytes(content)
    files = [changed, *paths] if first else [*paths, changed]
    told = scored_files(dict(enumerate(files)), [get_metric("knn")], looked_at=lambda _: None)
    models = {files[place].stem: scores for place, scores, _ in told}
    if models["changed"].reason is not None:
        check_message(models["changed"].reason)
    for name in ("good", "fine"):
        if models[name].status == "ok":
            assert dict(models[name].results["knn"].terms) == _terms()
        else:
            assert first and models["changed"].status == "ok"
