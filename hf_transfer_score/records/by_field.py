"""Records as this package writes them, read by the text of each field: what many share is parsed and checked once."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from functools import lru_cache
from typing import Any, NamedTuple

from hf_transfer_score.errors import RecordError
from hf_transfer_score.records.checks import readers_of
from hf_transfer_score.records.record import CANONICAL, LIMIT, Record, consistent, plain_record

START, BETWEEN, END = '{\n  "', ',\n  "', "\n}\n"
"""What stands around the fields in a file."""

NAMES = frozenset(one.name for one in fields(Record))
OWN = ("terms", "interval", "overlap")
"""Fields whose texts rarely repeat."""

KEPT = 1024
"""Texts that are remembered."""


class _Part(NamedTuple):
    """A field as a plain value, checked, and as the text that identifies it."""

    plain: Any
    value: Any
    canonical: str


def read_by_field(data: str | bytes) -> tuple[dict[str, Any], str] | None:
    """Return the plain values and the identity of a record, None for a text that has to be read as a whole.

    That is one that looks otherwise than what this package writes, or fails a check: the reader of the whole text says
    what is wrong.
    """
    if isinstance(data, str) or len(data) > LIMIT.letters:
        return None
    try:
        texts = _texts(data.decode())
        parts = {name: (_part if name in OWN else _shared_part)(name, text) for name, text in texts.items()}
        if not parts:
            return None
        consistent(Record(**{name: part.value for name, part in parts.items()}))
    except (RecordError, UnicodeDecodeError, RecursionError):
        return None
    named = ",".join(f'"{name}":{parts[name].canonical}' for name in ("dataset", "metric", "model"))
    identity = hashlib.blake2b(f"{{{named}}}".encode(), digest_size=16).hexdigest()
    return {name: part.plain for name, part in parts.items()}, identity


def _texts(text: str) -> dict[str, str]:
    """Return the text of each field, empty if the whole looks otherwise.

    Texts that are JSON each are JSON together, so the whole can mean nothing else.
    """
    nested = text.count("[") + text.count("{") >= LIMIT.depth
    if nested or "\\u" in text or not (text.startswith(START) and text.endswith(END)):
        return {}
    pairs = [piece.partition('": ') for piece in text[len(START) : -len(END)].split(BETWEEN)]
    found = {name: value for name, _, value in pairs}
    return found if len(pairs) == len(found) and found.keys() == NAMES else {}


def _part(name: str, text: str) -> _Part:
    plain = plain_record(text)
    return _Part(plain, readers_of(Record)[name](plain, name), "" if name in OWN else CANONICAL.encode(plain))


_shared_part = lru_cache(KEPT)(_part)
