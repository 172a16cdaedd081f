"""Weights of text encoders in packages, and their conversion to checkpoints of transformers."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.archives import Archive
from benchmarks.evidence.encoders import BESIDE, TOKENIZER

Array = NDArray[np.float32]
SPECIAL = ("[PAD]", "[UNK]")
T5_PARTS = (
    *(f"0.SelfAttention.{name}" for name in "qkvo"),
    *(f"1.DenseReluDense.{name}" for name in ("wi_0", "wi_1", "wo")),
)
"""The matrices of a layer, in the order of use."""


def write_folder(archive: Archive, member: str, place: Path, tokenizer: Path) -> None:
    """Write a checkpoint that an archive contains in the Hub's format."""
    for name in archive.names():
        within = name.removeprefix(member)
        if name.startswith(member) and within and not within.endswith((".md", ".gitattributes", "/", ".py")):
            (place / within).parent.mkdir(parents=True, exist_ok=True)
            (place / within).write_bytes(archive.read(name))


def write_bert(archive: Archive, member: str, place: Path, tokenizer: Path) -> None:
    """Write a BERT from an ONNX file; without a tokenizer beside it, it gets the fallback."""
    from transformers import BertConfig, BertModel

    state = _named(archive, member)
    words, width = state["embeddings.word_embeddings.weight"].shape
    layers = len({name.split(".")[2] for name in state if name.startswith("encoder.layer.")})
    inner = len(state["encoder.layer.0.intermediate.dense.bias"])
    config = BertConfig(
        vocab_size=words, hidden_size=width, num_hidden_layers=layers, num_attention_heads=12, intermediate_size=inner
    )
    _save(BertModel(config, add_pooling_layer=False), state, place)
    beside = [name for name in archive.names() if name.rsplit("/", 1)[-1] in TOKENIZER]
    for name in beside:
        (place / name.rsplit("/", 1)[-1]).write_bytes(archive.read(name))
    if not beside:
        _copy(tokenizer, place)


def write_t5(archive: Archive, member: str, place: Path, tokenizer: Path) -> None:
    """Write the encoder of a T5 with unnamed matrices, which come in the order of use."""
    from transformers import T5Config, T5EncoderModel

    graph = _Graph(archive, member)
    state = {name.removeprefix("enc."): value for name, value in graph.named().items()}
    layers = len({name.split(".")[1] for name in state if name.startswith("block.")})
    names = [f"block.{layer}.layer.{part}.weight" for layer in range(layers) for part in T5_PARTS]
    state |= {name: matrix.T for name, matrix in zip(names, graph.matrices(), strict=True)}
    words, width = state["embed_tokens.weight"].shape
    heads = state["block.0.layer.0.SelfAttention.relative_attention_bias.weight"].shape[1]
    config = T5Config(
        vocab_size=words,
        d_model=width,
        d_kv=len(state[names[0]]) // heads,
        d_ff=len(state[names[4]]),
        num_layers=layers,
        num_heads=heads,
        feed_forward_proj="gated-gelu",
    )
    encoder = {f"encoder.{name}": value for name, value in state.items()}
    model = T5EncoderModel(config)
    model.config.is_encoder_decoder = True  # as in such checkpoints of the Hub
    _save(model, {**encoder, "shared.weight": state["embed_tokens.weight"]}, place)
    name = f"{member.rsplit('/', 1)[0]}/tokenizer.json"
    (place / "tokenizer.json").write_bytes(archive.read(name))
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    told = {"tokenizer_class": "PreTrainedTokenizerFast", **special, "model_max_length": 512}
    (place / "tokenizer_config.json").write_text(json.dumps(told))


def write_vectors(archive: Archive, member: str, place: Path, tokenizer: Path) -> None:
    """Write word vectors as a BERT with one layer that adds nothing: it scales the vectors and takes the mean."""
    import pyarrow.parquet
    import torch
    from transformers import BertConfig, BertModel

    index = next(name for name in archive.names() if name.endswith("_index.parquet"))
    words = pyarrow.parquet.read_table(io.BytesIO(archive.read(index))).column("index").to_pylist()
    vectors = np.load(io.BytesIO(archive.read(member))).astype(np.float32)
    vectors = np.concatenate([np.zeros((len(SPECIAL), vectors.shape[1]), np.float32), vectors])
    count, width = vectors.shape
    config = BertConfig(
        vocab_size=count, hidden_size=width, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4 * width
    )
    torch.manual_seed(0)
    state = {name: np.asarray(value) for name, value in BertModel(config, add_pooling_layer=False).state_dict().items()}
    nothing = ("position_embeddings.weight", "token_type_embeddings.weight", "output.dense.weight", "output.dense.bias")
    state = {name: np.zeros_like(value) if name.endswith(nothing) else value for name, value in state.items()}
    state["embeddings.word_embeddings.weight"] = vectors
    _save(BertModel(config, add_pooling_layer=False), state, place)
    _write_words([*SPECIAL, *words], place)


