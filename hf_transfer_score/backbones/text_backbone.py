"""The backbone of all text models: tokens in, rows out, the same for a text alone and for one among others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from hf_transfer_score.backbones.base import BackboneOptions, BatchOutput
from hf_transfer_score.backbones.loading import beside
from hf_transfer_score.backbones.pooling import (
    back_in_order,
    groups_of,
    mask_of,
    padding_matters,
    pick_layers,
    pool,
    pool_words,
)
from hf_transfer_score.backbones.text_models import CLASS_TOKEN_LAST, TextModel, load_text_model
from hf_transfer_score.backbones.tokens import TextItem, TextStyle, TokenLimits, TokenReader, load_tokenizer
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Example, Words

if TYPE_CHECKING:
    from torch import Tensor

LONGEST = 512
PLAIN = TextStyle()
PROBE_TEXTS = ("good", "a film that is good and a film that is bad, one after the other")

Pooler = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class TextBackbone:
    """A loaded text model with its tokenizer.

    Attributes:
        words: whether rows belong to words rather than to texts.
        equal_lengths: whether only sequences of one length are run together, since padding would change features.
        body: the part of the module whose last states are what its last block gives, behind the final norm.
    """

    def __init__(
        self,
        model: TextModel,
        reader: TokenReader,
        options: BackboneOptions,
        *,
        words: bool,
        pooling: str,
        pooler: Pooler | None = None,
        after: torch.nn.Module | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.module: torch.nn.Module = model.module
        if after is not None:
            self.module = torch.nn.ModuleList([model.module, after])
        self.source_classes = model.classes
        self.source_heads = beside(model.module, model.body)
        self.equal_lengths = False
        self.words = words
        self.body: torch.nn.Module = model.body
        self._model, self._reader, self._layer = model, reader, options.layer
        self._pooler: Pooler = pooler or (lambda states, lengths: pool(states, lengths, pooling))
        self._after = after
        self._padding = _padding(model)
        self.details: Mapping[str, Any] = {
            "pooling": f"{options.subword} sub-word" if words else pooling,
            "layer": options.layer,
            "max_length": reader.max_length,
            "shape": model.shape,
            "head": model.head or None,
            **(details or {}),
        }

    def encode(self, examples: Sequence[Example]) -> list[Any]:
        """Return the numbers of tokens of each example."""
        if self.words:
            return list(self._reader.words(cast("Sequence[Words]", examples)))
        return list(self._reader.texts(cast("Sequence[str | tuple[str, str]]", examples)))

    def length(self, item: TextItem) -> int:
        """Return the tokens of an item, those of its longest window if it has several."""
        return max(len(sequence.numbers) for sequence in item.sequences)

    def collate(self, items: Sequence[TextItem]) -> dict[str, Any]:
        """Return padded numbers of tokens (S, T), lengths (S,), which sequences to run together, and where rows are."""
        sequences = [sequence for item in items for sequence in item.sequences]
        lengths = np.asarray([len(sequence.numbers) for sequence in sequences])
        numbers = np.full((len(sequences), lengths.max()), self._padding, dtype=np.int64)
        types = None if sequences[0].types is None else np.zeros_like(numbers)
        for row, sequence in enumerate(sequences):
            numbers[row, : lengths[row]] = sequence.numbers
            if types is not None:
                types[row, : lengths[row]] = sequence.types
        batch: dict[str, Any] = {"numbers": torch.from_numpy(numbers), "lengths": torch.from_numpy(lengths)}
        if types is not None:
            batch["types"] = torch.from_numpy(types)
        batch["groups"] = groups_of(lengths, len(items), equal=self.equal_lengths)
        return batch | (_places(items) if self.words else {})

    def forward(self, batch: Mapping[str, Any]) -> BatchOutput:
        """Run a batch: a row for each text or pair, or for each labelled word."""
        layers, logits = self._run(batch)
        if self.words:
            places, count = batch["places"], batch["rows"]
            features = {name: pool_words(states, places, count) for name, states in layers.items()}
            probabilities = None if logits is None else pool_words(logits.float().softmax(-1), places, count)
            return BatchOutput(features, probabilities)
        features = {name: self._pooler(states, batch["lengths"]) for name, states in layers.items()}
        if self._after is not None:
            features = {name: cast("Tensor", self._after(rows)) for name, rows in features.items()}
        return BatchOutput(features, None if logits is None else logits.float().softmax(-1))

    def pool_tokens(self, states: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Return one row a text (B, C) of the tokens (B, T, C) that a block gives, pooled as single layers are."""
        lengths: Tensor = batch["lengths"]
        if int(lengths.max()) > states.shape[1]:  # what a block gives is shorter than what the network was given
            return states.mean(1)
        return self._pooler(states, lengths)

    def _run(self, batch: Mapping[str, Any]) -> tuple[dict[str, Tensor], Tensor | None]:
        """Return states by layer (S, T, D) and logits, put together from the groups."""
        groups = batch["groups"]
        if len(groups) == 1:
            return self._run_group(batch["numbers"], batch["lengths"], batch.get("types"))
        parts = []
        for indices in groups:
            chosen = torch.as_tensor(indices).to(batch["numbers"].device)
            lengths = batch["lengths"][chosen]
            width = int(lengths.max())
            types = batch.get("types")
            types = None if types is None else types[chosen, :width]
            parts.append(self._run_group(batch["numbers"][chosen, :width], lengths, types))
        order, width = back_in_order(groups), batch["numbers"].shape[1]
        layers = {name: _join([part[0][name] for part in parts], order, width) for name in parts[0][0]}
        if parts[0][1] is None:
            return layers, None
        return layers, _join([part[1] for part in parts], order, width if self.words else None)

    def _run_group(self, numbers: Tensor, lengths: Tensor, types: Tensor | None) -> tuple[dict[str, Tensor], Any]:
        mask = mask_of(lengths, numbers.shape[1])
        last, hidden, logits = self._model.run(numbers, mask, types, self._layer)
        return pick_layers(last, hidden, self._layer), logits


