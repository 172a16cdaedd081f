"""What a model of a pool is called: its id, and what tells it from others of the same id."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from hf_transfer_score.ranking.settings import unused

SHOWN_DETAILS = 40
COMMIT_LETTERS = 7

Block = Mapping[str, Any]
"""The fields of a record's model block, with the details as JSON text."""


def row_labels(blocks: Sequence[Block]) -> list[str]:
    """Return a unique label for each model block, in their order."""
    same: dict[str, list[int]] = defaultdict(list)
    for place, block in enumerate(blocks):
        same[block["id"]].append(place)
    found = [block["id"] for block in blocks]
    taken = {name for name, places in same.items() if len(places) == 1}
    for name, places in same.items():
        if len(places) > 1:
            for place, label in zip(places, _told_apart(name, [blocks[place] for place in places]), strict=True):
                found[place] = unused(label, taken)
    return found


def _told_apart(name: str, blocks: list[Block]) -> list[str]:
    parts: list[list[str]] = [[name] for _ in blocks]
    for field in ("layer", "commit", "revision", "pooling", "library", "dtype", "width", "details"):
        values = [block[field] for block in blocks]
        if len(set(values)) > 1:
            for part, text in zip(parts, _shown(field, values), strict=True):
                part.extend([text] if text else [])
    return [" ".join(part) for part in parts]


def _shown(field: str, values: list[Any]) -> list[str]:
    if field == "commit":
        return [f"@{value}" if value else "" for value in _shortened(values)]
    if field == "details":
        return _different_details(values)
    if field == "layer":
        return ["" if value is None else f"[layer {value}]" for value in values]
    names = {"revision": "@{}", "width": "{} features"}
    return ["" if value is None else names.get(field, "{}").format(value) for value in values]


def _shortened(commits: list[str | None]) -> list[str | None]:
    """Return commits cut to as few letters as tell them apart."""
    distinct = {one for one in commits if one}
    longest = max(map(len, distinct))
    enough = (n for n in range(COMMIT_LETTERS, longest) if len({one[:n] for one in distinct}) == len(distinct))
    letters = next(enough, longest)
    return [one[:letters] if one else one for one in commits]


def _different_details(values: list[str]) -> list[str]:
    details = [json.loads(value) for value in values]
    names = sorted({name for one in details for name in one})
    texts: list[list[str]] = [[] for _ in details]
    for name in names:
        shown = [json.dumps(one[name], ensure_ascii=False) if name in one else None for one in details]
        if len(set(shown)) > 1:
            for text, value in zip(texts, shown, strict=True):
                text.extend([] if value is None else [f"{name}={value[:SHOWN_DETAILS]}"])
    return [", ".join(text) for text in texts]
