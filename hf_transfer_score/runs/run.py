"""The run: draw the sample, plan, hand the candidates to an engine, and report."""

from __future__ import annotations

import gc
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hf_transfer_score.checkpoints.candidate import (
    Candidate,
    Models,
    Search,
    listed,
    parse_candidates,
    refuse_model,
    search_models,
)
from hf_transfer_score.engines.base import HERE, Engine, Finished, Work, opened
from hf_transfer_score.engines.here import Here
from hf_transfer_score.errors import CheckpointError, OptionError, TransferScoreError
from hf_transfer_score.features.batches import Processes
from hf_transfer_score.features.cache import FeatureCache
from hf_transfer_score.home import EXAMPLE, HOME_VARIABLE, cache_limit, example_dataset, home, near_name
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.hub.downloads import Answers
from hf_transfer_score.hub.settings import hub_id
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.scores import MetricChoice
from hf_transfer_score.ranking.board import informed
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.records.place import places_of
from hf_transfer_score.runs.ahead import Downloads, ScoresAhead
from hf_transfer_score.runs.candidates import GONE, CandidateRun, ScoreCandidate, waiting_for, with_whole_paths
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.options import RankOptions, check_device, check_fits
from hf_transfer_score.runs.plan import Plan, PlannedModel, guessed_seconds, make_plan
from hf_transfer_score.runs.report import Interrupted, RankReport
from hf_transfer_score.runs.scoring import Ready, Scoring, choose_scoring, failed_model, labelled, make_report
from hf_transfer_score.sampling.load import SampleStore, load_sample
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.sampling.sources import local_path, refuse_missing


def rank(
    dataset: Any,
    models: Models = (),
    *,
    options: RankOptions | None = None,
    metrics: MetricChoice = None,
    headline: Sequence[str] | None = None,
    search: Search | None = None,
    listener: Listener | None = None,
    folder: str | Path | None = None,
    results: str | Path | Sequence[str | Path] = (),
    engine: str | Engine = HERE,
) -> RankReport:
    """Rank checkpoints for a labelled dataset, by one forward pass of each over a sample.

    A checkpoint that cannot be scored is a model with status "failed" and the reason. Features are kept, so a second
    call with other metrics runs no model and needs no network. Under `accelerate launch` all processes make the same
    call, and each returns the same report.

    Args:
        dataset: an id on the Hub, a folder or file; a `Dataset` or `IterableDataset` of `datasets`, or a dictionary of
            splits or columns; a pandas DataFrame, a map-style dataset of torch or a list with items (image or text,
            label), or (inputs, labels); a sample that was drawn before; or "example", which ships with the package.
        models: ids on the Hub ("owner/name", "owner/name@revision"), folders, and models in memory: objects of timm,
            transformers and sentence-transformers, (model, processor), or (name, module, transform) for any module.
            "example" stands for the checkpoints that ship with the package, which are also the default for the dataset
            "example".
        options: what is sampled, how features are read, and how rank ranges are computed.
        metrics: names or configured metrics; None for the default ones. Trivial baselines are always added.
        headline: metrics whose mean rank is the order; None for the forecast that all metrics make together.
        search: a search of the Hub for more candidates.
        listener: a listener for progress events.
        folder: where samples and features are kept; None for the default place.
        results: stored results for the forecast to use: folders, or OWNER/NAME of dataset repositories.
        engine: where candidates run: a name, or an engine from `open_engine`, which stays open. It changes no score.

    Example:
        >>> from hf_transfer_score import rank
        >>> models = ["example/resnet-pretrained", "example/mambaout-untrained"]
        >>> ranking = rank("example", models, max_samples=100, device="cpu", progress=False)
        >>> ranking.best.name, list(ranking.ranks.values())
        ('resnet-pretrained', [1, 2])

    Raises:
        DatasetError: the dataset cannot be sampled.
        HubError: the search found nothing.
        OptionError: an option makes no sense.
        Interrupted: the run was interrupted; a KeyboardInterrupt with a report of the finished candidates.
    """
    start = time.perf_counter()
    with opened(engine) as open_one:
        run = RankRun(options or RankOptions(), listener or Listener(), Path(folder or home()), results, open_one)
        run.prepare(dataset, models, metrics, headline, search)
        return run.carry_out(start)


