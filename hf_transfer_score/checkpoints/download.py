"""Downloads weights: resumed, repeated, the next ones while the current ones run, and freed on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hf_transfer_score.checkpoints.resolve import Checkpoint
from hf_transfer_score.hub.background import map_at_once
from hf_transfer_score.hub.downloads import sound_file, sweep_parts
from hf_transfer_score.hub.failures import checkpoint_failure
from hf_transfer_score.hub.retry import patiently

AT_ONCE = 4


@dataclass
class Fetched:
    """Files of a checkpoint on this computer.

    Attributes:
        folder: a folder that holds them all.
        downloaded: the files this run downloaded, which may be freed.
    """

    folder: Path
    downloaded: list[Path] = field(default_factory=list)

    def free(self) -> int:
        """Remove what this run downloaded; return the bytes that are free now."""
        freed = 0
        for path in self.downloaded:
            target = path.resolve()
            if target.is_file():
                freed += target.stat().st_size
            for place in {path, target}:
                place.unlink(missing_ok=True)
        self.downloaded = []
        return freed


def on_disk(checkpoint: Checkpoint, name: str) -> Path | None:
    """Return a file of a checkpoint where it is on this computer already."""
    from huggingface_hub import try_to_load_from_cache

    if checkpoint.folder is not None:
        return checkpoint.folder / name
    found = try_to_load_from_cache(checkpoint.repository.name, name, revision=checkpoint.commit)
    return Path(found) if isinstance(found, str) else None


def missing_bytes(checkpoint: Checkpoint, files: Sequence[str]) -> int:
    """Return the bytes of those files that are not on this computer yet."""
    absent = [name for name in files if on_disk(checkpoint, name) is None]
    return checkpoint.repository.bytes_of(absent)


def fetch(checkpoint: Checkpoint, files: Sequence[str]) -> Fetched:
    """Return a folder with some files of a checkpoint, downloading those that are not here; raises CheckpointError.

    Each has the content that the Hub says it has, whoever downloaded it.
    What a lost connection left is resumed: the client keeps the part it has.
    """
    if checkpoint.folder is not None:
        return Fetched(checkpoint.folder)
    absent = [name for name in files if on_disk(checkpoint, name) is None]
    if absent:
        sweep_parts(checkpoint.repository.name)
    repository = checkpoint.repository

    def one(name: str) -> Path:
        size = repository.sizes.get(name)
        try:
            return patiently(lambda: sound_file(repository.name, name, checkpoint.commit, repository.hashes, size))
        except Exception as error:  # noqa: BLE001  # each kind becomes the failure of this checkpoint
            raise checkpoint_failure(repository.name, error, checkpoint.commit) from None

    there = map_at_once(one, files, AT_ONCE)
    downloaded = [path for path, name in zip(there, files, strict=True) if name in absent]
    return Fetched(there[0].parents[files[0].count("/")], downloaded)
