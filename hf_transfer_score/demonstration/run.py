"""The demonstration: networks are made, ranked as everybody's are, fine-tuned, and the two are compared."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from hf_transfer_score.demonstration.keeping import CHECKPOINTS, DATASET, Places, keep, truth_records
from hf_transfer_score.demonstration.material import SourceMaterial
from hf_transfer_score.demonstration.options import RANKING, Demonstration, DemoOptions, Watch
from hf_transfer_score.demonstration.pictures import TEST, TRAIN, target_digits, write_folder
from hf_transfer_score.demonstration.work import Lesson, Trial, helpers, measure, pre_train
from hf_transfer_score.features.extract import ExtractOptions
from hf_transfer_score.ranking.agreement import Agreement, agreements, noise_ceiling
from hf_transfer_score.ranking.ranking import RankedModel
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.options import SampleOptions
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.selection.listener import Listener
from hf_transfer_score.selection.options import RankOptions
from hf_transfer_score.selection.plan import PlannedModel
from hf_transfer_score.selection.report import RankReport
from hf_transfer_score.selection.run import rank
from hf_transfer_score.truth.fine_tune import FineTuningResult
from hf_transfer_score.truth.recipe import Recipe

LEARNING_RATE, VALIDATION_SHARE = 1e-3, 0.1
"""One rate for all: a choice by a few held-back pictures would be left to chance, and the others are needed."""

PRE_TRAINING, SCORING, FINE_TUNING = PHASES = ("pre-training", "ranking", "fine-tuning")

Accuracies = Mapping[str, tuple[float, ...]]
Result = TypeVar("Result")


def demonstrate(
    options: DemoOptions | None = None, *, save: Path | None = None, watch: Watch | None = None
) -> Demonstration:
    """Make a pool of micro networks, rank it for pictures that none of them has seen, fine-tune all, and compare.

    Nothing is downloaded. The same seed gives the same numbers on one machine. It shows the mechanics; it is no
    evidence for a metric.

    Args:
        options: how large it is; None for what the command runs.
        save: takes checkpoints, pictures and records; None keeps records only, in the package's home.
        watch: told which phase is on, how much of it is done, and how much there is.

    Raises:
        OptionError: `save` holds something else than a demonstration.
    """
    options = options or DemoOptions()
    places, clock = Places.of(save, options), _Clock()
    with tempfile.TemporaryDirectory(prefix="hf-transfer-score-demo-") as scratch, one_thread():
        run = _Run(options, Path(scratch), places.materials or Path(scratch), watch or _silent)
        with helpers(options.processes) as pool:
            clock.time(PRE_TRAINING, lambda: run.pre_train(pool))
            report = clock.time(SCORING, run.rank)
            measured, test = clock.time(FINE_TUNING, lambda: run.fine_tune(pool))
    accuracies = {name: tuple(one.accuracy for one in measured[name]) for name in report.models}
    found = Demonstration(
        report=report,
        accuracies=accuracies,
        agreements=agreements_of(report, accuracies),
        ceiling=noise_ceiling(list(accuracies.values())),
        results=places.results,
        schoolings={member.name: member.schooling for member in options.members},
        test_pictures=len(test),
        seconds=clock.seconds,
        kept=places.materials,
    )
    keep(found, truth_records(report, measured, run.recipe, test))
    return found


class _Run:
    """What stays the same through a demonstration."""

    def __init__(self, options: DemoOptions, scratch: Path, materials: Path, watch: Watch) -> None:
        self.options, self.scratch, self.watch = options, scratch, watch
        self.checkpoints = materials / CHECKPOINTS
        self.dataset = materials / DATASET
        self.recipe = Recipe(
            learning_rates=(LEARNING_RATE,), epochs=options.epochs, patience=None, validation_share=VALIDATION_SHARE
        )

    def pre_train(self, pool: Executor) -> None:
        """Write the pictures and the checkpoints."""
        options = self.options
        self.watch(PRE_TRAINING, 0, len(options.members))
        material = SourceMaterial.make(options.seed).write(self.scratch / "material.npz")
        lessons = [Lesson(one, material, self.checkpoints, options.steps, options.seed) for one in options.members]
        done = [pool.submit(pre_train, lesson) for lesson in lessons]
        write_folder(target_digits(options.per_class, options.seed), self.dataset)
        self._wait(PRE_TRAINING, done)

    def rank(self) -> RankReport:
        """Rank the folders for the folder of pictures, as `rank` does for everybody."""
        folders = [str(self.checkpoints / member.name) for member in self.options.members]
        listener = _Listener(self.watch, len(folders))
        options = RankOptions(sample=SampleOptions(split=TRAIN), extract=ExtractOptions(device="cpu", threads=1))
        return rank(str(self.dataset), folders, options=options, listener=listener, folder=self.scratch)

    def fine_tune(self, pool: Executor) -> tuple[dict[str, list[FineTuningResult]], LabelledSample]:
        """Return what fine-tuning each checkpoint gave, by name, one for each seed, and what it was tested on."""
        self.watch(FINE_TUNING, 0, len(self.options.members) * self.options.repeats)
        train, test = self._sample(TRAIN), self._sample(TEST)
        trials = {
            (member.name, repeat): Trial(self.checkpoints / member.name, train, test, self.recipe, repeat)
            for member in self.options.members
            for repeat in range(self.options.repeats)
        }
        done = {key: pool.submit(measure, trial) for key, trial in trials.items()}
        self._wait(FINE_TUNING, list(done.values()))
        found: dict[str, list[FineTuningResult]] = {}
        for (name, _), future in done.items():
            found.setdefault(name, []).append(future.result())
        return found, test

    def _sample(self, split: str) -> LabelledSample:
        return load_sample(str(self.dataset), SampleOptions(split=split), folder=self.scratch / "samples")

    def _wait(self, phase: str, futures: list[Future[Any]]) -> None:
        """Wait for all, and raise what the first of them that failed raised."""
        for count, future in enumerate(as_completed(futures), 1):
            future.result()
            self.watch(phase, count, len(futures))


class _Listener(Listener):
    """Passes on how the ranking goes."""

    def __init__(self, watch: Watch, models: int) -> None:
        self.watch, self.models, self.done = watch, models, 0
        watch(SCORING, 0, models)

    def finished(self, model: PlannedModel, outcomes: list[RankedModel]) -> None:
        """Count."""
        self.done += 1
        self.watch(SCORING, self.done, self.models)


class _Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, phase: str, work: Callable[[], Result]) -> Result:
        """Do the work, and note how long it took."""
        start = time.perf_counter()
        result = work()
        self.seconds[phase] = time.perf_counter() - start
        return result


def agreements_of(report: RankReport, accuracies: Accuracies) -> dict[str, Agreement]:
    """Return how well each order agrees with measured accuracies: the ranking itself, the metrics, the baselines."""
    whole = {metric: pool.scores for metric, pool in report.pools.items() if report.ranks.keys() <= pool.scores.keys()}
    orders = {RANKING: {name: -mean for name, mean in report.mean_ranks.items()}, **whole}
    return agreements(orders, {name: accuracies[name] for name in report.ranks}, least=0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread in this process too, so that no number depends on how many there are."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _silent(phase: str, done: int, total: int) -> None:
    """Say nothing."""
