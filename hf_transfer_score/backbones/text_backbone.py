"""The backbone of all text models: a text gives the same row alone and in a batch.

The poolings of sentence-transformers are here too; what follows them is in `after_pooling`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from hf_transfer_score.backbones.base import LAST, BackboneOptions, BatchOutput
from hf_transfer_score.backbones.loading import head_modules, load_config, read_json
from hf_transfer_score.backbones.pooling import (
    back_in_order,
    contains,
    groups_of,
    mask_of,
    modules_after_pooling,
    padding_matters,
    pick_layers,
    pool,
    pool_words,
    tower_pooling,
)
from hf_transfer_score.backbones.text_models import (
    CLASS_TOKEN_LAST,
    TextItem,
    TextModel,
    TextStyle,
    TokenLimits,
    TokenReader,
    load_bare,
    load_text_model,
    load_tokenizer,
    shape_of,
)
from hf_transfer_score.backbones.text_towers import TextTower
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Example, Words

LONGEST = 512
PLAIN = TextStyle()
PROBE_TEXTS = ("good", "a film that is good and a film that is bad, one after the other")

Pooler = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

SETTINGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
OLD_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Settings of a pooling before version 5.5, in the order in which several are concatenated."""

OUR_NAMES = {"mean_sqrt_len_tokens": "mean_sqrt_len", "lasttoken": "last"}


class TextBackbone:
    """A loaded text model with its tokenizer; rows belong to words or to texts.

    The last states of its `body` are the last block's output after the final norm. With `equal_lengths` a batch is
    split by length, because padding would change features.
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
        if after is not None and not contains(model.module, after):
            self.module = torch.nn.ModuleList([model.module, after])
        self.source_classes = model.classes
        self.source_heads = head_modules(model.module, model.body)
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
        examples: list[Any] = list(PROBE_TEXTS)
        if words:
            examples = [Words(text.split(), np.arange(len(text.split()))) for text in PROBE_TEXTS]
        self.equal_lengths = padding_matters(self, *examples)

    def encode(self, examples: Sequence[Example]) -> list[Any]:
        """Return the token ids of each example."""
        if self.words:
            return list(self._reader.words(cast("Sequence[Words]", examples)))
        return list(self._reader.texts(cast("Sequence[str | tuple[str, str]]", examples)))

    def length(self, item: TextItem) -> int:
        """Return the number of tokens of an item, or of its longest window."""
        return max(len(sequence.numbers) for sequence in item.sequences)

    def collate(self, items: Sequence[TextItem]) -> dict[str, Any]:
        """Return padded token ids (S, T), lengths (S,), the places of words, and the groups to run together if any."""
        sequences = [sequence for item in items for sequence in item.sequences]
        lengths = np.asarray([len(sequence.numbers) for sequence in sequences])
        width = max(int(lengths.max()), self._model.filled)
        numbers = np.full((len(sequences), width), self._padding, dtype=np.int64)
        types = None if sequences[0].types is None else np.zeros_like(numbers)
        for row, sequence in enumerate(sequences):
            numbers[row, : lengths[row]] = sequence.numbers
            if types is not None and sequence.types is not None:
                types[row, : lengths[row]] = sequence.types
        batch: dict[str, Any] = {"numbers": torch.from_numpy(numbers), "lengths": torch.from_numpy(lengths)}
        if types is not None:
            batch["types"] = torch.from_numpy(types)
        groups = groups_of(lengths, len(items), equal=self.equal_lengths)
        if len(groups) > 1:
            batch["groups"] = groups
        return batch | (_places(items) if self.words else {})

    def forward(self, batch: Mapping[str, Any]) -> BatchOutput:
        """Run a batch: one row per text or pair, or per labelled word."""
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
        """Return one row per text (B, C) from a block's tokens (B, T, C), pooled as single layers are."""
        lengths: Tensor = batch["lengths"]
        if int(lengths.max()) > states.shape[1]:  # the block shortens its input
            return states.mean(1)
        return self._pooler(states, lengths)

    def _run(self, batch: Mapping[str, Any]) -> tuple[dict[str, Tensor], Tensor | None]:
        """Return states by layer (S, T, D) and logits, joined from the groups."""
        groups = batch.get("groups")
        if groups is None:
            return self._run_group(batch["numbers"], batch["lengths"], batch.get("types"))
        parts = []
        for indices in groups:
            chosen = torch.as_tensor(indices).to(batch["numbers"].device)
            lengths = batch["lengths"][chosen]
            width = max(int(lengths.max()), self._model.filled)
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
        left = bool(self._model.filled) and self._reader.fills_left
        if left:
            numbers = _rolled(numbers, numbers.shape[1] - lengths)
        last, hidden, logits = self._model.run(numbers, mask, types, self._layer)
        layers = pick_layers(last, hidden, self._layer)
        if left:
            layers = {name: _rolled(states, lengths - states.shape[1]) for name, states in layers.items()}
        return layers, logits


def _rolled(rows: Tensor, steps: Tensor) -> Tensor:
    """Return rows (S, T) or (S, T, D), each rolled along T by its own number of steps (S,)."""
    places = (torch.arange(rows.shape[1], device=rows.device) - steps[:, None]) % rows.shape[1]
    return rows[torch.arange(len(rows), device=rows.device)[:, None], places]


