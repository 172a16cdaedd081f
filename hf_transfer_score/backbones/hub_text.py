"""Text models of transformers: encoders, decoders, and the encoders of encoder-decoders.

`pooling="auto"` is the mean over all tokens for encoders and for the encoders of encoder-decoders; the first token for
an encoder with a classification head, which reads it; the last token for decoders. Of models with a text tower and
another one, only the text tower is loaded, and read as `text_towers` says. Padding never counts, except for SigLIP,
which was trained to read it.
"""

from pathlib import Path
from typing import Any

from hf_transfer_score.backbones.base import Backbone, BackboneKind, BackboneOptions
from hf_transfer_score.backbones.loading import check_model_type, read_json
from hf_transfer_score.backbones.repository import PREPROCESSORS, Repository
from hf_transfer_score.backbones.text_models import NO_TOKENIZER, has_tokenizer, text_types
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Task


def claims(repository: Repository) -> bool:
    """Whether a repository holds a text model, or one of an unknown architecture with only a tokenizer."""
    model_type = repository.config.get("model_type")
    if not isinstance(model_type, str):
        return False
    if model_type in text_types():
        return True
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    others = any(name in repository for name in PREPROCESSORS)
    return model_type not in CONFIG_MAPPING_NAMES and has_tokenizer(list(repository.sizes)) and not others


def files(repository: Repository, options: BackboneOptions) -> list[str]:
    """Return the files to download: weights, descriptions and the tokenizer."""
    check_loadable(repository.config, options)
    if not has_tokenizer(list(repository.sizes)):
        raise CheckpointError("no_preprocessor", NO_TOKENIZER)
    return [*repository.weights(allow_pickle=options.allow_pickle), *other_files(repository, options)]


def other_files(repository: Repository, options: BackboneOptions) -> list[str]:
    """Return the small files, and the Python files where these may run."""
    return [*repository.small_files(), *(repository.code if options.trust_remote_code else ())]


def check_loadable(config: dict[str, Any], options: BackboneOptions) -> None:
    """Raise CheckpointError where config.json already shows that a checkpoint cannot be read."""
    quantised = config.get("quantization_config")
    if quantised:
        method = quantised.get("quant_method", "unknown method") if isinstance(quantised, dict) else quantised
        raise CheckpointError(
            "unsupported", f"has quantised weights ({method}), which are not read here; rank the model they came from"
        )
    check_model_type(config, options)


def load(folder: Path, task: Task, options: BackboneOptions) -> Backbone:
    """Return a backbone from a folder."""
    from hf_transfer_score.backbones.text_backbone import load_text_backbone

    check_loadable(read_json(folder), options)
    return load_text_backbone(folder, options, words=task.unit == "word")


KIND = BackboneKind("hub_text", "text", claims, files, load, library="transformers", large=True)
