"""Texts of strangers, made fit for a picture: no character that is not seen, a known width, no markup."""

from __future__ import annotations

import math
import unicodedata
from html import escape

ELLIPSIS = "…"
MOST_MARKS = 2
"""Accents on one letter; more of them would climb out of the picture."""

NARROW = frozenset("iljtfrI.,;:'|!()[] -/\\°")
WIDE = frozenset("mwMW@%&Q#+=<>~…OGDNHU−{}$→↑")
LARGEST, SMALLEST = 1e300, 1e-300
UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"), (1.0, ""))


def printable(text: str) -> str:
    r"""Return a text with a space for every character that shows nothing or turns the direction of writing.

    Example:
        >>> printable("a\x1b[31m\u202egnp")
        'a [31m gnp'
    """
    kept: list[str] = []
    marks = 0
    for letter in text:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks <= MOST_MARKS:
            kept.append(letter if letter.isprintable() else " ")
    return "".join(kept)


def isolated(text: str) -> str:
    """Return a text that leaves the direction of what stands beside it alone."""
    clean = printable(text)
    turned = any(unicodedata.bidirectional(letter) in ("R", "AL", "AN") for letter in clean)
    return f"\u2068{clean}\u2069" if turned else clean


def markup(text: str) -> str:
    """Return a text as it stands in markup, inside an element or an attribute; isolates and line ends are kept."""
    kept = (letter if letter in "\u2068\u2069\n" else printable(letter) for letter in text)
    return escape("".join(kept), quote=True)


def text_width(text: str, size: float) -> float:
    """Return the width of a text, rather too large than too small.

    Args:
        text: without line breaks.
        size: of the font.
    """
    return size * sum(_em(letter) for letter in text)


def _em(letter: str) -> float:
    if letter in NARROW:
        return 0.4
    if letter in WIDE:
        return 0.86
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.05
    return 0.62 if letter.islower() or letter.isdigit() or letter in "_*?$" else 0.74


def is_measured(text: str) -> bool:
    """Whether the width of a text is known well: some scripts have letters of any width."""
    return all(letter < "\u0530" or letter in "…−→↑" or "\u3000" <= letter <= "\u9fff" for letter in text)


def shortened(text: str, most: float, size: float) -> str:
    """Return a text that is no wider than it may be: without the owner of a model, or without its middle.

    Args:
        text: what to show.
        most: the width it may have.
        size: of the font.

    Example:
        >>> shortened("owner/name", 200, 12), shortened("a-quite-long-owner/name", 60, 12)
        ('owner/name', '…/name')
    """
    clean = " ".join(printable(text).split())
    if text_width(clean, size) <= most:
        return clean
    _, slash, name = clean.rpartition("/")
    if slash and name and text_width(f"{ELLIPSIS}/{name}", size) <= most:
        return f"{ELLIPSIS}/{name}"
    return _without_middle(clean, most, size)


def _without_middle(text: str, most: float, size: float) -> str:
    head, tail, width = 0, len(text), text_width(ELLIPSIS, size)
    while head < tail:
        from_head = head <= len(text) - tail
        width += text_width(text[head] if from_head else text[tail - 1], size)
        if width > most:
            break
        head, tail = (head + 1, tail) if from_head else (head, tail - 1)
    return f"{text[:head]}{ELLIPSIS}{text[tail:]}"


def finite(value: object) -> float | None:
    """Return a number a picture can show, None for what is none; numbers beyond all measure are drawn in.

    Example:
        >>> finite(0.5), finite(float("nan")), finite(None), finite(10**400)
        (0.5, None, None, 1e+300)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, int):
        value = max(-int(LARGEST), min(int(LARGEST), value))
    found = float(value)
    if not math.isfinite(found):
        return None
    if abs(found) < SMALLEST:
        return 0.0
    return max(-LARGEST, min(LARGEST, found))


def number(value: float, digits: int = 4) -> str:
    """Return a number in a few digits.

    Example:
        >>> number(-0.12345), number(12345), number(1.5e20)
        ('−0.1235', '12,345', '1.5e20')
    """
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}".replace("-", "−")
    return tidy(f"{value:.{digits}g}")


def tidy(text: str) -> str:
    """Return a number's text with a true minus and a short exponent."""
    mantissa, letter, exponent = text.partition("e")
    return (f"{mantissa}e{int(exponent)}" if letter else mantissa).replace("-", "−")


def short_count(value: float, digits: int = 3) -> str:
    """Return a count in a few letters.

    Example:
        >>> short_count(86_567_656), short_count(1e9), short_count(999_999), short_count(5)
        ('86.6M', '1B', '1M', '5')
    """
    rounded = float(f"{value:.{digits}g}")
    if rounded >= 1e15 or 0 < rounded < 1:
        return tidy(f"{value:.{digits}g}")
    for unit, letter in UNITS:
        if rounded >= unit:
            return f"{float(f'{rounded / unit:.{digits}g}'):.12g}{letter}"
    return "0"


def in_sentence(text: str, most: int = 60) -> str:
    """Return a name as a sentence has it: in so many letters, leaving the direction of the others alone.

    Example:
        >>> in_sentence("owner/" + "x" * 300, 12)
        'owner/…xxxxx'
    """
    clean = printable(text)
    head = most // 2
    tail = len(clean) - (most - 1 - head)
    return isolated(clean if len(clean) <= most else f"{clean[:head]}{ELLIPSIS}{clean[tail:]}")


def listed(names: list[str], most: int = 3) -> str:
    """Return names as a sentence lists them.

    Example:
        >>> listed(["a", "b", "c"]), listed(["a", "b", "c", "d"], 2)
        ('a, b and c', 'a, b and 2 more')
    """
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most:,} more"
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def counted(count: int, word: str) -> str:
    """Return a number with its word.

    Example:
        >>> counted(1, "model"), counted(2000, "model")
        ('1 model', '2,000 models')
    """
    return f"{count:,} {word}{'' if count == 1 else 's'}"