def _join(parts: Sequence[Tensor], order: Tensor, width: int | None) -> Tensor:
    """Return (S, width, D) from the states of groups with widths of their own; (S, D) where width is None."""
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
    """Return the token id for padding: the model's own if possible, since some heads look for it."""
    own = getattr(model.config, "pad_token_id", None)
    if isinstance(own, int) and 0 <= own < model.vocabulary:
        return own
    end = getattr(model.config, "eos_token_id", None)
    padding = end if isinstance(end, int) and end < model.vocabulary else 0
    if model.head:
        model.module.config.pad_token_id = padding  # without it, such a head refuses batches
    return padding


def make_reader(
    folder: Path,
    model: TextModel,
    options: BackboneOptions,
    *,
    words: bool,
    longest: int = LONGEST,
    style: TextStyle = PLAIN,
) -> TokenReader:
    """Return a reader with a folder's tokenizer, within the limits of the model."""
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
            f"has a tokenizer that does not fit its model: {beyond:,} of {tokenizer.vocab_size:,} tokens have ids "
            f"beyond the {model.vocabulary:,} that the model knows",
        )
    asked = options.max_length or min(longest, LONGEST)
    bounds = [one for one in (asked, tokenizer.model_max_length, model.longest) if one]
    types = model.token_types if "token_type_ids" in tokenizer.model_input_names else 0
    limits = TokenLimits(int(min(bounds)), model.vocabulary, types)
    join_pairs = model.shape == "decoder"
    return TokenReader(tokenizer, limits, style, words=words, subword=options.subword, join_pairs=join_pairs)


def load_text_backbone(folder: Path, options: BackboneOptions, *, words: bool) -> TextBackbone:
    """Return a backbone from a folder; rows belong to words or to texts."""
    model = load_text_model(folder, options, words=words)
    reader = make_reader(folder, model, options, words=words)
    pooling = options.pooling
    if pooling == "auto" and model.shape == "encoder" and model.head:
        last = model.config.model_type in CLASS_TOKEN_LAST
        pooling = "last" if last else str(getattr(model.config, "classifier_pooling", "cls"))
    elif pooling == "auto" and model.tower is not None:
        return _tower_backbone(model, model.tower, reader, options, words=words)
    elif pooling == "auto":
        pooling = "last" if model.shape == "decoder" else "mean"
    return TextBackbone(model, reader, options, words=words, pooling=pooling)


def _tower_backbone(
    model: TextModel, tower: TextTower, reader: TokenReader, options: BackboneOptions, *, words: bool
) -> TextBackbone:
    """Return a backbone that pools as a text tower itself does; layers before the last are pooled by the same token."""
    pooling, after = tower_pooling(tower, model.module)
    how = "cls" if tower.pooled == "first" else "last"
    last_position = tower.fills and not reader.fills_left
    if after is None or options.layer != LAST or words:
        after, pooling = None, "last position" if last_position else how

    def pooler(states: Tensor, lengths: Tensor) -> Tensor:
        return states[:, -1] if last_position else pool(states, lengths, how)

    return TextBackbone(model, reader, options, words=words, pooling=pooling, pooler=pooler, after=after)


def load_sentence_backbone(
    folder: Path, parts: Sequence[tuple[str, str]], options: BackboneOptions, *, words: bool
) -> TextBackbone:
    """Return a backbone from a folder and its modules; rows belong to words or to texts."""
    inner = folder / parts[0][1]
    config = load_config(inner, options)
    model = load_bare(inner, config, options, shape_of(config))
    style, longest = _style(folder, inner)
    reader = make_reader(inner, model, options, words=words, longest=longest, style=style)
    own = options.pooling == "auto"
    modes = pooling_modes(read_json(folder, f"{parts[1][1]}config.json")) if own else [options.pooling]
    whole = own and options.layer == LAST and not words
    after = modules_after_pooling(folder, parts[2:], options) if whole else None
    names = [name for name, _ in parts] if whole else ["Transformer"]
    return TextBackbone(
        model,
        reader,
        options,
        words=words,
        pooling="+".join(modes),
        pooler=lambda states, lengths: torch.cat([pool(states, lengths, mode) for mode in modes], dim=1),
        after=after,
        details={"modules": names, "prompt": style.prompt or None},
    )


def pooling_modes(settings: dict[str, Any]) -> list[str]:
    """Return the poolings in the config.json of a Pooling module, by our names; their rows are concatenated."""
    modes = settings.get("pooling_mode") or [mode for key, mode in OLD_MODES.items() if settings.get(key)] or "mean"
    modes = [modes] if isinstance(modes, str) else list(modes)
    unknown = [mode for mode in modes if mode not in OLD_MODES.values()]
    if unknown:
        raise CheckpointError("unsupported", f"pools by {', '.join(map(repr, unknown))}, which is not read here")
    return [OUR_NAMES.get(mode, mode) for mode in modes]


def _style(folder: Path, inner: Path) -> tuple[TextStyle, int]:
    """Return the prompt and case of texts, and the most tokens."""
    name = next((name for name in SETTINGS if (inner / name).exists()), None)
    settings = read_json(inner, name) if name else {}
    about = "config_sentence_transformers.json"
    prompts = read_json(folder, about) if (folder / about).exists() else {}
    prompt = (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name")) or ""
    return TextStyle(prompt, bool(settings.get("do_lower_case"))), settings.get("max_seq_length") or LONGEST
