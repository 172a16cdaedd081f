"""Ranking with as many rows as it takes: more rows are read until the order of the first models, or of all, is clear.

The models are ranked again by halves of the first rows. How far their scores differ from those of these rows tells how
far the scores of more rows may, and so how likely it is that the first models stay the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.checkpoints.candidate import Models, Search
from hf_transfer_score.choosing.evidence import Floats
from hf_transfer_score.choosing.history import ChooseListener, Spent
from hf_transfer_score.choosing.looking import Looking, Pool, known_elsewhere, relations_of, typed_names
from hf_transfer_score.choosing.nested import evenly, nested, steps
from hf_transfer_score.errors import InputError, OptionError, check_least
from hf_transfer_score.features.batches import Processes
from hf_transfer_score.home import home
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.ranking.feature_pool import rank_features
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.pools import USUAL_METRICS
from hf_transfer_score.records.place import listed_places, places_of
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.records import dataset_id
from hf_transfer_score.runs.report import Interrupted, RankReport
from hf_transfer_score.runs.run import named_candidates, plan_rank
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import LabelledSample

HALVES, DRAWS = 10, 2000
"""Number of halves of the rows by which the models are ranked again, and of draws of their scores by all rows."""

ENOUGH = 512
"""The noise of the scores is measured at looks at up to so many rows; at more rows it follows from that."""

DRIFT = 1024
"""Scores also drift as rows are added: at so many rows, the squared drift is as large as the squared noise
(`python -m benchmarks.choosing --adaptive 100`)."""

GROWTH = 2**0.5


@dataclass(frozen=True)
class AdaptiveOptions:
    """When there are enough rows.

    Attributes:
        first: how many of the first models have to be clear, in any order; None for the order of all.
        confidence: the least probability that all rows would give the same; most rankings stop well above it.
        first_rows: rows that are read first; each further step has 1.4 times as many.
    """

    first: int | None = None
    confidence: float = 0.8
    first_rows: int = 256

    def __post_init__(self) -> None:
        """Refuse values that make no sense before anything is read."""
        check_least(self, first=1, first_rows=16)
        if not 0.5 <= self.confidence <= 1:
            raise OptionError(f"confidence={self.confidence:g}: expected a probability from 0.5 to 1.")


Scores = Callable[[NDArray[np.int64]], Mapping[str, float]]
"""Returns the scores of a pool by some of its rows, higher is better; empty if these rows are too few."""


def noise_of(scores: Scores, labels: NDArray[np.int64]) -> dict[str, Floats]:
    """Return draws of the noise that the scores of a sample of one row would have (halves,), by name.

    That of more rows is smaller by the root of their number. Empty if the rows are too few.

    Args:
        scores: returns the scores of the models for some rows, by name.
        labels: of these rows (N,); halves hold the classes in proportion.
    """
    rows, generator, halves = len(labels), np.random.default_rng(0), list[list[float]]()
    whole = scores(np.arange(rows))
    for _ in range(HALVES):
        mixed = generator.permutation(rows)
        half = scores(np.sort(mixed[evenly(labels[mixed])[: rows // 2]]))
        if half.keys() == whole.keys():
            halves.append([half[name] for name in whole])
    if len(halves) <= HALVES // 2:
        return {}
    noise = np.sqrt(rows / len(halves)) * (np.array(halves) - np.array(list(whole.values())))
    return dict(zip(whole, noise.T, strict=True))


def chance_to_stay(
    scores: Mapping[str, float], noise: Mapping[str, Floats], read: int, rows: int, first: int | None
) -> float:
    """Return the probability that the first models by these rows are those by all rows, too.

    Args:
        scores: by name, higher is better.
        noise: of the same models, as `noise_of` returns it; the probability is 0 without it.
        read: number of rows so far.
        rows: number of all rows.
        first: how many models have to be the same, in any order; None for the same order of all.

    Example:
        >>> noise = {name: np.random.default_rng(place).normal(size=10) for place, name in enumerate("abc")}
        >>> [chance_to_stay({"a": 3 * gap, "b": gap, "c": 0}, noise, 400, 800, 1) > 0.95 for gap in (0.05, 0.5)]
        [False, True]
    """
    if noise.keys() != scores.keys():
        return 0.0
    left = max(0.0, 1 / read - 1 / rows) * (1 + DRIFT / read)
    values, root = np.array(list(scores.values())), np.array([noise[name] for name in scores])
    generator = np.random.default_rng(0)
    drawn = values + np.sqrt(left) * generator.standard_normal((DRAWS, root.shape[1])) @ root.T
    return float((_heads(drawn, first) == _heads(values[None], first)).all(1).mean())


def _heads(scores: Floats, first: int | None) -> NDArray[np.int64]:
    """Return the models that are first in each row: in order of the pool, or best first if all are asked for."""
    order = np.argsort(-scores, axis=1, kind="stable")
    return order if first is None else np.sort(order[:, :first], axis=1)


def rank_adaptively(
    dataset: Any,
    models: Models = (),
    *,
    options: RankOptions | None = None,
    until: AdaptiveOptions | None = None,
    search: Search | None = None,
    heard: ChooseListener | None = None,
    folder: Path | None = None,
    results: str | Path | Sequence[str | Path] = (),
) -> RankReport:
    """Rank checkpoints with as many rows of a sample as it takes; a note says how many, and why.

    Args:
        dataset: as for `rank`, but no sample; so are models, options, search, folder and results.
        models: the candidates.
        options: what is sampled at most, and how features are read.
        until: when there are enough rows.
        search: a search of the Hub for more candidates.
        heard: a listener for progress events.
        folder: where samples and features are kept.
        results: stored results for the forecast to use.

    Raises:
        OptionError: the task has no class per example, or an option makes no sense.
        DatasetError: the dataset cannot be sampled.
        Interrupted: it was interrupted; its report is the last one so far.

    Example:
        >>> from hf_transfer_score import rank_adaptively
        >>> pair = ["example/vit-few-steps", "example/vit-pretrained"]
        >>> ranking = rank_adaptively("example", pair, first=1, first_rows=100, progress=False)
        >>> ranking.best.name, len(ranking.sample)
        ('vit-pretrained', 100)
    """
    begin = time.perf_counter()
    options, folder = options or RankOptions(), folder or home()
    places_of(results)
    models = named_candidates(dataset, models, search)
    if Processes.current().count > 1 or options.backbone.layer == "all":
        raise OptionError("Adaptive rows are for one process and one layer: leave them out.")
    with quiet_client():
        drawn = load_sample(dataset, options.sample, folder=folder / "samples", refresh=options.refresh)
        if drawn.task.truth != "labels" or drawn.task.unit != "example":
            raise OptionError(f"Adaptive rows need a task with a class per example, and this is {drawn.task.name}.")
        sample = nested(drawn, folder / "choices" / f"{drawn.fingerprint}.arrow")
    plan = plan_rank(sample, models, options=options, search=search, folder=folder)
    relations = {model.name: relations_of(model) for model in plan.models}
    history, left_out = known_elsewhere(listed_places(results), sample, dataset_id(sample))
    looking = Looking(sample, options, folder, heard or ChooseListener(), Spent(), 1.0)
    notes = (*plan.notes, *left_out)
    run = _AdaptiveRun(sample, typed_names(models, plan), looking, Forecaster(history, relations), notes)
    try:
        report = run.until_clear(until or AdaptiveOptions())
    except KeyboardInterrupt as error:
        if run.report is None:
            raise
        raise Interrupted(replace(run.report, interrupted=True)) from error
    return replace(report, seconds=time.perf_counter() - begin)


@dataclass
class _AdaptiveRun:
    """A ranking to which rows are added."""

    sample: LabelledSample
    typed: Mapping[str, Any]
    looking: Looking
    forecaster: Forecaster
    notes: tuple[str, ...]
    report: RankReport | None = None
    noise: Mapping[str, Floats] = field(default_factory=dict)

    def until_clear(self, until: AdaptiveOptions) -> RankReport:
        """Read more and more rows until the order is clear, or all are read."""
        begin, rows = 0, len(self.sample)
        ends = steps(self.sample, until.first_rows, GROWTH)
        what = "order" if until.first is None else f"first {until.first}"
        for end in ends:
            looked = self.looking.look(self.typed, begin, end)
            self.report = Pool(looked, self.forecaster).ranking
            chance = 1.0 if end == rows or not self.report.ranks else self._chance(end, until.first)
            if end < rows:
                why = f"all rows would give the same {what} with probability {chance:.0%}"
            elif len(ends) == 1:
                why = "there are too few to stop earlier"
            else:
                why = f"the {what} did not become clear with fewer rows"
            note = f"{end:,} of {rows:,} rows were read: {why}."
            self.report = replace(self.report, notes=(*self.notes, *looked.notes, note))
            if chance >= until.confidence:
                break
            begin = end
        assert self.report is not None
        return self.report

    def _chance(self, end: int, first: int | None) -> float:
        """Return the probability that all rows give the same first models as those so far."""
        report, labels = self.report, self.sample.labels
        assert report is not None and labels is not None
        found = {name: report.forecasts[name].score for name in sorted(report.forecasts)}
        if end <= ENOUGH or self.noise.keys() != found.keys():
            features = {name: self.looking.features(name) for name in found}
            self.looking.heard.stage(f"{end:,} rows: is the order clear")
            self.noise = noise_of(partial(self._scores, features), labels[:end])
        return chance_to_stay(found, self.noise, end, len(self.sample), first)

    def _scores(self, features: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]) -> Mapping[str, float]:
        labels = self.sample.labels
        assert labels is not None
        some = {name: matrix[rows] for name, matrix in features.items()}
        try:
            ranking = rank_features(some, labels[rows], metrics=USUAL_METRICS).with_forecast(self.forecaster)
        except InputError:  # a half can be too small for any metric
            return {}
        return {name: ranking.forecasts[name].score for name in sorted(ranking.forecasts)}
