"""Pre-train backbones, score them, fine-tune them, and store everything as records.

Run `python -m benchmarks.evidence.run --help` in the root of the repository. Existing results are not computed again,
so you can interrupt it at any time. `python -m benchmarks.evidence.report` writes docs/evidence.md from the records.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.evidence.encoders import write_encoder
from benchmarks.evidence.helpers import helpers
from benchmarks.evidence.material import TEST, TRAIN, write_source, write_source_test, write_target
from benchmarks.evidence.measuring import Trial, measure
from benchmarks.evidence.pretraining import Lesson, pre_train
from benchmarks.evidence.regimes import REGIMES, SEEDS, SOURCE_ACCURACY, Regime
from benchmarks.evidence.settings import rounds
from benchmarks.evidence.zoo import IMAGES, STEPS, TEXTS, ImageMember, TextMember
from hf_transfer_score.features.extract import ExtractOptions
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.finetune.rows import held_out
from hf_transfer_score.home import write_text
from hf_transfer_score.records.record import Record, RecordedOverlap, record_path
from hf_transfer_score.records.shipped import EVIDENCE, shipped_folder, write_shipped
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.records import last_part
from hf_transfer_score.runs.report import RankReport
from hf_transfer_score.runs.run import rank
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import SampleOptions

REPLICATES = 50
"""Replicates for the intervals of the terms of NCTI and FaCe; the other metrics have none."""

OVERLAP_DIGITS = 4


@dataclass(frozen=True)
class Evidence:
    """The inputs and settings of a run.

    Attributes:
        cifar10: the folder of the images.
        banking77: the folder of the texts.
        minilm: the folder of the text encoder.
        work: the folder for checkpoints, datasets, features and records.
        device: for the computation.
        steps: number of batches of a full pre-training.
        seeds: of fine-tuning.
        images: the image backbones.
        texts: the text encoders.
    """

    cifar10: Path
    banking77: Path
    minilm: Path
    work: Path
    device: str = "cpu"
    steps: int = STEPS
    seeds: tuple[int, ...] = SEEDS
    images: tuple[ImageMember, ...] = IMAGES
    texts: tuple[TextMember, ...] = TEXTS

    @property
    def results(self) -> Path:
        """The folder of the records."""
        return self.work / "results"

    def records(self) -> list[Record]:
        """Return all records so far."""
        return [Record.from_json(path.read_bytes()) for path in sorted(self.results.glob("records/*/*/*.json"))]

    def checkpoints(self, *, images: bool) -> list[Path]:
        """Return the folders of the backbones of a modality."""
        members: Sequence[ImageMember | TextMember] = self.images if images else self.texts
        return [self.work / "checkpoints" / member.name for member in members]

    def pre_train(self, pool: Executor) -> None:
        """Make the missing checkpoints, the longest first."""
        material = write_source(self.cifar10, self.work / "source.npz")
        folder = self.work / "checkpoints"
        lessons = [Lesson(one, material, folder, self.steps, self.device) for one in self.images]
        _each([pool.submit(pre_train, lesson) for lesson in lessons], "pre-training", lambda _: None)

    def write_encoders(self) -> None:
        """Make the missing text encoders."""
        for member in self.texts:
            write_encoder(member, self.minilm, self.work / "checkpoints")

    def target(self, regime: Regime) -> Path:
        """Return the folder of a regime's dataset."""
        return write_target(regime, self.cifar10 if regime.images else self.banking77, self.work / "datasets")

    def score(self, regime: Regime) -> RankReport:
        """Write the scores of all backbones under all settings, and return those under the defaults."""
        report = self._ranked(self.target(regime), regime.images, "all", REPLICATES)
        for metrics in rounds():
            self._ranked(self.target(regime), regime.images, metrics, 0)
        return report

    def score_source(self) -> None:
        """Write the accuracies of a linear probe on images of the source classes that pre-training did not see."""
        place = write_source_test(self.cifar10, self.work / "datasets" / SOURCE_ACCURACY)
        self._ranked(place, True, ["linear_probe"], 0)

    def _ranked(self, dataset: Path, images: bool, metrics: Any, replicates: int) -> RankReport:
        options = RankOptions(
            sample=SampleOptions(split=TRAIN),
            extract=ExtractOptions(dtype="float32", device=self.device, threads=1),
            replicates=replicates,
        )
        models = [str(one) for one in self.checkpoints(images=images)]
        report = rank(str(dataset), models, options=options, metrics=metrics, folder=self.work / "home")
        keep(report.records(), self.results)
        return report

    def trials(self, regime: Regime, report: RankReport, recipe: Recipe) -> list[Trial]:
        """Return the fine-tunings for a regime with a recipe."""
        options, folder = SampleOptions(split=TRAIN), self.work / "home" / "samples"
        dataset = str(self.target(regime))
        train = load_sample(dataset, options, folder=folder)
        test = held_out(dataset, train, options, split=TEST, count=regime.test_rows, folder=folder)
        like = {record.model.id: record for record in report.records() if record.status == "ok"}
        return [
            Trial(folder, like[folder.name], train, test, replace(recipe, device=self.device), self.seeds, self.results)
            for folder in self.checkpoints(images=regime.images)
            if last_part(str(folder)) in like
        ]

    def measure(self, regimes: Sequence[Regime], processes: int) -> None:
        """Do all the work, regime by regime."""
        with helpers(processes) as pool:
            if any(regime.images for regime in regimes):
                self.pre_train(pool)
                self.score_source()
            if not all(regime.images for regime in regimes):
                self.write_encoders()
            for regime in regimes:
                start = time.perf_counter()
                report = self.score(regime)
                print(f"{regime.name}: scored in {time.perf_counter() - start:.0f} s", flush=True)
                for recipe in regime.recipes:
                    trials = [one for one in self.trials(regime, report, recipe) if one.missing()]
                    _each([pool.submit(measure, trial) for trial in trials], regime.name, str)


