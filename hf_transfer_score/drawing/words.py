"""Names and numbers as charts write them: foreign names on one line, numbers with a few digits."""

import math
import unicodedata
from typing import Literal

ELLIPSIS, MISSING = "…", "–"
MOST_MARKS = 2
"""Accents on one letter at most; more would climb out of the chart."""

LARGEST, SMALLEST = 1e200, 1e-200

Across = Literal["parameters", "throughput"]
"""What models are drawn against in the chart of a ranking."""

Ends = tuple[float, float]
"""The lower and the upper end of an interval."""


def printable(text: str) -> str:
    r"""Return a text with a space for every character that is invisible or changes the direction of writing.

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
    """Return a name on one line, without invisible characters."""
    return " ".join(printable(text).split()) or "(no name)"


def shorten(text: str, most: int) -> str:
    """Return a text cut to a length: first the owner of a model goes, then the middle of the name.

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
    """Return a name for a sentence: not too long, and without effect on the direction of the other words."""
    clean = shorten(named(text), most)
    turned = any(unicodedata.bidirectional(letter) in ("R", "AL", "AN") for letter in clean)
    return f"\u2068{clean}\u2069" if turned else clean


def finite(value: object) -> float | None:
    """Return a number that a chart can show, None for anything else; huge numbers are limited.

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
    """Return an interval with its lower end first, None where an end is missing."""
    low, high = (None, None) if interval is None else map(finite, interval)
    return None if low is None or high is None else (min(low, high), max(low, high))


def number(value: float, digits: int = 4) -> str:
    """Return a number with a few digits.

    Example:
        >>> number(-0.12345), number(12345), number(1.5e20)
        ('−0.1235', '12,345', '1.5e20')
    """
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}".replace("-", "−")
    mantissa, letter, exponent = f"{value:.{digits}g}".partition("e")
    return (f"{mantissa}e{int(exponent)}" if letter else mantissa).replace("-", "−")


def interval_text(value: float, interval: Ends | None = None) -> str:
    """Return a value with its interval.

    Example:
        >>> interval_text(0.5, (0.4, 0.6)), interval_text(3)
        ('0.5 (0.4 to 0.6)', '3')
    """
    return number(value) if interval is None else f"{number(value)} ({number(interval[0])} to {number(interval[1])})"


def tau_text(value: float, interval: Ends | None) -> str:
    """Return the agreement of two orders with its interval.

    Example:
        >>> tau_text(-0.25, (-0.5, 0.1))
        '−0.25 (−0.50 to 0.10)'
    """
    ends = "" if interval is None else f" ({interval[0]:.2f} to {interval[1]:.2f})"
    return f"{value:.2f}{ends}".replace("-", "−")


def sentences(*texts: str) -> str:
    """Return the sentences that are not empty as one text."""
    return " ".join(text.strip() for text in texts if text.strip())


def capital(text: str) -> str:
    """Return a text that starts with a capital letter."""
    return text[:1].upper() + text[1:]
