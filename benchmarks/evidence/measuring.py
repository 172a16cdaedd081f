"""The work of the processes: pre-train backbones and fine-tune them, with one torch thread each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hf_transfer_score.backbones.base import Backbone, BackboneOptions, kind_of
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.finetune.fine_tune import fine_tune, measured_before, save_truth, truth_metric, truth_record
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.records.record import Record
from hf_transfer_score.sampling.sample import LabelledSample


@dataclass(frozen=True)
class Trial:
    """A checkpoint to be fine-tuned with several seeds.

    Attributes:
        folder: the checkpoint.
        like: a record of its scores on the same rows.
        train: the training rows.
        test: the test rows.
        recipe: of fine-tuning.
        seeds: one measurement each.
        results: the folder of the records.
    """

    folder: Path
    like: Record
    train: LabelledSample
    test: LabelledSample
    recipe: Recipe
    seeds: tuple[int, ...]
    results: Path

    def missing(self) -> tuple[int, ...]:
        """Return the seeds without a record."""
        metrics = {seed: truth_metric(self.recipe, seed, self.test) for seed in self.seeds}
        return tuple(seed for seed in self.seeds if measured_before(self.results, self.like, metrics[seed]) is None)


def measure(trial: Trial) -> str:
    """Measure the missing seeds, write each accuracy as soon as it is known, and return a line about it."""
    found = []
    for seed in trial.missing():
        try:
            measured = fine_tune(lambda: _backbone(trial), trial.train, trial.test, trial.recipe, seed)
        except CheckpointError as error:
            return f"{trial.folder.name} {error}"
        save_truth(trial.results, truth_record(trial.like, truth_metric(trial.recipe, seed, trial.test), measured))
        found.append(f"{measured.accuracy:.3f} ({measured.seconds:.0f} s, {measured.learning_rate or 0:g})")
    return f"{trial.folder.name} {trial.recipe.method}: {', '.join(found)}"


def _backbone(trial: Trial) -> Backbone:
    task = trial.train.task
    kind = kind_of(Repository.from_folder(trial.folder), task)
    return kind.load(trial.folder, task, BackboneOptions())
