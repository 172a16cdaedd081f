"""What is done and need not be done again: each finished step is a file of its own, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hf_transfer_score.home import write_text


class Journal:
    """The finished steps of choices on one sample, with what they gave and how long they took.

    A choice that is started again does everything in the same order, and a step that is here is read, not run. So it
    comes to the same decisions, whatever ended the choice before.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def once(self, step: str, run: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Return what a step gave, plain values; it is run where that is not known."""
        path = self.folder / "steps" / f"{_hash(step)}.json"
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            if known["step"] == step:
                return dict(known["gave"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        gave = dict(run())
        write_text(path, json.dumps({"step": step, "gave": gave}, allow_nan=False))
        return gave

    def state(self, arm: str) -> Path:
        """Return the file of a training on its way."""
        return self.folder / "states" / f"{_hash(arm)}.safetensors"


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
