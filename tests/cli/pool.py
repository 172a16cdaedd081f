"""A small pool of features, and how to read the tables printed of it."""

import re

import numpy as np

LABELS = np.repeat(np.arange(4), 25)


def features(spread: float, width: int = 12, seed: int = 0) -> np.ndarray:
    """Return class means `spread` apart, with noise around them."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(len(LABELS), width)) + spread * generator.normal(size=(4, width))[LABELS]


POOL = {"near": features(0.4, 18), "middle": features(1.0, 12, 1), "far": features(2.0, 16, 2)}
FILES = [f"{name}.npz" for name in POOL]


def flat(text: str) -> str:
    """Return text with one blank wherever it has some."""
    return " ".join(text.split())


def table_rows(text: str) -> dict[str, list[str]]:
    """Return the cells of each model of a pool, of all blocks."""
    rows: dict[str, list[str]] = {}
    for line in re.split(r"\n\d+ of \d+ models ranked", text)[0].splitlines():
        name, *cells = line.split() or [""]
        if cells:
            rows.setdefault(name, []).extend(cells)
    return rows