def _join(parts: Sequence[Tensor], order: Tensor, width: int | None) -> Tensor:
    """Return (S, width, D) from the states of groups, each padded to its own width; (S, D) where width is None."""
    if width is not None:
        parts = [torch.nn.functional.pad(part, (0, 0, 0, width - part.shape[1])) for part in parts]
    return torch.cat(list(parts))[order.to(parts[0].device)]


def _places(items: Sequence[TextItem]) -> dict[str, Any]:
    """Return the sequence, the place in it and the row of each sub-word that counts (3, sub-words)."""
    shifts = np.cumsum([0, *(len(item.sequences) for item in items)])
    spans = [
        item.spans + np.asarray([shift, 0, 0])
        for item, shift in zip(items, shifts, strict=False)
        if item.spans is not None
    ]
    table = np.concatenate(spans)
    sizes = table[:, 2] - table[:, 1]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows = np.repeat(np.arange(len(table)), sizes)
    places = np.stack([table[rows, 0], table[rows, 1] + within, rows])
    return {"places": torch.from_numpy(places), "rows": len(table)}


def _padding(model: TextModel) -> int:
    """Return the number that pads: what the model itself takes for padding, since some heads look for it."""
    own = getattr(model.config, "pad_token_id", None)
    if isinstance(own, int) and 0 <= own < model.vocabulary:
        return own
    end = getattr(model.config, "eos_token_id", None)
    padding = end if isinstance(end, int) and end < model.vocabulary else 0
    if model.head:
        model.module.config.pad_token_id = padding  # without one, such a head refuses batches
    return padding


def auto_pooling(model: TextModel) -> str:
    """Return what `pooling="auto"` stands for."""
    if model.shape in ("decoder", "tower"):
        return "last"
    if model.shape == "encoder" and model.head:
        if model.config.model_type in CLASS_TOKEN_LAST:
            return "last"
        return str(getattr(model.config, "classifier_pooling", "cls"))
    return "mean"


def make_reader(
    folder: Path,
    model: TextModel,
    options: BackboneOptions,
    *,
    words: bool,
    longest: int = LONGEST,
    style: TextStyle = PLAIN,
) -> TokenReader:
    """Return the reader of the tokenizer in a folder, within the limits of the model.

    Args:
        folder: where the tokenizer lies.
        model: what will read the tokens.
        options: max_length and subword count here.
        words: whether words are to be read rather than texts.
        longest: tokens at most where the options do not say.
        style: what is done to texts first.
    """
    tokenizer = load_tokenizer(folder, options)
    if tokenizer.vocab_size > model.vocabulary:
        raise CheckpointError(
            "corrupt",
            f"has a tokenizer of {tokenizer.vocab_size:,} tokens and a model of {model.vocabulary:,}; they do not "
            "belong together",
        )
    beyond = sum(number >= model.vocabulary for number in tokenizer.get_vocab().values())
    if 2 * beyond > tokenizer.vocab_size:
        raise CheckpointError(
            "corrupt",
            f"has a tokenizer whose numbers do not fit its model: {beyond:,} of {tokenizer.vocab_size:,} tokens lie "
            f"beyond the {model.vocabulary:,} that the model knows",
        )
    asked = options.max_length or min(longest, LONGEST)
    bounds = [one for one in (asked, tokenizer.model_max_length, model.longest) if one]
    types = model.token_types if "token_type_ids" in tokenizer.model_input_names else 0
    limits = TokenLimits(int(min(bounds)), model.vocabulary, types)
    join_pairs = model.shape == "decoder"
    return TokenReader(tokenizer, limits, style, words=words, subword=options.subword, join_pairs=join_pairs)


def check_padding(backbone: TextBackbone) -> None:
    """Have only equal lengths run together if a longer text changes the features of a shorter one."""
    examples: list[Any] = list(PROBE_TEXTS)
    if backbone.words:
        examples = [Words(text.split(), np.arange(len(text.split()))) for text in PROBE_TEXTS]
    backbone.equal_lengths = padding_matters(backbone, *examples)


def load_text_backbone(folder: Path, options: BackboneOptions, *, words: bool) -> TextBackbone:
    """Return a backbone from a folder; rows belong to words or to texts."""
    model = load_text_model(folder, options, words=words)
    reader = make_reader(folder, model, options, words=words)
    pooling = auto_pooling(model) if options.pooling == "auto" else options.pooling
    backbone = TextBackbone(model, reader, options, words=words, pooling=pooling)
    check_padding(backbone)
    return backbone
