"""Text models of transformers: loading by the right class, reading the outputs, and tokenising."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.backbones import loading
from hf_transfer_score.backbones.base import LAST, BackboneOptions
from hf_transfer_score.backbones.text_towers import TextTower, tower_of, tower_types
from hf_transfer_score.backbones.word_windows import central_window, window_bounds
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Words

if TYPE_CHECKING:
    from torch import Tensor

Shape = Literal["encoder", "decoder", "encoder-decoder", "tower"]

CLASS_TOKEN_LAST = ("xlnet",)
"""Bidirectional architectures with their class token at the end, by model_type."""

SEQUENCE_HEAD, TOKEN_HEAD = "ForSequenceClassification", "ForTokenClassification"

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "spiece.model", "merges.txt")

NO_TOKENIZER = (
    "has no tokenizer among its files (tokenizer.json, vocab.txt, spiece.model, ...), so texts cannot be read"
)
PROBE_WORDS = ("one", "film", "is", "good")

LETTERS_A_TOKEN = 64
"""Characters of a text that are read per token that is kept; real texts have four or five."""

Numbers = NDArray[np.int32]
_EMPTY: Numbers = np.zeros(0, dtype=np.int32)


@cache
def text_types() -> frozenset[str]:
    """Return the model_types of transformers that read only texts."""
    from transformers.models.auto import modeling_auto as auto

    def names(*tasks: str) -> set[str]:
        return {name for task in tasks for name in getattr(auto, f"MODEL_FOR_{task}_MAPPING_NAMES", ())}

    texts = names("MASKED_LM", "CAUSAL_LM", "SEQUENCE_CLASSIFICATION", "SEQ_TO_SEQ_CAUSAL_LM", "TEXT_ENCODING")
    others = names("AUDIO_CLASSIFICATION", "CTC", "SPEECH_SEQ_2_SEQ", "IMAGE_CLASSIFICATION", "MULTIMODAL_LM")
    others |= names("IMAGE_TEXT_TO_TEXT", "VISION_2_SEQ")
    return frozenset((texts & set(auto.MODEL_MAPPING_NAMES)) - others | tower_types())


def shape_of(config: Any) -> Shape:
    """Return how a model reads a text: in both directions, from the left, or by an encoder with a decoder."""
    from transformers.models.auto import modeling_auto as auto

    if tower_of(config.model_type) is not None:
        return "tower"
    classes = getattr(config, "architectures", None) or ()
    if getattr(config, "is_encoder_decoder", False) or any(name.endswith("EncoderModel") for name in classes):
        return "encoder-decoder"  # an encoder saved without its decoder is loaded in the same way
    causal = config.model_type in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if config.model_type in (*auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES, *CLASS_TOKEN_LAST):
        return "encoder"
    known = causal or config.model_type in auto.MODEL_MAPPING_NAMES
    remote = any(name.endswith("ForCausalLM") for name in classes)
    return "decoder" if causal or (remote and not known) else "encoder"


@dataclass
class TextModel:
    """A loaded text model, and the body whose states are features; `head` is the end of its head's class name."""

    module: Any
    body: Any
    shape: Shape
    head: str
    config: Any
    tower: TextTower | None = None

    @property
    def filled(self) -> int:
        """The length to which all texts are padded, with padding read like the rest; 0 where they are not."""
        return (self.longest or 0) if self.tower is not None and self.tower.fills else 0

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
        """How many token types it takes, 0 for none."""
        if "token_type_ids" not in inspect.signature(self.module.forward).parameters:
            return 0
        return int(getattr(self.config, "type_vocab_size", None) or 0)

    @property
    def longest(self) -> int | None:
        """How many tokens it takes, None where that is unknown."""
        for name, part in self.body.named_modules():
            offset = getattr(part, "padding_idx", None) if name.endswith("position_embeddings") else None
            if offset is not None:  # RoBERTa and related models number positions from after the padding id
                return int(part.weight.shape[0] - offset - 1)
        config = self.body.config
        found = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions", "seq_length")]
        return next((int(one) for one in found if isinstance(one, int) and one > 0), None)

    def run(
        self, numbers: Tensor, mask: Tensor, types: Tensor | None, layer: str | int
    ) -> tuple[Tensor, tuple[Tensor, ...] | None, Tensor | None]:
        """Return the last states (B, T, D), those of all layers if `layer` needs them, and the head's logits."""
        mask = mask.long() if not self.filled else mask.new_ones(mask.shape).long()
        inputs: dict[str, Any] = {"input_ids": numbers, "attention_mask": mask, "return_dict": True}
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
        hidden = getattr(output, "hidden_states" if last is None else "encoder_hidden_states", None)
        last = output.last_hidden_state if last is None else last
        here = numbers.device  # parts of a model that is spread over devices answer where they are
        hidden = None if hidden is None else tuple(one.to(here) for one in hidden)
        return last.to(here), hidden, None if logits is None else logits.to(here)


