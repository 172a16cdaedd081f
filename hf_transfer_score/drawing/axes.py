"""Axes: their range, where a value lies, and their ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hf_transfer_score.drawing.words import number
from hf_transfer_score.text import short_count

PADDING = 0.06
"""Share of an axis that is left free at each end."""

FAR_APART = 100.0
"""Negative values that differ by a larger factor get a logarithmic axis."""

FACTORS = ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10)), tuple(one / 4 for one in range(4, 40)))
MOST_TICKS = 8


@dataclass(frozen=True)
class Axis:
    """One direction of a chart: if logarithmic, all values have one sign; if turned, low values are right or on top.

    The title may have several lines; ticks are values with their texts, and None lets the library choose them.
    """

    title: str
    low: float
    high: float
    log: bool = False
    turned: bool = False
    ticks: tuple[tuple[float, str], ...] | None = None

    def share(self, value: float) -> float:
        """Return where a value lies, from 0, at the left or bottom, to 1."""
        low, high, at = (self._spread(one) for one in (self.low, self.high, value))
        share = (at - low) / (high - low)
        return 1 - share if self.turned else share

    def value(self, share: float) -> float:
        """Return the value that lies at a share."""
        low, high = self._spread(self.low), self._spread(self.high)
        at, sign = low + (1 - share if self.turned else share) * (high - low), math.copysign(1, self.low)
        return sign * 10 ** (sign * at) if self.log else at

    def _spread(self, value: float) -> float:
        sign = math.copysign(1, self.low)
        return sign * math.log10(sign * value) if self.log else value

    def channel(self, kind: Any, field: str) -> Any:
        """Return the channel, `altair.X` or `altair.Y`, of a field of the data."""
        import altair as alt

        scale = alt.Scale(
            type="log" if self.log else "linear",
            domain=[self.low, self.high],
            reverse=self.turned,
            nice=False,
            zero=alt.Undefined if self.log else False,
        )
        drawn: dict[str, Any] = {"tickCount": 6}
        if self.ticks is not None:
            texts = "".join(f"abs(datum.value - {at!r}) <= {abs(at) * 1e-6!r} ? '{text}' : " for at, text in self.ticks)
            drawn = {"values": [at for at, _ in self.ticks], "labelExpr": f"{texts}''"}
        return kind(f"{field}:Q", scale=scale, axis=alt.Axis(**drawn, labelOverlap=True), title=self.title.split("\n"))


def linear_axis(title: str, values: Sequence[float], *, turned: bool = False) -> Axis:
    """Return a linear axis around some values."""
    low, high = min(values), max(values)
    equal = high - low <= 1e-12 * max(abs(low), abs(high))
    room = (abs(low) * 0.1 or 1.0) if equal else (high - low) * PADDING
    return Axis(title, low - room, high + room, turned=turned)


def rank_axis(title: str, ranks: Sequence[float]) -> Axis:
    """Return an axis of ranks from 1, at the top or right, to the worst."""
    worst = max(ranks)
    step = next(step * 10**power for power in range(300) for step in (1, 2, 5) if worst <= 14 * step * 10**power)
    ticks = [1, *range(step, int(worst) + 1, step)]
    return Axis(title, 0.4, worst + 0.6, turned=True, ticks=tuple((one, f"{one:,}") for one in dict.fromkeys(ticks)))


def log_axis(title: str, values: Sequence[float], text: Callable[[float], str] = short_count) -> Axis:
    """Return a logarithmic axis around some values, all above 0."""
    low, high = math.log10(min(values)), math.log10(max(values))
    room = max((high - low) * PADDING, 0.1)
    low, high = low - room, high + room
    powers = range(math.floor(low), math.ceil(high) + 1)
    choices = [[factor * 10.0**power for power in powers for factor in factors] for factors in FACTORS]
    inside = [[one for one in choice if low <= math.log10(one) <= high] for choice in choices]
    chosen = next((choice for choice in inside if len(choice) >= 3), inside[-1])
    chosen = chosen[:: math.ceil(len(chosen) / MOST_TICKS)]
    return Axis(title, 10.0**low, 10.0**high, log=True, ticks=tuple((one, text(one)) for one in chosen))


def fitting_axis(title: str, values: Sequence[float]) -> Axis:
    """Return a linear axis, or a logarithmic one for negative values of very different sizes."""
    sizes = [-value for value in values]
    if min(sizes) <= 0 or max(sizes) < FAR_APART * min(sizes):
        return linear_axis(title, values)
    axis = log_axis(title, sizes, number)
    ticks = tuple((-value, f"−{text}") for value, text in reversed(axis.ticks or ()))
    return Axis(title, -axis.high, -axis.low, log=True, ticks=ticks)
