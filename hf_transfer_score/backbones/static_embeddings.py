"""Static embeddings, a vector for each token and their mean for a text: folders of model2vec and similar ones.

A folder of model2vec has a `config.json` whose model_type is "model2vec"; one of sentence-transformers has a
`modules.json` that starts with a `StaticEmbedding`. Both are read without these packages. Unknown tokens are ignored in
the former, as in model2vec. A text without any token is a row of zeros.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_transfer_score.backbones.base import ALL, LAST, MEAN, Backbone, BackboneKind, BackboneOptions
from hf_transfer_score.backbones.loading import loading_errors, read_json, read_modules, weight_shapes
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.backbones.sentence_folders import module_folder, module_kinds
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Task

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MODEL2VEC = "model2vec"
STATIC, AFTER = "StaticEmbedding", ("Normalize", "Dropout")
NAMES = ("embeddings", "embedding.weight")
"""Names of the table of vectors in its file."""

NO_TOKENIZER = "has no tokenizer.json beside its vectors, so texts cannot be read"


def claims(repository: Repository) -> bool:
    """Whether a repository holds static embeddings, by either of its descriptions."""
    kinds = module_kinds(repository.descriptions.get("modules.json"))
    ours = kinds[:1] and kinds[0].startswith("sentence_transformers.") and kinds[0].endswith(f".{STATIC}")
    return repository.config.get("model_type") == MODEL2VEC or bool(ours)


def place_of(modules: Any) -> tuple[str, bool]:
    """Return the subfolder of the vectors, ending in a slash or "", and whether rows are normalised."""
    names = [kind.rsplit(".", 1)[-1] for kind in module_kinds(modules)]
    if not names or names[0] != STATIC:
        return "", False
    if set(names[1:]) - set(AFTER):
        raise CheckpointError(
            "unsupported", f"has the modules {', '.join(names)}; after a {STATIC} only {' and '.join(AFTER)} are read"
        )
    return module_folder(modules[0]), "Normalize" in names


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
        raise CheckpointError("unsupported", f"has only the layer 0, and layer {options.layer} was asked for")
    config = read_json(folder) if (folder / "config.json").exists() else {}
    within, normalised = place_of(read_modules(folder))
    own = config.get("model_type") == MODEL2VEC
    normalised = bool(config.get("normalize")) if own else normalised
    vectors = TokenVectors(**_tensors(folder / within), normalised=normalised).eval()
    tokenizer = _tokenizer(folder / within)
    if tokenizer.get_vocab_size() > vectors.tokens:
        raise CheckpointError(
            "corrupt", f"has a tokenizer of {tokenizer.get_vocab_size():,} tokens and vectors of {vectors.tokens:,}"
        )
    return StaticBackbone(vectors, tokenizer, config if own else {}, options, words=task.unit == "word", own=own)


def _tensors(folder: Path) -> dict[str, Any]:
    """Return the table of vectors, and the weights of tokens and the index of each token's vector, if any."""
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
