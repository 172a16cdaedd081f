"""From the states of tokens or frames to rows of features: choosing layers, pooling, and running by groups.

Padding must never change features, so where it would, only sequences of one length run together.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hf_transfer_score.backbones.base import ALL, LAST, MEAN, Backbone, BackboneOptions
from hf_transfer_score.backbones.loading import loading_errors, read_json, weight_shapes
from hf_transfer_score.backbones.placing import single_precision
from hf_transfer_score.backbones.text_towers import TextTower
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Example

LEAK = 3e-5  # relative; rounding is well below it, and the effect of padding well above


def mask_of(lengths: Tensor, width: int) -> Tensor:
    """Return which places are not padding (B, width), for sequences of lengths (B,) padded on the right."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]


def pick_layers(last: Tensor, hidden: Sequence[Tensor] | None, layer: str | int) -> dict[str, Tensor]:
    """Return the states (B, T, D) of the layers asked for, by layer name; "mean" and "all" include the embeddings.

    Of all layers' states the embeddings come first. Only "last" does without them: the output after the last norm.
    """
    if layer == LAST:
        return {LAST: last}
    if not hidden:
        raise CheckpointError("unsupported", f"does not show the states of its layers, and layer={layer!r} needs them")
    states = list(hidden)
    if states[-1].shape == last.shape:
        states[-1] = last  # some models return the last layer before its normalisation
    if layer == ALL:
        return {str(number): one for number, one in enumerate(states)}
    if layer == MEAN:
        return {MEAN: torch.stack([one.float() for one in states]).mean(0)}
    if int(layer) >= len(states):
        there = f"{len(states) - 1} layer{'s' * (len(states) != 2)}"
        raise CheckpointError("unsupported", f"has {there}, and layer={layer} was asked for (0 is the embeddings)")
    return {str(layer): states[int(layer)]}


def pool(states: Tensor, lengths: Tensor, how: str) -> Tensor:
    """Return one row per sequence (B, D) of states (B, T, D), which are padded on the right beyond `lengths` (B,).

    `how` is "cls" (the first place), "last", "mean", "max", "mean_sqrt_len" (the sum over the root of the length) or
    "weightedmean" (places weigh 1, 2, 3, ...).
    """
    states = states.float()
    mask = mask_of(lengths, states.shape[1])[..., None]
    if how == "cls":
        return states[:, 0]
    if how == "last":
        return states[torch.arange(len(states), device=states.device), lengths - 1]
    if how == "max":
        return states.masked_fill(~mask, float("-inf")).amax(1)
    real = states.masked_fill(~mask, 0)
    if how == "weightedmean":
        weights = torch.arange(1, states.shape[1] + 1, device=states.device)[None, :, None] * mask
        return (real * weights).sum(1) / weights.sum(1)
    size = lengths[:, None]
    return real.sum(1) / {"mean": size, "mean_sqrt_len": size.sqrt()}[how]


def pool_words(states: Tensor, places: Tensor, count: int) -> Tensor:
    """Return the mean of the states (B, T, D) of each word's sub-words (count, D).

    For each sub-word `places` has the sequence, the place in it, and the row (3, sub-words); each row has a sub-word.
    """
    picked = states[places[0], places[1]].float()
    rows = torch.zeros(count, states.shape[-1], dtype=picked.dtype, device=picked.device)
    sizes = torch.zeros(count, dtype=picked.dtype, device=picked.device)
    sizes.index_add_(0, places[2], torch.ones_like(picked[:, 0]))
    return rows.index_add_(0, places[2], picked) / sizes[:, None]


def groups_of(lengths: NDArray[Any], most: int, *, equal: bool) -> list[list[int]]:
    """Return which sequences are run together: at most `most`, and only of one length if `equal`."""
    everything = np.arange(len(lengths))
    groups = [np.flatnonzero(lengths == length) for length in np.unique(lengths)] if equal else [everything]
    return [group[start : start + most].tolist() for group in groups for start in range(0, len(group), most)]


def back_in_order(groups: Sequence[Sequence[int]]) -> Tensor:
    """Return the index that puts concatenated groups back in order."""
    return torch.from_numpy(np.argsort(np.concatenate(groups)))


def padding_matters(backbone: Backbone, short: Example, long: Example) -> bool:
    """Whether the features of a short example change when it is padded to the length of a long one.

    Architectures differ in what they mask: convolutions over tokens, Fourier transforms and norms over time let padding
    through. So the loaded model is run. Whatever a library raises in this first run becomes a CheckpointError.
    """
    items = backbone.encode([short, long])
    weight = next(backbone.module.parameters(), None)
    device = "cpu" if weight is None or weight.is_meta else weight.device

    def features(count: int) -> dict[str, Tensor]:
        batch = backbone.collate(items[:count])
        moved = {name: one.to(device) if isinstance(one, torch.Tensor) else one for name, one in batch.items()}
        return backbone.forward(moved).features

    with torch.no_grad(), single_precision(backbone.module) as half, loading_errors("transformers"):
        try:
            alone, both = features(1), features(2)
        except RuntimeError:
            if not half:
                raise
            return True  # a network that reads weights without calling their layers, such as Mamba
    differences = [((both[name][: len(rows)] - rows).abs().max(), rows.abs().max()) for name, rows in alone.items()]
    return any(bool(difference > LEAK * size) for difference, size in differences)


def run_to_logits(module: Any, body: Any, inputs: dict[str, Any]) -> tuple[Any, Tensor]:
    """Run a model with a head; return its body's output and the logits."""
    caught: list[Any] = []
    hook = body.register_forward_hook(lambda _module, _given, output: caught.append(output))
    try:
        logits = module(**inputs).logits
    finally:
        hook.remove()
    return caught[-1], logits


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
