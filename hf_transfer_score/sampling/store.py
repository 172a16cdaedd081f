"""Samples on disk: one file each, found again by what was asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hf_transfer_score.home import whole, write_text
from hf_transfer_score.hub.settings import endpoint_of
from hf_transfer_score.integrity import checksum, sealed, unsealed
from hf_transfer_score.locks import Notify, alone
from hf_transfer_score.sampling.options import SampleOptions
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.sampling.sources import local_path

DRAWING = 1
"""Goes up when the same request would draw another sample."""


def request_of(dataset: Any, options: SampleOptions) -> dict[str, Any] | None:
    """Return what identifies a request, None for streams, which cannot be distinguished.

    Files are identified by name, size and time of change; a Dataset by its own fingerprint; a dataset on the Hub by
    what was asked for, so that a branch that has moved on is read again only on request.
    """
    asked: dict[str, Any] = {"drawing": DRAWING, "options": options.plain()}
    if isinstance(dataset, (str, Path)):
        path = local_path(dataset)
        if path is None:
            return {**asked, "hub": endpoint_of(), "id": str(dataset)}
        files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
        stats = [(one.relative_to(path).as_posix(), one.stat()) for one in files]
        about = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
        return {**asked, "path": str(path.resolve()), "files": about}
    if isinstance(dataset, Mapping):
        marks = {split: getattr(one, "_fingerprint", None) for split, one in dataset.items()}
        return {**asked, "fingerprints": marks} if marks and None not in marks.values() else None
    mark = getattr(dataset, "_fingerprint", None)
    return None if mark is None else {**asked, "fingerprint": mark, "split": str(getattr(dataset, "split", None))}


class SampleStore:
    """Samples in a folder that several processes may share.

    What was asked for lies in request-HASH.json, which names the sample, FINGERPRINT-HASH.arrow, and its checksum: one
    whose bytes changed is drawn again. Two datasets may hold the same rows, and each keeps a file that says where they
    are from. Both are written under another name first, so that nobody sees half a file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def find(self, request: Mapping[str, Any]) -> LabelledSample | None:
        """Return the sample that was drawn for a request, None if there is none that can be read."""
        import pyarrow as pa

        try:
            known = unsealed(json.loads(self._index(request).read_text(encoding="utf-8")))
            if known is None:
                return None
            path = self.folder / known["sample"]
            if known.get("checksum_of_sample") not in (None, checksum(path)):
                return None
            return LabelledSample.load(path)
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            return None

    def alone(self, request: Mapping[str, Any], waiting: Notify = lambda _: None) -> AbstractContextManager[None]:
        """Return a block in which no other process draws this sample; `waiting` gets the name of one that does."""
        return alone(self._index(request).with_suffix(".lock"), waiting)

    def keep(self, request: Mapping[str, Any] | None, sample: LabelledSample) -> LabelledSample:
        """Write a sample and what was asked for, and return the sample as it is mapped from its file."""
        asked = "" if request is None else f"-{_hash(request)}"
        path = self.folder / f"{sample.fingerprint}{asked}.arrow"
        with whole(path, sample.table.nbytes) as aside:
            sample.save(aside)
        if request is not None:
            about = {"sample": path.name, "request": request, "source": asdict(sample.source)}
            about["checksum_of_sample"] = checksum(path)
            plain = json.loads(json.dumps(about, default=str))
            write_text(self._index(request), json.dumps(sealed(plain), indent=1))
        return LabelledSample.load(path)

    def _index(self, request: Mapping[str, Any]) -> Path:
        return self.folder / f"request-{_hash(request)}.json"


def _hash(request: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(request, sort_keys=True).encode(), digest_size=16).hexdigest()
