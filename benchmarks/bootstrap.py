"""Milliseconds per model and bootstrap replicate, with shortcuts and computed in full, and how well the two agree.

Run `python benchmarks/bootstrap.py --help`. The spread ratio is the standard deviation over the replicates with the
shortcut, divided by that of the same replicates computed in full; the correlation is over the same replicates.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from measure import Size, make_sample

from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.registry import Metric, get_metric
from hf_transfer_score.metrics.resampling import bootstrap_pool, bootstrap_terms

COLUMNS = ("metric", "K", "short ms", "anew ms", "ratio", "term: spread ratio, correlation")


def main() -> None:
    """Measure and print what was asked for."""
    options = _options()
    print(f"N={options.rows}, D={options.width}, {options.replicates} replicates, {options.anew} of them anew")
    print(_line(COLUMNS))
    for classes in (int(text) for text in options.classes.split(",")):
        sample = make_sample(Size("bootstrap", options.rows, options.width, classes))
        data = LabelledFeatures(sample.features, sample.labels)
        metrics = [get_metric("face"), get_metric("ncti")]
        for metric in metrics:
            metric.measure(data)
            print(_line(_row(data, metric, classes, options)), flush=True)
        print(_pool_line(data, metrics, options), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time of the bootstrap within classes, per model and replicate.")
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--classes", default="10,77", help="comma-separated numbers of classes")
    parser.add_argument("--replicates", type=int, default=100, help="replicates with shortcuts")
    parser.add_argument("--anew", type=int, default=10, help="replicates that are also computed in full")
    parser.add_argument("--models", type=int, default=4, help="models of the pool that is timed as a whole")
    return parser.parse_args()


def _row(data: LabelledFeatures, metric: Metric, classes: int, options: argparse.Namespace) -> tuple[str, ...]:
    short, short_time = _timed(data, metric, options.replicates, short_ways=True)
    anew, anew_time = _timed(data, metric, options.anew, short_ways=False)
    agreement = [f"{term}: {_agreement(short[term][: options.anew], anew[term])}" for term in anew]
    ratio = f"{anew_time / short_time:.0f}"
    return metric.name, str(classes), f"{short_time:.2f}", f"{anew_time:.1f}", ratio, "; ".join(agreement)


def _timed(data: LabelledFeatures, metric: Metric, replicates: int, *, short_ways: bool) -> tuple[dict, float]:
    """Return the terms, and the milliseconds per replicate."""
    start = time.perf_counter()
    terms = bootstrap_terms(data, [metric], replicates=replicates, short_ways=short_ways)[metric.name]
    return terms, (time.perf_counter() - start) / replicates * 1000


def _agreement(short: np.ndarray, anew: np.ndarray) -> str:
    return f"{short.std() / anew.std():.2f}, {np.corrcoef(short, anew)[0, 1]:.3f}"


def _pool_line(data: LabelledFeatures, metrics: list[Metric], options: argparse.Namespace) -> str:
    """Return how long a pool takes on all cores when the statistics of the full sample are known."""
    start = time.perf_counter()
    bootstrap_pool(
        {f"model {number}": lambda: data for number in range(options.models)}, metrics, replicates=options.replicates
    )
    spent = (time.perf_counter() - start) / options.models / options.replicates * 1000
    return f"both, {options.models} models at once on all cores: {spent:.2f} ms per model and replicate"


def _line(cells: tuple[str, ...]) -> str:
    first, *others, last = cells
    return "  ".join([f"{first:<6}", *(f"{cell:>9}" for cell in others), last]).rstrip()


if __name__ == "__main__":
    main()
