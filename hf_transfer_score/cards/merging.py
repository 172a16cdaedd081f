"""A section and metadata added to an existing card, whose own text stays untouched.

The Hub client's card class rewrites the whole metadata and loses comments, quotes and blank lines. So the text is
edited instead, and the meaning of the result is compared with what it should be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from hf_transfer_score.cards.metadata import MAKER, is_ours
from hf_transfer_score.errors import InputError, UnreadableError
from hf_transfer_score.untrusted import LARGE, parse_yaml, reason_of

START, END = "<!-- hf-transfer-score:start -->", "<!-- hf-transfer-score:end -->"

BLOCK = re.compile(r"^(\s*---(?:\r\n|\r|\n))([\S\s]*?)((?:\r\n|\r|\n)---[ \t]*(?:\r\n|\n|$))")
"""What the Hub takes for the metadata of a card."""

EMPTY_BLOCK = re.compile(r"^(\s*---(?:\r\n|\r|\n))()(---[ \t]*(?:\r\n|\n|$))")
KEY = "model-index"
UNFOLDED = 10**6
"""Width of lines, which are never folded: folding would depend on their indentation."""

LIMIT = LARGE
"""Limit for the metadata of a card: that of some benchmarks has thousands of results."""

ADVICE = "Fix it by hand, or leave the metadata out (metadata=False)."


def merged_card(existing: str, section: str, results: list[dict[str, Any]] | None, *, name: str = "model") -> str:
    """Return a card with a section, and with results in its metadata; everything else stays as it is.

    The section replaces an earlier one from START to END, or else comes last. Results of a model-index replace earlier
    ones of this package and join those of others; None leaves the metadata alone. The name is used where the card has
    no model-index yet.
    """
    mark, text = ("\ufeff", existing[1:]) if existing.startswith("\ufeff") else ("", existing)
    newline = "\r\n" if "\r\n" in text else "\n"
    head, body = split(text)
    if results or (results is not None and MAKER in head):
        head = merged_metadata(head, results, name=name, newline=newline)
    return mark + head + merged_body(body, section, newline=newline)


def split(text: str) -> tuple[str, str]:
    """Return the block of metadata with its lines of dashes, empty if there is none, and what follows."""
    found = EMPTY_BLOCK.match(text) or BLOCK.match(text)
    return (text[: found.end()], text[found.end() :]) if found else ("", text)


def merged_body(body: str, section: str, *, newline: str = "\n") -> str:
    """Return a text with the section in place of an earlier one, or at its end."""
    mine = section.strip("\n").replace("\n", newline)
    starts, ends = (list(re.finditer(rf"^{mark}[ \t]*\r?$", body, re.MULTILINE)) for mark in (START, END))
    if len(starts) > 1 or len(starts) != len(ends) or (starts and starts[0].start() > ends[0].start()):
        raise InputError(
            f"The card has {len(starts)} lines {START} and {len(ends)} lines {END}: expected one pair, in this order. "
            "Remove the rest of earlier sections by hand."
        )
    if starts:
        after = body[ends[0].start() + len(END) :]
        return body[: starts[0].start()] + mine + after
    if not body.strip():
        return body + mine + newline
    return body + ("" if body.endswith("\n") else newline) + newline + mine + newline


def merged_metadata(head: str, results: list[dict[str, Any]], *, name: str, newline: str = "\n") -> str:
    """Return a block of metadata with the results among its own."""
    if not head:
        return f"---{newline}{_dumped({KEY: [{'name': name, 'results': results}]}, newline)}---{newline}{newline}"
    found = EMPTY_BLOCK.match(head) or BLOCK.match(head)
    assert found is not None
    before, inside, after = found.groups()
    wanted = _wanted(_read(inside), results, name)
    if repr(_read(inside)) == repr(wanted):
        return head
    after = after if after.startswith(("\r", "\n")) else newline + after
    for text in _edits(inside, results, wanted, name, newline):
        with suppress(InputError):  # an edit that broke the YAML is not the wanted one
            if text is not None and repr(_read(text)) == repr(wanted):
                return before + text + after
    raise InputError(f"Nothing can be added to the card's metadata without rewriting all of it. {ADVICE}")


def _read(text: str) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    try:
        parse_yaml(text, what="the card's metadata", limit=LIMIT)
        found = yaml.safe_load(text)  # now that it is within limits; dates stay dates, as the Hub's client writes them
    except UnreadableError as error:
        raise InputError(f"{error} {ADVICE}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"The card's metadata is not YAML: {reason_of(error)}. {ADVICE}") from None
    if not isinstance(found, (dict, type(None))):
        raise InputError(f"The card's metadata does not map names to values. {ADVICE}")
    return found or {}


def _wanted(data: dict[str, Any], results: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return what the metadata should mean: results of others stay, earlier ones of ours go."""
    index = data.get(KEY)
    if index is None:
        return {**data, KEY: [{"name": name, "results": results}]} if results else data
    if not (isinstance(index, list) and index and all(isinstance(one, dict) for one in index)) or not all(
        isinstance(one.get("results"), list) for one in index
    ):
        raise InputError(f"The card's {KEY} is not a list of models with a list of results each. {ADVICE}")
    kept = [{**one, "results": [result for result in one["results"] if not is_ours(result)]} for one in index]
    kept[0]["results"] += results
    return {**data, KEY: kept}


