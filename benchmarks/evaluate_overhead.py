"""Print the overhead of the evaluate modules for arrays, lists and batches of 10,000 x 768.

Run it as `python benchmarks/evaluate_overhead.py`, with `--rows` and `--width` for other sizes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import evaluate
import numpy as np
from rich.console import Console
from rich.table import Table

import hf_transfer_score
from hf_transfer_score import get_metric

MODULES = Path(hf_transfer_score.__file__).parent / "evaluate_modules"


def seconds(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the shortest run of each call; they take turns, so a busy moment affects all alike."""
    spent: dict[str, float] = dict.fromkeys(calls, float("inf"))
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            spent[name] = min(spent[name], time.perf_counter() - start)
    return spent


def in_batches(module: evaluate.Metric, features: np.ndarray, labels: np.ndarray) -> None:
    """Add the rows in batches of 256, as with a data loader, and compute."""
    for start in range(0, len(features), 256):
        module.add_batch(features=features[start : start + 256], references=labels[start : start + 256])
    module.compute()


def ways(name: str, features: np.ndarray, labels: np.ndarray) -> dict[str, Callable[[], object]]:
    """Return the ways to compute one number, by their names in the table."""
    metric, rows, classes = get_metric(name), features.tolist(), labels.tolist()
    module = evaluate.load(str(MODULES / f"{name}_transferability"))
    in_memory = evaluate.load(str(MODULES / f"{name}_transferability"), keep_in_memory=True)
    return {
        "the metric itself": lambda: metric(features, labels),
        "compute, arrays (direct)": lambda: module.compute(features=features, references=labels),
        "add_batch, arrays (direct)": lambda: in_batches(module, features, labels),
        "compute, lists (Arrow file)": lambda: module.compute(features=rows, references=classes),
        "compute, lists (Arrow in memory)": lambda: in_memory.compute(features=rows, references=classes),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    generator, labels = np.random.default_rng(0), np.arange(options.rows) % 10
    features = (generator.normal(size=(options.rows, options.width)) + labels[:, None] / 10).astype(np.float32)
    table = Table(title=f"Seconds for {options.rows} x {options.width} float32, best of {options.repeats}")
    for column in ("metric", "way", "seconds", "overhead"):
        table.add_column(column)
    for name in ("face", "ncti"):
        spent = seconds(ways(name, features, labels), options.repeats)
        alone = spent["the metric itself"]
        for way, total in spent.items():
            table.add_row(name, way, f"{total:.3f}", f"{total - alone:+.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
