"""Adapters on the Hub: weights that are merged into a base model, which another repository holds.

Only LoRA is read, by the names and shapes of its weights. Layer patterns in the settings are never run as expressions,
and the base is an id on the Hub, so settings reach no local file and no other host. Any other setting changes what an
adapter means, and is refused. Weights outside the part of the base that features are read from are left out, such as a
head for other classes, or the decoder behind an encoder.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_transfer_score.backbones.repository import (
    PICKLED_WEIGHTS,
    WEIGHTS,
    Repository,
    pickle_only,
    read_description,
    why_unread,
)
from hf_transfer_score.errors import CheckpointError, UnreadableError
from hf_transfer_score.file_heads import read_header

if TYPE_CHECKING:
    import torch

CONFIG = "adapter_config.json"
SAFETENSORS, PICKLE = "adapter_model.safetensors", "adapter_model.bin"

PREFIX = "base_model.model."  # peft puts it before the names of all layers

IDENTITY = re.compile(r"(?:\w[\w.-]{0,95}/)?\w[\w.-]{0,95}", re.ASCII)
REVISION = re.compile(r"\w[\w./-]{0,199}", re.ASCII)

READ = frozenset({
    *("peft_type", "base_model_name_or_path", "revision", "r", "lora_alpha", "rank_pattern", "alpha_pattern"),
    *("use_rslora", "modules_to_save", "bias", "init_lora_weights"),
})  # fmt: skip

HARMLESS = frozenset({
    *("task_type", "auto_mapping", "peft_version", "inference_mode", "lora_dropout", "fan_in_fan_out"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "megatron_core"),
    *("qalora_group_size", "eva_config", "runtime_config", "ensure_weight_tying"),
})  # fmt: skip
"""Settings that say how an adapter was made, or which layers it has, but do not change what its weights mean."""

STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
"""Initialisations that leave the weights of the base as they are."""

LONGEST_NAME = 500  # of a weight
MOST_LEFT_OUT = 10  # parts left out that the details name


@dataclass(frozen=True)
class Adapter:
    """An adapter on the Hub with the name of its weights file, and its base, each at a full commit."""

    name: str
    commit: str
    weights: str
    base: str
    base_commit: str

    @property
    def files(self) -> tuple[str, str]:
        """The adapter's own files; all others belong to its base."""
        return self.weights, CONFIG


@dataclass(frozen=True)
class _Settings:
    """The ranks and factors of an adapter: for all layers, and for some layers by name."""

    rank: int
    alpha: float
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    by_root: bool
    saved: tuple[str, ...]

    def rank_of(self, layer: str) -> int:
        return int(_of_layer(layer, self.ranks, self.rank))

    def factor(self, layer: str) -> float:
        rank = self.rank_of(layer)
        return _of_layer(layer, self.alphas, self.alpha) / (math.sqrt(rank) if self.by_root else rank)


def _of_layer(layer: str, named: Mapping[str, float], default: float) -> float:
    return next((value for name, value in named.items() if f".{layer}".endswith(f".{name}")), default)


def is_adapter(repository: Repository) -> bool:
    """Whether a repository holds an adapter without a full checkpoint."""
    return CONFIG in repository and not any(name in repository for name in (*WEIGHTS, *PICKLED_WEIGHTS))


def adapter_of(repository: Repository, commit: str) -> tuple[Adapter, str | None]:
    """Return the adapter in a repository, still without its base's commit, and the revision of that base.

    Raises CheckpointError for an adapter that cannot be read, before any weights are downloaded.
    """
    if CONFIG in repository.unread:
        raise CheckpointError("corrupt", f"has an {CONFIG} {repository.unread[CONFIG]}")
    content = repository.descriptions.get(CONFIG)
    if not isinstance(content, dict):
        raise CheckpointError("corrupt", f"has an {CONFIG} that is not a JSON object")
    _settings(content)
    weights = next((name for name in (SAFETENSORS, PICKLE) if name in repository), None)
    if weights is None:
        raise CheckpointError("corrupt", f"is an adapter without weights: there is no {SAFETENSORS} among its files")
    base, revision = content.get("base_model_name_or_path"), content.get("revision")
    if not isinstance(base, str) or not IDENTITY.fullmatch(base) or ".." in base or "--" in base:
        raise CheckpointError(
            "unsupported", f"is an adapter whose base is no model on the Hub: {str(base)[:100]!r}, expected OWNER/NAME"
        )
    is_revision = isinstance(revision, str) and REVISION.fullmatch(revision) and ".." not in revision
    if revision is not None and not is_revision:
        raise CheckpointError("corrupt", f"is an adapter whose base has no such revision: {str(revision)[:100]!r}")
    return Adapter(repository.name, commit, weights, base, ""), revision


def check_pickle(adapter: Adapter, *, allow_pickle: bool) -> None:
    """Raise CheckpointError where an adapter has only pickled weights, and these are not allowed."""
    if adapter.weights == PICKLE and not allow_pickle:
        raise pickle_only("is an adapter with", adapter.name)


