"""The backbone of static embeddings: the mean of the vectors of a text's tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import torch

from hf_transfer_score.backbones.base import BackboneOptions, BatchOutput
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Example, Words

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LONGEST = 512
LETTERS_A_TOKEN = 64
"""Characters of a text that are read per token that is kept, where the checkpoint does not say."""


class TokenVectors(torch.nn.Module):  # type: ignore[misc]
    """A table of vectors (V, D), optionally with weights of tokens (N,) and the index of each token's vector (N,)."""

    def __init__(
        self, table: torch.Tensor, weights: torch.Tensor | None, mapping: torch.Tensor | None, *, normalised: bool
    ) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(table.float())
        self.register_buffer("weights", None if weights is None else weights.float().flatten())
        self.register_buffer("mapping", None if mapping is None else mapping.long().flatten())
        self.normalised = normalised
        self.tokens = len(table if mapping is None else mapping)
        beyond = mapping is not None and len(mapping) and not 0 <= int(mapping.min()) <= int(mapping.max()) < len(table)
        if beyond or (weights is not None and weights.numel() < self.tokens):
            raise CheckpointError("corrupt", "has weights or numbers of tokens that do not fit its table of vectors")

    def forward(self, numbers: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """Return the mean vector of each row (B, D), from all tokens (T,) and the start of each row (B,)."""
        places = numbers if self.mapping is None else self.mapping[numbers]
        weights = torch.ones_like(numbers, dtype=self.table.dtype) if self.weights is None else self.weights[numbers]
        rows = torch.nn.functional.embedding_bag(places, self.table, starts, mode="sum", per_sample_weights=weights)
        ends = torch.cat([starts[1:], starts.new_tensor([len(numbers)])])
        rows = rows / (ends - starts).clamp(min=1)[:, None]
        return torch.nn.functional.normalize(rows, dim=1) if self.normalised else rows


class StaticBackbone:
    """Vectors of tokens with their tokenizer; rows belong to texts, pairs of texts, or words."""

    source_classes = 0

    def __init__(
        self,
        vectors: TokenVectors,
        tokenizer: Tokenizer,
        config: Mapping[str, Any],
        options: BackboneOptions,
        *,
        words: bool,
        own: bool,
    ) -> None:
        self.module: torch.nn.Module = vectors
        self.words, self._tokenizer, self._layer, self._subword = words, tokenizer, str(options.layer), options.subword
        said = config.get("max_length")
        self._most = options.max_length or min(said if isinstance(said, int) and said > 0 else LONGEST, LONGEST)
        tokenizer.enable_truncation(self._most)
        letters = int(median(map(len, tokenizer.get_vocab()))) if own and tokenizer.get_vocab_size() else 0
        self._letters = self._most * (letters or LETTERS_A_TOKEN)
        self._dropped = _unknown(tokenizer) if own else None
        self.details: Mapping[str, Any] = {
            "pooling": f"{options.subword} sub-word" if words else "mean",
            "layer": options.layer,
            "max_length": self._most,
            "shape": "static",
            "normalised": vectors.normalised,
        }

    def encode(self, examples: Sequence[Example]) -> list[Any]:
        """Return the token ids of each row of each example."""
        if not self.words:
            texts = [one if isinstance(one, str) else "\n".join(one) for one in examples]  # type: ignore[arg-type]
            return [[one] for one in self._numbers(texts)]
        found: list[Any] = []
        for example in examples:
            assert isinstance(example, Words)
            rows = self._numbers([example.words[int(place)] for place in example.positions])
            found.append([row[:1] if self._subword == "first" else row for row in rows])
        return found

    def _numbers(self, texts: Sequence[str]) -> list[list[int]]:
        batch = self._tokenizer.encode_batch([text[: self._letters] for text in texts], add_special_tokens=False)
        return [[number for number in one.ids if number != self._dropped] for one in batch]

    def length(self, item: Sequence[Sequence[int]]) -> int:
        """Return how many tokens an item has."""
        return sum(map(len, item))

    def collate(self, items: Sequence[Sequence[Sequence[int]]]) -> dict[str, Any]:
        """Return all tokens in one array, and the start of each row."""
        rows = [row for item in items for row in item]
        starts = torch.tensor([0, *map(len, rows)], dtype=torch.long).cumsum(0)[:-1]
        return {"numbers": torch.tensor([one for row in rows for one in row], dtype=torch.long), "starts": starts}

    def forward(self, batch: Mapping[str, Any]) -> BatchOutput:
        """Return one row per text, pair or word."""
        name = "0" if self._layer == "all" else self._layer
        return BatchOutput({name: self.module(batch["numbers"], batch["starts"])})


def _unknown(tokenizer: Tokenizer) -> int | None:
    """Return the id of the unknown token, None where there is none."""
    model = tokenizer.model
    if not hasattr(model, "unk_token"):  # unigram models name it by its id
        found: int | None = json.loads(tokenizer.to_str())["model"].get("unk_id")
        return found
    return None if model.unk_token is None else tokenizer.token_to_id(model.unk_token)
