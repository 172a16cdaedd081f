"""Names and numbers as charts say them: names of strangers on one line, numbers in a few digits."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Literal

ELLIPSIS, MISSING = "…", "–"
MOST_MARKS = 2
"""Accents on one letter; more of them would climb out of the chart."""

LARGEST, SMALLEST = 1e200, 1e-200
UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"), (1.0, ""))

Across = Literal["parameters", "throughput"]
"""What models are drawn against in the chart of a ranking."""

Ends = tuple[float, float]
"""The lower and the upper end of an interval."""


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


def named(text: str) -> str:
    """Return a name on one line, without characters that show nothing."""
    return " ".join(printable(text).split()) or "(no name)"


def shorten(text: str, most: int) -> str:
    """Return a text in so many letters: without the owner of a model, then without its middle.

    Example:
        >>> shorten("owner/name", 20), shorten("a-quite-long-owner/name", 12), shorten("owner/abcdefghijkl", 5)
        ('owner/name', '…/name', 'ab…kl')
    """
    if len(text) <= most:
        return text
    _, slash, name = text.rpartition("/")
    if slash and name and len(name) + 2 <= most:
        return f"{ELLIPSIS}/{name}"
    text, head = (name or text) if len(name) > most else text, most // 2
    if len(text) <= most:
        return text
    return f"{text[:head]}{ELLIPSIS}{text[len(text) - (most - 1 - head) :]}"


def in_sentence(text: str, most: int = 60) -> str:
    """Return a name as a sentence has it: not too long, and leaving the direction of the other words alone."""
    clean = shorten(named(text), most)
    turned = any(unicodedata.bidirectional(letter) in ("R", "AL", "AN") for letter in clean)
    return f"\u2068{clean}\u2069" if turned else clean


def finite(value: object) -> float | None:
    """Return a number that a chart can show, None for what is none; numbers beyond all measure are drawn in.

    Example:
        >>> finite(0.5), finite(float("nan")), finite(None), finite(10**400)
        (0.5, None, None, 1e+200)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    found = float(max(-int(LARGEST), min(int(LARGEST), value)) if isinstance(value, int) else value)
    if not math.isfinite(found):
        return None
    return 0.0 if abs(found) < SMALLEST else max(-LARGEST, min(LARGEST, found))


def ends_of(interval: Ends | None) -> Ends | None:
    """Return an interval with its lower end first, None where it has no numbers."""
    low, high = (None, None) if interval is None else map(finite, interval)
    return None if low is None or high is None else (min(low, high), max(low, high))


def number(value: float, digits: int = 4) -> str:
    """Return a number in a few digits.

    Example:
        >>> number(-0.12345), number(12345), number(1.5e20)
        ('−0.1235', '12,345', '1.5e20')
    """
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}".replace("-", "−")
    mantissa, letter, exponent = f"{value:.{digits}g}".partition("e")
    return (f"{mantissa}e{int(exponent)}" if letter else mantissa).replace("-", "−")


def short_count(value: float) -> str:
    """Return a count with three digits.

    Example:
        >>> short_count(86_567_656), short_count(1e9), short_count(999_999), short_count(0.5)
        ('86.6M', '1B', '1M', '0.5')
    """
    rounded = float(f"{value:.3g}")
    unit, letter = next((one for one in UNITS if rounded >= one[0]), (1.0, ""))
    return number(rounded, 3) if rounded >= 1e15 else f"{float(f'{rounded / unit:.3g}'):.12g}{letter}"


def interval_text(value: float, interval: Ends | None = None) -> str:
    """Return a value with its interval.

    Example:
        >>> interval_text(0.5, (0.4, 0.6)), interval_text(3)
        ('0.5 (0.4 to 0.6)', '3')
    """
    return number(value) if interval is None else f"{number(value)} ({number(interval[0])} to {number(interval[1])})"


def listed(names: Sequence[str], most: int = 3) -> str:
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


def joined(*sentences: str) -> str:
    """Return the sentences that say something, one after the other."""
    return " ".join(sentence.strip() for sentence in sentences if sentence.strip())


def capital(text: str) -> str:
    """Return a text that starts with a capital letter."""
    return text[:1].upper() + text[1:]
