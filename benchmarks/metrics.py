"""Time and peak memory of every metric, alone and together, against straightforward references.

Run `python benchmarks/metrics.py --help`; README.md beside this file explains the columns.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from measure import SIZES, Job, Size, make_sample, run_job, save_sample
from references import DRAWN, LEFT_OUT, REFERENCES

from hf_transfer_score.metrics.class_stats import cores
from hf_transfer_score.metrics.registry import all_metrics

SET = "set"
SET_METRICS = ("ncti", "face", "logme", "hscore", "reg_hscore", "gbc", "transrate", "nc1", "vci")
DISTURBED = 0.15
"""A row is marked if other processes kept more cores busy during the best call."""
REFERENCE_LIMIT = 240.0
PACKAGE_LIMIT = 900.0

COLUMNS = ("metric", "seconds", "peak MB", "x features", "reference s", "ratio", "reference MB", "agree")


@dataclass
class Row:
    """The measurements of one metric, or of the set, at one size; None if missing.

    Attributes:
        metric: name of the metric, or "set".
        size: name of the size.
        seconds: best time of the package.
        peak_megabytes: peak memory over the features.
        features_share: the same as a multiple of the float32 features.
        reference_seconds: best time of the reference; of the set, the sum over its members.
        reference_megabytes: peak memory of the reference over the features; of the set, the largest.
        difference: largest relative difference of a term from the reference.
        notes: why something is missing.
    """

    metric: str
    size: str
    seconds: float | None = None
    peak_megabytes: float | None = None
    features_share: float | None = None
    reference_seconds: float | None = None
    reference_megabytes: float | None = None
    difference: float | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float | None:
        """The speed of the package relative to the reference."""
        return self.reference_seconds / self.seconds if self.reference_seconds and self.seconds else None


def main() -> None:
    """Measure and print what was asked for."""
    options = _options()
    print(_machine())
    rows: list[Row] = []
    for size in options.sizes:
        rows += _measure_size(size, options)
    print("\n".join(["", *_summary(rows)]))
    if options.json:
        record = {"machine": _machine(), "rows": [asdict(row) | {"ratio": row.ratio} for row in rows]}
        Path(options.json).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    known = [name for name, metric in all_metrics().items() if not metric.baseline] + [SET]
    parser = argparse.ArgumentParser(description="Time and peak memory of every metric, against references.")
    parser.add_argument("--sizes", default="small,medium,large", help="comma-separated: small, medium, large")
    parser.add_argument("--metrics", default=",".join(known), help='comma-separated names, "set" for the set')
    parser.add_argument("--repeat", type=int, default=3, help="how often each call is timed; the best time counts")
    parser.add_argument("--no-reference", action="store_true", help="do not run the references")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to FILE")
    options = parser.parse_args()
    options.sizes = [SIZES[name] for name in _names(parser, options.sizes, SIZES)]
    options.metrics = sorted(_names(parser, options.metrics, known), key=lambda name: name == SET)
    return options


def _names(parser: argparse.ArgumentParser, text: str, known: Iterable[str]) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            parser.error(f"unknown name {name!r}; known: {', '.join(known)}")
    return names


def _machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "scikit-learn"))
    return f"{platform.system()} {platform.machine()}, {cores()} cores, Python {platform.python_version()}, {packages}"


def _measure_size(size: Size, options: argparse.Namespace) -> list[Row]:
    """Measure one size, printing each row when it is ready."""
    print(f"\n{size.name}: N={size.rows}, D={size.width}, K={size.classes}, features {size.feature_megabytes:.0f} MB")
    print(_line(COLUMNS))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        save_sample(make_sample(size), Path(folder))
        for name in options.metrics:
            row = _measure_row(name, size, folder, options)
            if name == SET and not options.no_reference:
                _add_reference_sum(row, rows)
            rows.append(row)
            print(_line(_cells(row)), flush=True)
    return rows


def _measure_row(name: str, size: Size, folder: str, options: argparse.Namespace) -> Row:
    row = Row(name, size.name)
    ours = run_job(Job(SET_METRICS if name == SET else (name,), False, folder, options.repeat), PACKAGE_LIMIT)
    if "failed" in ours:
        row.notes.append(ours["failed"])
        return row
    row.seconds, row.peak_megabytes = ours["seconds"], ours["peak_megabytes"]
    _note_disturbance(row, ours, "disturbed")
    if row.peak_megabytes is not None:
        row.features_share = row.peak_megabytes / size.feature_megabytes
    if name != SET and not options.no_reference:
        _add_reference(row, size, folder, options.repeat, ours["terms"])
    return row


def _add_reference(row: Row, size: Size, folder: str, repeat: int, terms: dict[str, float]) -> None:
    if row.metric not in REFERENCES:
        row.notes.append("no reference")
    elif (row.metric, size.name) in LEFT_OUT:
        row.notes.append("reference left out")
    else:
        reference = run_job(Job((row.metric,), True, folder, repeat), REFERENCE_LIMIT)
        if "failed" in reference:
            row.notes.append(f"reference: {reference['failed']}")
            return
        row.reference_seconds, row.reference_megabytes = reference["seconds"], reference["peak_megabytes"]
        row.difference = _largest_difference(terms, reference["terms"])
        _note_disturbance(row, reference, "reference disturbed")


def _note_disturbance(row: Row, outcome: dict[str, Any], what: str) -> None:
    if outcome["disturbed"] > DISTURBED:
        row.notes.append(f"{what}: others used {outcome['disturbed']:.1f} cores")


def _add_reference_sum(row: Row, others: list[Row]) -> None:
    """Give the set the sum of its members' references, if all were measured."""
    members = [other for other in others if other.metric in SET_METRICS]
    seconds = [member.reference_seconds for member in members if member.reference_seconds is not None]
    peaks = [member.reference_megabytes for member in members if member.reference_megabytes is not None]
    if len(seconds) == len(SET_METRICS):
        row.reference_seconds, row.reference_megabytes = sum(seconds), max(peaks, default=None)


