"""Where the candidates of a race are trained: each resumes from its own last state, which is kept in files."""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.backbones.base import Backbone
from hf_transfer_score.choosing.evidence import Arm, Leg
from hf_transfer_score.choosing.options import Budget
from hf_transfer_score.errors import CheckpointError, LabelsError
from hf_transfer_score.features.batches import as_checkpoint_error
from hf_transfer_score.finetune.fine_tune import FineTuningResult
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.home import whole, write_text
from hf_transfer_score.runs.candidates import release_memory
from hf_transfer_score.runs.expected import STEP_COST
from hf_transfer_score.sampling.sample import LabelledSample

if TYPE_CHECKING:
    from hf_transfer_score.finetune.built import Builder, BuiltNetwork, KeptTraining
    from hf_transfer_score.finetune.loop import Score

T = TypeVar("T")

SAVED_EVERY = 300.0
"""Seconds after which the state of a training is kept, at the end of an epoch."""

COUNTED = 3
"""States of a complete training that count (`python -m benchmarks.choosing`)."""


class Journal:
    """The finished steps of choices on one sample: each is a file of its own, with its result.

    A choice that is started again does everything in the same order, and reads a step that is here instead of running
    it. So it makes the same decisions, however the choice before ended.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def once(self, step: str, run: Callable[[], Mapping[str, Any]], read: Callable[[Mapping[str, Any]], T]) -> T:
        """Return what is read from the result of a step; run the step if it is not known, or not in this form."""
        path = self.folder / "steps" / f"{_hash(step)}.json"
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            if known["step"] == step:
                return read(known["gave"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        gave = run()
        write_text(path, json.dumps({"step": step, "gave": gave}, allow_nan=False))
        return read(gave)

    def state(self, arm: str) -> Path:
        """Return the file of a training in progress."""
        return self.folder / "states" / f"{_hash(arm)}.safetensors"


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def pass_cost(recipe: Recipe, rows: int) -> int:
    """Return how many forward passes of one example cost as much as one epoch, validation included."""
    if recipe.method == "probe":
        return rows
    held = round(recipe.validation_share * rows)
    return STEP_COST * (rows - held) + held


def counted(accuracies: Sequence[float], rows: int, ended: bool) -> range:
    """Return which states of a training count in a race: of a complete one the last `COUNTED` up to the one kept.

    One state alone is a matter of luck. Of a training in progress it is the most accurate, since accuracy still rises.

    Example:
        >>> counted([0.5, 0.7, 0.8, 0.8, 0.6], 40, True), counted([0.5, 0.7, 0.6], 40, False)
        (range(1, 4), range(1, 2))
    """
    from hf_transfer_score.finetune.loop import kept_pass

    if not ended:
        best = max(range(len(accuracies)), key=accuracies.__getitem__)
        return range(best, best + 1)
    last = kept_pass(accuracies, rows) + 1
    return range(max(0, last - COUNTED), last)


@dataclass(frozen=True)
class Finalist:
    """A candidate that can be trained: its commit, what loads it and finds its files, and the seconds per example."""

    commit: str
    load: Callable[[], Backbone]
    folder: Callable[[], Path]
    row_seconds: float = 0.0


class Trainer:
    """Trains candidates at their learning rates, and keeps the results."""

    def __init__(
        self,
        finalists: Mapping[str, Finalist],
        train: LabelledSample,
        test: LabelledSample,
        recipe: Recipe,
        seed: int,
        journal: Journal,
    ) -> None:
        self.finalists, self.train, self.test, self.recipe, self.seed = finalists, train, test, recipe, seed
        self.journal = journal
        self.pace: dict[str, float] = {}
        self._epochs: dict[Arm, int] = {}
        self._builders: dict[str, Builder] = {}

    def run(self, arm: Arm, passes: int) -> Leg:
        """Train up to this number of epochs in total, or read the result of an earlier run."""
        leg, pace = self._once(f"{self._key(arm)}, epoch {passes}", lambda: self._leg(arm, passes), _read_leg)
        if pace is not None:
            self.pace[arm.name] = pace
        epochs = len(leg.accuracies)  # a run that was interrupted may have trained some of them
        more, self._epochs[arm] = epochs - self._epochs.get(arm, 0), epochs
        return replace(leg, seconds=more * self.price(arm, Budget(1, "seconds")))

    def _once(self, step: str, run: Callable[[], Mapping[str, Any]], read: Callable[[Mapping[str, Any]], T]) -> T:
        """Return the result of a step; whatever a library raises for one model is that model's failure."""

        def attempt() -> Mapping[str, Any]:
            gc.freeze()  # existing objects stay: collecting the cycles of this step afterwards need not visit them
            try:
                return run()
            except (LabelsError, MemoryError, CheckpointError):
                raise
            except Exception as error:
                raise as_checkpoint_error(error) from error
            finally:
                release_memory()

        return self.journal.once(step, attempt, read)

    def price(self, arm: Arm, budget: Budget) -> float:
        """Return the cost of one epoch, in the unit of a budget."""
        if budget.unit == "fine-tunings":
            return 1 / (self.recipe.epochs * len(self.recipe.learning_rates))
        expected = self.finalists[arm.name].row_seconds * pass_cost(self.recipe, len(self.train))
        return self.pace.get(arm.name) or expected

    def measured(self, arm: Arm) -> FineTuningResult:
        """Return how well the state that counts does on the test rows, which have no part in any choice."""
        done = len(self._kept(arm).scores)
        return self._once(f"{self._key(arm)}, tested after pass {done}", lambda: self._tested(arm), _read_tested)

    def best_state(self, arm: Arm) -> tuple[BuiltNetwork, KeptTraining]:
        """Return the classifier in the state that counts, and what was kept of its training."""
        kept = self._kept(arm)
        built = self._builder(arm.name).built(kept.anchors)
        built.trained.restore(kept.part("best"))
        return built, kept

    def _kept(self, arm: Arm) -> KeptTraining:
        """Return what was kept of a training."""
        from hf_transfer_score.finetune.built import kept_training

        kept = kept_training(self.journal.state(self._key(arm)))
        if kept is None:
            where = self.journal.folder
            raise CheckpointError("error", f"the state of its training is gone: delete {where}, and run again")
        return kept

    def _key(self, arm: Arm) -> str:
        return f"{arm.name} at {self.finalists[arm.name].commit}, learning rate {arm.rate!r}"

    def _builder(self, name: str) -> Builder:
        """Return what builds classifiers of a candidate; only one candidate's examples stay encoded."""
        from hf_transfer_score.finetune.built import Builder

        if name not in self._builders:
            load = self.finalists[name].load
            self._builders = {name: Builder.of(load, self.train, self.test, self.recipe, self.seed)}
        return self._builders[name]

    def _leg(self, arm: Arm, passes: int) -> dict[str, Any]:
        """Return the result after this number of epochs; epochs that an earlier run completed are not run again."""
        from hf_transfer_score.finetune.built import keep_training, kept_training, resume

        begin = saved = time.perf_counter()
        path = self.journal.state(self._key(arm))
        kept = kept_training(path)
        before = 0 if kept is None else len(kept.scores)
        if kept is None or (before < passes and not kept.about["ended"]):
            built = self._builder(arm.name).built(None if kept is None else kept.anchors)
            training = self._builder(arm.name).training(built, arm.rate)
            if kept is not None:
                resume(training, kept)

            def keep(epoch: int, _: Score) -> None:
                nonlocal saved
                if epoch == passes or training.ended or time.perf_counter() - saved >= SAVED_EVERY:
                    keep_training(path, training, built)
                    saved = time.perf_counter()

            training.advance(passes, keep)
            training.finish()
            kept = self._kept(arm)
        accuracies = [one.accuracy for one in kept.scores[:passes]]
        ended, rows = bool(kept.about["ended"]) and len(kept.scores) <= passes, len(kept.rights[0])
        return {
            "accuracies": accuracies,
            "rights": [_packed(kept.rights[place]) for place in counted(accuracies, rows, ended)],
            "rows": rows,
            "ended": ended,
            "passes": max(len(accuracies) - before, 0),
            "seconds": time.perf_counter() - begin,
        }

    def _tested(self, arm: Arm) -> dict[str, Any]:
        from hf_transfer_score.finetune.fine_tune import nothing_learned
        from hf_transfer_score.finetune.loop import evaluate, kept_pass

        begin = time.perf_counter()
        built, kept = self.best_state(arm)
        builder = self._builder(arm.name)
        rows = builder.rows
        test, fitted = (evaluate(built.classifier, one, builder.machine) for one in (rows.test, rows.fitted))
        accuracies = [one.accuracy for one in kept.scores]
        return {
            "accuracy": test.accuracy,
            "train_accuracy": fitted.accuracy,
            "validation_accuracy": accuracies[kept_pass(accuracies, len(rows.held.rows))],
            "learning_rate": arm.rate,
            "penalty": None,
            "epochs": len(kept.about["scores"]),
            "trainable_parameters": built.trained.count,
            "total_parameters": built.total,
            "seconds": time.perf_counter() - begin,
            "layer": built.layer,
            "notes": list(nothing_learned(fitted.accuracy, rows.fitted.codes)),
        }


