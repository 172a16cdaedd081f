"""Counts, sizes and times as people say them."""

from __future__ import annotations


def short_count(value: float) -> str:
    """Return a count with three digits.

    Example:
        >>> short_count(25557032), short_count(999_600), short_count(812)
        ('25.6M', '1M', '812')
    """
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if value >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.3g}{unit}" if scaled < 999.5 else f"{scaled:.0f}{unit}"
    return f"{value:.3g}"


def short_bytes(value: int) -> str:
    """Return a number of bytes with three digits.

    Example:
        >>> short_bytes(90_868_376)
        '90.9 MB'
    """
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value} B"


def duration(seconds: float) -> str:
    """Return a time as people say it.

    Example:
        >>> duration(4.26), duration(75), duration(3720)
        ('4.3 s', '1 min 15 s', '1 h 2 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    return f"{minutes} min {round(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