def _settings(content: Mapping[str, Any]) -> _Settings:
    """Return the settings of a LoRA adapter, or raise CheckpointError where they cannot be read here."""
    kind = content.get("peft_type")
    if kind != "LORA":
        raise CheckpointError("unsupported", f"is an adapter of the kind {str(kind)[:50]!r}; only LORA is read")
    other = next((name for name, value in content.items() if value and name not in READ | HARMLESS), None)
    if content.get("bias", "none") not in (None, "none"):
        other = "bias"
    if content.get("init_lora_weights") not in STARTS:
        other = "init_lora_weights"
    if other is not None:
        shown = f"{other[:50]}={str(content[other])[:50]}"
        raise CheckpointError(
            "unsupported",
            f"is an adapter with {shown}, which is not read here; merge it into its base and save the result "
            "(merge_and_unload, then save_pretrained)",
        )
    ranks, alphas = content.get("rank_pattern") or {}, content.get("alpha_pattern") or {}
    rank: Any = content.get("r")
    alpha: Any = content.get("lora_alpha")
    saved: Any = content.get("modules_to_save") or []
    valid = (
        all(isinstance(one, dict) for one in (ranks, alphas))
        and isinstance(saved, list)
        and all(type(one) is int and 0 < one < 2**31 for one in (rank, *ranks.values()))
        and all(type(one) in (int, float) and abs(one) < 2**31 for one in (alpha, *alphas.values()))
        and all(isinstance(one, str) for one in saved)
    )
    if not valid:
        raise CheckpointError("corrupt", f"has an {CONFIG} with invalid ranks, factors or modules to save")
    if not all(re.fullmatch(r"\^?[\w.]+\$?", name) for name in (*ranks, *alphas)):
        raise CheckpointError("unsupported", f"has an {CONFIG} that names layers by an expression, which is never run")
    ranks, alphas = ({name.strip("^$"): value for name, value in one.items()} for one in (ranks, alphas))
    return _Settings(rank, alpha, ranks, alphas, content.get("use_rslora") is True, tuple(saved))


def merge_adapter(backbone: Any, adapter: Adapter) -> None:
    """Add an adapter to a loaded base, and note it in the backbone's details; raises CheckpointError.

    All names and shapes are checked before the first weight is read. The files come from the Hub's cache, where they
    were fetched with those of the base.
    """
    from huggingface_hub import try_to_load_from_cache

    places = [try_to_load_from_cache(adapter.name, name, revision=adapter.commit) for name in adapter.files]
    if not all(isinstance(place, str) for place in places):
        raise CheckpointError("error", "is an adapter whose files are gone from the Hub's cache; run again")
    weights, config = (Path(str(place)) for place in places)
    settings = _settings(_read(config, read_description))
    shapes, read = _read(weights, _contents)
    network = _Network(backbone)
    layers, copies = _sorted(shapes, settings)
    changes = [(name, layer) for name in layers if (layer := network.layer(name)) is not None]
    if not changes:
        raise CheckpointError("corrupt", f"is an adapter that names no layer of its base {adapter.base}")
    for name, layer in changes:
        _check_shapes(name, layer, layers[name], settings.rank_of(name))
    kept = {key: place for key, name in copies.items() if (place := network.weight(name, shapes[key])) is not None}
    for name, layer in changes:
        first, second = (read(f"{PREFIX}{name}.lora_{part}.weight").float().flatten(1) for part in "AB")
        _add(layer, second @ first * settings.factor(name), name)
    for key, place in kept.items():
        place.data.copy_(read(key))
    done = {name for name, _ in changes} | {copies[key] for key in kept}
    left = sorted({name.split(".")[0] for name in {*layers, *copies.values()} - done})[:MOST_LEFT_OUT]
    about = {"name": adapter.name, "commit": adapter.commit, "base": adapter.base, "base_commit": adapter.base_commit}
    backbone.details = {**backbone.details, "adapter": {**about, **({"left_out": left} if left else {})}}


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    try:
        return reader(path)
    except (UnreadableError, OSError) as error:
        raise CheckpointError("corrupt", f"has an {path.name} {why_unread(error)}; download it again") from error


def _contents(path: Path) -> tuple[dict[str, tuple[int, ...]], Callable[[str], torch.Tensor]]:
    """Return the shapes of the weights in a file, and a function that reads one of them."""
    if path.name == PICKLE:
        import torch

        loaded = torch.load(path, map_location="cpu", weights_only=True)
        return {str(name): tuple(one.shape) for name, one in loaded.items()}, loaded.__getitem__
    from safetensors import safe_open

    shapes = {name: tensor.shape for name, tensor in read_header(path).items()}

    def read(name: str) -> torch.Tensor:
        with safe_open(str(path), framework="pt") as file:
            return file.get_tensor(name)

    return shapes, read


Pair = tuple[tuple[int, ...], tuple[int, ...]]


