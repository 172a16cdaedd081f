"""Text of strangers as Markdown: whatever a record holds stays text, in its cell, on its line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

SHOWN = 120
"""Letters of a text that are shown."""

SPECIAL = re.compile(r"[\\`*\[\]<>|~$&]|(?<!\w)_|_(?!\w)|^[#+=-]|(?<=^\d)[.)]|(?<=^\d\d)[.)]")
"""Signs that mean something in Markdown, where they do."""

ADDRESS = re.compile(r"://|www\.|@|mailto:", re.IGNORECASE)
"""Pages make links of such texts by themselves, entities or not."""

HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
HUB = "https://huggingface.co"


def one_line(text: object, most: int = SHOWN) -> str:
    r"""Return a text without breaks, invisible letters and what is too long.

    Example:
        >>> one_line("a\n\n b\u202ec", 80)
        'a b c'
    """
    words = "".join(letter if letter.isprintable() else " " for letter in str(text)).split()
    joined = " ".join(words)
    return joined if len(joined) <= most else f"{joined[: most - 1].rstrip()}…"


def plain(text: object, most: int = SHOWN) -> str:
    """Return a text that Markdown shows as it is: no formatting, no link, no HTML, no cell of its own.

    Example:
        >>> plain("<b>|[x](y)"), plain("snake_case, as it is (1.5)")
        ('&lt;b&gt;&#124;&#91;x&#93;(y)', 'snake_case, as it is (1.5)')
    """
    if ADDRESS.search(str(text)):
        return code(text, most)
    return SPECIAL.sub(_entity, one_line(text, most))


def _entity(found: re.Match[str]) -> str:
    return {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(found.group(), f"&#{ord(found.group())};")


def code(text: object, most: int = SHOWN) -> str:
    """Return a text as code, that no letter of it can leave; it may stand in a cell.

    Backticks and bars, which no name needs, are shown by signs that look like them.

    Example:
        >>> code("a`b|c")
        '`a´b¦c`'
    """
    return f"`{one_line(text, most).replace('`', '´').replace('|', '¦') or '(empty)'}`"


def repository(name: str, kind: str = "") -> str:
    """Return the id of a repository as a link, anything else as code.

    Args:
        name: what a record calls it.
        kind: "datasets/" for a dataset.
    """
    if len(name) <= SHOWN and HUB_ID.fullmatch(name):
        return f"[{code(name)}]({HUB}/{kind}{name})"
    return code(name)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table; a column whose title starts with a space is aligned to the right."""
    marks = ["---:" if title.startswith(" ") else "---" for title in header]
    lines = [[title.strip() for title in header], marks, *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def fenced(text: str, language: str) -> list[str]:
    """Return the lines of a block of code, with a fence that is longer than any in the text."""
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *text.splitlines(), fence]


def number(value: float) -> str:
    """Return a number with five digits that tell, or in full where it is a large whole one.

    Example:
        >>> number(0.123456), number(25557032.0), number(-0.0004)
        ('0.12346', '25,557,032', '-0.0004')
    """
    if value == int(value) and abs(value) < 10**15:
        return f"{int(value):,}"
    return f"{value:.5g}"
