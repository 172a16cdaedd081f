"""Ranking with as many rows as it takes: more rows are read until the order of the first models, or of all, is clear.

The models are ranked again by halves of the rows so far. If nearly all halves give the same order as all these rows,
more rows are not expected to change it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.checkpoints.candidate import Models, Search
from hf_transfer_score.choosing.history import ChooseListener, Spent
from hf_transfer_score.choosing.looking import Looking, Pool, known_elsewhere, relations_of, typed_names
from hf_transfer_score.choosing.nested import evenly, nested, steps
from hf_transfer_score.errors import InputError, OptionError, check_least
from hf_transfer_score.features.batches import Processes
from hf_transfer_score.home import home
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.ranking.feature_pool import rank_features
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.records import dataset_id
from hf_transfer_score.runs.report import Interrupted, RankReport
from hf_transfer_score.runs.run import named_candidates, plan_rank
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import LabelledSample

HALVES = 20
"""Number of halves of the rows by which the models are ranked again."""

GROWTH = 2


@dataclass(frozen=True)
class AdaptiveOptions:
    """When there are enough rows.

    Attributes:
        first: how many of the first models have to be clear, in any order; None for the order of all.
        confidence: the share of halves of the rows that have to agree.
        first_rows: rows that are read first; the next step reads twice as many.
    """

    first: int | None = None
    confidence: float = 0.95
    first_rows: int = 256

    def __post_init__(self) -> None:
        """Refuse values that make no sense before anything is read."""
        check_least(self, first=1, first_rows=16)
        if not 0.5 <= self.confidence <= 1:
            raise OptionError(f"confidence={self.confidence:g}: expected a share from 0.5 to 1.")


Order = Callable[[NDArray[np.int64]], Sequence[str]]
"""Ranks a pool by some of its rows."""


def agreeing_halves(order: Order, labels: NDArray[np.int64], first: int | None) -> float:
    """Return the share of halves of the rows that give the same first models as all rows.

    Args:
        order: returns the names for some rows, the best first.
        labels: of all rows (N,); halves hold the classes in proportion.
        first: how many of the first have to be the same; None for the same order of all.

    Example:
        >>> labels = np.arange(40) % 2
        >>> agreeing_halves(lambda rows: "ab" if len(rows) > 20 else "ba", labels, 1)
        0.0
        >>> agreeing_halves(lambda rows: "ab" if len(rows) > 20 else "ba", labels, 2)
        1.0
    """

    def head(rows: NDArray[np.int64]) -> object:
        names = list(order(rows))
        return names if first is None else frozenset(names[:first])

    whole, generator, same = head(np.arange(len(labels))), np.random.default_rng(0), 0
    for _ in range(HALVES):
        mixed = generator.permutation(len(labels))
        same += head(np.sort(mixed[evenly(labels[mixed])[: len(mixed) // 2]])) == whole
    return same / HALVES


def rank_adaptively(
    dataset: Any,
    models: Models = (),
    *,
    options: RankOptions | None = None,
    until: AdaptiveOptions | None = None,
    search: Search | None = None,
    heard: ChooseListener | None = None,
    folder: Path | None = None,
    results: Sequence[str] = (),
) -> RankReport:
    """Rank checkpoints with as many rows of a sample as it takes; a note says how many, and why.

    Args:
        dataset: as for `rank`, and so are models, options, search, folder and results.
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
    history = known_elsewhere(tuple(results), sample, dataset_id(sample))
    looking = Looking(sample, options, folder, heard or ChooseListener(), Spent(), 1.0)
    run = _AdaptiveRun(sample, typed_names(models, plan), looking, Forecaster(history, relations), plan.notes)
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

    def until_clear(self, until: AdaptiveOptions) -> RankReport:
        """Read more and more rows until the order is clear, or all are read."""
        begin, rows = 0, len(self.sample)
        for end in steps(self.sample, until.first_rows, GROWTH):
            looked = self.looking.look(self.typed, begin, end)
            self.report = Pool(looked, self.forecaster).ranking
            share = 1.0 if end == rows or not self.report.ranks else self._agreeing(end, until.first)
            what = "the order" if until.first is None else f"the first {until.first}"
            if end == rows:
                why = f"{what} did not become clear with fewer rows"
            else:
                why = f"{what} came out the same in {share:.0%} of the halves of these rows"
            note = f"{end:,} of {rows:,} rows were read: {why}."
            self.report = replace(self.report, notes=(*self.notes, *looked.notes, note))
            if share >= until.confidence:
                break
            begin = end
        assert self.report is not None
        return self.report

    def _agreeing(self, end: int, first: int | None) -> float:
        """Return the share of halves of the rows so far that agree with all of them."""
        report, labels = self.report, self.sample.labels
        assert report is not None and labels is not None
        features = {name: self.looking.features(name) for name in report.ranks}

        def order(rows: NDArray[np.int64]) -> Sequence[str]:
            self.looking.heard.stage(f"{end:,} rows: is the order clear")
            some = {name: matrix[rows] for name, matrix in features.items()}
            try:
                return list(rank_features(some, labels[rows]).with_forecast(self.forecaster).ranks)
            except InputError:  # a half can be too small for any metric
                return []

        return agreeing_halves(order, labels[:end], first)
