"""Sentences and small facts that the pictures of models share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from hf_transfer_score.leaderboard.drawing.cloud import Ends, Entry, Mark
from hf_transfer_score.leaderboard.drawing.text import finite, in_sentence

Best = Literal["high", "low"]
"""Which values of a score are good; the low ones for a rank."""


def ends(interval: Ends | None) -> Ends | None:
    """Return an interval with its lower end first, None where it has no numbers."""
    if interval is None:
        return None
    low, high = finite(interval[0]), finite(interval[1])
    return None if low is None or high is None else (min(low, high), max(low, high))


def used(entries: Sequence[Entry], marks: Sequence[Mark], *, steps: bool = False) -> tuple[Entry, ...]:
    """Return the lines of the legend for what is in the picture."""
    parts = {mark.part for mark in marks} | ({"steps"} if steps else set())
    return tuple(entry for entry in entries if entry.part in parts)


def said(mark: Mark) -> str:
    """Return a model with its numbers, as a sentence says it."""
    return f"{in_sentence(mark.clean)} ({', '.join(f'{fact.name} {fact.text}' for fact in mark.facts)})"


def too_few(marks: Sequence[Mark], first: str, second: str) -> str:
    """Return why there is no picture of fewer than two models."""
    if not marks:
        return f"No model has both {first} and {second} yet."
    return f"Only one model has both {first} and {second}: {said(marks[0])}. A second one makes a picture."


def sample_note(shown: int, count: int) -> str:
    """Return how many of the models are drawn, nothing where all are."""
    if shown == count:
        return ""
    return f"{shown:,} of {count:,} models are drawn: the best, those marked, and a random sample of the others."


def joined(*sentences: str) -> str:
    """Return the sentences that say something, one after the other."""
    return " ".join(sentence.strip() for sentence in sentences if sentence.strip())


def capital(text: str) -> str:
    """Return a text that starts with a capital letter."""
    return text[:1].upper() + text[1:]
