"""Folders as sentence-transformers saves them, read without that package.

A folder names its modules in `modules.json`: a transformer, a pooling, and maybe dense layers, a layer norm and a
normalisation. `pooling="auto"` with the last layer runs all of them, so features are the sentence embeddings. Another
pooling or layer reads the transformer itself, without what follows the pooling; so does token classification.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_transfer_score.backbones import hub_text
from hf_transfer_score.backbones.base import Backbone, BackboneKind, BackboneOptions
from hf_transfer_score.backbones.loading import read_json
from hf_transfer_score.backbones.repository import Repository, read_description, why_unread
from hf_transfer_score.backbones.tokens import NO_TOKENIZER, has_tokenizer
from hf_transfer_score.errors import CheckpointError, UnreadableError
from hf_transfer_score.tasks import Task

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
KNOWN = ("Transformer", "Pooling", "Dense", "LayerNorm", "Normalize", "Dropout")


@dataclass(frozen=True)
class Part:
    """One module: the name of its class and its folder within, "" for the top, else with a slash at its end."""

    name: str
    path: str


def read_parts(modules: Any) -> list[Part]:
    """Return the modules that modules.json names, or raise CheckpointError for those that are not read here."""
    if not isinstance(modules, list) or not all(isinstance(one, dict) for one in modules):
        raise CheckpointError("corrupt", "has a modules.json that is no list of modules")
    parts = [_part(str(one.get("type", "")), str(one.get("path", ""))) for one in modules]
    names = [part.name for part in parts]
    if names[:2] != ["Transformer", "Pooling"] or names.count("Transformer") + names.count("Pooling") != 2:
        raise CheckpointError(
            "unsupported", f"has the modules {', '.join(names)}; expected a Transformer, a Pooling and what follows it"
        )
    return parts


def _part(kind: str, path: str) -> Part:
    name = kind.rsplit(".", 1)[-1]
    if not kind.startswith("sentence_transformers.") or name not in KNOWN:
        raise CheckpointError("unsupported", f"has a module of the type {kind!r}; read here: {', '.join(KNOWN)}")
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise CheckpointError("corrupt", f"has a modules.json that points out of its folder: {path!r}")
    return Part(name, f"{path.rstrip('/')}/" if path else "")


def pooling_modes(settings: dict[str, Any]) -> list[str]:
    """Return the poolings that the config.json of a pooling asks for, by our names; rows are concatenated."""
    modes = settings.get("pooling_mode") or [mode for key, mode in OLD_MODES.items() if settings.get(key)] or "mean"
    modes = [modes] if isinstance(modes, str) else list(modes)
    unknown = [mode for mode in modes if mode not in OLD_MODES.values()]
    if unknown:
        raise CheckpointError("unsupported", f"pools by {', '.join(map(repr, unknown))}, which is not read here")
    return [OUR_NAMES.get(mode, mode) for mode in modes]


def claims(repository: Repository) -> bool:
    """Whether a repository has a modules.json of sentence-transformers that is more than a transformer with a head."""
    modules = repository.descriptions.get("modules.json")
    if not isinstance(modules, list) or not all(isinstance(one, dict) for one in modules):
        return False
    kinds = [str(one.get("type", "")) for one in modules]
    ours = any(kind.startswith("sentence_transformers.") for kind in kinds)
    cross_encoder = (
        kinds[:1] != [] and kinds[0].endswith(".Transformer") and not any("Pooling" in kind for kind in kinds)
    )
    return ours and not cross_encoder


def files(repository: Repository, options: BackboneOptions) -> list[str]:
    """Return the files to download: those of the transformer, and the folders of the modules that have settings."""
    parts = read_parts(repository.descriptions.get("modules.json"))
    within = parts[0].path
    if repository.config:
        hub_text.check_loadable(repository.config, options)
    if not has_tokenizer([name.removeprefix(within) for name in repository.sizes if name.startswith(within)]):
        raise CheckpointError("no_preprocessor", NO_TOKENIZER)
    weights = repository.weights(allow_pickle=options.allow_pickle, folder=within)
    behind = [name for part in parts[1:] for name in _files_of(repository, part, options)]
    small = [name for name in repository.sizes if within and name.startswith(within) and _is_small(name)]
    return list(dict.fromkeys([*weights, *behind, *hub_text.beside_weights(repository, options), *small]))


def _is_small(name: str) -> bool:
    return name.endswith((".json", ".txt", ".model", ".jinja")) and ".index." not in name


def _files_of(repository: Repository, part: Part, options: BackboneOptions) -> list[str]:
    weighted = part.name in ("Dense", "LayerNorm")
    weights = repository.weights(allow_pickle=options.allow_pickle, folder=part.path) if weighted else []
    return [*weights, *(name for name in (f"{part.path}config.json",) if name in repository)]


def load(folder: Path, task: Task, options: BackboneOptions) -> Backbone:
    """Return a backbone from a folder."""
    from hf_transfer_score.backbones.sentence_modules import load_sentence_backbone

    parts = read_parts(_read_list(folder))
    hub_text.check_loadable(read_json(folder, f"{parts[0].path}config.json"), options)
    return load_sentence_backbone(folder, parts, options, words=task.unit == "word")


def _read_list(folder: Path) -> Any:
    try:
        return read_description(folder / "modules.json")
    except FileNotFoundError as error:
        raise CheckpointError("corrupt", "has no modules.json") from error
    except (UnreadableError, OSError) as error:
        raise CheckpointError("corrupt", f"has a modules.json {why_unread(error)}") from error


KIND = BackboneKind("sentence_transformers", "text", claims, files, load, priority=1, library="sentence-transformers")
