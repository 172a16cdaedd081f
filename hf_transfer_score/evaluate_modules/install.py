"""Put the evaluate modules where `evaluate.load(name)` finds them."""

from __future__ import annotations

from pathlib import Path


def register() -> list[Path]:
    """Install the modules into the cache of `evaluate`."""
    raise RuntimeError("in progress")
