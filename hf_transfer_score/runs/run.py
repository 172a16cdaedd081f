"""The run: sample once, plan, then each candidate in turn while the next one's weights download."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hf_transfer_score.backbones.base import Backbone, all_kinds, own_parameters
from hf_transfer_score.checkpoints.candidate import Candidate, Search, parse_candidates, search_models
from hf_transfer_score.checkpoints.resolve import Fetched
from hf_transfer_score.errors import CheckpointError, NoSpaceError, OptionError
from hf_transfer_score.features.batches import Processes, as_checkpoint_error
from hf_transfer_score.features.cache import CachedFeatures, FeatureCache, FeatureWriter
from hf_transfer_score.features.extract import extract
from hf_transfer_score.home import EXAMPLE, cache_limit, example_dataset, home
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.hub.downloads import Answers
from hf_transfer_score.metrics.labelled import LabelledFeatures
from hf_transfer_score.metrics.scores import MetricChoice
from hf_transfer_score.ranking.board import informed
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.runs.ahead import Downloads, ScoresAhead, few_enough
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.plan import Plan, PlannedModel, make_plan
from hf_transfer_score.runs.report import Interrupted, RankReport
from hf_transfer_score.runs.scoring import (
    Ready,
    Scored,
    Scoring,
    choose_scoring,
    failed_model,
    labelled,
    make_report,
    score_layer,
    unscored_model,
)
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.version import VERSION

GONE = "its features vanished from the cache during the run; run again"


@dataclass(frozen=True)
class PreparedRun:
    """A run before its first model: the sample, what will be computed, and the plan."""

    sample: LabelledSample
    scoring: Scoring
    plan: Plan


def rank(
    dataset: Any,
    models: Sequence[str] = (),
    *,
    options: RankOptions | None = None,
    metrics: MetricChoice = None,
    headline: Sequence[str] | None = None,
    search: Search | None = None,
    listener: Listener | None = None,
    folder: Path | None = None,
    results: str | Sequence[str] = (),
) -> RankReport:
    """Rank checkpoints for a labelled dataset, by one forward pass of each over a sample of it.

    A checkpoint that cannot be scored is a model with status "failed" and the reason. Features are kept, so that a
    second call with other metrics runs no model and asks nobody. Under `accelerate launch` all processes call this
    alike, and each returns the same report.

    Args:
        dataset: an id on the Hub, a folder or file, a `datasets.Dataset` or `IterableDataset`, a sample that was drawn
            before, or "example", which ships with the package.
        models: ids on the Hub ("owner/name", "owner/name@revision") and folders. "example" means the checkpoints that
            ship with the package; the dataset "example" takes them where none are named.
        options: what is sampled, how features are read, how sure the ranks are.
        metrics: names or configured metrics; None for the usual ones. Trivial baselines always stand beside.
        headline: metrics whose mean rank is the ranking; None for the forecast that all metrics make together.
        search: a search of the Hub for more candidates.
        listener: hears how the run goes on.
        folder: where samples and features are kept; None for the usual place.
        results: places of stored results, folders or OWNER/NAME of dataset repositories, that the forecast takes in.

    Raises:
        DatasetError: the dataset cannot be sampled.
        HubError: the search found nothing.
        OptionError: an option makes no sense.
        Interrupted: the run was ended by hand; it is a KeyboardInterrupt, with a report of what is done.
    """
    start = time.perf_counter()
    run = _RankRun(options or RankOptions(), listener or Listener(), folder or home(), results)
    prepared = run.prepare(dataset, models, metrics, headline, search)
    return run.carry_out(prepared, start)


def plan_rank(
    dataset: Any,
    models: Sequence[str] = (),
    *,
    options: RankOptions | None = None,
    metrics: MetricChoice = None,
    headline: Sequence[str] | None = None,
    search: Search | None = None,
    listener: Listener | None = None,
    folder: Path | None = None,
) -> Plan:
    """Return what `rank` with the same arguments would do; the sample is drawn and kept, no weights are downloaded."""
    run = _RankRun(options or RankOptions(), listener or Listener(), folder or home())
    return run.prepare(dataset, models, metrics, headline, search).plan


class _RankRun:
    """What stays the same through a run."""

    def __init__(
        self, options: RankOptions, listener: Listener, folder: Path, results: str | Sequence[str] = ()
    ) -> None:
        self.options, self.listener, self.folder, self.results = options, listener, folder, results
        self.processes = Processes.current()
        self.cache = FeatureCache(folder / "features", cache_limit())
        self.known = Answers(folder / "checkpoints", fresh=options.refresh)
        if not self.processes.is_main:
            self.listener = Listener()

    def prepare(
        self,
        dataset: Any,
        models: Sequence[str],
        metrics: MetricChoice,
        headline: Sequence[str] | None,
        search: Search | None,
    ) -> PreparedRun:
        """Return the sample and the plan; every process gets the same."""
        if isinstance(models, str):
            models = [models]
        if not models and search is None and example_dataset(dataset) is not None:
            models = [EXAMPLE]
        named = parse_candidates(models)
        if not named and search is None:
            raise OptionError("No model was named: pass ids or folders, or a search.")
        sample = self.processes.first_main(lambda: self._sample(dataset))
        scoring = choose_scoring(sample, metrics, headline)
        self.listener.sampled(sample)
        plan = self.processes.together(
            lambda: self._plan(named, sample, search) if self.processes.is_main else Plan(())
        )
        plan = self.processes.from_main(plan)
        self.listener.planned(plan)
        return PreparedRun(sample, scoring, plan)

    def _sample(self, dataset: Any) -> LabelledSample:
        if isinstance(dataset, LabelledSample):
            return dataset
        with quiet_client():
            return load_sample(
                dataset,
                self.options.sample,
                folder=self.folder / "samples",
                refresh=self.options.refresh,
                progress=self.listener.sampling,
                waiting=partial(self._waiting, "the sample"),
            )

    def _plan(self, named: list[Candidate], sample: LabelledSample, search: Search | None) -> Plan:
        notes: tuple[str, ...] = ()
        with quiet_client():
            if search is not None:
                found = search_models(search, sample.task.modality)
                named = list(dict.fromkeys([*named, *(Candidate(name) for name in found.names)]))
                notes = tuple(f"The search left out {count}: {reason}." for reason, count in found.left_out.items())
            plan = make_plan(named, sample, self.cache, self.known, self.options)
        return replace(plan, notes=(*notes, *plan.notes))

    def carry_out(self, prepared: PreparedRun, start: float) -> RankReport:
        """Score every candidate in turn and return the report."""
        scored, left, interrupted = Scored(), list(prepared.plan.models), False
        with ExitStack() as beside:
            beside.enter_context(quiet_client())
            downloads = beside.enter_context(Downloads(prepared.plan, self.processes, free=self.options.free_disk))
            ahead = beside.enter_context(self._scores_ahead(prepared))
            try:
                for number, model in enumerate(prepared.plan.models, start=1):
                    self.listener.started(model, number, len(prepared.plan.models))
                    found = self._model(model, prepared, downloads, ahead, scored)
                    left.remove(model)
                    self.listener.finished(model, found)
            except KeyboardInterrupt:
                interrupted = True
                downloads.cancel()
                ahead.cancel()
            finally:
                gc.unfreeze()
        for model in left:
            scored.add(failed_model(model))
        self.listener.ranking()
        report = self._report(prepared, scored, everywhere=not interrupted)
        notes = (*prepared.plan.notes, *report.notes)
        report = replace(report, interrupted=interrupted, notes=notes)
        if prepared.scoring.forecast and (report.can_be_forecast or self.results):
            report = informed(report, self.results, report.sample.task.name)
        report = replace(report, seconds=time.perf_counter() - start)
        if interrupted:
            raise Interrupted(report)
        return report

    def _report(self, prepared: PreparedRun, scored: Scored, *, everywhere: bool) -> RankReport:
        """Return the report; the main process has it, and gives it to the others unless they are being ended."""
        if not everywhere or self.processes.count == 1:
            return make_report(prepared.sample, scored, prepared.scoring, self.options)
        own = self.processes.together(
            lambda: (
                make_report(prepared.sample, scored, prepared.scoring, self.options) if self.processes.is_main else None
            )
        )
        small = None if own is None else replace(own, sample=prepared.sample.without_examples())
        received = self.processes.from_main(small)
        assert received is not None
        return replace(received, sample=prepared.sample)

    def _scores_ahead(self, prepared: PreparedRun) -> ScoresAhead:
        """Return the scores of candidates whose features are there, on their way in the background."""
        ready = [] if self.processes.count > 1 else [one for one in prepared.plan.models if one.state == "cached"]
        return ScoresAhead({one.name: partial(self._scored_ahead, one, prepared) for one in ready})

    def _scored_ahead(self, model: PlannedModel, prepared: PreparedRun) -> list[tuple[RankedModel, Ready]] | None:
        cached = self.cache.get(model.key or "")
        if cached is None or not few_enough(cached, prepared.scoring.metrics):
            return None
        return self._scores(model, cached, prepared, from_cache=True)

    def _model(
        self, model: PlannedModel, prepared: PreparedRun, downloads: Downloads, ahead: ScoresAhead, scored: Scored
    ) -> list[RankedModel]:
        """Return what became of one candidate, one model per layer; a failure is one, too."""
        was_there = True
        try:
            if model.failure:
                raise model.failure
            if not self._is_cached(model):
                was_there = not self._extract_once(model, prepared.sample, downloads)
            if not self.processes.is_main:
                return []
            self.listener.stage(model, "scoring")
            found = ahead.take(model.name) or self._scores(model, self._cached(model), prepared, from_cache=was_there)
            for one, ready in found:
                scored.add(one, ready)
            return [one for one, _ in found]
        except CheckpointError as error:
            failure = error
        except NoSpaceError as error:
            failure = as_checkpoint_error(error)
        except Exception as error:  # what a library raises for one model is no reason to end the run
            if self.processes.count > 1:  # the others would wait for ever
                raise
            failure = as_checkpoint_error(error)
        failed = failed_model(replace(model, failure=failure))
        scored.add(failed)
        return [failed]

    def _scores(
        self, model: PlannedModel, cached: CachedFeatures, prepared: PreparedRun, *, from_cache: bool
    ) -> list[tuple[RankedModel, Ready]]:
        found, sample = [], prepared.sample
        for layer in cached.features:
            known = unscored_model(model, cached, layer, from_cache=from_cache)
            scored = score_layer(known, cached, layer, sample, prepared.scoring)
            found.append((scored, Ready(cached.folder, layer, partial(self._labelled, model, layer, sample))))
        return found

    def _labelled(self, model: PlannedModel, layer: str, sample: LabelledSample) -> LabelledFeatures:
        return labelled(self._cached(model), layer, sample)

    def _cached(self, model: PlannedModel) -> CachedFeatures:
        cached = self.cache.get(model.key or "")
        if cached is None:
            raise CheckpointError("error", GONE)
        return cached

    def _is_cached(self, model: PlannedModel) -> bool:
        """Whether the features are there; the main process decides, since another run may have added them."""
        there = self.cache.get(model.key or "") is not None if self.processes.is_main else False
        return self.processes.from_main(there)

    def _extract_once(self, model: PlannedModel, sample: LabelledSample, downloads: Downloads) -> bool:
        """Make the features, unless another run is at it: then wait for them, or for its end; return who made them."""
        waiting = partial(self._waiting, f"the features of {model.name}")
        key = model.key or ""
        with self.cache.alone(key, waiting) if self.processes.is_main else nullcontext():
            known = self.processes.from_main(self.cache.failure(key) if self.processes.is_main else None)
            if known is not None:
                raise known
            if self._is_cached(model):
                return False
            self._extract(model, sample, downloads)
            return True

    def _waiting(self, what: str, holder: str) -> None:
        self.listener.waiting(f"{what}: waiting for {holder}, which makes the same")

    def _extract(self, model: PlannedModel, sample: LabelledSample, downloads: Downloads) -> None:
        if not model.files:  # it was cached when the plan was made
            raise CheckpointError("error", GONE)
        gc.freeze()  # what is there stays: collecting this model's cycles afterwards need not look at it
        writer = self.cache.writer(model.key or "", sample.rows) if self.processes.is_main else None
        fetched: Fetched | None = None
        try:
            self.listener.stage(model, "downloading" if model.download_bytes else "loading")
            fetched = self.processes.first_main(lambda: downloads.take(model))
            assert fetched is not None
            self._run_model(model, fetched, sample, writer)
        except BaseException:
            if writer is not None:
                writer.discard()
            raise
        finally:
            if fetched is not None and self.options.free_disk and self.processes.local_index == 0:
                fetched.free()
            release_memory()

    def _run_model(
        self, model: PlannedModel, fetched: Fetched, sample: LabelledSample, writer: FeatureWriter | None
    ) -> None:
        self.listener.stage(model, "loading")
        backbone: Backbone = self.processes.together(
            lambda: all_kinds()[model.kind or ""].load(fetched.folder, sample.task, model.options)
        )
        self.listener.stage(model, "running")
        summary = extract(
            backbone,
            sample,
            writer,
            options=self.options.extract,
            processes=self.processes,
            report=lambda count: self.listener.examples(model, count),
        )
        self.processes.together(lambda: _finish(writer, model, sample, backbone, summary))


def _finish(
    writer: FeatureWriter | None,
    model: PlannedModel,
    sample: LabelledSample,
    backbone: Backbone,
    summary: dict[str, Any],
) -> None:
    """Check what was written, and make it visible."""
    if writer is None:
        return
    bad, first = writer.non_finite()
    about = {
        "model": model.name,
        "commit": model.checkpoint.commit if model.checkpoint else None,
        "kind": model.kind,
        "rows": writer.rows,
        "dataset": sample.source.dataset,
        "task": sample.task.name,
        "version": VERSION,
    }
    if bad:
        advice = "its weights may be damaged" if summary["dtype"] == "float32" else "try dtype=float32"
        failure = CheckpointError(
            "non_finite",
            f"{bad:,} of {writer.rows:,} rows hold features that are not finite, the first is row {first}; {advice}",
        )
        writer.cache.fail(writer.key, failure, about)
        raise failure
    extraction = {**summary, "details": dict(backbone.details)}
    writer.finish({**about, "own_parameters": own_parameters(backbone), "extraction": extraction})


def release_memory() -> None:
    """Give the memory of a model back before the next one is loaded."""
    gc.collect()
    torch = sys.modules.get("torch")
    with suppress(AttributeError, RuntimeError):
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()