def plan_rank(
    dataset: Any,
    models: Models = (),
    *,
    options: RankOptions | None = None,
    metrics: MetricChoice = None,
    headline: Sequence[str] | None = None,
    search: Search | None = None,
    listener: Listener | None = None,
    folder: str | Path | None = None,
) -> Plan:
    """Return what `rank` with the same arguments would do; the sample is drawn and kept, no weights are downloaded.

    Args:
        dataset: as for `rank`, like all other arguments.
        models: the candidates.
        options: how they are ranked.
        metrics: what they are ranked by.
        headline: the metrics that decide the order.
        search: a search of the Hub for more candidates.
        listener: a listener for progress events.
        folder: where samples and features are kept.

    Example:
        >>> from hf_transfer_score import plan_rank
        >>> plan = plan_rank("example", ["example/vit-few-steps"], max_samples=100, refresh=True, progress=False)
        >>> [model.name for model in plan.models], plan.download_bytes
        (['vit-few-steps'], 0)
    """
    run = RankRun(options or RankOptions(), listener or Listener(), Path(folder or home()), (), Here())
    run.prepare(dataset, models, metrics, headline, search)
    return run.plan


def named_candidates(dataset: Any, models: Models, search: Search | None = None) -> list[Candidate]:
    """Return the candidates that were named; for the example without any, those that ship with the package."""
    refuse_model(dataset)
    if search is not None and not isinstance(search, Search):
        raise OptionError(f"search={search!r}: expected Search(text={search!r}).")
    named = listed(models)
    if not named and search is None and example_dataset(dataset) is not None:
        named = [EXAMPLE]
    return parse_candidates(named)


def _no_models(dataset: Any) -> TransferScoreError:
    """Return the error for a run without candidates, or for a dataset that does not exist either."""
    said = "No model was named: name ids or folders with `models`, or search the Hub."
    if isinstance(dataset, (str, Path)) and local_path(dataset) is None:
        name = hub_id(str(dataset))
        refuse_missing(name)
        said += f" There is no folder or file {name} here.{near_name(name)}"
    return OptionError(said)


