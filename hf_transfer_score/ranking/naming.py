"""The name of a model in a pool: its id, and what distinguishes it from others with the same id."""

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
    for places in same.values():
        if len(places) > 1:
            for place, label in zip(places, _distinct_labels([blocks[place] for place in places]), strict=True):
                found[place] = unused(label, taken)
    return found


def _distinct_labels(blocks: list[Block]) -> list[str]:
    """Return the id of some blocks with the values by which they differ."""
    parts: list[list[str]] = [[block["id"]] for block in blocks]
    for field in ("layer", "commit", "revision", "pooling", "library", "dtype", "width", "details"):
        values = [block[field] for block in blocks]
        if len(set(values)) > 1:
            for part, text in zip(parts, _field_texts(field, values), strict=True):
                part.extend([text] if text else [])
    return [" ".join(part) for part in parts]


def _field_texts(field: str, values: list[Any]) -> list[str]:
    if field == "details":
        return _different_details(values)
    if field == "commit":
        values = _shortened(values)
    shapes = {"layer": "[layer {}]", "commit": "@{}", "revision": "@{}", "width": "{} features"}
    return ["" if value is None else shapes.get(field, "{}").format(value) for value in values]


def _shortened(commits: list[str | None]) -> list[str | None]:
    """Return commits cut to as few letters as distinguish them."""
    distinct = {one for one in commits if one}
    longest = max(map(len, distinct))
    enough = (n for n in range(COMMIT_LETTERS, longest) if len({one[:n] for one in distinct}) == len(distinct))
    letters = next(enough, longest)
    return [one[:letters] if one else None for one in commits]


def _different_details(values: list[str]) -> list[str]:
    details = [json.loads(value) for value in values]
    texts: list[list[str]] = [[] for _ in details]
    for name in sorted({name for one in details for name in one}):
        shown = [json.dumps(one[name], ensure_ascii=False) if name in one else None for one in details]
        if len(set(shown)) > 1:
            for text, value in zip(texts, shown, strict=True):
                text.extend([] if value is None else [f"{name}={value[:SHOWN_DETAILS]}"])
    return [", ".join(text) for text in texts]
