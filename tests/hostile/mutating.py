"""Mutations of valid files for hypothesis: changed bytes, or values replaced by hostile ones."""

import copy
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

DEEP, DIGITS, TWICE = "@deep@", "@digits@", "@twice@"  # placeholders of JSON text that cannot be written from a value

PLACES = ("../../etc/passwd", "/dev/zero", "/etc/passwd", "hf://datasets/a/b/c", "http://127.0.0.1:9/x", "~/x")
PLACES += ("a\0b", "..")
TIMES = ("9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+23:59", "2999-01-01", "soon", "2025-13-45T99:99:99Z")
TEXTS = ("", "x" * 30_000, "\x1b[2J\x1b]0;owned\x07", "\u202eabc\u2066", "\ud800", "=cmd()", "a\nb\rc")
TEXTS += ("<script>alert(1)</script>",)
NUMBERS = (0, -1, 1.5, 2**63, -(2**63) - 1, 10**100, 10**400, 1e308, -1e308, 5e-324, -0.0, float("nan"), float("inf"))
OTHERS = (None, True, False, [], {}, [[]], [None, 1, "a"], {"": {}}, {"__class__": "x"}, list(range(300)), DEEP, DIGITS)
HOSTILE: tuple[Any, ...] = (*PLACES, *TIMES, *TEXTS, *NUMBERS, *OTHERS)
NAMES = ("extra", "", "__proto__", "id", "\x1b[2J", "x" * 2000, "../x")


@st.composite
def changed_bytes(draw: st.DrawFn, contents: Sequence[bytes]) -> bytes:
    """Draw one of some contents with one to three changes."""
    content = draw(st.sampled_from(contents))
    for _ in range(draw(st.integers(1, 3))):
        content = _change(draw, content, contents)
    return content


def _change(draw: st.DrawFn, content: bytes, contents: Sequence[bytes]) -> bytes:
    place = draw(st.integers(0, len(content)))
    end = min(len(content), place + draw(st.integers(1, 64)))
    kind = draw(st.sampled_from(("flip", "set", "cut", "end", "repeat", "insert", "splice", "swap")))
    before, part, after = content[:place], content[place:end], content[end:]
    if kind == "flip":
        return before + bytes(one ^ (1 << (place + n) % 8) for n, one in enumerate(part[:1])) + content[place + 1 :]
    if kind == "set":
        return before + draw(st.sampled_from((b"\0", b"\xff", b"\x7f", b"\x80", b'"', b"{", b"\n"))) * len(part) + after
    if kind in ("cut", "end"):
        return before + (after if kind == "cut" else b"")
    if kind == "repeat":
        return before + part * draw(st.sampled_from((2, 3, 100))) + after
    if kind == "insert":
        return before + draw(st.binary(min_size=1, max_size=16)) + content[place:]
    if kind == "swap":
        return after + part + before
    other = draw(st.sampled_from(contents))
    return before + other[draw(st.integers(0, len(other))) :]


@st.composite
def changed_tree(draw: st.DrawFn, trees: Sequence[Any]) -> Any:
    """Draw one of some trees of lists and dictionaries, with one to three changed values."""
    tree = copy.deepcopy(draw(st.sampled_from(trees)))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(tree))
        if not places:
            return _hostile(draw)
        inside, key = places[draw(st.integers(0, len(places) - 1))]
        kind = draw(st.sampled_from(("replace", "replace", "replace", "remove", "add", "twice", "like")))
        if kind == "remove":
            del inside[key]
        elif kind == "like":
            inside[key] = _like(draw, inside[key])
        elif kind in ("add", "twice") and isinstance(inside, dict):
            name = f"{TWICE}{key}" if kind == "twice" else draw(st.sampled_from(NAMES))
            inside[name] = _hostile(draw)
        else:
            inside[key] = _hostile(draw)
    return tree


def _hostile(draw: st.DrawFn) -> Any:
    """Draw a copy of a hostile value: a shared one could later contain itself."""
    return copy.deepcopy(HOSTILE[draw(st.integers(0, len(HOSTILE) - 1))])


def _like(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return draw(st.integers(-(2**70), 2**70))
    if isinstance(value, float):
        return draw(st.floats())
    return draw(st.text(max_size=20)) if isinstance(value, str) else value


def _places(tree: Any) -> Any:
    """Yield each container with each of its keys."""
    waiting = [tree]
    while waiting:
        inside = waiting.pop()
        if isinstance(inside, (dict, list)):
            keys = list(inside) if isinstance(inside, dict) else range(len(inside))
            yield from ((inside, key) for key in keys)
            waiting += [inside[key] for key in keys]


def json_of(tree: Any) -> bytes:
    """Return a tree as JSON, with the placeholders replaced."""
    text = json.dumps(tree, indent=1)
    text = text.replace(f'"{DEEP}"', "[" * 20_000 + "]" * 20_000).replace(f'"{DIGITS}"', "7" * 5000).replace(TWICE, "")
    return text.encode()


def changed_json(trees: Sequence[Any]) -> st.SearchStrategy[bytes]:
    """Draw JSON of changed trees, or changed JSON of valid ones."""
    return st.one_of(changed_tree(trees).map(json_of), changed_bytes([json_of(tree) for tree in trees]))