class RankRun:
    """A run with its options, cache and engine, and once it is prepared the sample, what is computed, and the plan."""

    sample: LabelledSample
    scoring: Scoring
    plan: Plan

    def __init__(
        self,
        options: RankOptions,
        listener: Listener,
        folder: Path,
        results: str | Path | Sequence[str | Path],
        engine: Engine,
    ) -> None:
        self.options, self.listener, self.folder, self.results = options, listener, folder, results
        places_of(results)
        self.engine, self.processes = engine, Processes.current()
        if engine.elsewhere and self.processes.count > 1:
            raise OptionError("This engine starts its own workers: run it without a launcher.")
        self.cache = FeatureCache(folder / "features", cache_limit())
        self.known = Answers(folder / "checkpoints", fresh=options.refresh)
        if not self.processes.is_main:
            self.listener = Listener()

    def prepare(
        self, dataset: Any, models: Models, metrics: MetricChoice, headline: Sequence[str] | None, search: Search | None
    ) -> None:
        """Draw the sample and make the plan; every process gets the same."""
        named = named_candidates(dataset, models, search)
        if not named and search is None:
            raise _no_models(dataset)
        if not self.engine.elsewhere:
            check_device(self.options.extract.device)
        self.sample = self.processes.first_main(lambda: self._drawn(dataset))
        check_fits(self.options, self.sample.task)
        self.scoring = choose_scoring(self.sample, metrics, headline)
        self.listener.sampled(self.sample)
        plan = self.processes.together(lambda: self._planned(named, search) if self.processes.is_main else Plan(()))
        self.plan = self.processes.from_main(plan)
        self.listener.planned(self.plan)

    def _drawn(self, dataset: Any) -> LabelledSample:
        if isinstance(dataset, LabelledSample):
            return dataset
        with quiet_client():
            return load_sample(
                dataset,
                self.options.sample,
                folder=self.folder / "samples",
                refresh=self.options.refresh,
                progress=self.listener.sampling,
                waiting=partial(waiting_for, self.listener, "the sample"),
            )

    def _planned(self, named: list[Candidate], search: Search | None) -> Plan:
        notes, sample = tuple[str, ...](), self.sample
        with quiet_client():
            if search is not None:
                found = search_models(search, sample.task.modality)
                named = list(dict.fromkeys([*named, *(Candidate(name) for name in found.names)]))
                notes = tuple(f"The search left out {count}: {reason}." for reason, count in found.left_out.items())
            plan = make_plan(named, sample, self.cache, self.known, self.options)
        guessing = plan.seconds is None and not self.engine.elsewhere and self.processes.count == 1
        guess = guessed_seconds(plan.models, sample, self.options) if guessing else None
        return replace(plan, notes=(*notes, *plan.notes), guess=guess)

    def carry_out(self, start: float) -> RankReport:
        """Score every candidate and return the report."""
        outcomes: dict[str, list[RankedModel]] = {}
        interrupted = False
        with (
            quiet_client(),
            Downloads(self.plan, self.processes, free=self.options.free_disk) as downloads,
            self._scores_ahead() as ahead,
        ):
            try:
                here = replace(self._here(), fetch=downloads.take, ahead=ahead)
                with closing(self._outcomes(here)) as coming:
                    for model, found in coming:
                        outcomes[model.name] = found
                        self.listener.finished(model, found)
            except KeyboardInterrupt:
                interrupted = True
                downloads.cancel()
                ahead.cancel()
            finally:
                gc.unfreeze()
        self.listener.ranking()
        report = self._report(outcomes, everywhere=not interrupted)
        report = replace(report, interrupted=interrupted, notes=(*self.plan.notes, *report.notes))
        if self.scoring.forecast and (report.can_be_forecast or self.results):
            report = informed(report, self.results, report.sample.task.name)
        report = replace(report, seconds=time.perf_counter() - start)
        if interrupted:
            raise Interrupted(report)
        return report

    def _here(self) -> CandidateRun:
        return CandidateRun(self.sample, self.scoring, self.options, self.cache, self.processes, self.listener)

    def _outcomes(self, here: CandidateRun) -> Generator[tuple[PlannedModel, list[RankedModel]], None, None]:
        """Yield the result of each candidate, one model per layer.

        An engine that runs elsewhere gets only the candidates whose features have to be extracted.
        """
        models = self.plan.models
        places = {one.name: number for number, one in enumerate(models, start=1)}

        def began(work: Work) -> None:
            number = places[work.name]
            self.listener.started(models[number - 1], number, len(models))

        def goes_away(model: PlannedModel) -> bool:
            checkpoint = model.checkpoint
            to_run = self.engine.elsewhere and model.state not in ("cached", "failed")
            return to_run and checkpoint is not None and checkpoint.held is None

        away = [one for one in models if goes_away(one)]
        own = [Work(one.name, partial(here.outcome, one)) for one in models if not goes_away(one)]
        for done in (Here() if self.engine.elsewhere else self.engine).run(own, began):
            yield models[places[done.work.name] - 1], done.value
        if away:
            file = SampleStore(self.folder / "samples").file_of(self.sample)
            with closing(self.engine.run([self._work(one, file) for one in away], began)) as finished:
                for done in finished:
                    model = models[places[done.work.name] - 1]
                    yield model, self._received(model, done)
            self.cache.shrink()

    def _work(self, model: PlannedModel, sample: Path) -> Work:
        """Return a candidate as a worker gets it."""
        assert model.checkpoint is not None
        features = self.cache.folder.absolute()
        action = ScoreCandidate(with_whole_paths(model), sample.absolute(), self.scoring, self.options, features)
        weights = model.checkpoint.repository.bytes_of(model.files)
        return Work(model.name, action, weights, gpu=self.options.extract.device != "cpu")

    def _received(self, model: PlannedModel, done: Finished) -> list[RankedModel]:
        """Return the result of a worker; its features stay in the cache for the rest of this run."""
        found: list[RankedModel] = done.value or [failed_model(replace(model, failure=done.failure))]
        if any(one.status == "ok" for one in found):
            self.listener.examples(model, len(self.sample))
            if model.cached(self.cache) is None:
                raise OptionError(
                    f"A worker wrote the features of {model.name} to {self.cache.folder}, and on this computer they "
                    f"are not there: name a folder that all workers share ({HOME_VARIABLE})."
                )
        return found

    def _report(self, outcomes: Mapping[str, list[RankedModel]], *, everywhere: bool) -> RankReport:
        """Return the report, which the main process makes and sends to the others unless interrupted."""
        models, ready = dict[str, RankedModel](), dict[str, Ready]()
        for model in self.plan.models:
            there = model.cached(self.cache)
            for one in outcomes.get(model.name, [failed_model(model)]):
                models[one.name] = one
                if one.layer is not None and there is not None:
                    ready[one.name] = Ready(there.folder, one.layer, partial(self._labelled, model, one.layer))

        def made() -> RankReport:
            return make_report(self.sample, models, ready, self.scoring, self.options)

        if not everywhere or self.processes.count == 1:
            return made()
        own = self.processes.together(lambda: made() if self.processes.is_main else None)
        bare = replace(self.sample, table=self.sample.table.slice(0, 0))  # small enough to send around
        small = None if own is None else replace(own, sample=bare)
        received = self.processes.from_main(small)
        assert received is not None
        return replace(received, sample=self.sample)

    def _labelled(self, model: PlannedModel, layer: str) -> LabelledFeatures:
        cached = model.cached(self.cache)
        if cached is None:
            raise CheckpointError("error", GONE)
        return labelled(cached, layer, self.sample)

    def _scores_ahead(self) -> ScoresAhead:
        """Return what scores the candidates with cached features in the background."""
        ready = [] if self.processes.count > 1 else [one for one in self.plan.models if one.state == "cached"]
        return ScoresAhead({one.name: partial(self._here().scored_ahead, one) for one in ready})
