"""The bytes of images and sound, as the dataset has them; nothing is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling.library import explained
from hf_transfer_score.sampling.sample import encode_input, encode_sound
from hf_transfer_score.tasks import Waveform

PATH = "path"


def as_media(value: Any) -> bytes | list[str] | None:
    """Return the bytes of an image or of sound, or [PATH, where they are] so that only rows that are drawn are read."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, (str, Path)):
        return [PATH, str(value)]
    if isinstance(value, dict):
        if value.get("array") is not None:
            return encode_sound(Waveform(_one_channel(value["array"]), int(value["sampling_rate"])))
        return value.get("bytes") or ([PATH, value["path"]] if value.get("path") else None)
    encoded = encode_input(value)
    if not isinstance(encoded, bytes):
        raise DatasetError(f"Expected an image or sound as bytes, as a path or decoded; got {type(value).__name__}.")
    return encoded


def _one_channel(samples: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    array = np.asarray(samples, dtype=np.float32)
    return array if array.ndim == 1 else array.mean(axis=0 if array.shape[0] < array.shape[-1] else -1)


def read_media(value: Any, dataset: str, folder: Path | None, *, on_hub: bool) -> bytes:
    """Return bytes, read from their file if that is what is known of them.

    Args:
        value: what `as_media` returned.
        dataset: the dataset, for messages.
        folder: where relative paths start, None for the working folder.
        on_hub: the path was written by a stranger: it may lead to files of the Hub only.
    """
    if isinstance(value, bytes):
        return value
    if value is None:
        raise DatasetError(f"A row of {dataset} has an image or sound without content.")
    path = str(value[1])
    if "://" in path:
        return _read_remote(path, dataset, on_hub=on_hub)
    for candidate in (Path(path), (folder or Path()) / path):
        if candidate.is_file() and not on_hub:
            return candidate.read_bytes()
    raise DatasetError(
        f"A row of {dataset} has the path {path!r} in place of the content of a file, and there is no such file. "
        "Store the content with the rows (`datasets` does so in push_to_hub and to_parquet), or keep the files there."
    )


def _read_remote(path: str, dataset: str, *, on_hub: bool) -> bytes:
    from datasets.utils.file_utils import xopen

    if on_hub and not path.split("::")[-1].startswith("hf://"):
        raise DatasetError(f"A row of {dataset} leads to {path!r}, outside the Hub, which is not followed.")
    with explained(dataset), xopen(path, "rb") as file:
        content: bytes = file.read()
    return content
