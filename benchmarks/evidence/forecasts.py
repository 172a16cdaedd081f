"""How well the forecast predicts fine-tuning: our own backbones, checkpoints of others, and tables of the Hub.

Everything is fitted without the dataset that is forecast. We cannot ship the tables of the Hub;
`python -m benchmarks.evidence.report --hub-truth FOLDER` stores the resulting figures in figures.json. What we measured
of checkpoints of others is in collected.parquet, so that their figures follow any change of the forecast.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evidence.figures import Target
from hf_transfer_score.home import write_text
from hf_transfer_score.ranking.agreement import weighted_kendall
from hf_transfer_score.ranking.effects import normal_scores
from hf_transfer_score.ranking.forecast import Forecaster, ModelForecast
from hf_transfer_score.ranking.history import USUAL, History, MeasuredColumn
from hf_transfer_score.ranking.looks import Looks
from hf_transfer_score.ranking.ranking import FORECAST, Ranking
from hf_transfer_score.ranking.relations import Relations
from hf_transfer_score.records.checks import TRUTH
from hf_transfer_score.records.importing import import_table
from hf_transfer_score.records.record import Record
from hf_transfer_score.records.shipped import read_shipped

KEPT, COLLECTED = Path(__file__).with_name("figures.json"), Path(__file__).with_name("collected.parquet")
HUB = {"images": ("image", "image-classification"), "texts": ("text", "text-classification")}
DRAWS = 20
LEAST = 5
"""The number of models from which a target counts."""
SETTINGS = {
    **{name: name for name in ("ncti", "face", "knn", "linear_probe", "logme", "parc")},
    "reg_hscore": "reg_hscore (pca=auto)",
}
"""The metrics in the forecast of our own backbones, with the names of their settings in the records."""

KNOWING = "forecast that knows accuracies by another method"

BINS = (0.0, 0.02, 0.05, 0.1, 0.2, 1.0)


@dataclass(frozen=True)
class Trial:
    """The result of one way to order the models of a dataset.

    Attributes:
        target: the dataset.
        way: the name of the order.
        tau: τ_w with the measured accuracies.
        lost: points by which the first choice is below the best.
        lost_of_three: the same for the best of the first three.
        covered: the share of intervals that held the true value; None without intervals.
        called: chance to be the best, and whether it was, of each model; empty without a forecast.
    """

    target: str
    way: str
    tau: float
    lost: float
    lost_of_three: float
    covered: float | None = None
    called: tuple[tuple[float, float], ...] = ()


def compared(target: str, way: str, scores: Sequence[float], truth: Sequence[float]) -> Trial:
    """Return the result of an order."""
    accuracies, order = np.asarray(truth), np.argsort(-np.asarray(scores), kind="stable")
    below = 100 * (accuracies.max() - accuracies)[order]
    return Trial(target, way, weighted_kendall(list(scores), list(truth)), float(below[0]), float(below[:3].min()))


def forecast_trial(target: str, way: str, found: Sequence[ModelForecast], truth: Sequence[float]) -> Trial:
    """Return the result of a forecast."""
    trial = compared(target, way, [one.score for one in found], truth)
    accuracies = np.asarray(truth)
    below, best = 100 * (accuracies.max() - accuracies), accuracies >= accuracies.max()
    intervals = [one.points_below_best for one in found]
    held = [low - 1e-9 <= one <= high + 1e-9 for (_, low, high), one in zip(intervals, below, strict=True)]
    called = zip((one.best_probability for one in found), (best / best.sum()).tolist(), strict=True)
    return replace(trial, covered=float(np.mean(held)), called=tuple(called))


def own_trials(targets: Mapping[str, Target]) -> Iterator[Trial]:
    """Yield the results of our own backbones: the forecast without records, each metric alone, and parameters."""
    for name, target in targets.items():
        means = target.means
        models, truth = list(means), list(means.values())
        sizes = {model: Relations(parameters=round(target.scores["parameter_count"][model])) for model in models}
        there = {look: setting for look, setting in SETTINGS.items() if setting in target.scores}
        metrics = {
            look: {place: target.scores[setting][model] for place, model in enumerate(models)}
            for look, setting in there.items()
        }
        probes = metrics.get("linear_probe", {})
        found = Forecaster(History(), sizes).forecast(Looks(tuple(models), metrics, {}, probes))
        yield forecast_trial(name, "forecast", found, truth)
        for way in (*there.values(), "parameter_count"):
            yield compared(name, way, target.values(way), truth)


def hub_trials(folder: Path) -> dict[str, list[Trial]]:
    """Return the results of the tables of the Hub by kind: with records, and with half of the models without."""
    found = {}
    for kind, (prefix, task) in HUB.items():
        history = hub_history(folder, prefix, task)
        datasets = sorted({one.dataset for one in history.scores})
        found[kind] = [trial for dataset in datasets for trial in _warm(history, dataset)]
        names = sorted(history.models)
        trials = []
        for draw in range(DRAWS):
            chosen = set(np.random.default_rng(draw).permutation(names)[: len(names) // 2].tolist())
            trials += [trial for dataset in datasets for trial in _cold(history, dataset, chosen)]
        found[f"{kind}, cold"] = trials
    return found


def hub_history(folder: Path, prefix: str, task: str) -> History:
    """Return what the tables of one kind tell."""
    facts = folder / f"{prefix}_models.csv"
    tables = [folder / f"{prefix}_{which}.csv" for which in ("truth", "scores")]
    records = [
        record for table in tables for record in import_table(table, task=task, source="tables", facts=facts).records
    ]
    return History.of(records)


@dataclass(frozen=True)
class Pool:
    """The models of a dataset with known accuracies, and their metrics."""

    dataset: str
    models: tuple[str, ...]
    truth: tuple[float, ...]
    metrics: Mapping[str, Mapping[int, float]]


def pool_of(history: History, dataset: str, among: Collection[str] | None = None) -> Pool:
    """Return the models of a dataset that have an accuracy and a score; of some models if they are given."""
    here = history.on(dataset)
    truth = next(one.values for one in here.accuracies if one.protocol == USUAL)
    scored = {name for column in here.scores for name in column.values}
    models = tuple(name for name in truth if name in scored and (among is None or name in among))
    metrics = {
        one.protocol: {place: one.values[name] for place, name in enumerate(models) if name in one.values}
        for one in here.scores
    }
    return Pool(dataset, models, tuple(truth[name] for name in models), metrics)


def _warm(history: History, dataset: str) -> Iterator[Trial]:
    pool, elsewhere = pool_of(history, dataset), history.elsewhere(dataset)
    forecaster = Forecaster(elsewhere)
    yield forecast_trial(dataset, "forecast", forecaster.forecast(Looks(pool.models, pool.metrics)), pool.truth)
    here = history.on(dataset).accuracies
    if len(here) > 1:
        told = Forecaster(elsewhere, here=here).forecast(Looks(pool.models, pool.metrics))
        yield compared(dataset, KNOWING, [one.score for one in told], pool.truth)
    alone = forecaster.forecast(Looks(pool.models))
    yield compared(dataset, "records alone", [one.score for one in alone], pool.truth)
    nothing = Forecaster(History(models=history.models)).forecast(Looks(pool.models, pool.metrics))
    yield compared(dataset, "metrics and size alone", [one.score for one in nothing], pool.truth)
    yield from _simple(pool, elsewhere)


def _cold(history: History, dataset: str, chosen: Collection[str]) -> Iterator[Trial]:
    pool = pool_of(history, dataset, chosen)
    elsewhere = _without(history.elsewhere(dataset), chosen)
    found = Forecaster(elsewhere).forecast(Looks(pool.models, pool.metrics))
    yield forecast_trial(dataset, "forecast", found, pool.truth)
    yield from _simple(pool, elsewhere)


def _simple(pool: Pool, elsewhere: History) -> Iterator[Trial]:
    """Yield the results without a forecast: each metric, the size, and the mean rank on the other datasets."""
    for name, values in pool.metrics.items():
        lowest = min(values.values())
        yield compared(pool.dataset, name, [values.get(place, lowest) for place in range(len(pool.models))], pool.truth)
    sizes = [elsewhere.models[name].parameters or 0 for name in pool.models]
    yield compared(pool.dataset, "parameter_count", sizes, pool.truth)
    places: dict[str, list[float]] = {}
    for column in elsewhere.accuracies:
        if column.protocol == USUAL:
            scores = normal_scores(list(column.values.values()))
            for name, score in zip(column.values, scores.tolist(), strict=True):
                places.setdefault(name, []).append(score)
    if any(name in places for name in pool.models):
        listed = [float(np.mean(places.get(name, [0.0]))) for name in pool.models]
        yield compared(pool.dataset, "a static list", listed, pool.truth)


def _without(history: History, models: Collection[str]) -> History:
    """Return a history without any records of some models."""

    def left(columns: Sequence[MeasuredColumn]) -> tuple[MeasuredColumn, ...]:
        kept = (replace(one, values={k: v for k, v in one.values.items() if k not in models}) for one in columns)
        return tuple(one for one in kept if one.values)

    return replace(history, accuracies=left(history.accuracies), scores=left(history.scores))


def collected_records(folder: Path) -> list[Record]:
    """Return what was measured of checkpoints that others trained, by `verify --save FOLDER/results`."""
    paths = sorted((folder / "results").rglob("records/*/*/*.json"))
    return [Record.from_json(path.read_bytes()) for path in paths]


def collected_trials(records: Iterable[Record]) -> dict[str, list[Trial]]:
    """Return the results of checkpoints that others trained, without records of other datasets, by method."""
    scores: dict[str, list[Record]] = {}
    truths: dict[tuple[str, str], dict[str, list[float]]] = {}
    measured: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.metric is None or record.metric.name != TRUTH.name:
            scores.setdefault(record.dataset.id, []).append(record)
        elif record.status == "ok":
            key = str(record.metric.parameters["method"]), record.dataset.id
            truths.setdefault(key, {}).setdefault(record.model.id, []).append(record.terms[TRUTH.name])
            measured.setdefault(key, []).append(record)
    found: dict[str, list[Trial]] = {}
    for (method, dataset), values in sorted(truths.items()):
        if len(values) < LEAST:
            continue
        ranking = Ranking.of(one for one in scores[dataset] if one.model.id in values)
        names = {one.model: name for name, one in ranking.models.items() if name in ranking.ranks}
        truth = [float(np.mean(values[model])) for model in names]
        mine = [forecast_trial(dataset, FORECAST, [ranking.forecasts[name] for name in names.values()], truth)]
        for way, order in ranking.orders.items():
            if way != FORECAST and all(name in order for name in names.values()) and len(set(order.values())) > 1:
                mine.append(compared(dataset, way, [order[name] for name in names.values()], truth))
        told = measured.get(("probe", dataset), []) if method == USUAL else []
        if told:
            knowing = Ranking.of([*ranking.stored, *told]).forecasts
            mine.append(compared(dataset, KNOWING, [knowing[name].score for name in names.values()], truth))
        found.setdefault(f"collected, {method}", []).extend(mine)
    return found


def summed(trials: Sequence[Trial]) -> list[tuple[str, float, float, float, float, float | None]]:
    """Return τ_w, points lost by the first and by the best of three, most lost, and coverage of each way, best first.

    Each dataset counts once, however often it was drawn.
    """
    found = []
    for way in dict.fromkeys(one.way for one in trials):
        mine = [one for one in trials if one.way == way]
        by_target = [[one for one in mine if one.target == name] for name in dict.fromkeys(one.target for one in mine)]

        def mean(of: Callable[[Trial], float], groups: Sequence[Sequence[Trial]] = tuple(by_target)) -> list[float]:
            return [float(np.mean([of(one) for one in group])) for group in groups]

        lost = mean(lambda one: one.lost)
        covers = [one.covered for one in mine if one.covered is not None]
        tau, three = np.mean(mean(lambda one: one.tau)), np.mean(mean(lambda one: one.lost_of_three))
        cover = float(np.mean(covers)) if covers else None
        found.append((way, float(tau), float(np.mean(lost)), float(three), max(lost), cover))
    return sorted(found, key=lambda row: -row[1])


def calibration(trials: Sequence[Trial]) -> list[tuple[float, float, int]]:
    """Return forecast chance, share of best models and number of models, by bins of the forecast chance."""
    pairs = np.array([pair for one in trials for pair in one.called]).reshape(-1, 2)
    bins = np.digitize(pairs[:, 0], BINS[1:-1])
    chosen = [pairs[bins == number] for number in range(len(BINS) - 1)]
    return [(float(some[:, 0].mean()), float(some[:, 1].mean()), len(some)) for some in chosen if len(some)]


def figures_of(trials: Mapping[str, Sequence[Trial]]) -> dict[str, Any]:
    """Return the figures of trials by kind, rounded, without single models and without trials that repeat."""
    told = {
        kind: {
            "trials": [{**asdict(one), "called": ()} for one in some if not kind.endswith(("cold", "limits"))],
            "summed": summed(some),
            "calibration": calibration(some),
        }
        for kind, some in trials.items()
    }
    return dict(json.loads(json.dumps(told), parse_float=lambda text: round(float(text), 4)))


def keep(trials: Mapping[str, Sequence[Trial]], file: Path = KEPT) -> None:
    """Store the figures of trials beside the stored ones."""
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    write_text(file, json.dumps(before | figures_of(trials), indent=1) + "\n")


def known_figures(file: Path = KEPT, records: Path = COLLECTED) -> dict[str, Any]:
    """Return the stored figures, and those of the collected checkpoints."""
    return {**json.loads(file.read_text(encoding="utf-8")), **figures_of(collected_trials(read_shipped(records)))}
