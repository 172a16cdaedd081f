"""The modules of sentence-transformers behind the transformer: pooling, dense layers and normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch

from hf_transfer_score.backbones.base import LAST, BackboneOptions
from hf_transfer_score.backbones.loading import load_config, loading_errors, read_json, weight_shapes
from hf_transfer_score.backbones.pooling import pool
from hf_transfer_score.backbones.text_backbone import LONGEST, TextBackbone, check_padding, make_reader
from hf_transfer_score.backbones.text_models import load_bare, shape_of
from hf_transfer_score.backbones.tokens import TextStyle
from hf_transfer_score.errors import CheckpointError

ACTIVATIONS = ("Tanh", "Identity", "ReLU", "GELU", "Sigmoid", "SiLU", "LeakyReLU", "ELU", "Mish", "Softplus")
SETTINGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
ROW = "sentence_embedding"

OLD_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Settings of a pooling in layouts before 5.5, in the order in which several are concatenated."""

OUR_NAMES = {"mean_sqrt_len_tokens": "mean_sqrt_len", "lasttoken": "last"}


def load_sentence_backbone(
    folder: Path, parts: Sequence[tuple[str, str]], options: BackboneOptions, *, words: bool
) -> TextBackbone:
    """Return a backbone from a folder and its modules; rows belong to words or to texts."""
    inner = folder / parts[0][1]
    config = load_config(inner, options)
    model = load_bare(inner, config, options, shape_of(config))
    style, longest = _style(folder, inner)
    reader = make_reader(inner, model, options, words=words, longest=longest, style=style)
    modes = (
        pooling_modes(read_json(folder, f"{parts[1][1]}config.json"))
        if options.pooling == "auto"
        else [options.pooling]
    )
    whole = options.pooling == "auto" and options.layer == LAST and not words
    after = _after(folder, parts[2:], options) if whole else None
    names = [name for name, _ in parts] if whole else ["Transformer"]
    backbone = TextBackbone(
        model,
        reader,
        options,
        words=words,
        pooling="+".join(modes),
        pooler=lambda states, lengths: torch.cat([pool(states, lengths, mode) for mode in modes], dim=1),
        after=after,
        details={"modules": names, "prompt": style.prompt or None},
    )
    check_padding(backbone)
    return backbone


def pooling_modes(settings: dict[str, Any]) -> list[str]:
    """Return the poolings that the config.json of a pooling asks for, by our names; rows are concatenated."""
    modes = settings.get("pooling_mode") or [mode for key, mode in OLD_MODES.items() if settings.get(key)] or "mean"
    modes = [modes] if isinstance(modes, str) else list(modes)
    unknown = [mode for mode in modes if mode not in OLD_MODES.values()]
    if unknown:
        raise CheckpointError("unsupported", f"pools by {', '.join(map(repr, unknown))}, which is not read here")
    return [OUR_NAMES.get(mode, mode) for mode in modes]


def _style(folder: Path, inner: Path) -> tuple[TextStyle, int]:
    """Return what is done to texts first, and how many tokens are read."""
    name = next((name for name in SETTINGS if (inner / name).exists()), None)
    settings = read_json(inner, name) if name else {}
    about = "config_sentence_transformers.json"
    prompts = read_json(folder, about) if (folder / about).exists() else {}
    prompt = (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name")) or ""
    return TextStyle(prompt, bool(settings.get("do_lower_case"))), settings.get("max_seq_length") or LONGEST


def _after(folder: Path, parts: Sequence[tuple[str, str]], options: BackboneOptions) -> torch.nn.Module | None:
    makers = {"Dense": _dense, "LayerNorm": _layer_norm}
    modules: list[torch.nn.Module] = []
    for name, path in parts:
        if name in makers:
            modules.append(makers[name](folder, path, options))
        elif name == "Normalize":
            modules.append(Normalize())
    return torch.nn.Sequential(*modules).eval() if modules else None


class Normalize(torch.nn.Module):  # type: ignore[misc]
    """Scales each row to length one."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the rows (B, D), scaled."""
        return torch.nn.functional.normalize(rows, dim=1)


class Dense(torch.nn.Module):  # type: ignore[misc]
    """A linear layer and an activation, and what came in added to it if `use_residual`."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        width, out = int(settings["in_features"]), int(settings["out_features"])
        self.linear = torch.nn.Linear(width, out, bias=bool(settings.get("bias", True)))
        named = str(settings.get("activation_function", "Tanh"))
        if named.rsplit(".", 1)[-1] not in ACTIVATIONS:
            raise CheckpointError(
                "unsupported", f"has a Dense module with the activation {named!r}, which is not read here"
            )
        self.activation_function = getattr(torch.nn, named.rsplit(".", 1)[-1])()
        self.use_residual = bool(settings.get("use_residual"))
        if self.use_residual and width != out:
            self.residual = torch.nn.Linear(width, out, bias=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the rows (B, out), projected."""
        projected = cast("torch.Tensor", self.activation_function(self.linear(rows)))
        if not self.use_residual:
            return projected
        return projected + (self.residual(rows) if hasattr(self, "residual") else rows)


def _dense(folder: Path, path: str, options: BackboneOptions) -> torch.nn.Module:
    settings = read_json(folder, f"{path}config.json")
    names = {settings.get("module_input_name", ROW), settings.get("module_output_name") or ROW}
    if names != {ROW}:
        raise CheckpointError("unsupported", "has a Dense module for single tokens, which is not read here")
    with loading_errors("torch"):
        return _filled(Dense(settings), folder / path, options)


def _layer_norm(folder: Path, path: str, options: BackboneOptions) -> torch.nn.Module:
    with loading_errors("torch"):
        layer = torch.nn.LayerNorm(int(read_json(folder, f"{path}config.json")["dimension"]))
        return _filled(layer, folder / path, options, "norm.")


def _filled(module: torch.nn.Module, folder: Path, options: BackboneOptions, prefix: str = "") -> torch.nn.Module:
    """Return the module with the weights in a folder; each of them has to be there."""
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
