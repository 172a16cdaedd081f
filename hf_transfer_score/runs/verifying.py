"""A ranking compared with fine-tuning: the best candidates are fine-tuned on the sample they were ranked on."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hf_transfer_score.backbones.base import Backbone
from hf_transfer_score.checkpoints.candidate import Models, Search, refuse_model
from hf_transfer_score.engines.base import HERE, Engine, Finished, Work, opened
from hf_transfer_score.engines.here import Here
from hf_transfer_score.errors import LabelsError, NoSpaceError, OptionError
from hf_transfer_score.features.batches import Processes
from hf_transfer_score.finetune.fine_tune import (
    FineTuningResult,
    failed_record,
    fine_tune,
    measured_before,
    save_truth,
    truth_metric,
    truth_record,
)
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.finetune.rows import codes_of, other_proportions, split_rows, training_and_test
from hf_transfer_score.home import check_folder, home
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.metrics.scores import MetricChoice
from hf_transfer_score.records.record import Record, RecordedMetric
from hf_transfer_score.runs.candidates import release_memory, with_whole_paths
from hf_transfer_score.runs.expected import ExpectedTime, Pace, RowCounts
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.options import RankOptions, check_trainable
from hf_transfer_score.runs.plan import PlannedModel
from hf_transfer_score.runs.records import without_places
from hf_transfer_score.runs.report import RankReport
from hf_transfer_score.runs.run import RankRun
from hf_transfer_score.runs.tuning import TuneCandidate, Tuned, loading, weights_of, why
from hf_transfer_score.runs.verified import (
    Verified,
    VerifyOptions,
    VerifyReport,
    agreements_of,
    ceiling_of,
    one_of_each,
    readable,
)
from hf_transfer_score.sampling.load import SampleStore
from hf_transfer_score.sampling.sample import LabelledSample


class VerifyListener:
    """Is told how the fine-tuning proceeds; does nothing by default."""

    def ranked(self, report: RankReport, test: LabelledSample, names: Sequence[str]) -> None:
        """Called when the ranking and the test rows are known, with the candidates that will be fine-tuned."""

    def stage(self, name: str, seed: int, words: str) -> None:
        """Called when a candidate reaches a stage with a seed."""

    def expected(self, time: ExpectedTime) -> None:
        """Called when the first epochs show how long everything will take."""

    def measured(self, name: str, seed: int, measured: FineTuningResult, *, before: bool) -> None:
        """Called when a seed is measured, now or by an earlier run."""

    def failed(self, verified: Verified) -> None:
        """Called when a candidate cannot be fine-tuned."""


def verify(
    dataset: Any,
    models: Models = (),
    *,
    options: RankOptions | None = None,
    how: VerifyOptions | None = None,
    metrics: MetricChoice = None,
    headline: Sequence[str] | None = None,
    search: Search | None = None,
    listener: Listener | None = None,
    heard: VerifyListener | None = None,
    folder: str | Path | None = None,
    save: str | Path | None = None,
    engine: str | Engine = HERE,
) -> VerifyReport:
    """Rank checkpoints for a dataset, fine-tune the best on the same sample, and tell how well the ranking predicted.

    A candidate that cannot be fine-tuned is a row with the reason. Ctrl-C ends the fine-tuning; the report holds the
    accuracies so far. With `save`, each accuracy is stored at once, and none is measured twice.

    Args:
        dataset: as for `rank`, but no sample: test rows are drawn too. So are models, options, metrics, headline,
            search, listener and folder.
        models: the candidates.
        options: how they are ranked.
        how: how they are fine-tuned and tested.
        metrics: what they are ranked by.
        headline: the metrics that decide the order.
        search: a search of the Hub for more candidates.
        listener: a listener for progress events of the ranking.
        heard: a listener for progress events of the fine-tuning.
        folder: where samples and features are kept.
        save: a folder for the records of scores and accuracies.
        engine: where candidates are scored and fine-tuned, as for `rank`.

    Example:
        >>> from hf_transfer_score import verify
        >>> models = ["example/resnet-pretrained", "example/mambaout-untrained"]
        >>> quick = {"max_samples": 100, "test_samples": 50, "method": "probe", "seeds": 0, "device": "cpu"}
        >>> report = verify("example", models, **quick, progress=False)
        >>> [(name, one.status) for name, one in report.models.items()]
        [('resnet-pretrained', 'ok'), ('mambaout-untrained', 'ok')]

    Raises:
        OptionError: the task cannot be fine-tuned, or an option makes no sense.
        DatasetError: the dataset cannot be sampled, or no row is left to test on.
        Interrupted: the run was interrupted during the ranking.
    """
    options, how, folder = options or RankOptions(), how or VerifyOptions(), Path(folder or home())
    save = None if save is None else Path(save)
    check_folder(save)
    if Processes.current().count > 1:
        raise OptionError("verify fine-tunes in one process: run it without a launcher.")
    check_trainable(options)
    refuse_model(dataset)
    listener = listener or Listener()
    tested: dict[str, Any] = {"split": how.test_split, "count": how.test_samples, "progress": listener.sampling}
    with quiet_client():
        asked, _, test = training_and_test(
            dataset, options.sample, **tested, folder=folder / "samples", refresh=options.refresh
        )
    options = replace(options, sample=asked)
    with opened(engine) as running:
        run = RankRun(options, listener, folder, (), running)
        run.prepare(dataset, models, metrics, headline, search)
        report = run.carry_out(time.perf_counter())
        recipe = how.recipe_for(report.sample)
        codes, _, _ = codes_of(report.sample, test)
        split_rows(codes, recipe.validation_share, 0)  # labels that cannot be divided fail here, not once a model
        if save is not None:
            report.save(save)
        metrics_of = {seed: truth_metric(recipe, seed, test) for seed in how.seeds}
        planned = {model.name: model for model in run.plan.models}
        told, free = heard or VerifyListener(), options.free_disk
        return _Verifying(report, test, recipe, metrics_of, how.top, planned, told, save, free, folder, running).run()


@dataclass
class _Verifying:
    """A verification after its ranking; `metrics` holds the truth metric of each seed."""

    report: RankReport
    test: LabelledSample
    recipe: Recipe
    metrics: Mapping[int, RecordedMetric]
    top: int
    planned: Mapping[str, PlannedModel]
    heard: VerifyListener
    save: Path | None
    free_disk: bool
    folder: Path
    engine: Engine

    def run(self) -> VerifyReport:
        names = list(self.report.ranks)[: self.top]
        like = one_of_each(self.report)
        self.heard.ranked(self.report, self.test, names)
        pace = self._pace({name: like[name] for name in names})
        found = {name: Verified(name, "interrupted", reason="the run ended before its turn") for name in names}
        interrupted = False
        try:
            with quiet_client():
                away = [name for name in names if self._can_go_away(name) and self._missing(like[name])]
                own = [name for name in names if name not in away]
                works = [Work(name, partial(self._model, name, like[name], found, pace)) for name in own]
                for _ in Here().run(works, lambda _: None):
                    pass
                self._elsewhere({name: like[name] for name in away}, found)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            gc.unfreeze()
        for name, outcome in self.report.models.items():
            if outcome.status == "failed":
                found[name] = Verified(name, "failed", kind=outcome.kind, reason=outcome.reason)
        left = len(self.report.ranks) - len(names)
        below = "One model ranked below was" if left == 1 else f"{left} models ranked below were"
        notes = [f"{below} not fine-tuned; `top` sets how many are."] if left else []
        agreements = agreements_of(self.report, found)
        everything = (*self.test.notes, *other_proportions(self.report.sample, self.test), *notes)
        ceiling = ceiling_of(found)
        return VerifyReport(self.report, self.recipe, self.test, found, agreements, ceiling, everything, interrupted)

    def _pace(self, likes: Mapping[str, Record]) -> Pace:
        """Return what times the first epochs of the measurements that are still to be made."""
        waiting = {name: len(self._missing(like)) for name, like in likes.items()}
        train = len(self.report.sample)
        chosen = max(1, round(self.recipe.validation_share * train))
        rows = RowCounts(train - chosen, chosen, len(self.test))
        return Pace(self.report.models, waiting, self.recipe, rows, len(self.metrics), self.heard.expected)

    def _before(self, like: Record, seed: int) -> FineTuningResult | None:
        """Return the measurement of an earlier run."""
        return None if self.save is None else measured_before(self.save, like, self.metrics[seed])

    def _missing(self, like: Record) -> tuple[int, ...]:
        """Return the seeds that an earlier run did not measure."""
        return tuple(seed for seed in self.metrics if self._before(like, seed) is None)

    def _model(self, name: str, like: Record, found: dict[str, Verified], pace: Pace) -> None:
        """Measure a candidate with every seed, and put each result into `found` at once."""
        measured: dict[int, FineTuningResult] = {}
        free: Callable[[], Any] = lambda: None  # noqa: E731
        gc.freeze()  # existing objects stay: collecting the cycles of this training afterwards need not visit them
        try:
            load: Callable[[], Backbone] | None = None
            for seed in self.metrics:
                before = self._before(like, seed)
                if before is None and load is None:
                    self.heard.stage(name, seed, "loading")
                    planned = self.planned[self.report.models[name].model]
                    load, free = loading(planned, self.report.sample.task, free_disk=self.free_disk)
                one = before or self._measure(name, seed, load, pace)
                measured[seed] = one
                found[name] = Verified(name, "ok", dict(measured))
                self._keep(name, like, seed, one, before=before is not None)
        except LabelsError:
            raise
        except Exception as error:  # noqa: BLE001  # a library's error on one model must not end the run
            found[name] = Verified(name, "failed", dict(measured), *why(error))
            self._failed(found[name], like)
        finally:
            free()
            release_memory()

    def _keep(self, name: str, like: Record, seed: int, measured: FineTuningResult, *, before: bool) -> None:
        """Store a new measurement, and report it."""
        if self.save is not None and not before:
            save_truth(self.save, readable(truth_record(like, self.metrics[seed], measured)))
        self.heard.measured(name, seed, measured, before=before)

    def _can_go_away(self, name: str) -> bool:
        """Whether a worker can take a candidate; a model in memory stays in this process."""
        checkpoint = self.planned[self.report.models[name].model].checkpoint
        return self.engine.elsewhere and checkpoint is not None and checkpoint.held is None

    def _elsewhere(self, likes: Mapping[str, Record], found: dict[str, Verified]) -> None:
        """Have candidates measured by workers."""
        samples = SampleStore(self.folder / "samples")
        sample, test = (samples.file_of(one).absolute() for one in (self.report.sample, self.test))
        works = []
        for name, like in likes.items():
            model = with_whole_paths(self.planned[self.report.models[name].model])
            action = TuneCandidate(model, sample, test, self.recipe, self._missing(like), self.free_disk)
            works.append(Work(name, action, weights_of(model), gpu=self.recipe.device != "cpu"))

        def began(work: Work) -> None:
            self.heard.stage(work.name, self._missing(likes[work.name])[0], "handed out")

        with closing(self.engine.run(works, began)) as finished:
            for done in finished:
                self._received(done, likes[done.work.name], found)

    def _received(self, done: Finished, like: Record, found: dict[str, Verified]) -> None:
        """Add the measurements of a worker to those of earlier runs."""
        name, measured = done.work.name, dict[int, FineTuningResult]()
        failure = None if done.failure is None else why(done.failure)
        tuned: Tuned = done.value or Tuned({}, failure)
        for seed in self.metrics:
            before = self._before(like, seed)
            one = before or tuned.measured.get(seed)
            if one is not None:
                measured[seed] = one
                self._keep(name, like, seed, one, before=before is not None)
        found[name] = Verified(name, "ok", measured)
        if tuned.failure is not None:
            found[name] = Verified(name, "failed", measured, *tuned.failure)
            self._failed(found[name], like)

    def _failed(self, verified: Verified, like: Record) -> None:
        """Report a failure, and store it for the seed that failed; the next run tries it again."""
        if self.save is not None:
            seed = next(one for one in self.metrics if one not in verified.measured)
            reason = without_places(verified.reason or "no reason is known")
            with suppress(OSError, NoSpaceError):  # such as a full disk, which may be why it failed
                save_truth(self.save, failed_record(like, self.metrics[seed], verified.kind or "error", reason))
        self.heard.failed(verified)

    def _measure(self, name: str, seed: int, load: Callable[[], Backbone] | None, pace: Pace) -> FineTuningResult:
        assert load is not None
        told, timed = partial(self.heard.stage, name, seed), partial(pace.after_pass, name)
        sample, recipe = self.report.sample, self.recipe
        found = fine_tune(load, sample, self.test, recipe, seed, progress=told, after_pass=timed)
        pace.after_probe(name, found.seconds)
        return found
