"""Folders as sentence-transformers saves them, read without that package.

A folder names its modules in `modules.json`: a transformer, a pooling, and maybe dense layers, a layer norm and a
normalisation. `pooling="auto"` with the last layer runs all of them, so features are the sentence embeddings. Another
pooling or layer reads the transformer itself, without what follows the pooling; so does token classification.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_transfer_score.backbones import hub_text
from hf_transfer_score.backbones.base import Backbone, BackboneKind, BackboneOptions
from hf_transfer_score.backbones.loading import read_json
from hf_transfer_score.backbones.repository import Repository, read_description, why_unread
from hf_transfer_score.backbones.text_models import NO_TOKENIZER, has_tokenizer
from hf_transfer_score.errors import CheckpointError, UnreadableError
from hf_transfer_score.tasks import Task

KNOWN = ("Transformer", "Pooling", "Dense", "LayerNorm", "Normalize", "Dropout")


def read_parts(modules: Any) -> list[tuple[str, str]]:
    """Return the modules that modules.json names, or raise CheckpointError for those that are not read here.

    Each is the name of its class, and its folder within: "" for the top, else with a slash at its end.
    """
    if not isinstance(modules, list) or not all(isinstance(one, dict) for one in modules):
        raise CheckpointError("corrupt", "has a modules.json that is not a list of modules")
    parts = []
    for kind, path in ((str(one.get("type", "")), str(one.get("path", ""))) for one in modules):
        name = kind.rsplit(".", 1)[-1]
        if not kind.startswith("sentence_transformers.") or name not in KNOWN:
            raise CheckpointError("unsupported", f"has a module of the type {kind!r}; read here: {', '.join(KNOWN)}")
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise CheckpointError("corrupt", f"has a modules.json that points out of its folder: {path!r}")
        parts.append((name, f"{path.rstrip('/')}/" if path else ""))
    names = [name for name, _ in parts]
    if names[:2] != ["Transformer", "Pooling"] or names.count("Transformer") + names.count("Pooling") != 2:
        raise CheckpointError(
            "unsupported", f"has the modules {', '.join(names)}; expected a Transformer, a Pooling and what follows it"
        )
    return parts


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
    within = parts[0][1]
    if repository.config:
        hub_text.check_loadable(repository.config, options)
    if not has_tokenizer([name.removeprefix(within) for name in repository.sizes if name.startswith(within)]):
        raise CheckpointError("no_preprocessor", NO_TOKENIZER)
    weights = repository.weights(allow_pickle=options.allow_pickle, folder=within)
    behind = []
    for name, path in parts[1:]:
        if name in ("Dense", "LayerNorm"):
            behind += repository.weights(allow_pickle=options.allow_pickle, folder=path)
        behind += [one for one in (f"{path}config.json",) if one in repository]
    endings = (".json", ".txt", ".model", ".jinja")
    small = [name for name in repository.sizes if within and name.startswith(within) and name.endswith(endings)]
    small = [name for name in small if ".index." not in name]
    return list(dict.fromkeys([*weights, *behind, *hub_text.beside_weights(repository, options), *small]))


def load(folder: Path, task: Task, options: BackboneOptions) -> Backbone:
    """Return a backbone from a folder."""
    from hf_transfer_score.backbones.text_backbone import load_sentence_backbone

    try:
        modules = read_description(folder / "modules.json")
    except FileNotFoundError as error:
        raise CheckpointError("corrupt", "has no modules.json") from error
    except (UnreadableError, OSError) as error:
        raise CheckpointError("corrupt", f"has a modules.json {why_unread(error)}") from error
    parts = read_parts(modules)
    hub_text.check_loadable(read_json(folder, f"{parts[0][1]}config.json"), options)
    return load_sentence_backbone(folder, parts, options, words=task.unit == "word")


KIND = BackboneKind("sentence_transformers", "text", claims, files, load, priority=1, library="sentence-transformers")