def _largest_difference(ours: dict[str, float], theirs: dict[str, float]) -> float:
    return max(abs(ours[name] - value) / max(abs(value), 1e-12) for name, value in theirs.items())


def _cells(row: Row) -> tuple[str, ...]:
    drawn = "~" if row.metric in DRAWN else ""
    agree = "-" if row.difference is None else f"{drawn}{row.difference:.1e}"
    return (
        row.metric,
        _number(row.seconds, 3),
        _number(row.peak_megabytes, 0),
        _number(row.features_share, 2),
        _number(row.reference_seconds, 3),
        _number(row.ratio, 1),
        _number(row.reference_megabytes, 0),
        f"{agree}  {'; '.join(row.notes)}".rstrip(),
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _line(cells: Iterable[str]) -> str:
    first, *others, last = cells
    return "  ".join([f"{first:<16}", *(f"{cell:>12}" for cell in others), f"{last:>9}"]).rstrip()


def _summary(rows: list[Row]) -> list[str]:
    """Return three lines with the targets, the measurements, and whether they meet them."""
    alone = "; ".join((_speed_goal(rows, "ncti", 1.0), _speed_goal(rows, "face", 8.0)))
    return [_speed_goal(rows, SET, 5.0), alone, _memory_goal([row for row in rows if row.size == "large"])]


def _speed_goal(rows: list[Row], metric: str, goal: float) -> str:
    """Return the speed of a metric relative to its reference at the medium size, to which the target applies."""
    ratios = {row.size: row.ratio for row in rows if row.metric == metric and row.ratio is not None}
    what = "sum of the references over the set" if metric == SET else f"reference over {metric}"
    measured = ", ".join(f"{size} {ratio:.1f}" for size, ratio in ratios.items()) or "not measured"
    verdict = f", {'met' if ratios['medium'] >= goal else 'missed'}" if "medium" in ratios else ""
    return f"{what}: {measured} (goal {goal:.0f} at medium{verdict})"


def _memory_goal(rows: list[Row], goal: float = 1.6) -> str:
    known: list[Any] = [row for row in rows if row.features_share is not None]
    if not known:
        return f"peak memory over the features: not measured at large (goal {goal})"
    worst = max(known, key=lambda row: row.features_share)
    chosen = [row for row in known if row.metric == SET and row is not worst] + [worst]
    parts = [f"{row.metric} {row.features_share:.2f}" for row in chosen]
    met = "met" if worst.features_share <= goal else "missed"
    return f"peak memory at large, in sizes of the features: {', worst '.join(parts)} (goal {goal}, {met})"


if __name__ == "__main__":
    main()
