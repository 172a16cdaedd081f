"""An unfinished training in one file: tensors and a description, written completely or not at all, without pickle.

A training continued from it gives exactly the numbers of an uninterrupted one: the file has the current weights
and those that count so far, the state of AdamW, and those of both generators (for the order of rows, and for dropout).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hf_transfer_score.finetune.built import Anchors, BuiltNetwork
from hf_transfer_score.finetune.loop import Score, Training
from hf_transfer_score.home import whole

KEY = "training"


@dataclass(frozen=True)
class KeptTraining:
    """The contents of a file: tensors by name, and plain values."""

    tensors: dict[str, torch.Tensor]
    about: dict[str, Any]

    @property
    def anchors(self) -> Anchors:
        """The values to build the classifier again."""
        return Anchors(self.tensors["centre"], self.tensors["scale"], self.about["layer"])

    @property
    def scores(self) -> list[Score]:
        """The scores on the rows held back, after each pass."""
        return [Score(*one) for one in self.about["scores"]]

    @property
    def rights(self) -> list[NDArray[np.bool_]]:
        """Which of these rows are classified correctly, after each pass."""
        return list(self.tensors["rights"].numpy().astype(np.bool_))

    def part(self, name: str) -> dict[str, torch.Tensor]:
        """Return the tensors of one part."""
        prefix = f"{name}/"
        return {key[len(prefix) :]: value for key, value in self.tensors.items() if key.startswith(prefix)}


def keep_training(path: Path, training: Training, built: BuiltNetwork) -> None:
    """Write the state of a training after its last pass."""
    from safetensors.torch import save_file

    tensors = {"centre": built.classifier.centre, "scale": built.classifier.scale}
    for name, state in (("now", training.trained.state()), ("best", training.state), ("random", training.random)):
        tensors |= {f"{name}/{key}": value for key, value in state.items()}
    for number, values in training.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{key}": torch.as_tensor(value) for key, value in values.items()}
    tensors["rights"] = torch.from_numpy(np.stack(training.rights))
    about = {
        "rate": training.rate,
        "layer": built.layer,
        "step": training.step,
        "since": training.since,
        "finite": training.finite,
        "ended": training.ended,
        "best": [training.best.accuracy, training.best.loss],
        "scores": [[one.accuracy, one.loss] for one in training.scores],
        "order": training.order.bit_generator.state,
    }
    copies = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with whole(path, sum(value.nbytes for value in copies.values())) as aside:
        save_file(copies, aside, metadata={KEY: json.dumps(about)})


def kept_training(path: Path) -> KeptTraining | None:
    """Return the contents of a file, None if it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})[KEY])
            return KeptTraining({name: file.get_tensor(name) for name in file.keys()}, about)  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def resume(training: Training, kept: KeptTraining) -> None:
    """Bring a new training to the state of a stored one."""
    about, device = kept.about, training.machine.device
    training.trained.restore(kept.part("now"))
    training.state = {name: value.to(device) for name, value in kept.part("best").items()}
    training.random = kept.part("random")
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in kept.part("optimizer").items():
        number, _, key = name.partition("/")
        moments.setdefault(int(number), {})[key] = value
    groups = training.optimizer.state_dict()["param_groups"]
    training.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    training.order.bit_generator.state = about["order"]
    training.step, training.since, training.finite = about["step"], about["since"], about["finite"]
    training.best, training.scores = Score(*about["best"]), kept.scores
    training.rights = kept.rights