def _edits(
    text: str, results: list[dict[str, Any]], wanted: dict[str, Any], name: str, newline: str
) -> Iterator[str | None]:
    """Yield metadata that may mean what is wanted, the smallest change first."""
    if KEY in _read(text):
        yield _with_items(text, results, newline)
        yield _with_index(text, wanted, newline)
    else:
        before = text + newline if text.strip() else ""
        yield (before + _dumped({KEY: [{"name": name, "results": results}]}, newline)).removesuffix(newline)


def _dumped(value: Any, newline: str, indent: int = 0) -> str:
    """Return YAML as the Hub's client writes it, indented."""
    from huggingface_hub import utils

    tools: Any = utils
    lines = tools.yaml_dump(value, sort_keys=False, width=UNFOLDED).splitlines()
    return "".join(f"{' ' * indent}{line}{newline}" if line else newline for line in lines)


def _with_items(text: str, results: list[dict[str, Any]], newline: str) -> str | None:
    """Remove our results from all lists, and add the new ones to the first model's list."""
    import yaml

    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else ()
    index = next((value for key, value in pairs if key.value == KEY), None)
    if not isinstance(index, yaml.SequenceNode):
        return None
    models = [(key, value) for model in index.value for key, value in model.value if key.value == "results"]
    lines = text.splitlines(keepends=True)
    key, first = models[0]
    if first.flow_style and first.value:
        return None
    end, column = _last_line(first) + 1, (key if first.flow_style else first).start_mark.column
    if first.flow_style:  # lines replace an empty list; a comment after it stays
        line = lines[end - 1]
        lines[end - 1] = line[: first.start_mark.column].rstrip() + line[first.end_mark.column :]
    lines[end - 1] = lines[end - 1].rstrip("\r\n") + newline
    lines.insert(end, _dumped(results, newline, column) if results else "")
    count = len(lines)
    for node in (one for _, model in models if not model.flow_style for one in model.value):
        if is_ours(yaml.safe_load(yaml.serialize(node))):  # from its dash to the end of its last value
            for number in range(node.start_mark.line, min(_last_line(node) + 1, count)):
                lines[number] = ""
    return "".join(lines).removesuffix(newline)


def _with_index(text: str, wanted: dict[str, Any], newline: str) -> str | None:
    """Rewrite the model-index and nothing else."""
    import yaml

    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return None
    lines = text.splitlines(keepends=True)
    for key, value in root.value:
        if key.value == KEY:
            lines[-1] = lines[-1].rstrip("\r\n") + newline
            lines[key.start_mark.line : _last_line(value) + 1] = [_dumped({KEY: wanted[KEY]}, newline)]
            return "".join(lines).removesuffix(newline)
    return None


def _last_line(node: Any) -> int:
    """Return the line where the last value of a node ends, before any comments."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        mark = node.end_mark
        return int(mark.line if mark.column or mark.line == node.start_mark.line else mark.line - 1)
    if node.flow_style or not node.value:
        return int(node.end_mark.line)
    last = node.value[-1]
    return _last_line(last[1] if isinstance(node, yaml.MappingNode) else last)