def load_text_model(folder: Path, options: BackboneOptions, *, words: bool) -> TextModel:
    """Return the text model in a folder, with its head if that fits words or texts; raises CheckpointError."""
    import transformers

    config, head = loading.load_config(folder, options), TOKEN_HEAD if words else SEQUENCE_HEAD
    shape = shape_of(config)
    auto = getattr(transformers, f"AutoModel{head}")
    remote = options.trust_remote_code and f"AutoModel{head}" in (getattr(config, "auto_map", None) or {})
    if loading.has_head(config, (head,)) and (type(config) in auto._model_mapping or remote):
        loaded = loading.load_transformers(auto, folder, config, options)
        body = getattr(loaded.model, loaded.model.base_model_prefix, None)
        if not loaded.missing and body is not None:  # a head of random weights says nothing
            return TextModel(loaded.model, body, shape, head, loaded.model.config)
    return load_bare(folder, config, options, shape)


def load_bare(folder: Path, config: Any, options: BackboneOptions, shape: Shape) -> TextModel:
    """Return the text model in a folder without any head; raises CheckpointError."""
    import transformers

    tower = tower_of(config.model_type)
    if tower is not None:
        part = getattr(config, "text_config", config)
        loaded = loading.load_transformers(getattr(transformers, tower.model), folder, part, options)
        loaded.require()
        module = getattr(loaded.model, tower.part) if tower.part else loaded.model
        return TextModel(module, module, shape, "", loaded.model.config, tower)
    encoder_only = type(config) in transformers.AutoModelForTextEncoding._model_mapping
    cut = shape == "encoder-decoder"
    auto = transformers.AutoModelForTextEncoding if cut and encoder_only else transformers.AutoModel
    loaded = loading.load_transformers(auto, folder, config, options)
    # features come before the pooler and before decoders
    loaded.require(lambda name: "pooler." in name or name.startswith(("decoder.", "model.decoder.")))
    with loading.loading_errors("transformers"):
        model = loaded.model.get_encoder() if cut else loaded.model
    return TextModel(model, model, shape, "", loaded.model.config)


class Tokens(NamedTuple):
    """One sequence: token ids (T,), and their types (T,) where the model takes types."""

    numbers: Numbers
    types: Numbers | None


class TextItem(NamedTuple):
    """One example: one sequence, or windows of words with the spans of rows (rows, 3) as window, start, stop."""

    sequences: tuple[Tokens, ...]
    spans: Numbers | None = None


def has_tokenizer(names: Sequence[str]) -> bool:
    """Whether file names include those of a tokenizer."""
    return any(name in TOKENIZER_FILES or name.endswith((".bpe.model", "tokenizer.model")) for name in names)


def load_tokenizer(folder: Path, options: BackboneOptions) -> Any:
    """Return the tokenizer in a folder, or raise CheckpointError."""
    if not has_tokenizer([path.name for path in folder.iterdir()]):
        raise CheckpointError("no_preprocessor", NO_TOKENIZER)
    from transformers import AutoTokenizer

    try:
        tokenizer = loading.from_folder(AutoTokenizer, folder, options)
    except CheckpointError as error:
        if (folder / "tokenizer.json").exists():
            loading.read_json(folder, "tokenizer.json")
        if error.kind != "error":
            raise
        raise CheckpointError("no_preprocessor", f"has no tokenizer that can be loaded: {error}") from error
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # some classes load even without their vocabulary
        raise CheckpointError("no_preprocessor", f"has a tokenizer without a vocabulary ({len(tokenizer)} tokens)")
    return tokenizer


@dataclass(frozen=True)
class TokenLimits:
    """The most tokens of a sequence, and how many tokens and types the model knows; 0 types if it takes none."""

    length: int
    vocabulary: int
    types: int


