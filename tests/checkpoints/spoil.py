"""Ways to break a checkpoint, and the failure that follows."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from hf_transfer_score.errors import CheckpointError


def drop(folder: Path, *starts: str) -> None:
    """Remove the weights of a checkpoint whose names start with any of these."""
    path = str(folder / "model.safetensors")
    kept = {name: one for name, one in load_file(path).items() if not name.startswith(starts)}
    save_file(kept, path, {"format": "pt"})


def edit_json(path: Path, **changes: object) -> Path:
    """Change keys of a JSON object in a file, and return its folder."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path.parent


def failure(*steps: Callable[[], object]) -> tuple[str, str]:
    """Return the kind and the reason of the first step that fails."""
    with pytest.raises(CheckpointError) as caught:
        for step in steps:
            step()
    return caught.value.kind, str(caught.value)
