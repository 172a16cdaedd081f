"""Tiny audio checkpoints with random weights, as transformers saves them."""

from pathlib import Path
from typing import Any

import transformers

from tests.checkpoints.texts import randomise

RATE = 16_000
_SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
_WAVES = _SIZES | {
    "conv_dim": (8, 8, 8),
    "conv_kernel": (10, 8, 4),
    "conv_stride": (10, 8, 4),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
_WHISPER = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "num_mel_bins": 8,
    "max_source_positions": 100,
    "vocab_size": 20,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "begin_suppress_tokens": None,
    "classifier_proj_size": 8,
}
_PATCHES = _SIZES | {"num_mel_bins": 16, "max_length": 64, "patch_size": 8, "frequency_stride": 8, "time_stride": 4}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2": ("Wav2Vec2", _WAVES),
    "wav2vec2-layer": ("Wav2Vec2", _WAVES | {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "hubert": ("Hubert", _WAVES),
    "wavlm": ("WavLM", _WAVES | {"num_buckets": 16}),
    "wavlm-layer": ("WavLM", _WAVES | {"num_buckets": 16, "feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "wav2vec2-bert": ("Wav2Vec2Bert", _SIZES | {"feature_projection_input_dim": 160}),
    "sew": ("SEW", _WAVES | {"squeeze_factor": 2}),
    "whisper": ("Whisper", _WHISPER),
    "ast": ("AST", _PATCHES),
}


def write_sound(folder: Path, family: str = "wav2vec2", *, head: str = "", seed: int = 0, **config: Any) -> Path:
    """Write a checkpoint of a family of FAMILIES, and return its folder.

    "wav2vec2" has its norm over time, "wav2vec2-layer" over channels. The head is the end of a class name such as
    "ForSequenceClassification", or "" for the bare model; `config` has more settings, such as num_labels=3.
    """
    stem, settings = FAMILIES[family]
    made = getattr(transformers, f"{stem}Config")(**{**settings, **config})
    model = getattr(transformers, stem + (head or "Model"))(made)
    randomise(model, seed)
    model.save_pretrained(folder)
    _extractor(family).save_pretrained(folder)
    return folder


def _extractor(family: str) -> Any:
    if family == "whisper":
        return transformers.WhisperFeatureExtractor(feature_size=8, chunk_length=2)
    if family == "ast":
        return transformers.ASTFeatureExtractor(num_mel_bins=16, max_length=64)
    if family == "wav2vec2-bert":
        return transformers.SeamlessM4TFeatureExtractor()
    return transformers.Wav2Vec2FeatureExtractor(return_attention_mask=family.endswith("layer"), do_normalize=True)
