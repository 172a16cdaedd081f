"""A kind of checkpoint that needs no training and no library: features of a text are counts of its letters."""

import json
import string
from pathlib import Path

import numpy as np

from hf_transfer_score.backbones.base import BackboneKind, MemoryBackbone
from hf_transfer_score.errors import CheckpointError

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
