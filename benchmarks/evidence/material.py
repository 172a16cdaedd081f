"""The pre-training data, and the targets as dataset folders, from the two source datasets."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.regimes import SOURCE_CLASSES, TARGET_CLASSES, Regime
from hf_transfer_score.home import whole

TRAIN, TEST = "train", "test"
INPUTS = {True: "img", False: "text"}


def write_source(cifar10: Path, file: Path) -> Path:
    """Write the training images of the source classes to a NumPy file, unless it exists."""
    from PIL import Image

    if not file.is_file():
        table, labels = _read(cifar10, TRAIN)
        rows = np.flatnonzero(np.isin(labels, SOURCE_CLASSES))
        cells = table.column("img").take(rows).to_pylist()
        images = np.stack([np.asarray(Image.open(io.BytesIO(cell["bytes"])).convert("RGB")) for cell in cells])
        with whole(file) as aside, Path(aside).open("wb") as stream:
            np.savez(stream, images=images, labels=labels[rows])
    return file


def write_target(regime: Regime, source: Path, folder: Path) -> Path:
    """Write a dataset with the training rows of a regime and all test rows of its classes, unless it exists.

    The rows of a class depend on the class alone, so a larger regime contains the rows of a smaller one.
    """
    place = folder / regime.name
    classes = TARGET_CLASSES if regime.images else tuple(range(len(regime.counts)))
    for split in (TRAIN, TEST):
        file = place / "data" / f"{split}-00000-of-00001.parquet"
        if file.is_file():
            continue
        table, labels = _read(source, split)
        if split == TRAIN:
            parts = [_first(labels, one, count) for one, count in zip(classes, regime.counts, strict=True)]
            rows = np.sort(np.concatenate(parts))
        else:
            rows = np.flatnonzero(np.isin(labels, classes))
        _write(table, rows, classes, INPUTS[regime.images], file)
    return place


def write_source_test(cifar10: Path, place: Path) -> Path:
    """Write a dataset of images of the source classes that pre-training does not see, unless it exists."""
    file = place / "data" / f"{TRAIN}-00000-of-00001.parquet"
    if not file.is_file():
        table, labels = _read(cifar10, TEST)
        _write(table, np.flatnonzero(np.isin(labels, SOURCE_CLASSES)), SOURCE_CLASSES, INPUTS[True], file)
    return place


def _first(labels: NDArray[np.int64], label: int, count: int) -> NDArray[np.int64]:
    """Return the first rows of a class in an order that is fixed for it."""
    rows = np.flatnonzero(labels == label)
    if len(rows) < count:
        raise ValueError(f"Class {label} has {len(rows)} rows, and {count} are needed.")
    return np.random.default_rng([label, 7]).permutation(rows)[:count]


def _read(source: Path, split: str) -> tuple[Any, NDArray[np.int64]]:
    import pyarrow
    from pyarrow import parquet

    files = sorted((source / "data").glob(f"{split}-*.parquet"))
    if not files:
        raise FileNotFoundError(f"There is no {split}-*.parquet in {source / 'data'}.")
    table = pyarrow.concat_tables([parquet.read_table(file, page_checksum_verification=True) for file in files])
    return table, np.asarray(table.column("label").to_numpy())


def _write(table: Any, rows: NDArray[np.int64], classes: tuple[int, ...], column: str, file: Path) -> None:
    """Write rows with class names and numbers, in the format of `datasets`."""
    import pyarrow
    from pyarrow import parquet

    told = json.loads(table.schema.metadata[b"huggingface"])
    features = told["info"]["features"]
    names = [features["label"]["names"][one] for one in classes]
    own = {column: features[column], "label": {"names": names, "_type": "ClassLabel"}}
    chosen = table.select([column, "label"]).take(rows)
    codes = pyarrow.array(np.searchsorted(classes, chosen.column("label").to_numpy()), pyarrow.int64())
    chosen = chosen.set_column(1, "label", codes)
    metadata = {b"huggingface": json.dumps({"info": {"features": own}}).encode()}
    with whole(file) as aside:
        parquet.write_table(chosen.replace_schema_metadata(metadata), aside, write_page_checksum=True)