def _sorted(shapes: Mapping[str, tuple[int, ...]], settings: _Settings) -> tuple[dict[str, Pair], dict[str, str]]:
    """Return the shapes of both matrices by layer, and the names of weights that replace those of the base, by key."""
    halves: dict[str, dict[str, tuple[int, ...]]] = {"A": {}, "B": {}}
    copies: dict[str, str] = {}
    for key, shape in shapes.items():
        if len(key) > LONGEST_NAME:
            raise CheckpointError("corrupt", f"is an adapter with a weight whose name has {len(key):,} letters")
        name = key.removeprefix(PREFIX)
        part = re.fullmatch(r"(.+)\.lora_([AB])\.weight", name)
        if part is not None and key.startswith(PREFIX):
            halves[part[2]][part[1]] = shape
        elif key.startswith(PREFIX) and any(f".{one}." in f".{name}" for one in settings.saved):
            copies[key] = name
        else:
            raise CheckpointError("unsupported", f"is an adapter with {key[:100]!r}, which is not a LoRA weight")
    if halves["A"].keys() != halves["B"].keys():
        alone = sorted(halves["A"].keys() ^ halves["B"].keys())[0]
        raise CheckpointError("corrupt", f"is an adapter with only one of two matrices for {alone[:100]!r}")
    return {name: (first, halves["B"][name]) for name, first in halves["A"].items()}, copies


class _Network:
    """Finds layers of a loaded base by the names they had when the adapter was trained.

    The base may have been loaded with a head that it lacks here, or without the one it has here. Transformers then adds
    a prefix to all names, or removes it, and so does this class. Names of older versions are renamed as transformers
    itself renames them in weights.
    """

    def __init__(self, backbone: Any) -> None:
        parts = backbone.module.modules()
        network = next((one for one in parts if hasattr(one, "base_model_prefix")), backbone.module)
        self.renamings = _renamings(network)
        self.prefix = str(getattr(network, "base_model_prefix", ""))
        self.layers = dict(network.named_modules())
        self.weights = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        heads = getattr(backbone, "source_heads", ())
        self.of_heads = {id(one) for head in heads for one in head.parameters()}
        body: Any = getattr(network, self.prefix, None) if self.prefix else None
        bodies = [one for one in (network, body) if hasattr(one, "named_children")]
        self.inside = {self.prefix, *(name for one in bodies for name, _ in one.named_children())}

    def layer(self, name: str) -> Any:
        """Return a layer, or None where it is outside the loaded part; raises CheckpointError where it is missing."""
        return self._find(name, self.layers)

    def weight(self, name: str, shape: tuple[int, ...]) -> Any:
        """Return a weight, or None where it is outside the loaded part, or part of a head for other classes."""
        found = self._find(name, self.weights)
        if found is None or tuple(found.shape) == shape:
            return found
        if id(found) in self.of_heads:
            return None
        raise _misfit(name, shape, tuple(found.shape))

    def _find(self, name: str, known: Mapping[str, Any]) -> Any:
        renamed = name
        for renaming in self.renamings:
            renamed, _ = renaming.rename_source_key(renamed)
        for written in (name, renamed):
            for one in (written, written.removeprefix(f"{self.prefix}."), f"{self.prefix}.{written}"):
                if one in known:
                    return known[one]
        if {name.split(".")[0], renamed.split(".")[0]} & self.inside:
            raise CheckpointError("corrupt", f"is an adapter for {name[:100]!r}, which its base does not have")
        return None


def _renamings(network: Any) -> list[Any]:
    """Return how transformers renames weights of older versions; empty for networks of other libraries."""
    if not hasattr(network, "base_model_prefix"):
        return []
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightRenaming

    return [one for one in get_model_conversion_mapping(network) if isinstance(one, WeightRenaming)]


def _misfit(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> CheckpointError:
    return CheckpointError("corrupt", f"is an adapter whose {name[:100]!r} has the shape {shape}, expected {expected}")


def _check_shapes(name: str, layer: Any, shapes: Pair, rank: int) -> None:
    """Refuse matrices that do not fit their layer, and layers of kinds that are not merged here."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    if not isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d, Conv1D)) or getattr(layer, "groups", 1) != 1:
        kind = type(layer).__name__
        raise CheckpointError("unsupported", f"is an adapter for {name[:100]!r}, a {kind}, which is not merged here")
    weight = tuple(layer.weight.T.shape if isinstance(layer, Conv1D) else layer.weight.shape)
    expected = (rank, *weight[1:]), (weight[0], rank, *(1 for _ in weight[2:]))
    for part, shape, wanted in zip("AB", shapes, expected, strict=True):
        if shape != wanted:
            raise _misfit(f"{name}.lora_{part}", shape, wanted)


def _add(layer: Any, change: torch.Tensor, name: str) -> None:
    from transformers.pytorch_utils import Conv1D

    if not bool(change.isfinite().all()):
        raise CheckpointError("non_finite", f"is an adapter whose weights of {name[:100]!r} are not finite")
    weight = layer.weight.data
    weight.copy_(weight.float() + (change.T if isinstance(layer, Conv1D) else change).reshape(weight.shape))
