"""Axes: where a value lies between the ends, and at which values there are ticks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from hf_transfer_score.leaderboard.drawing.text import number, tidy

Kind = Literal["linear", "log", "minus log"]

PADDING = 0.06
"""Share of the axis that stays free at each end."""

EQUAL = 1e-12
"""Values whose range is a smaller share of their size count as equal."""

FAR_APART = 100.0
"""Negative values whose sizes differ by a larger factor are shown on a logarithmic axis."""


@dataclass(frozen=True)
class Axis:
    """One direction of a picture.

    Attributes:
        kind: how values are spread; "minus log" spreads negative values by their size.
        low: the lower end, after spreading.
        high: the upper end, after spreading.
        ticks: values with their texts, from low to high.
        turned: whether low values lie where high ones do as a rule.
    """

    kind: Kind
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    turned: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies, from 0 to 1; what is beyond an end lies at it."""
        share = (spread(self.kind, value) - self.low) / (self.high - self.low)
        share = min(1.0, max(0.0, share))
        return 1 - share if self.turned else share


def spread(kind: Kind, value: float) -> float:
    """Return a value as its axis counts; on logarithmic axes what has no logarithm lies beyond the end."""
    if kind == "linear":
        return value
    if kind == "log":
        return math.log10(value) if value > 0 else -math.inf
    return -math.log10(-value) if value < 0 else math.inf


def linear_axis(values: Sequence[float], *, whole: bool = False, turned: bool = False, ticks: int = 6) -> Axis:
    """Return an axis on which equal steps are equally long.

    Args:
        values: what has to be on it, at least one.
        whole: whether only whole numbers from 1 mean something, such as ranks.
        turned: whether low values lie where high ones do as a rule.
        ticks: how many there may be, about.
    """
    low, high = min(values), max(values)
    if high - low <= EQUAL * max(abs(low), abs(high)):
        room = 1.0 if whole or low == 0 else abs(low) * 0.1
    else:
        room = (high - low) * PADDING
    low, high = low - room, high + room
    found = [1.0, *whole_ticks(high, ticks)] if whole else nice_ticks(low, high, ticks)
    texts = tick_texts(found, number if whole else None)
    return Axis("linear", low, high, tuple(zip(found, texts, strict=True)), turned)


def log_axis(values: Sequence[float], text: Callable[[float, int], str], *, ticks: int = 6) -> Axis:
    """Return an axis on which equal factors are equally long.

    Args:
        values: what has to be on it, at least one, all above 0.
        text: writes a tick in a number of digits.
        ticks: how many there may be, about.
    """
    low, high = math.log10(min(values)), math.log10(max(values))
    room = min(0.5, max((high - low) * PADDING, 0.15)) if high > low else 0.5
    low, high = low - room, high + room
    found = log_ticks(low, high, ticks)
    return Axis("log", low, high, tuple(zip(found, tick_texts(found, text), strict=True)))


def fitting_axis(values: Sequence[float], *, ticks: int = 6) -> Axis:
    """Return a linear axis, or a logarithmic one for negative values of very different size."""
    sizes = [-value for value in values]
    if min(sizes) <= 0 or max(sizes) < FAR_APART * min(sizes):
        return linear_axis(values, ticks=ticks)
    axis = log_axis(sizes, number, ticks=ticks)
    turned = tuple((-value, f"−{text}") for value, text in reversed(axis.ticks))
    return Axis("minus log", -axis.high, -axis.low, turned)


def nice_step(span: float, ticks: int) -> float:
    """Return 1, 2 or 5 times a power of ten, so that a span has about so many steps."""
    raw = span / ticks
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))


def nice_ticks(low: float, high: float, ticks: int) -> list[float]:
    """Return multiples of a nice step between two ends."""
    step = nice_step(high - low, ticks)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [place * step for place in range(first, last + 1)]


def whole_ticks(high: float, ticks: int) -> list[float]:
    """Return multiples of a nice whole step above 1."""
    step = max(1.0, nice_step(max(high - 1, 1.0), ticks))
    return [place * step for place in range(1, math.floor(high / step + 1e-9) + 1) if place * step > 1]


def log_ticks(low: float, high: float, ticks: int) -> list[float]:
    """Return powers of ten between two exponents, with more between where these are few, fewer where they are many."""
    powers = list(range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1))
    if len(powers) >= 3:
        every = math.ceil(len(powers) / ticks)
        return [10.0**power for power in powers if (power - powers[0]) % every == 0]
    whole = range(math.floor(low), math.ceil(high) + 1)
    found = [factor * 10.0**power for power in whole for factor in (1, 2, 5)]
    found = [value for value in found if low <= math.log10(value) <= high]
    return found if len(found) >= 2 else nice_ticks(10.0**low, 10.0**high, ticks)


def tick_texts(values: Sequence[float], text: Callable[[float, int], str] | None = None) -> list[str]:
    """Return ticks in as many digits as tell them apart."""
    write = text or _plain(values)
    for digits in range(1, 16):
        texts = [write(value, digits) for value in values]
        exact = all(abs(value - float(f"{value:.{digits}g}")) <= 1e-9 * abs(value) for value in values)
        if len(set(texts)) == len(texts) and (exact or text is None):
            return texts
    return [write(value, 15) for value in values]


def _plain(values: Sequence[float]) -> Callable[[float, int], str]:
    largest = max((abs(value) for value in values), default=0.0)
    step = min((abs(b - a) for a, b in itertools.pairwise(values)), default=largest)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    if largest >= 1e6 or decimals > 5:
        return lambda value, digits: "0" if value == 0 else tidy(f"{value:.{digits - 1}e}")
    return lambda value, _: "0" if abs(value) < step / 2 else f"{value:,.{decimals}f}".replace("-", "−")
