"""Folders saved by sentence-transformers, read without that package.

A folder names its modules in `modules.json`: a transformer, a pooling, and optionally dense layers, a layer norm and a
normalisation. `pooling="auto"` with the last layer runs all of them, so features are the sentence embeddings. Another
pooling or layer reads only the transformer, without what follows the pooling; so does token classification.
"""

from pathlib import Path
from typing import Any

from hf_transfer_score.backbones import hub_text
from hf_transfer_score.backbones.base import Backbone, BackboneKind, BackboneOptions
from hf_transfer_score.backbones.loading import read_json, read_modules
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.backbones.text_models import NO_TOKENIZER, has_tokenizer
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Task

KNOWN = ("Transformer", "Pooling", "Dense", "LayerNorm", "Normalize", "Dropout")


def module_kinds(modules: Any) -> list[str]:
    """Return the types of the modules in a modules.json, none where that is not a list of modules."""
    listed = modules if isinstance(modules, list) and all(isinstance(one, dict) for one in modules) else []
    return [str(one.get("type", "")) for one in listed]


def module_folder(module: dict[str, Any]) -> str:
    """Return a module's subfolder: "" for the top, else ending in a slash; CheckpointError for one outside."""
    path = Path(str(module.get("path", "")))
    if path.is_absolute() or ".." in path.parts:
        raise CheckpointError("corrupt", f"has a modules.json that points out of its folder: {str(path)!r}")
    return f"{path.as_posix()}/" if path.parts else ""


def read_parts(modules: Any) -> list[tuple[str, str]]:
    """Return the class name and subfolder of each module in a modules.json, or raise CheckpointError."""
    kinds = module_kinds(modules)
    if not kinds:
        raise CheckpointError("corrupt", "has a modules.json that is not a list of modules")
    parts = []
    for kind, module in zip(kinds, modules, strict=True):
        name = kind.rsplit(".", 1)[-1]
        if not kind.startswith("sentence_transformers.") or name not in KNOWN:
            raise CheckpointError("unsupported", f"has a module of the type {kind!r}; known: {', '.join(KNOWN)}")
        parts.append((name, module_folder(module)))
    names = [name for name, _ in parts]
    if names[:2] != ["Transformer", "Pooling"] or names.count("Transformer") + names.count("Pooling") != 2:
        raise CheckpointError(
            "unsupported", f"has the modules {', '.join(names)}; expected one Transformer and one Pooling first"
        )
    return parts


def claims(repository: Repository) -> bool:
    """Whether a repository has a modules.json of sentence-transformers, other than that of a cross-encoder."""
    kinds = module_kinds(repository.descriptions.get("modules.json"))
    cross_encoder = kinds and kinds[0].endswith(".Transformer") and not any("Pooling" in kind for kind in kinds)
    return any(kind.startswith("sentence_transformers.") for kind in kinds) and not cross_encoder


def files(repository: Repository, options: BackboneOptions) -> list[str]:
    """Return the files to download: those of the transformer, and the subfolders of modules with settings."""
    parts = read_parts(repository.descriptions.get("modules.json"))
    within = parts[0][1]
    if repository.config:
        hub_text.check_loadable(repository.config, options)
    if not has_tokenizer([name.removeprefix(within) for name in repository.sizes if name.startswith(within)]):
        raise CheckpointError("no_preprocessor", NO_TOKENIZER)
    weights = repository.weights(allow_pickle=options.allow_pickle, folder=within)
    later = []
    for name, path in parts[1:]:
        if name in ("Dense", "LayerNorm"):
            later += repository.weights(allow_pickle=options.allow_pickle, folder=path)
        later += [one for one in (f"{path}config.json",) if one in repository]
    small = repository.small_files(within) if within else []
    return list(dict.fromkeys([*weights, *later, *hub_text.other_files(repository, options), *small]))


def load(folder: Path, task: Task, options: BackboneOptions) -> Backbone:
    """Return a backbone from a folder."""
    from hf_transfer_score.backbones.text_backbone import load_sentence_backbone

    modules = read_modules(folder)
    if modules is None:
        raise CheckpointError("corrupt", "has no modules.json")
    parts = read_parts(modules)
    hub_text.check_loadable(read_json(folder, f"{parts[0][1]}config.json"), options)
    return load_sentence_backbone(folder, parts, options, words=task.unit == "word")


KIND = BackboneKind("sentence_transformers", "text", claims, files, load, priority=1, library="sentence-transformers")
