"""Forward passes over growing parts of a sample: all candidates read the same rows, and features are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.checkpoints.candidate import Candidate
from hf_transfer_score.choosing.evidence import Floats
from hf_transfer_score.choosing.history import ChooseListener, Spent
from hf_transfer_score.choosing.nested import part
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.features.cache import CachedFeatures, FeatureCache
from hf_transfer_score.features.precision import AUTO
from hf_transfer_score.home import cache_limit
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.history import History
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.ranking.ranking import ranked
from hf_transfer_score.ranking.relations import Relations
from hf_transfer_score.records.store import load_tables
from hf_transfer_score.runs.candidates import GONE
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.plan import Plan, PlannedModel
from hf_transfer_score.runs.report import RankReport
from hf_transfer_score.runs.run import rank
from hf_transfer_score.runs.scoring import choose_scoring, facts_of, score_layer
from hf_transfer_score.sampling.sample import LabelledSample

CHEAPEST = "parameter_count"
"""The metric for a part of the rows whose ranking nobody reads."""


def known_elsewhere(
    places: Sequence[str | Path], sample: LabelledSample, dataset: str
) -> tuple[History, tuple[str, ...]]:
    """Return stored results of the same task on other datasets, and what to know about these places."""
    tables, left_out = load_tables(places)
    found = History.together(tables).about(sample.task.name).elsewhere(dataset)
    seen = {name for one in (*found.accuracies, *found.scores) for name in one.values}
    return replace(found, models={name: one for name, one in found.models.items() if name in seen}), tuple(left_out)


def relations_of(model: PlannedModel) -> Relations:
    """Return the family, architecture and base of a candidate, as its repository describes them."""
    return Relations.of(facts_of(model.checkpoint), model.checkpoint.parameters if model.checkpoint else None)


class Pool:
    """The one forecast of the candidates that are in, which each look and the race update.

    Its ranking is by all rows that were read; `absolute` says whether probes tell the level of accuracies.
    """

    def __init__(self, ranking: RankReport, forecaster: Forecaster) -> None:
        self.forecaster = forecaster
        self.ranking = ranking.with_forecast(forecaster)
        self.names, looks = self.ranking.looks()
        self.absolute = bool(looks.probes)

    def outcomes(self, drawn: Mapping[str, Floats]) -> Floats:
        """Return accuracies in each draw (P, draws), given draws for some of the candidates."""
        names, looks = self.ranking.looks(drawn=drawn)
        found = self.forecaster.outcomes(looks)
        place = {name: number for number, name in enumerate(names)}
        return found[[place[name] for name in self.names]]

    def forecast(self, drawn: Mapping[str, Floats]) -> RankReport:
        """Return the ranking updated by the draws of the race."""
        return self.ranking.with_forecast(self.forecaster, drawn=drawn)


class _Kept(Listener):
    """Keeps the plan of a run, and tells which candidate is running."""

    def __init__(self, heard: ChooseListener, what: str) -> None:
        self.heard, self.what = heard, what
        self.plan = Plan(())

    def planned(self, plan: Plan) -> None:
        self.plan = plan

    def stage(self, model: PlannedModel, what: str) -> None:
        self.heard.stage(f"{self.what}: {what} {model.name}")

    def waiting(self, what: str) -> None:
        self.heard.stage(what)


@dataclass
class Looking:
    """Reads features of candidates, part by part of a sample."""

    sample: LabelledSample
    options: RankOptions
    folder: Path
    heard: ChooseListener
    spent: Spent
    rows_a_tuning: float

    def __post_init__(self) -> None:
        self.parts: dict[str, list[PlannedModel]] = {}
        self.seconds: dict[str, float] = {}
        self._cache = FeatureCache(self.folder / "features", cache_limit())

    def look(self, typed: Mapping[str, Any], start: int, end: int) -> RankReport:
        """Read the rows from `start` to `end`, and return the ranking by all rows up to `end`, without a forecast.

        `typed` holds candidates as they can be typed, by name.
        """
        words = f"{end:,} rows"
        kept, some = _Kept(self.heard, words), part(self.sample, start, end)
        options = replace(self.options, replicates=0, min_throughput=None)
        if options.extract.dtype == AUTO:  # parts of a sample are joined, so all are read in one precision
            options = replace(options, extract=replace(options.extract, dtype="float32"))
        cheapest: dict[str, Any] = {"metrics": [CHEAPEST], "headline": [CHEAPEST]}
        found = rank(some, [*typed.values()], options=options, listener=kept, folder=self.folder, **cheapest)
        planned = dict(zip(typed, kept.plan.models, strict=True))
        known = {name: found.models[model.name] for name, model in planned.items()}
        whole, scoring = part(self.sample, 0, end), choose_scoring(self.sample)
        models = {}
        for name, one in known.items():
            self.heard.stage(f"{words}: scoring {name}")
            models[name] = self._scored(name, one, planned[name], whole) if one.status == "ok" else one
            models[name] = replace(models[name], name=name)
        return RankReport.on(whole, ranked(models, scoring.metrics, scoring.headline))

    def _scored(self, name: str, one: RankedModel, planned: PlannedModel, whole: LabelledSample) -> RankedModel:
        """Return a candidate with the scores of all rows so far, and add the cost of its features."""
        self.parts.setdefault(name, []).append(planned)
        took, rows = float(one.extraction.get("seconds") or 0.0), int(one.extraction.get("examples") or 0)
        self.spent.seconds += took
        self.spent.rows += rows
        self.spent.tunings += rows / self.rows_a_tuning
        self.seconds[name] = took / max(rows, 1)
        together = self._together(name)
        if together is None:
            return replace(one, status="failed", kind="error", reason=GONE)
        layer, read = next(iter(together.features)), {**one.extraction, **together.meta["extraction"]}
        return score_layer(replace(one, scores=None, extraction=read), together, layer, whole, choose_scoring(whole))

    def _together(self, name: str) -> CachedFeatures | None:
        """Return the features of all rows so far; None if some are no longer in the cache."""
        cached = [model.cached(self._cache) for model in self.parts[name]]
        there = [entry for entry in cached if entry is not None]
        return _joined(there) if len(there) == len(cached) else None

    def features(self, name: str) -> NDArray[Any]:
        """Return the features of all rows so far (N, D)."""
        together = self._together(name)
        if together is None:
            raise CheckpointError("error", GONE)
        found: NDArray[Any] = next(iter(together.features.values()))
        return found


def _joined(parts: list[CachedFeatures]) -> CachedFeatures:
    """Return the features of several parts of a sample, joined; their time and examples are added up."""
    first = parts[0]
    features: dict[str, Any] = {
        layer: np.concatenate([one.features[layer] for one in parts]) for layer in first.features
    }
    probs = [one.source_probs for one in parts if one.source_probs is not None]
    joined = np.concatenate(probs) if len(probs) == len(parts) else None
    made = [one.meta.get("extraction") or {} for one in parts]
    spent = {key: sum(one.get(key) or 0 for one in made) for key in ("seconds", "examples")}
    return CachedFeatures(features, joined, {**first.meta, "extraction": spent}, first.folder)


def typed_names(models: Sequence[Candidate], plan: Plan) -> dict[str, Any]:
    """Return how each candidate of a plan can be named again, by its name; those of a search by their own name."""
    named = [one.held or str(one) for one in models]
    names = [model.name for model in plan.models]
    return dict(zip(names, [*named, *names[len(named) :]], strict=True))