def _write_words(words: list[Any], place: Path) -> None:
    """Write a tokenizer of whole words in lower case."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({str(word): number for number, word in enumerate(words)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", model_max_length=512
    ).save_pretrained(place)


def _copy(tokenizer: Path, place: Path) -> None:
    """Copy a tokenizer and the setting that sentences are the mean of their tokens."""
    for name in (*BESIDE, *TOKENIZER):
        source = tokenizer / name
        if source.is_dir():
            shutil.copytree(source, place / name, dirs_exist_ok=True)
        elif source.is_file():
            shutil.copy(source, place / name)


def _save(model: Any, state: Mapping[str, Array], place: Path) -> None:
    """Save a model with all of its weights set; other weights belong to a head and are left out."""
    import torch

    wanted = model.state_dict()
    given = {name: torch.from_numpy(np.ascontiguousarray(state[name])) for name in wanted if name in state}
    lacking = set(wanted) - set(given)
    if lacking:
        raise ValueError(f"No weights were found for {', '.join(sorted(lacking)[:5])} ({len(lacking)} in all).")
    model.load_state_dict(given)
    model.eval().save_pretrained(place)


def _named(archive: Archive, member: str) -> dict[str, Array]:
    """Return the weights of a BERT by their names in transformers."""
    graph = _Graph(archive, member)
    state = {**graph.named(), **graph.named_by_bias()}
    start = next(name for name in state if name.endswith("embeddings.LayerNorm.weight"))
    prefix = start.removesuffix("embeddings.LayerNorm.weight")
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


class _Graph:
    """An ONNX graph whose weights may be quantised."""

    def __init__(self, archive: Archive, member: str) -> None:
        import onnx
        from onnx import numpy_helper

        self.graph = onnx.load_model_from_string(archive.read(member)).graph
        self.values = {one.name: numpy_helper.to_array(one) for one in self.graph.initializer}
        self.makers = {name: node for node in self.graph.node for name in node.output}

    def named(self) -> dict[str, Array]:
        """Return named weights in full precision."""
        found = {}
        for name, value in self.values.items():
            for ending in ("_quantized", "_q"):
                if name.endswith(f"weight{ending}"):
                    found[name.removesuffix(ending)] = self._unpacked(name.removesuffix(ending))
            if name.endswith((".weight", ".bias")):
                found[name] = value.astype(np.float32)
        return found

    def named_by_bias(self) -> dict[str, Array]:
        """Return the matrices that are followed by a named bias, in PyTorch's layout."""
        found = {}
        for node in self.graph.node:
            biases = [name for name in node.input if name in self.values and name.endswith(".bias")]
            if node.op_type == "Add" and biases:
                other = next(name for name in node.input if name not in biases)
                matrix = self._matrix(self.makers[other])
                if matrix is not None:
                    found[f"{biases[0].removesuffix('bias')}weight"] = matrix.T
        return found

    def matrices(self) -> Iterable[Array]:
        """Return all multiplied matrices, in the order of use."""
        found = (self._matrix(node) for node in self.graph.node if "MatMul" in node.op_type)
        return [matrix for matrix in found if matrix is not None]

    def _matrix(self, node: Any) -> Array | None:
        """Return the weights (in, out) of a multiplication; None if it has none."""
        if node.op_type not in ("MatMul", "MatMulInteger", "MatMulNBits"):
            return None
        name = node.input[1]
        if node.op_type == "MatMulNBits":
            return from_four_bits(*(self.values[one] for one in node.input[1:3]))
        for ending in ("_quantized", "_q"):
            if f"{name.removesuffix('_quantized')}{ending}" in self.values:
                return self._unpacked(name.removesuffix("_quantized"))
        return self.values[name].astype(np.float32) if name in self.values else None

    def _unpacked(self, name: str) -> Array:
        kept = next(self.values[one] for one in (f"{name}_quantized", f"{name}_q") if one in self.values)
        zero = self.values.get(f"{name}_zero_point", np.zeros((), kept.dtype))
        return from_eight_bits(kept, zero, self.values[f"{name}_scale"])


def from_eight_bits(kept: NDArray[Any], zero: NDArray[Any], scale: Array) -> Array:
    """Return values stored in 8 bits, with one scale for all or one per row or column.

    Example:
        >>> from_eight_bits(np.array([128, 130], np.uint8), np.uint8(128), np.float32(0.5)).tolist()
        [0.0, 1.0]
    """
    return np.asarray((kept.astype(np.float32) - np.float32(zero)) * scale, np.float32)


def from_four_bits(packed: NDArray[np.uint8], scales: Array) -> Array:
    """Return a matrix (in, out) stored in 4 bits: rows of blocks of bytes (out, B, S) with one scale per block.

    Example:
        >>> from_four_bits(np.array([[[0x98, 0x7A]]], np.uint8), np.array([[0.5]], np.float32)).T.tolist()
        [[0.0, 0.5, 1.0, -0.5]]
    """
    values = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:2], -1).astype(np.float32) - 8
    return np.asarray((values * scales[..., None]).reshape(len(packed), -1).T, np.float32)
