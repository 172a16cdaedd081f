"""Text models of transformers: which class loads a checkpoint, and what of its output are states and logits."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hf_transfer_score.backbones.base import LAST, BackboneOptions
from hf_transfer_score.backbones.loading import load_config, load_transformers, loading_errors

if TYPE_CHECKING:
    from torch import Tensor

Shape = Literal["encoder", "decoder", "encoder-decoder", "tower"]

TOWERS = {"clip": "CLIPTextModel"}
"""Models of images and texts whose text tower is read, by model_type, with the class of the tower."""

CLASS_TOKEN_LAST = ("xlnet",)
"""Architectures that read both ways and have their class token at the end, by model_type."""

SEQUENCE_HEAD, TOKEN_HEAD = "ForSequenceClassification", "ForTokenClassification"


@cache
def text_types() -> frozenset[str]:
    """Return the model_types of transformers that read texts and nothing else."""
    from transformers.models.auto import modeling_auto as auto

    def names(*tasks: str) -> set[str]:
        return {name for task in tasks for name in getattr(auto, f"MODEL_FOR_{task}_MAPPING_NAMES", ())}

    texts = names("MASKED_LM", "CAUSAL_LM", "SEQUENCE_CLASSIFICATION", "SEQ_TO_SEQ_CAUSAL_LM", "TEXT_ENCODING")
    others = names("AUDIO_CLASSIFICATION", "CTC", "SPEECH_SEQ_2_SEQ", "IMAGE_CLASSIFICATION", "MULTIMODAL_LM")
    others |= names("IMAGE_TEXT_TO_TEXT", "VISION_2_SEQ")
    return frozenset((texts & set(auto.MODEL_MAPPING_NAMES)) - others | set(TOWERS))


def shape_of(config: Any) -> Shape:
    """Return how a model reads a text: both ways, from the left, or with an encoder before a decoder."""
    from transformers.models.auto import modeling_auto as auto

    if config.model_type in TOWERS:
        return "tower"
    if getattr(config, "is_encoder_decoder", False):
        return "encoder-decoder"
    causal = config.model_type in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if config.model_type in (*auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES, *CLASS_TOKEN_LAST):
        return "encoder"
    known = causal or config.model_type in auto.MODEL_MAPPING_NAMES
    remote = any(name.endswith("ForCausalLM") for name in getattr(config, "architectures", None) or ())
    return "decoder" if causal or (remote and not known) else "encoder"


def head_of(config: Any, *, words: bool) -> str:
    """Return the end of the class name of a head that says something about rows of this unit, "" where there is none.

    Heads for regression and for several labels at once are no heads here: what they say are no probabilities.
    """
    head = TOKEN_HEAD if words else SEQUENCE_HEAD
    several = getattr(config, "problem_type", None) in ("regression", "multi_label_classification")
    ours = any(name.endswith(head) for name in getattr(config, "architectures", None) or ())
    return head if ours and not several and getattr(config, "num_labels", 0) > 1 else ""


@dataclass
class TextModel:
    """A loaded text model.

    Attributes:
        module: the whole, with its head where that is run.
        body: the part of it whose states are features.
        shape: how it reads a text.
        head: the end of the class name of its head, "" without one.
        config: its configuration.
    """

    module: Any
    body: Any
    shape: Shape
    head: str
    config: Any

    @property
    def classes(self) -> int:
        """How many classes its head has, 0 without one."""
        return int(self.config.num_labels) if self.head else 0

    @property
    def vocabulary(self) -> int:
        """How many tokens it has embeddings for."""
        return int(self.body.get_input_embeddings().weight.shape[0])

    @property
    def token_types(self) -> int:
        """How many types of tokens it takes, 0 where it takes none."""
        if "token_type_ids" not in inspect.signature(self.module.forward).parameters:
            return 0
        return int(getattr(self.config, "type_vocab_size", None) or 0)

    @property
    def longest(self) -> int | None:
        """How many tokens it can take, None where nothing says so."""
        for name, part in self.body.named_modules():
            offset = getattr(part, "padding_idx", None) if name.endswith("position_embeddings") else None
            if offset is not None:  # RoBERTa and its kin count positions from behind the number of the padding
                return int(part.weight.shape[0] - offset - 1)
        config = self.body.config
        found = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions", "seq_length")]
        return next((int(one) for one in found if isinstance(one, int) and one > 0), None)

    def run(
        self, numbers: Tensor, mask: Tensor, types: Tensor | None, layer: str | int
    ) -> tuple[Tensor, tuple[Tensor, ...] | None, Tensor | None]:
        """Return the last states (B, T, D), those of all layers if `layer` needs them, and logits of a head."""
        inputs: dict[str, Any] = {"input_ids": numbers, "attention_mask": mask.long(), "return_dict": True}
        if types is not None:
            inputs["token_type_ids"] = types
        if layer != LAST:
            inputs["output_hidden_states"] = True
        if self.head:
            from hf_transfer_score.backbones.pooling import run_to_logits

            output, logits = run_to_logits(self.module, self.body, inputs)
        else:
            output, logits = self.module(**inputs), None
        last = getattr(output, "encoder_last_hidden_state", None)
        if last is not None:
            return last, getattr(output, "encoder_hidden_states", None), logits
        return output.last_hidden_state, getattr(output, "hidden_states", None), logits


def load_text_model(folder: Path, options: BackboneOptions, *, words: bool) -> TextModel:
    """Return the text model in a folder, with its head if that fits the unit of rows; raises CheckpointError."""
    config = load_config(folder, options)
    shape, head = shape_of(config), head_of(config, words=words)
    found = _with_head(folder, config, options, shape, head) if head else None
    return found or load_bare(folder, config, options, shape)


def _with_head(folder: Path, config: Any, options: BackboneOptions, shape: Shape, head: str) -> TextModel | None:
    import transformers

    auto = getattr(transformers, "AutoModel" + head)
    remote = "AutoModel" + head in (getattr(config, "auto_map", None) or {})
    if type(config) not in auto._model_mapping and not (remote and options.trust_remote_code):
        return None
    loaded = load_transformers(auto, folder, config, options)
    body = getattr(loaded.model, loaded.model.base_model_prefix, None)
    if loaded.missing or body is None:
        return None  # a head of random weights says nothing; whether the body is whole is seen when it is loaded alone
    return TextModel(loaded.model, body, shape, head, loaded.model.config)


def load_bare(folder: Path, config: Any, options: BackboneOptions, shape: Shape) -> TextModel:
    """Return the text model in a folder without any head; raises CheckpointError."""
    import transformers

    if shape == "tower":
        tower = getattr(transformers, TOWERS[config.model_type])
        loaded = load_transformers(tower, folder, config.text_config, options)
        loaded.require()
        return TextModel(loaded.model, loaded.model, shape, "", loaded.model.config)
    encoder_only = type(config) in transformers.AutoModelForTextEncoding._model_mapping
    cut = shape == "encoder-decoder"
    auto = transformers.AutoModelForTextEncoding if cut and encoder_only else transformers.AutoModel
    loaded = load_transformers(auto, folder, config, options)
    # no feature passes through the pooler behind the last states, nor through decoders behind encoders
    loaded.require(lambda name: "pooler." in name or name.startswith(("decoder.", "model.decoder.")))
    with loading_errors("transformers"):
        model = loaded.model.get_encoder() if cut else loaded.model
    return TextModel(model, model, shape, "", loaded.model.config)