@dataclass(frozen=True)
class TextStyle:
    """How a text is changed before it is tokenised: a prompt before it, and lower case."""

    prompt: str = ""
    lower: bool = False


class TokenReader:
    """Turns texts, pairs of texts and words into items; it has no state that changes, so threads may share it.

    A token that stands in for others is used for texts and words without tokens, and for tokens the model lacks.
    """

    def __init__(
        self, tokenizer: Any, limits: TokenLimits, style: TextStyle, *, words: bool, subword: str, join_pairs: bool
    ) -> None:
        self._tokenizer, self._limits, self._style, self._subword = tokenizer, limits, style, subword
        self.fills_left = tokenizer.padding_side == "left"
        self._fast = tokenizer.backend_tokenizer if tokenizer.is_fast else None
        if self._fast is not None:  # threads share the settings of the fast tokenizer: they are set once, here
            self._fast.no_truncation()
            self._fast.no_padding()
        names = ("unk_token_id", "eos_token_id", "bos_token_id", "sep_token_id", "pad_token_id")
        known = (getattr(tokenizer, name, None) for name in names)
        self.stand_in = next((int(one) for one in known if one is not None and one < limits.vocabulary), 0)
        self._before, self._inner_type, self._after = self._read_frame()
        self._framing = len(self._before.numbers) + len(self._after.numbers)
        self._space = self._fast is not None and words and _words_need_spaces(self._fast)
        self._join_pairs = join_pairs or not self._knows_pairs(*PROBE_WORDS[:2])
        self.max_length = max(limits.length, tokenizer.num_special_tokens_to_add(pair=not words) + 1)
        if self._fast is not None and not words:
            self._fast.enable_truncation(self.max_length, direction=tokenizer.truncation_side)

    def texts(self, texts: Sequence[str | tuple[str, str]]) -> list[TextItem]:
        """Return one sequence per text, or per pair of texts."""
        inputs = [self._as_input(text) for text in texts]
        if self._fast is not None:
            found = self._fast.encode_batch_fast(inputs)  # without offsets
            typed = bool(self._limits.types)  # reading types makes a list each time
            return [TextItem((self._tokens(one.ids, one.type_ids if typed else None),)) for one in found]
        parts = [(text,) if isinstance(text, str) else text for text in inputs]
        found = [self._tokenizer(*one, truncation=True, max_length=self.max_length) for one in parts]
        return [TextItem((self._tokens(one["input_ids"], one.get("token_type_ids")),)) for one in found]

    def _as_input(self, text: str | tuple[str, str]) -> str | tuple[str, str]:
        if isinstance(text, str):
            return self._styled(self._style.prompt + text)
        first, second = self._styled(self._style.prompt + text[0]), self._styled(text[1])
        return f"{first}\n{second}" if self._join_pairs else (first, second)

    def _styled(self, text: str) -> str:
        """Return the part of a text that can reach the model, since tokens that are cut off take time too."""
        most = LETTERS_A_TOKEN * self.max_length
        if len(text) > most:
            text = text[-most:] if self._tokenizer.truncation_side == "left" else text[:most]
        return text.lower() if self._style.lower else text

    def _tokens(self, numbers: Sequence[int], types: Sequence[int] | None) -> Tokens:
        if not numbers:
            numbers, types = [self.stand_in], [0]
        found = np.asarray(numbers, dtype=np.int32)
        found[found >= self._limits.vocabulary] = self.stand_in
        return Tokens(found, self._types(types if types is not None else [0] * len(found)))

    def _types(self, types: Sequence[int]) -> Numbers | None:
        if not self._limits.types:
            return None
        return np.minimum(np.asarray(types, dtype=np.int32), self._limits.types - 1)

    def _read_frame(self) -> tuple[Tokens, int, Tokens]:
        """Return the tokens added before every text, the type of its own tokens, and the tokens added after it."""
        text = " ".join(PROBE_WORDS)
        full, inner = self._tokenizer(text), self._tokenizer(text, add_special_tokens=False)["input_ids"]
        numbers, types = list(full["input_ids"]), list(full.get("token_type_ids", [0] * len(full["input_ids"])))
        starts = range(len(numbers) - len(inner) + 1)
        start = next((at for at in starts if numbers[at : at + len(inner)] == list(inner)), 0)
        stop = start + len(inner)
        before = self._tokens(numbers[:start], types[:start]) if start else _NOTHING
        after = self._tokens(numbers[stop:], types[stop:]) if stop < len(numbers) else _NOTHING
        return before, types[start], after

    def _knows_pairs(self, first: str, second: str) -> bool:
        pair, plain = self._tokenizer(first, second), self._tokenizer([first, second], add_special_tokens=False)
        return len(pair["input_ids"]) - self._framing > sum(map(len, plain["input_ids"]))

    def words(self, examples: Sequence[Words]) -> list[TextItem]:
        """Return the windows of words of each example, and the span of each of its positions."""
        lists = [[self._styled(word) for word in one.words] for one in examples]
        if self._space:
            lists = [[*words[:1], *(f" {word}" for word in words[1:])] for words in lists]
        pieces = []
        if self._fast is not None:
            found = self._fast.encode_batch(lists, is_pretokenized=True, add_special_tokens=False)
            for one, words in zip(found, lists, strict=True):
                pieces.append(self._with_stand_ins(one.ids, one.word_ids, len(words)))
        else:
            for words in lists:
                parts = [self._tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
                owners = [number for number, part in enumerate(parts) for _ in part]
                pieces.append(self._with_stand_ins([token for part in parts for token in part], owners, len(words)))
        return [self._windows(*piece, example) for piece, example in zip(pieces, examples, strict=True)]

    def _with_stand_ins(self, ids: Sequence[int], owners: Sequence[int], count: int) -> tuple[Numbers, Numbers]:
        """Return tokens, and how many each word has: at least one, the stand-in."""
        owner = np.asarray(owners, dtype=np.int64)
        numbers = np.asarray(ids, dtype=np.int32)
        sizes = np.bincount(owner, minlength=count).astype(np.int32)
        empty = np.flatnonzero(sizes == 0)
        numbers = np.insert(numbers, np.searchsorted(owner, empty), self.stand_in)
        numbers[numbers >= self._limits.vocabulary] = self.stand_in
        return numbers, np.maximum(sizes, 1)

    def _windows(self, numbers: Numbers, sizes: Numbers, example: Words) -> TextItem:
        room = self.max_length - self._framing
        if len(sizes) and sizes.max() > room:  # cut words that are longer than a window
            place = np.arange(len(numbers)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            numbers, sizes = numbers[place < room], np.minimum(sizes, room)
        starts = np.cumsum(sizes) - sizes
        positions = np.asarray(example.positions, dtype=np.int64)
        bounds = window_bounds(starts, sizes, room)
        owner = central_window(bounds, starts, sizes)[positions]
        used, owner = np.unique(owner, return_inverse=True)
        kept = bounds[used] if len(used) else bounds[:1]
        sequences = tuple(self._framed(numbers[start:stop]) for start, stop in kept)
        shift = len(self._before.numbers) - kept[owner, 0]
        first = starts[positions] + shift
        last = first + (sizes[positions] if self._subword == "mean" else 1)
        return TextItem(sequences, np.stack([owner, first, last], axis=1).astype(np.int32).reshape(-1, 3))

    def _framed(self, inner: Numbers) -> Tokens:
        before, after = self._before, self._after
        numbers = np.concatenate([before.numbers, inner, after.numbers])
        if not len(numbers):
            return self._tokens([], None)
        if before.types is None or after.types is None or not self._limits.types:
            return Tokens(numbers, self._types([0] * len(numbers)))
        middle = np.full(len(inner), self._inner_type, dtype=np.int32)
        return Tokens(numbers, self._types(np.concatenate([before.types, middle, after.types]).tolist()))


_NOTHING = Tokens(_EMPTY, _EMPTY)


def _words_need_spaces(fast: Any) -> bool:
    """Whether single words need the space before them to be tokenised as in a text."""
    plain = fast.encode(" ".join(PROBE_WORDS), add_special_tokens=False).ids
    spaced = [word if number == 0 else f" {word}" for number, word in enumerate(PROBE_WORDS)]
    without = fast.encode(list(PROBE_WORDS), is_pretokenized=True, add_special_tokens=False).ids
    return bool(without != plain and fast.encode(spaced, is_pretokenized=True, add_special_tokens=False).ids == plain)
