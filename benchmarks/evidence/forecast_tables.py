"""The part of docs/evidence.md that is about the forecast, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.evidence import tables
from benchmarks.evidence.figures import Target
from benchmarks.evidence.forecasts import Trial, calibration, own_trials, summed
from benchmarks.evidence.limits import AGAIN, FACTORS, TOLD, TREES
from benchmarks.evidence.picture import Said
from benchmarks.evidence.regimes import REGIMES
from hf_transfer_score.ranking.ranking import FORECAST

KINDS = {
    "images": "Images, with records of the models on other datasets",
    "images, cold": "Images, half of the models without any records (20 draws)",
    "texts": "Texts, with records of the models on other datasets",
    "texts, cold": "Texts, half of the models without any records (20 draws)",
}
COLLECTED = {
    "collected, full": "Full fine-tuning",
    "collected, probe": "A linear probe instead of fine-tuning, on more targets",
}
PICTURED = {
    "collected, full": "from packages, full",
    "collected, probe": "from packages, probe",
    "images": "Hub, images",
    "images, cold": "Hub, images, half without records",
    "texts": "Hub, texts",
    "texts, cold": "Hub, texts, half without records",
}
SIZES = ((1, 10), (20, 25), (50, 200))
SIZE_HEADER = ["rows per class", "targets", "forecast", "parameters", "in the interval"]
LIMIT_HEADER = ["ordered by", "images", "texts"]
HEADER = ["ordered by", "τ_w", "points lost", "best of three", "most lost", "in the interval"]


def forecast_values(every: Mapping[str, Target], kept: Mapping[str, Any]) -> dict[str, str]:
    """Return the parts of the page about the forecast, by their names in the template."""
    trials = list(own_trials(every))
    return {
        "believe": "\n".join(f"- {line}" for line in believed(trials, kept)),
        "own_table": tables.table(HEADER, [_cells(row) for row in summed(trials)]),
        "own_n": f"{len(every)}",
        "own_targets": tables.table(
            ["target", *dict.fromkeys(one.way for one in trials)], [*_by_target(trials, every)]
        ),
        "own_calibration": _calibrated(calibration([one for one in trials if one.called])),
        "by_size": tables.table(SIZE_HEADER, [*_by_size(trials, kept)]),
        "collected_tables": "\n\n".join(_kept(kept, COLLECTED)) or "They were not at hand when the page was written.",
        "hub_tables": "\n\n".join(_kept(kept, KINDS)) or "These tables were not at hand when the page was written.",
        "hub_limits": tables.table(LIMIT_HEADER, [*_limits(kept)]),
    }


def said(every: Mapping[str, Target], kept: Mapping[str, Any]) -> dict[str, Said]:
    """Return forecast chances and how often they came true, by the label in the picture."""
    trials = [one for one in own_trials(every) if one.called]
    held = [one.covered for one in trials if one.covered is not None]
    found = {"our own backbones": Said(calibration(trials), float(np.mean(held)))}
    for kind, words in PICTURED.items():
        if kind in kept:
            (forecast,) = [row for row in kept[kind]["summed"] if row[0] == FORECAST]
            found[words] = Said(kept[kind]["calibration"], forecast[-1])
    return found


def believed(trials: Sequence[Trial], kept: Mapping[str, Any]) -> Iterator[str]:
    """Yield what to believe and what not, with figures."""
    (own,) = [row for row in summed(trials) if row[0] == "forecast"]
    size = next(row for row in summed(trials) if row[0] == "parameter_count")
    yield (
        f"**The order of `rank`** has a mean τ_w of {own[1]:.2f} (1 is the order after fine-tuning, 0 is chance) on "
        f"our own small backbones, and its first choice is {own[2]:.1f} points below the best on average; ordering by "
        f"parameter count gives {size[1]:.2f} and {size[2]:.1f}. The forecast was not fitted to these backbones."
    )
    if "collected, full" in kept:
        rows = {row[0]: row for row in kept["collected, full"]["summed"]}
        yield (
            f"**On checkpoints that others trained**, collected from packages, τ_w is {rows['forecast'][1]:.2f} and "
            f"the first choice is {rows['forecast'][2]:.1f} points below the best (parameter count: "
            f"{rows['parameter_count'][1]:.2f} and {rows['parameter_count'][2]:.1f})."
        )
    for kind in ("images", "texts"):
        if kind in kept:
            rows = {row[0]: row for row in kept[kind]["summed"]}
            cold = {row[0]: row for row in kept[f"{kind}, cold"]["summed"]}
            best = max((row for name, row in rows.items() if name in ("logme", "reg_hscore")), key=lambda row: row[1])
            yield (
                f"**With records of other datasets**, on {kind[:-1]} checkpoints of the Hub, τ_w is "
                f"{rows['forecast'][1]:.2f} and the first choice is {rows['forecast'][2]:.1f} points below the best "
                f"({best[0]} alone: {best[1]:.2f} and {best[2]:.1f}); for checkpoints without any records, "
                f"{cold['forecast'][1]:.2f} and {cold['forecast'][2]:.1f}."
            )
    yield (
        "**Do not trust the last point of accuracy.** No pool has a certain winner: look at all the models that may be "
        "as good, and let `verify` decide between them. The expected accuracies start from a linear probe, so "
        "fine-tuning may do better or worse, above all when the classes have other proportions in the sample than in "
        "the test set."
    )


def bars(every: Mapping[str, Target], kept: Mapping[str, Any]) -> str:
    """Return the figures that the forecast is judged by, one line per table."""
    told = {"own backbones, without records": summed(list(own_trials(every)))}
    names = {kind: f"tables of the Hub, {kind}" for kind in KINDS} | {kind: kind for kind in COLLECTED}
    told |= {name: kept[kind]["summed"] for kind, name in names.items() if kind in kept}
    lines = []
    for what, rows in told.items():
        (row,) = [row for row in rows if row[0] == "forecast"]
        _, tau, lost, three, most, cover = _cells(row)
        lines.append(f"{what}: τ_w {tau}, {lost} points lost ({three} of three, {most} at most), {cover} in intervals")
    return "\n".join(lines)


def _cells(row: Sequence[Any]) -> list[str]:
    way, tau, lost, three, most, cover = row
    return [way, f"{tau:.2f}", f"{lost:.1f}", f"{three:.1f}", f"{most:.1f}", "" if cover is None else f"{cover:.0%}"]


def _by_target(trials: Sequence[Trial], every: Mapping[str, Target]) -> Iterator[list[str]]:
    for name in every:
        mine = {one.way: one for one in trials if one.target == name}
        yield [REGIMES[name].words, *(f"{one.tau:.2f} / {one.lost:.1f}" for one in mine.values())]


def _by_size(trials: Sequence[Trial], kept: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield, by rows per class, how the forecast came out, and parameters beside it."""
    sized = [(min(REGIMES[one.target].counts), one) for one in trials]
    there = set()
    for kind in COLLECTED:  # fine-tuned in full where that was measured, else probed
        mine = [Trial(**one) for one in kept.get(kind, {}).get("trials", ())]
        sized += [(int(one.target.rpartition("x")[2]), one) for one in mine if one.target not in there]
        there |= {one.target for one in mine}
    for first, last in SIZES:
        some = [one for rows, one in sized if first <= rows <= last]
        forecast, size = ([one for one in some if one.way == way] for way in (FORECAST, "parameter_count"))
        if forecast:
            held = np.mean([one.covered for one in forecast if one.covered is not None])
            told = [
                f"{np.mean([one.tau for one in way]):.2f} / {np.mean([one.lost for one in way]):.1f}"
                for way in (forecast, size)
            ]
            yield [f"{first} to {last}", f"{len(forecast)}", *told, f"{held:.0%}"]


def _limits(kept: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield τ_w of the forecast, and of orders that know as much or more."""
    found = [
        {row[0]: row[1] for kind in (name, f"{name}, limits") if kind in kept for row in kept[kind]["summed"]}
        for name in ("images", "texts")
    ]
    for way in (TREES, FORECAST, TOLD, FACTORS, AGAIN):
        if all(way in rows for rows in found):
            yield [way, *(f"{rows[way]:.2f}" for rows in found)]


def _calibrated(bins: Sequence[Sequence[float]]) -> str:
    rows = [[f"{said:.1%}", f"{true:.1%}", f"{count:,.0f}"] for said, true, count in bins]
    return tables.table(["forecast chance to be best", "were the best", "models"], rows)


def _kept(kept: Mapping[str, Any], kinds: Mapping[str, str]) -> Iterator[str]:
    for kind, words in kinds.items():
        if kind in kept:
            told = kept[kind]
            yield f"**{words}.**"
            yield tables.table(HEADER, [_cells(row) for row in told["summed"]])
            yield _calibrated(told["calibration"])
