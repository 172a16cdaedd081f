"""What is applied to a pooled row: dense layers and norms of sentence-transformers, or a tower's head or pooler."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.backbones.loading import loading_errors, read_json, weight_shapes
from hf_transfer_score.backbones.text_towers import TextTower
from hf_transfer_score.errors import CheckpointError

ACTIVATIONS = ("Tanh", "Identity", "ReLU", "GELU", "Sigmoid", "SiLU", "LeakyReLU", "ELU", "Mish", "Softplus")

ROW = "sentence_embedding"


def tower_pooling(tower: TextTower, module: Any) -> tuple[str, torch.nn.Module | None]:
    """Return a description of a loaded tower's default pooling, and the module that it applies to the pooled row."""
    if tower.pooled == "position":
        return "last position, through the tower's head", module.head
    if tower.pooled == "first":
        return "first token, through the tower's pooler", FirstRow(module.pooler)
    return "last", None


class FirstRow(torch.nn.Module):  # type: ignore[misc]
    """Applies a pooler, which reads the first of several tokens, to rows."""

    def __init__(self, pooler: Any) -> None:
        super().__init__()
        self.pooler = pooler

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the pooled rows (B, D)."""
        return cast("torch.Tensor", self.pooler(rows[:, None]))


def contains(whole: torch.nn.Module, part: torch.nn.Module) -> bool:
    """Whether a part has weights, and all of them belong to a model."""
    inside = {id(one) for one in whole.parameters()}
    own = [id(one) for one in part.parameters()]
    return bool(own) and inside.issuperset(own)


def modules_after_pooling(
    folder: Path, parts: Sequence[tuple[str, str]], options: BackboneOptions
) -> torch.nn.Module | None:
    """Return the modules of a sentence-transformers folder that follow its pooling as one, None without any."""
    modules: list[torch.nn.Module] = []
    for name, path in parts:
        if name == "Normalize":
            modules.append(Normalize())
        if name not in ("Dense", "LayerNorm"):
            continue
        settings = read_json(folder, f"{path}config.json")
        ends = (settings.get("module_input_name", ROW), settings.get("module_output_name") or ROW)
        if name == "Dense" and ends != (ROW, ROW):
            raise CheckpointError("unsupported", "has a Dense module for single tokens, which is not read here")
        with loading_errors("torch"):
            if name == "Dense":
                modules.append(_filled(Dense(settings), folder / path, options))
            else:
                norm = torch.nn.LayerNorm(int(settings["dimension"]))
                modules.append(_filled(norm, folder / path, options, "norm."))
    return torch.nn.Sequential(*modules).eval() if modules else None


class Normalize(torch.nn.Module):  # type: ignore[misc]
    """Scales each row to length one."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the scaled rows (B, D)."""
        return torch.nn.functional.normalize(rows, dim=1)


class Dense(torch.nn.Module):  # type: ignore[misc]
    """A linear layer and an activation, with its input added if `use_residual`."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        width, out = int(settings["in_features"]), int(settings["out_features"])
        self.linear = torch.nn.Linear(width, out, bias=bool(settings.get("bias", True)))
        named = str(settings.get("activation_function", "Tanh"))
        activation = named.rsplit(".", 1)[-1]
        if activation not in ACTIVATIONS:
            raise CheckpointError(
                "unsupported", f"has a Dense module with the activation {named!r}, which is not read here"
            )
        self.activation_function = getattr(torch.nn, activation)()
        self.use_residual = bool(settings.get("use_residual"))
        if self.use_residual and width != out:
            self.residual = torch.nn.Linear(width, out, bias=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the projected rows (B, out)."""
        projected = cast("torch.Tensor", self.activation_function(self.linear(rows)))
        if not self.use_residual:
            return projected
        return projected + (self.residual(rows) if hasattr(self, "residual") else rows)


def _filled(module: torch.nn.Module, folder: Path, options: BackboneOptions, prefix: str = "") -> torch.nn.Module:
    """Return the module with the weights from a folder, which must have all of them."""
    from safetensors.torch import load_file

    weight_shapes(folder)
    pickled = folder / "pytorch_model.bin"
    if (folder / "model.safetensors").exists():
        weights = load_file(str(folder / "model.safetensors"))
    elif options.allow_pickle and pickled.exists():
        weights = torch.load(pickled, map_location="cpu", weights_only=True)
    else:
        kind: Any = "pickle_only" if pickled.exists() else "corrupt"
        raise CheckpointError(kind, f"has no model.safetensors in {folder.name}")
    module.load_state_dict({name.removeprefix(prefix): weight.float() for name, weight in weights.items()})
    return module
