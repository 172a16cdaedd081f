"""Tiny text checkpoints with random weights, as transformers and sentence-transformers save them."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = (
    "the quick brown fox jumps over the lazy dog",
    "a film that is good, warm and full of wit",
    "a bad film: slow, cold and far too long",
    "Berlin and Paris are towns; Ada Lovelace lived in London",
    "which checkpoint should I fine-tune on my own data?",
    "one two three four five six seven eight nine ten",
)
WIDTH = 16
LAYERS = 2


def wordpiece_tokenizer() -> Any:
    """BERT's kind: [CLS] text [SEP], and pairs as [CLS] text [SEP] text [SEP] with two types."""
    letters = sorted({letter for text in CORPUS for letter in text.lower() if letter != " "})
    parts = ["the", "fox", "##ow", "##er", "##ick", "film", "is", "go", "##od", "and", "town", "##s"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *parts]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.BertTokenizerFast(tokenizer_object=tokenizer)


def _bytes(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def gpt2_tokenizer() -> Any:
    """GPT-2's kind: bytes, no token around a text, none for padding."""
    return transformers.GPT2TokenizerFast(tokenizer_object=_bytes(["<|endoftext|>"]))


def roberta_tokenizer() -> Any:
    """RoBERTa's and BART's kind: bytes, and <s> text </s>."""
    tokenizer = _bytes(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return transformers.RobertaTokenizerFast(tokenizer_object=tokenizer)


def _unigram(special: list[str]) -> Tokenizer:
    """Pieces of one to four letters, the same in every process: what training finds depends on the order of a hash."""
    words = [f"▁{word}" for text in CORPUS for word in text.split()]
    pieces = Counter(word[at : at + long] for word in words for long in range(1, 5) for at in range(len(word)))
    kept = sorted(pieces, key=lambda piece: (len(piece) > 1, -len(piece) * pieces[piece], piece))[: 90 - len(special)]
    scores = [(piece, math.log(pieces[piece] / pieces.total())) for piece in kept]
    tokenizer = Tokenizer(models.Unigram([*((one, 0.0) for one in special), *scores], special.index("<unk>")))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def t5_tokenizer() -> Any:
    """T5's kind: text </s>, and pairs as text </s> text </s>."""
    tokenizer = _unigram(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def llama_tokenizer() -> Any:
    """Llama's kind: <s> text, and no token for padding."""
    tokenizer = _unigram(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@dataclass(frozen=True)
class TextFamily:
    """How a family's tiny checkpoint is made: the stem of its classes, its tokenizer and its configuration."""

    stem: str
    tokenizer: Any
    config: dict[str, Any]
    bare: str = "Model"


_USUAL = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}
_BART = {
    "d_model": WIDTH,
    "encoder_layers": LAYERS,
    "decoder_layers": LAYERS,
    "max_position_embeddings": 64,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": None,
}
FAMILIES: dict[str, TextFamily] = {
    "bert": TextFamily("Bert", wordpiece_tokenizer, _USUAL),
    "roberta": TextFamily("Roberta", roberta_tokenizer, _USUAL | {"max_position_embeddings": 66, "pad_token_id": 1}),
    "distilbert": TextFamily(
        "DistilBert",
        wordpiece_tokenizer,
        {"dim": WIDTH, "n_layers": LAYERS, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64},
    ),
    "gpt2": TextFamily(
        "GPT2",
        gpt2_tokenizer,
        {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": 2, "n_positions": 64, "bos_token_id": 0, "eos_token_id": 0},
    ),
    "llama": TextFamily("Llama", llama_tokenizer, _USUAL | {"num_key_value_heads": 1}, "ForCausalLM"),
    "t5": TextFamily(
        "T5",
        t5_tokenizer,
        {"d_model": WIDTH, "num_layers": LAYERS, "num_heads": 2, "d_kv": 8, "d_ff": 32, "decoder_start_token_id": 0},
        "ForConditionalGeneration",
    ),
    "bart": TextFamily("Bart", roberta_tokenizer, _BART),
    "convbert": TextFamily("ConvBert", wordpiece_tokenizer, _USUAL | {"embedding_size": WIDTH, "head_ratio": 1}),
}


def write_text(folder: Path, family: str = "bert", *, head: str = "", seed: int = 0, **config: Any) -> Path:
    """Write a checkpoint of a family of FAMILIES, and return its folder.

    The head is the end of a class name such as "ForSequenceClassification", or "" for the family's bare form; `config`
    has more settings, such as num_labels=3.
    """
    made = FAMILIES[family]
    tokenizer = made.tokenizer()
    settings = {"vocab_size": len(tokenizer), **made.config, **config}
    model = getattr(transformers, made.stem + (head or made.bare))
    return _saved(model(getattr(transformers, f"{made.stem}Config")(**settings)), tokenizer, folder, seed)


def write_clip(folder: Path, *, seed: int = 0) -> Path:
    """Write a checkpoint with a text tower and an image tower, without an image processor."""
    tokenizer = roberta_tokenizer()
    text = _USUAL | {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    vision = _USUAL | {"image_size": 16, "patch_size": 8}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    return _saved(transformers.CLIPModel(config), tokenizer, folder, seed)


def write_siglip(
    folder: Path, *, second: bool = False, alone: bool = False, side: str = "right", seed: int = 0
) -> Path:
    """Write a SigLIP (or a SigLIP 2) with both towers, or its text tower alone; texts are padded on a side."""
    tokenizer = t5_tokenizer()
    tokenizer.padding_side = side
    text = _USUAL | {"vocab_size": len(tokenizer), "projection_size": 12, "pad_token_id": 0}
    text |= {"bos_token_id": 1, "eos_token_id": 1, "max_position_embeddings": 24}
    vision = _USUAL | {"image_size": 16, "patch_size": 8}
    vision |= {"num_patches": 4} if second else {}
    stem = "Siglip2" if second else "Siglip"
    config = getattr(transformers, f"{stem}Config")(text_config=text, vision_config=vision)
    model = getattr(transformers, f"{stem}{'Text' if alone else ''}Model")(config.text_config if alone else config)
    return _saved(model, tokenizer, folder, seed)


def write_clap(folder: Path, *, alone: bool = False, seed: int = 0) -> Path:
    """Write a CLAP with both towers, or its text tower with its projection."""
    tokenizer = roberta_tokenizer()
    text = _USUAL | {"vocab_size": len(tokenizer), "max_position_embeddings": 66, "projection_dim": 8}
    text |= {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    sound = {"spec_size": 32, "num_mel_bins": 8, "patch_embeds_hidden_size": 8, "depths": [1, 1], "window_size": 4}
    sound |= {"num_attention_heads": [2, 2], "hidden_size": 16, "projection_dim": 8, "num_hidden_layers": 2}
    config = transformers.ClapConfig(text_config=text, audio_config=sound, projection_dim=8)
    model = transformers.ClapTextModelWithProjection if alone else transformers.ClapModel
    return _saved(model(config.text_config if alone else config), tokenizer, folder, seed)


def _saved(model: torch.nn.Module, tokenizer: Any, folder: Path, seed: int) -> Path:
    randomise(model, seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def randomise(model: torch.nn.Module, seed: int = 0) -> None:
    """Give a model weights so large that every token and layer makes a difference one can see."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.25, generator=generator)
            elif name.endswith("bias"):
                weight.normal_(0, 0.1, generator=generator)


OLD_MODES = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


def write_sentence_folder(
    folder: Path,
    family: str = "bert",
    *,
    modes: Sequence[str] = ("mean",),
    dense: int = 0,
    normalize: bool = True,
    new_layout: bool = False,
    max_seq_length: int | None = None,
    do_lower_case: bool = False,
    inside: str = "",
    seed: int = 0,
) -> Path:
    """Write a folder as sentence-transformers saves it, and return it.

    Several pooling modes are concatenated; `dense` is the width of a dense layer, 0 for none; `new_layout` has the
    names of version 5.5 and later; `inside` is the subfolder of the transformer, such as "0_Transformer".
    """
    write_text(folder / inside, family, seed=seed)
    settings = {"max_seq_length": max_seq_length, "do_lower_case": do_lower_case}
    _write_json(folder / inside / "sentence_bert_config.json", settings)
    old = {"word_embedding_dimension": WIDTH, **{key: mode in modes for mode, key in OLD_MODES.items()}}
    new = {"embedding_dimension": WIDTH, "pooling_mode": modes[0] if len(modes) == 1 else list(modes)}
    parts = [("Transformer", inside), ("Pooling", "1_Pooling")]
    _write_json(folder / "1_Pooling" / "config.json", new if new_layout else old)
    if dense:
        parts.append(("Dense", f"{len(parts)}_Dense"))
        _write_dense(folder / parts[-1][1], WIDTH * len(modes), dense, seed)
    if normalize:
        parts.append(("Normalize", f"{len(parts)}_Normalize"))
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": _type_name(name, new_layout)}
        for number, (name, path) in enumerate(parts)
    ]
    _write_json(folder / "modules.json", modules)
    return folder


def _type_name(name: str, new_layout: bool) -> str:
    if not new_layout:
        return f"sentence_transformers.models.{name}"
    part = "sentence_transformer" if name == "Pooling" else "base"
    return f"sentence_transformers.{part}.modules.{name.lower()}.{name}"


def _write_dense(folder: Path, width: int, out: int, seed: int) -> None:
    layer = torch.nn.Linear(width, out)
    randomise(layer, seed)
    activation = "torch.nn.modules.activation.Tanh"
    settings = {"in_features": width, "out_features": out, "bias": True, "activation_function": activation}
    _write_json(folder / "config.json", settings)
    weights = {f"linear.{name}": value.contiguous() for name, value in layer.state_dict().items()}
    save_file(weights, str(folder / "model.safetensors"))


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
