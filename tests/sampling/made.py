"""Small datasets that these tests make themselves."""

import io
from pathlib import Path

import datasets
import numpy as np
import soundfile
from PIL import Image

datasets.disable_progress_bars()


def picture(seed: int, height: int = 6, width: int = 8) -> bytes:
    values = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return image_bytes(values)


def image_bytes(values: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


def sound(seed: int, length: int = 160) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, length).astype(np.float32)
    soundfile.write(buffer, noise, 8000, format="WAV")
    return buffer.getvalue()


def texts(labels: list, **columns: list) -> datasets.Dataset:
    """Return texts with their row numbers, and these labels."""
    return datasets.Dataset.from_dict({"text": [f"row {row}" for row in range(len(labels))], "label": labels} | columns)


def pictures(labels: list[int], names: list[str]) -> datasets.Dataset:
    """Return pictures whose seed is their row number, with these labels."""
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    rows = [{"bytes": picture(row), "path": None} for row in range(len(labels))]
    return datasets.Dataset.from_dict({"image": rows, "label": labels}, features=features)


def shards(folder: Path, dataset: datasets.Dataset, count: int, split: str = "train") -> Path:
    """Write a dataset in some Parquet files as on the Hub, and return the folder."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        file = folder / "data" / f"{split}-{number:05d}-of-{count:05d}.parquet"
        dataset.shard(count, number, contiguous=True).to_parquet(file)
    return folder


def row_numbers(sample) -> list[int]:
    """Return the rows of `texts` that were drawn, in the order of the sample."""
    return [int(text.split()[1]) for text in sample.table.column("input").to_pylist()]
