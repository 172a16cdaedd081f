"""The backbone of all audio models: a sound gives the same row alone and in a batch."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from hf_transfer_score.backbones.base import LAST, BackboneOptions, BatchOutput
from hf_transfer_score.backbones.loading import has_head, head_modules, load_config, load_transformers, loading_errors
from hf_transfer_score.backbones.pooling import (
    back_in_order,
    groups_of,
    mask_of,
    padding_matters,
    pick_layers,
    pool,
    run_to_logits,
)
from hf_transfer_score.backbones.sounds import (
    FILTERBANK,
    MOST_SECONDS,
    SPECTROGRAM,
    WHISPER,
    Sound,
    SoundReader,
    load_extractor,
)
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Example, Waveform

HEADS = ("ForSequenceClassification", "ForAudioClassification")
UNUSED_WEIGHTS = ("masked_spec_embed", "pooler.")
"""Parts of names of weights that features do not depend on: the first is for training, the second comes later."""


@dataclass
class AudioModel:
    """A loaded audio model: the whole, the part whose states are features, and whether the whole has a head."""

    module: Any
    body: Any
    config: Any
    head: bool

    @property
    def classes(self) -> int:
        """How many classes its head has, 0 without one."""
        return int(self.config.num_labels) if self.head else 0

    def run(self, inputs: dict[str, Any], layer: str | int) -> tuple[dict[str, Tensor], Tensor | None]:
        """Return states by layer (B, T, D), and the logits if there is a head."""
        asked = inputs | {"return_dict": True, **({} if layer == LAST else {"output_hidden_states": True})}
        output, logits = run_to_logits(self.module, self.body, asked) if self.head else (self.module(**asked), None)
        return pick_layers(output.last_hidden_state, getattr(output, "hidden_states", None), layer), logits


class AudioBackbone:
    """A loaded audio model with its feature extractor.

    The last states of its `body` are the last block's output after the final norm. With `equal_lengths` a batch is
    split by length, because padding would change features.
    """

    def __init__(self, model: AudioModel, reader: SoundReader, options: BackboneOptions, *, pooling: str) -> None:
        self.module: torch.nn.Module = model.module
        self.body: torch.nn.Module = model.body
        self.source_classes = model.classes
        self.source_heads = head_modules(model.module, model.body)
        self._type = str(model.config.model_type)
        squeezed = getattr(model.config, "squeeze_factor", 1) > 1 or bool(getattr(model.config, "add_adapter", False))
        # padding changes these: a norm over time, or layers with other frames than the first
        self.equal_lengths = squeezed or getattr(model.config, "feat_extract_norm", None) == "group"
        self._model, self._reader, self._layer, self._pooling = model, reader, options.layer, pooling
        self.details: Mapping[str, Any] = {
            "pooling": pooling,
            "layer": options.layer,
            "rate": reader.rate,
            "max_seconds": MOST_SECONDS,
            "head": "audio classification" if model.head else None,
        }

    def encode(self, examples: Sequence[Example]) -> list[Any]:
        """Return the model's input for each sound."""
        return [self._reader.read(cast("Waveform", example)) for example in examples]

    def length(self, item: Sound) -> int:
        """Return the length of an item in time; 1 for all where their size is fixed."""
        return 1 if self._reader.fixed else len(item.values)

    def collate(self, items: Sequence[Sound]) -> dict[str, Any]:
        """Return padded values, the unpadded length of each, and the groups to run together."""
        real = np.asarray([item.real for item in items])
        if self._reader.fixed:
            values = np.stack([item.values for item in items])
            groups = [list(range(len(items)))]
        else:
            values = np.zeros((len(items), real.max(), *items[0].values.shape[1:]), dtype=np.float32)
            for row, item in enumerate(items):
                values[row, : item.real] = item.values
            groups = groups_of(real, len(items), equal=self.equal_lengths)
        return {"values": torch.from_numpy(values), "real": torch.from_numpy(real), "groups": groups}

    def forward(self, batch: Mapping[str, Any]) -> BatchOutput:
        """Run a batch: a row for each sound."""
        groups = batch["groups"]
        if len(groups) == 1:
            return self._run_group(batch["values"], batch["real"])
        parts = []
        for indices in groups:
            chosen = torch.as_tensor(indices, device=batch["values"].device)
            real = batch["real"][chosen]
            parts.append(self._run_group(batch["values"][chosen, : int(real.max())], real))
        order = back_in_order(groups).to(batch["values"].device)
        features = {name: torch.cat([part.features[name] for part in parts])[order] for name in parts[0].features}
        if parts[0].source_probs is None:
            return BatchOutput(features)
        return BatchOutput(features, torch.cat([cast("Tensor", part.source_probs) for part in parts])[order])

    def _run_group(self, values: Tensor, real: Tensor) -> BatchOutput:
        argument = "input_features" if self._type in (WHISPER, FILTERBANK) else "input_values"
        inputs: dict[str, Any] = {argument: values}
        if not self._reader.fixed and not self.equal_lengths:
            inputs["attention_mask"] = mask_of(real, values.shape[1]).long()
        with warnings.catch_warnings():  # WavLM passes torch masks of two types, which works
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
            layers, logits = self._model.run(inputs, self._layer)
        features = {name: self._pool(states, real) for name, states in layers.items()}
        return BatchOutput(features, None if logits is None else logits.float().softmax(-1))

    def pool_tokens(self, states: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Return one row per sound (B, C) from a block's frames (B, T, C), pooled as single layers are."""
        return self._pool(states, batch["real"])

    def _pool(self, states: Tensor, real: Tensor) -> Tensor:
        if self._type == SPECTROGRAM:
            return pool_patches(states, real, self._model.config, self._pooling)
        width = states.shape[1]
        if self._type == WHISPER:
            frames = ((real + 1) // 2).clamp(1, width)
        elif self.equal_lengths:
            frames = torch.full_like(real, width)
        else:
            frames = self._model.body._get_feat_extract_output_lengths(real).long().clamp(1, width)
        return pool(states, frames, self._pooling)


def pool_patches(states: Tensor, real: Tensor, config: Any, how: str) -> Tensor:
    """Return one row per spectrogram (B, D).

    Args:
        states: two class tokens and the patches, one frequency after the other (B, 2 + F * T, D).
        real: how many frames of each spectrogram are not padding (B,).
        config: the model's, for the size of patches and the distance between them.
        how: "cls" for the mean of the class tokens; "mean" or "max" over the patches that begin within the sound.
    """
    if how == "cls":
        return states[:, :2].float().mean(1)
    times = (config.max_length - config.patch_size) // config.time_stride + 1
    grid = states[:, 2:].float().unflatten(1, (-1, times))
    columns = grid.mean(1) if how == "mean" else grid.amax(1)
    inside = (real + config.time_stride - 1) // config.time_stride
    return pool(columns, inside.clamp(1, times), how)


def load_audio_backbone(folder: Path, options: BackboneOptions) -> AudioBackbone:
    """Return a backbone from a folder."""
    config, pooling = load_config(folder, options), options.pooling
    spectrogram = config.model_type == SPECTROGRAM
    if pooling == "auto":
        pooling = "cls" if spectrogram else "mean"
    elif spectrogram and pooling == "last":
        raise CheckpointError("unsupported", "has no order of its patches for pooling='last'; choose cls, mean or max")
    elif not spectrogram and pooling == "cls":
        raise CheckpointError("unsupported", "has no class token for pooling='cls'; choose mean, max or last")
    reader = SoundReader(load_extractor(folder, options), config)
    backbone = AudioBackbone(_load_model(folder, config, options), reader, options, pooling=pooling)
    noise = np.random.default_rng(0).standard_normal(reader.rate // 2, dtype=np.float32)
    short, long = (Waveform(noise[:size], reader.rate) for size in (len(noise) // 2, len(noise)))
    backbone.equal_lengths |= padding_matters(backbone, short, long)
    return backbone


def _load_model(folder: Path, config: Any, options: BackboneOptions) -> AudioModel:
    import transformers

    if has_head(config, HEADS) and type(config) in transformers.AutoModelForAudioClassification._model_mapping:
        loaded = load_transformers(transformers.AutoModelForAudioClassification, folder, config, options)
        if all(any(part in name for part in UNUSED_WEIGHTS) for name in loaded.missing):
            body = "encoder" if config.model_type == WHISPER else loaded.model.base_model_prefix
            return AudioModel(loaded.model, getattr(loaded.model, body), config, True)
    loaded = load_transformers(transformers.AutoModel, folder, config, options)
    cut = config.model_type == WHISPER
    loaded.require(lambda name: any(part in name for part in UNUSED_WEIGHTS) or (cut and name.startswith("decoder.")))
    with loading_errors("transformers"):
        model = loaded.model.get_encoder() if cut else loaded.model
    return AudioModel(model, model, config, False)