class Prober(Trainer):
    """Fits a probe on all rows except the held-out ones, and keeps its weights; a fit counts as one epoch."""

    def _leg(self, arm: Arm, passes: int) -> dict[str, Any]:
        from safetensors.torch import save_file

        from hf_transfer_score.finetune.built import KEY
        from hf_transfer_score.finetune.fine_tune import fit_probe
        from hf_transfer_score.finetune.loop import features

        begin, builder = time.perf_counter(), self._builder(arm.name)
        classifier, rows = builder.bare(), builder.rows
        read = features(classifier, rows.everything.encoded, rows.everything.rows, builder.machine)
        classifier.add_head(read, rows.classes)
        values, parts = read.double().cpu().numpy(), (rows.fitted.rows, rows.held.rows)
        held = values[rows.held.rows], rows.held.codes
        found = fit_probe(values, rows.everything.codes, parts, held, tuple(self.recipe.penalties))
        tensors = {name: value.float().contiguous() for name, value in found.tensors().items()}
        about = {
            "layer": None,
            "scores": [[found.validation, 0.0]],
            "best": [found.validation, 0.0],
            "penalty": found.penalty,
            "ended": True,
        }
        path = self.journal.state(self._key(arm))
        with whole(path, sum(value.nbytes for value in tensors.values())) as aside:
            save_file(tensors, aside, metadata={KEY: json.dumps(about)})
        return {
            "accuracies": [found.validation],
            "rights": [_packed(found.right)],
            "rows": len(found.right),
            "ended": True,
            "passes": 1,
            "seconds": time.perf_counter() - begin,
        }

    def best_state(self, arm: Arm) -> tuple[BuiltNetwork, KeptTraining]:
        """Return the unchanged network with the probe as its head."""
        import torch

        from hf_transfer_score.finetune.built import BuiltNetwork
        from hf_transfer_score.finetune.classifier import Trained

        kept, builder = self._kept(arm), self._builder(arm.name)
        classifier = builder.bare()
        behind = builder.feature_parameters(classifier)
        classifier.add_head_at(kept.tensors["centre"], kept.tensors["scale"], builder.rows.classes)
        with torch.no_grad():
            classifier.head.weight.copy_(kept.tensors["weight"])
            classifier.head.bias.copy_(kept.tensors["bias"])
        trained = Trained(classifier, {}, None)
        return BuiltNetwork(classifier, trained, trained.count + behind, None), kept

    def _tested(self, arm: Arm) -> dict[str, Any]:
        _, kept = self.best_state(arm)
        about = {"learning_rate": None, "penalty": kept.about["penalty"], "epochs": 0}
        return {**super()._tested(arm), **about}


def _read_leg(gave: Mapping[str, Any]) -> tuple[Leg, float | None]:
    """Return the state of an arm, and the seconds per epoch if some were trained."""
    right = np.mean([_unpacked(one, gave["rows"]) for one in gave["rights"]], axis=0)
    pace = gave["seconds"] / gave["passes"] if gave["passes"] else None
    return Leg(tuple(gave["accuracies"]), right, gave["ended"]), pace


def _read_tested(gave: Mapping[str, Any]) -> FineTuningResult:
    return FineTuningResult(**{**gave, "notes": tuple(gave["notes"])})


def _packed(rows: NDArray[np.bool_]) -> str:
    """Return as text which rows are right."""
    return base64.b64encode(np.packbits(rows).tobytes()).decode()


def _unpacked(text: str, rows: int) -> NDArray[np.uint8]:
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=rows)
