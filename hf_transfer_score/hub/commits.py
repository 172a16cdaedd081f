"""What one commit changes in a repository, and how long it is tried against the commits of others."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hf_transfer_score.integrity import blob_id


@dataclass(frozen=True)
class CommitRetries:
    """How long a change is tried against those of others and against failures that may pass.

    Attributes:
        attempts: how often at most.
        seconds: for how long at most.
        first_wait: seconds before the second attempt, on average.
        longest_wait: seconds between attempts at most; they grow, and differ between writers.
    """

    attempts: int = 30
    seconds: float = 120.0
    first_wait: float = 0.4
    longest_wait: float = 10.0

    def wait(self, attempt: int) -> float:
        """Return how long to wait after so many attempts."""
        grown: float = min(self.longest_wait, self.first_wait * 1.5 ** (attempt - 1))
        return grown * random.uniform(0.25, 1.75)  # noqa: S311


def stamps_of(content: bytes) -> tuple[str, str]:
    """Return the stamps that a content may have on the Hub: as a file of git, and as one that LFS keeps."""
    digest = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
    return blob_id(content), blob_id(pointer.encode())


def operations(changes: Mapping[str, bytes | None], files: Mapping[str, str]) -> list[Any]:
    """Return what to commit, without what is there already or was never there.

    Args:
        changes: contents by path, None for a file to remove.
        files: the stamps of what is there.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    found: list[Any] = []
    for path, content in changes.items():
        stamp = files.get(path)
        if content is None and stamp is not None:
            found.append(CommitOperationDelete(path))
        if content is not None and stamp not in stamps_of(content):
            found.append(CommitOperationAdd(path, content))
    return found
