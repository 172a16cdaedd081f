"""Features on disk: found by what they were made from, mapped into memory, limited in size, safe for many processes.

An entry is a folder named by its key: `meta.json` (written last), one features file per layer, and `source_probs.npy`
where the checkpoint has a head; where the features were not finite, only `meta.json`. It is written under another name
and then renamed, so an entry is complete or absent. `meta.json` has checksums, of itself too: an entry whose bytes
changed counts as absent. The modification time of `meta.json` is when the entry was last used.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.errors import FAILURE_KINDS, CheckpointError
from hf_transfer_score.home import Notify, alone, reserve, room_for, temporary_name
from hf_transfer_score.integrity import checksum, sealed, unsealed

FORMAT = 1
META = "meta.json"
LOCKS = "locks"
CHECKED_ROWS = 4_096
UNFINISHED_SECONDS = 24 * 3600
"""Older temporary folders were left behind by a process that died."""

LOOK_SECONDS = 60.0
"""How often entries of other processes are counted."""


def feature_key(parts: Mapping[str, Any]) -> str:
    """Return the name of the entry for features made from `parts`, which are plain values."""
    text = json.dumps({"format": FORMAT, **parts}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class CachedFeatures:
    """Features (rows, D) of one checkpoint on one sample by layer, mapped from disk, and how they were made.

    Their folder may also hold what is computed from them alone, which is removed with them.
    """

    features: dict[str, NDArray[np.float32]]
    source_probs: NDArray[np.float32] | None
    meta: dict[str, Any]
    folder: Path


@dataclass(frozen=True)
class CacheEntry:
    """One entry in a listing."""

    key: str
    size: int
    used: float
    meta: dict[str, Any] = field(default_factory=dict)


class FeatureCache:
    """A folder of features; beyond its limit in bytes the least recently used entries are removed."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self._kept: set[str] = set()
        self._sound: set[tuple[Path, int, int]] = set()
        self._room, self._looked = 0, -math.inf

    def get(self, key: str) -> CachedFeatures | None:
        """Return an entry and mark it as used, or None. An entry that cannot be read counts as absent."""
        place = self.folder / key
        try:
            meta = unsealed(place / META)
            for name, known in meta.get("checksums", {}).items():
                self._check(place / name, known)
            features = {layer: _map(place / name) for layer, name in meta["files"].items()}
            probs = _map(place / "source_probs.npy") if meta["source_probs"] else None
            os.utime(place / META)
        except (OSError, ValueError, KeyError):
            return None
        self._kept.add(key)
        return CachedFeatures(features, probs, meta, place)

    def _check(self, path: Path, known: str) -> None:
        """Raise ValueError where a file changed since it was written; each process reads it once."""
        about = path.stat()
        state = (path, about.st_size, about.st_mtime_ns)
        if state not in self._sound:
            if checksum(path) != known:
                raise ValueError(f"{path} changed since it was written")
            self._sound.add(state)

    def __contains__(self, key: str) -> bool:
        """Whether there is an entry, without reading it."""
        return (self.folder / key / META).is_file()

    @contextmanager
    def alone(self, key: str, waiting: Notify = lambda _: None) -> Iterator[None]:
        """Keep other processes from making this entry; `waiting` is called with the name of one that is making it.

        Leftovers of a killed process are removed first.
        """
        with alone(self.folder / LOCKS / f"{key}.lock", waiting):
            for place in self.folder.glob(f".{key}.*.tmp"):
                shutil.rmtree(place, ignore_errors=True)
            yield

    def failure(self, key: str) -> CheckpointError | None:
        """Return the stored failure to make this entry, None if there is none."""
        try:
            meta = unsealed(self.folder / key / META)
            kind, reason = meta["failure"]["kind"], str(meta["failure"]["reason"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return CheckpointError(kind, reason) if kind in FAILURE_KINDS else None

    def fail(self, key: str, failure: CheckpointError, meta: Mapping[str, Any]) -> None:
        """Store why there can be no entry, unless the disk is full."""
        place = self.folder / temporary_name(key)
        with suppress(OSError):
            place.mkdir(parents=True)
            _write_meta(place, {**meta, "failure": {"kind": failure.kind, "reason": str(failure)}})
            self.adopt(key, place)

    def keep(self, key: str, meta: Mapping[str, Any], write: Callable[[Path], None]) -> None:
        """Store other files than features as an entry: those that `write` puts into a folder."""
        place = self.folder / temporary_name(key)
        with room_for("features", self.folder):
            place.mkdir(parents=True)
            write(place)
            sums = {path.name: checksum(path) for path in sorted(place.iterdir())}
            _write_meta(place, {**meta, "files": {}, "source_probs": False, "checksums": sums})
            self.adopt(key, place)
        self._kept.discard(key)  # the run can go on without it

    def writer(self, key: str, rows: int) -> FeatureWriter:
        """Return a writer that fills a new entry for so many rows."""
        with room_for("features", self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        return FeatureWriter(self, key, rows)

    def adopt(self, key: str, written: Path) -> None:
        """Make a finished folder an entry; one that another process made first stays."""
        target = self.folder / key
        try:
            written.rename(target)
        except OSError:
            if self.get(key) is None:  # something else is in the way
                self.remove(key)
            with suppress(OSError):
                written.rename(target)
            shutil.rmtree(written, ignore_errors=True)
        self._kept.add(key)
        with suppress(OSError):
            self._room -= _size(target)
        if self._room < 0 or time.monotonic() - self._looked > LOOK_SECONDS:
            self.shrink()

    def entries(self) -> list[CacheEntry]:
        """Return all entries, the most recently used first."""
        found = []
        for entry in self._sizes():
            with suppress(OSError, ValueError):
                found.append(replace(entry, meta=unsealed(self.folder / entry.key / META)))
        return found

    def _sizes(self) -> list[CacheEntry]:
        """Return all entries without their contents, the most recently used first."""
        found = []
        for place in self.folder.iterdir() if self.folder.is_dir() else ():
            with suppress(OSError):
                if not place.name.startswith("."):
                    found.append(CacheEntry(place.name, _size(place), (place / META).stat().st_mtime))
        return sorted(found, key=lambda entry: entry.used, reverse=True)

    def shrink(self) -> None:
        """Remove the least recently used entries until the rest is within the limit, except those this run needs."""
        entries = self._sizes()
        total = sum(entry.size for entry in entries)
        for entry in reversed(entries):
            if total <= self.limit:
                break
            if entry.key not in self._kept:
                self.remove(entry.key)
                total -= entry.size
        self._room, self._looked = self.limit - total, time.monotonic()
        for place in self.folder.glob(".*.tmp") if self.folder.is_dir() else ():  # of writers that died
            with suppress(OSError):
                if time.time() - place.stat().st_mtime > UNFINISHED_SECONDS:
                    shutil.rmtree(place, ignore_errors=True)

    def remove(self, key: str) -> None:
        """Remove an entry; processes that have it mapped can still read it."""
        aside = self.folder / temporary_name(key)
        try:
            (self.folder / key).rename(aside)
        except OSError:
            return
        shutil.rmtree(aside, ignore_errors=True)

    def clear(self) -> tuple[int, int]:
        """Remove all entries; return how many are gone, and their bytes."""
        entries = self.entries()
        for entry in entries:
            self.remove(entry.key)
        gone = [entry for entry in entries if not (self.folder / entry.key).exists()]
        return len(gone), sum(entry.size for entry in gone)


class FeatureWriter:
    """Fills one entry row by row, in any order; only `finish` makes it visible."""

    def __init__(self, cache: FeatureCache, key: str, rows: int) -> None:
        self.cache, self.key, self.rows = cache, key, rows
        self.place = cache.folder / temporary_name(key)
        self.arrays: dict[str, NDArray[np.float32]] = {}
        self.source_probs: NDArray[np.float32] | None = None

    def write(
        self, rows: NDArray[np.int64], features: Mapping[str, NDArray[Any]], source_probs: NDArray[Any] | None
    ) -> None:
        """Write the features of some rows."""
        for layer, values in features.items():
            if layer not in self.arrays:
                self.arrays[layer] = self._open(f"features.{len(self.arrays)}.npy", values.shape[1])
            self.arrays[layer][rows] = values
        if source_probs is not None:
            if self.source_probs is None:
                self.source_probs = self._open("source_probs.npy", source_probs.shape[1])
            self.source_probs[rows] = source_probs

    def _open(self, name: str, width: int) -> NDArray[np.float32]:
        """Return an array mapped from a file of its own, whose space is reserved."""
        with room_for("features", self.cache.folder, 4 * self.rows * width):
            self.place.mkdir(exist_ok=True)
            with (self.place / name).open("wb") as file:
                head = {"descr": "<f4", "fortran_order": False, "shape": (self.rows, width)}
                np.lib.format.write_array_header_1_0(file, head)
                reserve(file, file.tell() + 4 * self.rows * width)
            return np.lib.format.open_memmap(self.place / name, mode="r+")

    def non_finite(self) -> tuple[int, int]:
        """Return how many rows have a number that is not finite, and the first of them; (0, -1) for none."""
        bad = np.zeros(self.rows, dtype=bool)
        for array in self.arrays.values():
            for start in range(0, self.rows, CHECKED_ROWS):
                bad[start : start + CHECKED_ROWS] |= ~np.isfinite(array[start : start + CHECKED_ROWS]).all(axis=1)
        return int(bad.sum()), int(bad.argmax()) if bad.any() else -1

    def finish(self, meta: Mapping[str, Any]) -> None:
        """Make the entry visible, with its metadata."""
        files = {layer: f"features.{number}.npy" for number, layer in enumerate(self.arrays)}
        about = {**meta, "files": files, "source_probs": self.source_probs is not None}
        with room_for("features", self.cache.folder):
            for array in (*self.arrays.values(), self.source_probs):
                if isinstance(array, np.memmap):
                    array.flush()
            self.arrays, self.source_probs = {}, None
            about["checksums"] = {path.name: checksum(path) for path in sorted(self.place.glob("*.npy"))}
            _write_meta(self.place, about)
            self.cache.adopt(self.key, self.place)

    def discard(self) -> None:
        """Delete what was written."""
        self.arrays, self.source_probs = {}, None
        shutil.rmtree(self.place, ignore_errors=True)


def _size(place: Path) -> int:
    """Return the bytes of the files in a folder."""
    with os.scandir(place) as found:
        return sum(one.stat().st_size for one in found)


def _map(path: Path) -> NDArray[np.float32]:
    array: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _write_meta(place: Path, about: Mapping[str, Any]) -> None:
    (place / META).write_text(sealed({**about, "created": time.time()}), encoding="utf-8")
