"""One candidate of a verification: loaded afresh and fine-tuned with each seed, in this process or in a worker's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hf_transfer_score.backbones.base import Backbone, all_kinds
from hf_transfer_score.checkpoints.resolve import fetch
from hf_transfer_score.errors import CheckpointError, LabelsError, OptionError
from hf_transfer_score.features.batches import as_checkpoint_error
from hf_transfer_score.finetune.fine_tune import FineTuningResult, fine_tune
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.runs.candidates import loaded_sample, release_memory
from hf_transfer_score.runs.plan import PlannedModel
from hf_transfer_score.tasks import Task

Loading = tuple[Callable[[], Backbone], Callable[[], Any]]
"""What loads a candidate, and what frees the disk of it."""


@dataclass(frozen=True)
class Tuned:
    """What came of fine-tuning a candidate: a measurement for each seed, and the kind and reason of what ended them."""

    measured: Mapping[int, FineTuningResult]
    failure: tuple[str, str] | None = None


@dataclass(frozen=True)
class TuneCandidate:
    """The fine-tuning of one candidate as a worker gets it.

    Attributes:
        model: the candidate.
        sample: the file of the rows to train on.
        test: the file of the rows to test on.
        recipe: how.
        seeds: one measurement each.
        free_disk: remove the weights behind it where they are downloaded for it.
    """

    model: PlannedModel
    sample: Path
    test: Path
    recipe: Recipe
    seeds: tuple[int, ...]
    free_disk: bool

    def __call__(self) -> Tuned:
        """Return the measurements, in whatever process this is."""
        measured: dict[int, FineTuningResult] = {}
        train, test = loaded_sample(self.sample), loaded_sample(self.test)
        free: Callable[[], Any] = lambda: None  # noqa: E731
        try:
            with quiet_client():
                load, free = loading(self.model, train.task, free_disk=self.free_disk)
                for seed in self.seeds:
                    measured[seed] = fine_tune(load, train, test, self.recipe, seed)
        except LabelsError:
            raise
        except Exception as error:  # noqa: BLE001  # what a library raises for one model is no reason to end the run
            return Tuned(measured, why(error))
        finally:
            free()
            release_memory()
        return Tuned(measured)


def loading(model: PlannedModel, task: Task, *, free_disk: bool) -> Loading:
    """Return what loads a candidate afresh, whose weights are downloaded now where they are not here."""
    assert model.checkpoint is not None
    kind = all_kinds()[model.kind or ""]
    fetched = fetch(model.checkpoint, kind.files(model.checkpoint.repository, model.options))
    return partial(kind.load, fetched.folder, task, model.options), fetched.free if free_disk else (lambda: None)


def why(error: Exception) -> tuple[str, str]:
    """Return the kind of a failure and its reason."""
    if isinstance(error, OptionError):  # a block that this architecture does not have
        return "bad_input", str(error)
    failure = error if isinstance(error, CheckpointError) else as_checkpoint_error(error)
    return failure.kind, str(failure)
