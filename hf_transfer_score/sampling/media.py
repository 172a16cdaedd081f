"""The bytes of images and sound, as the dataset has them; nothing is decoded."""

from __future__ import annotations

import zipfile
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling.hub_files import open_named
from hf_transfer_score.sampling.library import explained
from hf_transfer_score.sampling.reach import MOST_MEDIA_BYTES, Reach, in_zip, read_bounded, read_file
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
        return value.get("bytes") or ([PATH, str(value["path"])] if value.get("path") else None)
    encoded = encode_input(value)
    if not isinstance(encoded, bytes):
        raise DatasetError(f"Expected an image or sound as bytes, as a path or decoded; got {type(value).__name__}.")
    return encoded


def _one_channel(samples: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    array = np.asarray(samples, dtype=np.float32)
    return array if array.ndim == 1 else array.mean(axis=0 if array.shape[0] < array.shape[-1] else -1)


def read_media(value: Any, dataset: str, reach: Reach) -> bytes:
    """Return bytes, read from their file if that is what is known of them.

    Args:
        value: what `as_media` returned.
        dataset: the dataset, for messages.
        reach: which files the rows may name.
    """
    if isinstance(value, bytes):
        return value
    if value is None:
        raise DatasetError(f"A row of {dataset} has an image or sound without content.")
    path = str(value[1])
    try:
        found = _read(path, dataset, reach)
    except (DatasetError, OSError) as error:
        raise DatasetError(f"A row of {dataset} cannot be used: {error}") from error
    if found is None:
        raise DatasetError(
            f"A row of {dataset} has the path {path!r} in place of the content of a file, and the dataset has no such "
            "file of its own. Store the content with the rows (`datasets` does so in push_to_hub and to_parquet), or "
            "keep the files beside them."
        )
    return found


def _read(path: str, dataset: str, reach: Reach) -> bytes | None:
    """Return the content of a file that is allowed, None where there is none by that path."""
    packed = in_zip(path)
    if packed is None:
        return read_file(real, path) if (real := reach.file(path)) else _read_url(path, dataset, reach)
    member, archive = packed
    try:
        if (real := reach.file(archive)) is not None:
            with real.open("rb") as file:
                return _member(file, member)
        if reach.allows_url(archive):
            with explained(dataset), _opened(archive) as file:
                return _member(file, member)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        raise DatasetError(f"{member!r} cannot be read from {archive!r} ({error}).") from error
    return None


def _read_url(path: str, dataset: str, reach: Reach) -> bytes | None:
    if not reach.allows_url(path):
        return None
    with explained(dataset), open_named(partial(_opened, path), lambda file: file.size <= MOST_MEDIA_BYTES) as file:
        return read_bounded(file, path, getattr(file, "size", None))


def _opened(path: str) -> Any:
    from datasets.utils.file_utils import xopen

    return xopen(path, "rb")


def _member(file: IO[bytes], name: str) -> bytes:
    with zipfile.ZipFile(file) as archive, archive.open(name) as member:
        return read_bounded(member, name, archive.getinfo(name).file_size)
