"""A small pool of features, and how to read the tables printed of it."""

import json
import re
import string
from pathlib import Path

import numpy as np
from jsonschema import Draft202012Validator

from hf_transfer_score.backbones.base import BackboneKind, MemoryBackbone
from hf_transfer_score.errors import CheckpointError

LABELS = np.repeat(np.arange(4), 25)


def features(spread: float, width: int = 12, seed: int = 0) -> np.ndarray:
    """Return class means `spread` apart, with noise around them."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(len(LABELS), width)) + spread * generator.normal(size=(4, width))[LABELS]


POOL = {"near": features(0.4, 18), "middle": features(1.0, 12, 1), "far": features(2.0, 16, 2)}
FILES = [f"{name}.npz" for name in POOL]


def flat(text: str) -> str:
    """Return text with one blank wherever it has some."""
    return " ".join(text.split())


def table_rows(text: str) -> dict[str, list[str]]:
    """Return the cells of each model of a pool, of all blocks."""
    rows: dict[str, list[str]] = {}
    for line in re.split(r"\n\d+ of \d+ models ranked", text)[0].splitlines():
        name, *cells = line.split() or [""]
        if cells:
            rows.setdefault(name, []).extend(cells)
    return rows


DOCS = Path(__file__).parents[2] / "docs"


def check_printed(command, found):
    """Fail where what a command printed with --json is not what its schema says."""
    schema = json.loads((DOCS / f"{command}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:hf-transfer-score:{command}:1"
    assert not Draft202012Validator(schema).is_valid("other text")
    problems = [f"{list(one.absolute_path)}: {one.message}" for one in Draft202012Validator(schema).iter_errors(found)]
    assert problems == []


TOPICS = {
    "cards": ["card", "pin", "chip"],
    "money": ["cash", "coin", "atm"],
    "transfer": ["send", "wire", "iban"],
    "support": ["help", "agent", "chat"],
}


def write_dataset(path: Path, rows: int = 80) -> Path:
    """Write texts with four topics as JSON lines."""
    generator = np.random.default_rng(0)
    with path.open("w") as file:
        for number in range(rows):
            topic = list(TOPICS)[number % 4]
            words = generator.choice(TOPICS[topic], 2).tolist() + generator.choice(["please", "now", "the"], 2).tolist()
            file.write(json.dumps({"text": f"{' '.join(words)} {number}", "intent": topic}) + "\n")
    return path


def write_checkpoint(folder: Path, **config) -> Path:
    """Write a checkpoint: `letters` it sees, `noise` that hides them, and what goes `wrong`."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"toy": True, **config}))
    return folder


def _load(folder, task, options):
    config = json.loads((folder / "config.json").read_text())
    if config.get("wrong"):
        raise CheckpointError("corrupt", config["wrong"])
    letters = config.get("letters", string.ascii_lowercase)

    def counts(text):
        noise = np.random.default_rng(len(text) * 1000 + sum(map(ord, text))).normal(size=len(letters))
        return [text.count(letter) for letter in letters] + config.get("noise", 0.1) * noise

    return MemoryBackbone(counts)


TOY = BackboneKind(
    name="toy",
    modality="text",
    claims=lambda repository: bool(repository.config.get("toy")),
    files=lambda repository, options: ["config.json"],
    load=_load,
)
