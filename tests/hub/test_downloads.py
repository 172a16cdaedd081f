"""Parts of downloads that nobody goes on from."""

import os
import time
from pathlib import Path

from huggingface_hub import constants

from hf_transfer_score.home import alone
from hf_transfer_score.hub.downloads import sweep_parts

OWN = "0123abcd.incomplete"


def part(blobs: Path, name: str, age: float) -> Path:
    blobs.mkdir(parents=True, exist_ok=True)
    path = blobs / name
    path.write_bytes(b"x" * 10)
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_only_parts_that_nobody_is_at_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    blobs, locks = tmp_path / "models--a--b" / "blobs", tmp_path / ".locks" / "models--a--b"
    young = part(blobs, f"young.{OWN}", 60)
    left = part(blobs, f"left.{OWN}", 3600)
    held = part(blobs, f"held.{OWN}", 3600)
    old = part(blobs, f"old.{OWN}", 10**6)
    whole = part(blobs, "whole", 10**6)
    other = part(tmp_path / "models--a--c" / "blobs", f"left.{OWN}", 10**6)
    with alone(locks / "held.lock"):
        assert sweep_parts("a/b") == 20
        assert [one.exists() for one in (young, left, held, old, whole, other)] == [
            True,
            False,
            True,
            False,
            True,
            True,
        ]
    assert sweep_parts("a/b") == 10, "its holder is gone"
    assert sweep_parts("nothing/here") == 0
