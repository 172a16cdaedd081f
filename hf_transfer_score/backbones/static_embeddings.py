"""Static embeddings: a vector for each token, and the mean of them for a text; folders of model2vec and their kin.

A folder of model2vec has a `config.json` whose model_type is "model2vec"; one of sentence-transformers has a
`modules.json` that starts with a `StaticEmbedding`. Both are read without these packages. Unknown tokens count as
nothing in the former, as model2vec reads them. A text without any token is a row of zeros.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_transfer_score.backbones.base import ALL, LAST, MEAN, Backbone, BackboneKind, BackboneOptions
from hf_transfer_score.backbones.loading import loading_errors, read_json, weight_shapes
from hf_transfer_score.backbones.repository import Repository, read_description, why_unread
from hf_transfer_score.errors import CheckpointError, UnreadableError
from hf_transfer_score.tasks import Task

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MODEL2VEC = "model2vec"
STATIC, BEHIND = "StaticEmbedding", ("Normalize", "Dropout")
NAMES = ("embeddings", "embedding.weight")
"""What the table of vectors is called in its file."""

NO_TOKENIZER = "has no tokenizer.json beside its vectors, so texts cannot be read"


def claims(repository: Repository) -> bool:
    """Whether a repository holds static embeddings, by either of its descriptions."""
    kinds = _kinds(repository.descriptions.get("modules.json"))
    ours = kinds[:1] and kinds[0].startswith("sentence_transformers.") and kinds[0].endswith(f".{STATIC}")
    return repository.config.get("model_type") == MODEL2VEC or bool(ours)


def _kinds(modules: Any) -> list[str]:
    listed = modules if isinstance(modules, list) and all(isinstance(one, dict) for one in modules) else []
    return [str(one.get("type", "")) for one in listed]


def place_of(modules: Any) -> tuple[str, bool]:
    """Return the folder of the vectors within, with a slash at its end or "", and whether rows are normalised."""
    names = [kind.rsplit(".", 1)[-1] for kind in _kinds(modules)]
    if not names or names[0] != STATIC:
        return "", False
    if set(names[1:]) - set(BEHIND):
        raise CheckpointError(
            "unsupported", f"has the modules {', '.join(names)}; behind a {STATIC} only {' and '.join(BEHIND)} are read"
        )
    path = Path(str(modules[0].get("path", "")))
    if path.is_absolute() or ".." in path.parts:
        raise CheckpointError("corrupt", f"has a modules.json that points out of its folder: {str(path)!r}")
    return f"{path.as_posix()}/" if path.parts else "", "Normalize" in names


def files(repository: Repository, options: BackboneOptions) -> list[str]:
    """Return the files to download: the vectors, the tokenizer and the descriptions."""
    within, _ = place_of(repository.descriptions.get("modules.json"))
    weights = repository.weights(allow_pickle=False, folder=within)
    tokenizer = f"{within}tokenizer.json"
    if tokenizer not in repository:
        raise CheckpointError("no_preprocessor", NO_TOKENIZER)
    small = [name for name in ("config.json", "modules.json") if name in repository]
    return [*weights, tokenizer, *small]


def load(folder: Path, task: Task, options: BackboneOptions) -> Backbone:
    """Return a backbone from a folder."""
    from hf_transfer_score.backbones.static_backbone import StaticBackbone, TokenVectors

    if options.pooling not in ("auto", "mean"):
        raise CheckpointError("unsupported", f"has no order of tokens: pooling={options.pooling!r} has no meaning")
    if options.layer not in (LAST, ALL, MEAN, 0):
        raise CheckpointError("unsupported", f"has the layer 0 only, and layer {options.layer} was asked for")
    config, modules = _described(folder)
    within, normalised = place_of(modules)
    own = config.get("model_type") == MODEL2VEC
    normalised = bool(config.get("normalize")) if own else normalised
    vectors = TokenVectors(**_tensors(folder / within), normalised=normalised).eval()
    tokenizer = _tokenizer(folder / within)
    if tokenizer.get_vocab_size() > vectors.tokens:
        raise CheckpointError(
            "corrupt", f"has a tokenizer of {tokenizer.get_vocab_size():,} tokens and vectors of {vectors.tokens:,}"
        )
    return StaticBackbone(vectors, tokenizer, config if own else {}, options, words=task.unit == "word", own=own)


def _described(folder: Path) -> tuple[dict[str, Any], Any]:
    config = read_json(folder) if (folder / "config.json").exists() else {}
    path = folder / "modules.json"
    try:
        return config, read_description(path) if path.exists() else None
    except (UnreadableError, OSError) as error:
        raise CheckpointError("corrupt", f"has a modules.json {why_unread(error)}") from error


def _tensors(folder: Path) -> dict[str, Any]:
    """Return the table of vectors, and where there are any the weights of tokens and which vector each has."""
    from safetensors.torch import load_file

    shapes = weight_shapes(folder)
    name = next((one for one in NAMES if len(shapes.get(one, ())) == 2), None)
    if name is None:
        raise CheckpointError("corrupt", f"has no table of vectors ({' or '.join(NAMES)}) in a model.safetensors")
    with loading_errors("safetensors"):
        found = load_file(str(folder / "model.safetensors"))
    return {"table": found[name], "weights": found.get("weights"), "mapping": found.get("mapping")}


def _tokenizer(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    if not (folder / "tokenizer.json").exists():
        raise CheckpointError("no_preprocessor", NO_TOKENIZER)
    read_json(folder, "tokenizer.json")
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises nothing narrower
        raise CheckpointError("no_preprocessor", f"has no tokenizer that can be loaded: {error}") from error
    tokenizer.no_padding()
    return tokenizer


KIND = BackboneKind("static_embeddings", "text", claims, files, load, priority=2, library=MODEL2VEC)
