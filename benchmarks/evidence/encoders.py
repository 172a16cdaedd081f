"""Text encoders: a real MiniLM cut after some layers, with reinitialised parts."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

from benchmarks.evidence.zoo import TextMember

BESIDE = ("1_Pooling", "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")
"""The files of a sentence-transformers folder: the model reads 256 tokens and takes their mean."""
TOKENIZER = ("special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt")


def write_encoder(member: TextMember, minilm: Path, folder: Path) -> None:
    """Write an encoder as a checkpoint of transformers, unless it exists."""
    import torch
    from transformers import AutoModel
    from transformers.models.bert.modeling_bert import BertModel

    place = folder / member.name
    if (place / "model.safetensors").is_file():
        return
    model = AutoModel.from_pretrained(minilm)
    model.pooler, model.config.num_hidden_layers = None, member.layers
    model.encoder.layer = model.encoder.layer[: member.layers]
    torch.manual_seed(zlib.crc32(member.name.encode()))
    fresh = BertModel(model.config, add_pooling_layer=False)
    for number in range(member.layers - member.anew, member.layers):
        model.encoder.layer[number].load_state_dict(fresh.encoder.layer[number].state_dict())
    if not member.embeddings:
        model.embeddings.load_state_dict(fresh.embeddings.state_dict())
    place.mkdir(parents=True, exist_ok=True)
    for name in (*BESIDE, *TOKENIZER):
        source = minilm / name
        if source.is_dir():
            shutil.copytree(source, place / name, dirs_exist_ok=True)
        elif source.is_file():
            shutil.copy(source, place / name)
    model.save_pretrained(place)
