"""Plain values into dataclasses, checked field by field: what a file of somebody else's may hold."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hf_transfer_score.errors import RecordError

SHOWN = 80
"""Letters of a wrong value that a message repeats."""

LARGEST = 2**63 - 1
"""The largest whole number; larger ones have no place in a table of columns."""


def wrong(where: str, expected: str, value: Any) -> RecordError:
    """Return the error for a field that does not hold what is expected there."""
    shown = repr(value)
    shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
    return RecordError(f"A record's field {where or 'itself'!r}: expected {expected}, got {shown}.")


def block(kind: type, value: Any, where: str) -> Any:
    """Return a dataclass of plain values; every field has to be there, and none besides."""
    if not isinstance(value, dict):
        raise wrong(where, "an object", value)
    hints, before = _hints(kind), f"{where}." if where else ""
    for name in hints:
        if name not in value:
            raise RecordError(f"A record's field '{before}{name}' is missing.")
    for name in value:
        if name not in hints:
            raise RecordError(f"A record has a field '{before}{name}', which is not known there: {', '.join(hints)}.")
    return kind(**{name: _value(hints[name], value[name], before + name) for name in hints})


@cache
def _hints(kind: type) -> dict[str, Any]:
    """Return the type of each field by name, in order."""
    hints = get_type_hints(kind)
    return {one.name: hints[one.name] for one in fields(kind)}


def _value(hint: Any, value: Any, where: str) -> Any:
    """Return a value as its field's type says."""
    if NoneType in get_args(hint):
        return None if value is None else _value(next(one for one in get_args(hint) if one != NoneType), value, where)
    if is_dataclass(hint):
        return block(hint, value, where)  # type: ignore[arg-type]
    if hint is Any:
        return _plain(value, where)
    if get_origin(hint) is not None:
        return _compound(get_origin(hint), get_args(hint), value, where)
    if hint is float:
        return _finite(value, where)
    if type(value) is not hint:
        raise wrong(where, {str: "text", int: "a whole number", bool: "true or false"}[hint], value)
    return _simple(value, where)


def _simple(value: Any, where: str) -> Any:
    """Return a text, a whole number or a truth value; refuse those that files and tables cannot hold."""
    if type(value) is int and abs(value) > LARGEST:
        raise wrong(where, f"a whole number up to {LARGEST}", value)
    if type(value) is str and not value.isascii() and not _encodable(value):
        raise wrong(where, "text that UTF-8 can hold", ascii(value))
    return value


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _compound(origin: Any, arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if origin is Literal:
        if not any(type(value) is type(one) and value == one for one in arguments):
            raise wrong(where, f"one of {', '.join(map(str, arguments))}", value)
        return value
    if origin is dict:
        _check_keys(value, where)
        return {name: _value(arguments[1], one, f"{where}.{name}") for name, one in value.items()}
    if not isinstance(value, (list, tuple)) or (Ellipsis not in arguments and len(value) != len(arguments)):
        raise wrong(where, "a list" if Ellipsis in arguments else f"a list of {len(arguments)}", value)
    return tuple(_value(arguments[0], one, f"{where}[{place}]") for place, one in enumerate(value))


def _finite(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise wrong(where, "a finite number", value)
    return float(value)


def _plain(value: Any, where: str) -> Any:
    """Return a value of any kind that JSON can hold."""
    if value is None or type(value) in (bool, int, str):
        return _simple(value, where)
    if type(value) is float:
        return _finite(value, where)
    if isinstance(value, (list, tuple)):
        return [_plain(one, f"{where}[{place}]") for place, one in enumerate(value)]
    _check_keys(value, where)
    return {name: _plain(one, f"{where}.{name}") for name, one in value.items()}


def _check_keys(value: Any, where: str) -> None:
    if not isinstance(value, dict) or not all(type(name) is str for name in value):
        raise wrong(where, "values that JSON can hold, by name", value)
    for name in value:
        _simple(name, where)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of a JSON text; ValueError where it names something twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it names {next(name for name in names if names.count(name) > 1)!r} twice")
    return found
