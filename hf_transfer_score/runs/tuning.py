"""One candidate of a verification: loaded and fine-tuned once per seed, in this process or in a worker."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from hf_transfer_score.backbones.base import Backbone, all_kinds
from hf_transfer_score.checkpoints.resolve import fetch
from hf_transfer_score.errors import CheckpointError, LabelsError, OptionError, UnreadableError
from hf_transfer_score.features.batches import as_checkpoint_error
from hf_transfer_score.finetune.fine_tune import FineTuningResult, fine_tune
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.runs.candidates import loaded_sample, only_here, release_memory
from hf_transfer_score.runs.plan import PlannedModel
from hf_transfer_score.tasks import Task
from hf_transfer_score.text import json_text
from hf_transfer_score.untrusted import parse_json

TUNED = "tuned.json"
"""The file with the measurements, from a worker that shares no folder."""

Loading = tuple[Callable[[], Backbone], Callable[[], Any]]
"""A function that loads a candidate, and one that frees the disk space of its files."""


@dataclass(frozen=True)
class Tuned:
    """The measurements of a candidate by seed, and the kind and reason of a failure that ended them."""

    measured: Mapping[int, FineTuningResult]
    failure: tuple[str, str] | None = None


@dataclass(frozen=True)
class TuneCandidate:
    """The fine-tuning of one candidate, as a worker gets it."""

    model: PlannedModel
    sample: Path
    test: Path
    recipe: Recipe
    seeds: tuple[int, ...]
    free_disk: bool

    def __call__(self) -> Tuned:
        """Return the measurements."""
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
        except Exception as error:  # noqa: BLE001  # a library's error on one model must not end the run
            return Tuned(measured, why(error))
        finally:
            free()
            release_memory()
        return Tuned(measured)

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that it reads besides the checkpoint: the training and test rows."""
        return self.sample, self.test

    @property
    def bound(self) -> str:
        """Why it can run on this computer only."""
        return only_here(self.model)

    def leave(self, files: Sequence[Path], folder: Path) -> None:
        """Write the measurements for `take`."""
        found = replace(self, sample=files[0], test=files[1])()
        plain = {"measured": {str(seed): asdict(one) for seed, one in found.measured.items()}, "failure": found.failure}
        (folder / TUNED).write_text(json_text(plain), encoding="utf-8")

    def take(self, folder: Path) -> Tuned:
        """Return the measurements that a worker wrote."""
        plain = parse_json((folder / TUNED).read_bytes())
        measured = {
            seed: measured_from(plain["measured"][str(seed)]) for seed in self.seeds if str(seed) in plain["measured"]
        }
        failure = plain["failure"]
        return Tuned(measured, None if failure is None else (str(failure[0]), str(failure[1])))


def measured_from(plain: Mapping[str, Any]) -> FineTuningResult:
    """Return a measurement from plain values, or raise an error if they are not one."""
    notes = tuple(str(note) for note in plain["notes"])
    found = FineTuningResult(**{**plain, "notes": notes})
    for one in fields(found):
        value = getattr(found, one.name)
        if one.name != "notes" and not (value is None or isinstance(value, int | float | str)):
            raise UnreadableError(f"{one.name} has a value of the wrong type")
    if not 0 <= found.accuracy <= 1:
        raise UnreadableError(f"an accuracy of {found.accuracy}")
    return found


def loading(model: PlannedModel, task: Task, *, free_disk: bool) -> Loading:
    """Return what loads a candidate; its weights are downloaded now if needed."""
    assert model.checkpoint is not None
    kind = all_kinds()[model.kind or ""]
    fetched = fetch(model.checkpoint, kind.files(model.checkpoint.repository, model.options))
    return partial(kind.load, fetched.folder, task, model.options), fetched.free if free_disk else (lambda: None)


def weights_of(model: PlannedModel) -> int:
    """Return the bytes of a candidate's files, even if its features are cached."""
    assert model.checkpoint is not None
    repository = model.checkpoint.repository
    return repository.bytes_of(all_kinds()[model.kind or ""].files(repository, model.options))


def why(error: Exception) -> tuple[str, str]:
    """Return the kind and the reason of a failure."""
    if isinstance(error, OptionError):  # such as a block that this architecture does not have
        return "bad_input", str(error)
    failure = error if isinstance(error, CheckpointError) else as_checkpoint_error(error)
    return failure.kind, str(failure)