def keep(records: Iterable[Record], folder: Path) -> None:
    """Write missing records, with few overlaps of classes to keep them small."""
    for record in records:
        path = folder / record_path(record)
        if not path.is_file():
            write_text(path, replace(record, overlap=_small(record)).to_json())


def _small(record: Record) -> RecordedOverlap | None:
    """Return the overlaps of the default setting, which has intervals, rounded."""
    found = record.overlap
    if found is None or record.interval_level is None:
        return None
    return RecordedOverlap(found.classes, tuple(round(value, OVERLAP_DIGITS) for value in found.values))


def _each(futures: Sequence[Any], what: str, said: Callable[[Any], str | None]) -> None:
    """Wait for all, and print the progress."""
    start = time.perf_counter()
    for count, future in enumerate(as_completed(futures), 1):
        line = said(future.result())
        if line or count == len(futures):
            print(f"{what} {count}/{len(futures)} ({time.perf_counter() - start:.0f} s) {line or ''}", flush=True)


def main() -> None:
    """Do all the work, the cheaper regimes first."""
    options = _options()
    evidence = Evidence(options.cifar10, options.banking77, options.minilm, options.work, options.device, options.steps)
    evidence.measure([REGIMES[name] for name in options.regimes], options.processes)
    if options.regimes == list(REGIMES):
        count = write_shipped(evidence.records(), shipped_folder() / EVIDENCE)
        print(f"{count} records in {shipped_folder() / EVIDENCE}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure how well metrics predict fine-tuning.")
    parser.add_argument("--cifar10", type=Path, required=True, help="folder with data/train-* and data/test-*")
    parser.add_argument("--banking77", type=Path, required=True, help="the same for BANKING77")
    parser.add_argument("--minilm", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument(
        "--work", type=Path, default=Path("evidence"), help="where to write checkpoints, datasets and records"
    )
    parser.add_argument("--processes", type=int, default=2, help="processes that train at the same time")
    parser.add_argument("--device", default="cpu", help="a torch device")
    parser.add_argument("--steps", type=int, default=STEPS, help="largest number of pre-training batches")
    parser.add_argument("--regimes", nargs="+", choices=list(REGIMES), default=list(REGIMES))
    return parser.parse_args()


if __name__ == "__main__":
    main()
