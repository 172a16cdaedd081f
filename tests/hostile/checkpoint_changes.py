"""A hostile checkpoint as a test case, and changes that make a good one hostile."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.hostile.feature_files import SENTENCE
from tests.hostile.traps import Traps
from tests.hub.repositories import write_files

Modality = Literal["text", "image", "sound"]
WEIGHTS, CONFIG = "model.safetensors", "config.json"
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class CheckpointCase:
    """A checkpoint and what must become of it.

    Attributes:
        accepted: "clean" if it may be scored with the numbers of the good checkpoint, "any" if it may be scored with
            any numbers, "" if it must be refused.
    """

    name: str  # what is wrong with it
    base: str  # the good checkpoint that it is a copy of: bert, sentences, vit, resnet or wav2vec2
    change: Callable[[Path, Traps], object]  # makes it hostile, in its folder
    refused: str | None = SENTENCE  # pattern of the reason
    accepted: Literal["", "any", "clean"] = ""

    @property
    def modality(self) -> Modality:
        return {"bert": "text", "sentences": "text", "wav2vec2": "sound"}.get(self.base, "image")  # type: ignore[return-value]


Change = Callable[[Path, Traps], object]


def each(
    prefix: str, base: str, values: Mapping[str, Any], change: Callable[[Any], Change], *free: str, **more: Any
) -> Iterator[CheckpointCase]:
    """Yield a case for each value; those in `free` may be scored."""
    for name, value in values.items():
        known = {"accepted": "any"} if name in free else {}
        yield CheckpointCase(f"{prefix}{name}", base, change(value), **{**more, **known})


def edited(settings: Mapping[str, Any], file: str = CONFIG) -> Change:
    """Return a change that sets values in a JSON file; `a__b` is b within a."""

    def change(folder: Path, traps: Traps) -> None:
        known = json.loads((folder / file).read_text())
        for key, value in settings.items():
            place = known
            *parts, last = key.split("__")
            for part in parts:
                place = place.setdefault(part, {})
            place[last] = value
        (folder / file).write_text(json.dumps(known))

    return change


def written(file: str, content: bytes | Callable[[bytes], bytes]) -> Change:
    """Return a change that writes a file, or changes its bytes."""

    def change(folder: Path, traps: Traps) -> None:
        write_files(folder, {file: content((folder / file).read_bytes()) if callable(content) else content})

    return change


def weighed(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Change:
    def apply(folder: Path, traps: Traps) -> None:
        save_file(change(dict(load_file(folder / WEIGHTS))), folder / WEIGHTS, metadata={"format": "pt"})

    return apply


def weighed_one_by_one(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Return a change of each of the weights."""
    return weighed(lambda found: {name: change(one) for name, one in found.items()})
