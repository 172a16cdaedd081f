"""Where the arms of a race are trained: real checkpoints, each from its own last state, which outlives this process."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_transfer_score.backbones.base import Backbone
from hf_transfer_score.choosing.evidence import Rights
from hf_transfer_score.choosing.journal import Journal
from hf_transfer_score.choosing.options import Budget
from hf_transfer_score.choosing.race import Arm, Leg
from hf_transfer_score.errors import CheckpointError, LabelsError
from hf_transfer_score.features.batches import as_checkpoint_error
from hf_transfer_score.finetune.fine_tune import FineTuningResult
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.runs.candidates import release_memory
from hf_transfer_score.sampling.sample import LabelledSample

if TYPE_CHECKING:
    from hf_transfer_score.finetune.built import Builder, BuiltNetwork
    from hf_transfer_score.finetune.loop import Score, Training
    from hf_transfer_score.finetune.states import KeptTraining

STEP_COST = 3
"""A training step takes as long as so many forward passes of its rows."""


@dataclass(frozen=True)
class Finalist:
    """A candidate that can be trained.

    Attributes:
        commit: of its weights.
        load: loads it afresh.
        folder: returns where its files are.
        row_seconds: of the forward pass of one example, as its features took it; 0 where that is not known.
    """

    commit: str
    load: Callable[[], Backbone]
    folder: Callable[[], Path]
    row_seconds: float = 0.0


class Trainer:
    """Trains arms, and keeps what they have come to."""

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
        self._builders: dict[str, Builder] = {}

    def run(self, arm: Arm, passes: int) -> Leg:
        """Train until so many passes are done altogether, or read what an earlier run came to."""
        gave = self.journal.once(f"{self._key(arm)}, pass {passes}", lambda: self._attempt(arm, passes))
        if "failed" in gave:
            raise CheckpointError(gave["failed"][0], gave["failed"][1])
        if gave["passes"]:
            self.pace[arm.name] = gave["seconds"] / gave["passes"]
        return Leg(tuple(gave["accuracies"]), _bits(gave["right"], gave["rows"]), gave["ended"], gave["seconds"])

    def price(self, arm: Arm, budget: Budget) -> float:
        """Return what a pass costs, in the unit of a budget."""
        if budget.unit == "fine-tunings":
            return 1 / (self.recipe.epochs * len(self.recipe.learning_rates))
        return self.pace.get(arm.name) or self.expected_pace(arm.name)

    def expected_pace(self, name: str) -> float:
        """Return how long a pass will take, by how long the features took."""
        held = round(self.recipe.validation_share * len(self.train))
        rows = STEP_COST * (len(self.train) - held) + held
        return self.finalists[name].row_seconds * rows

    def measured(self, arm: Arm) -> FineTuningResult:
        """Return how well the best state of an arm does on the test rows, which have no part in any choice."""
        from hf_transfer_score.finetune.states import kept_training

        kept = kept_training(self.journal.state(self._key(arm)))
        done = 0 if kept is None else len(kept.scores)
        gave = self.journal.once(f"{self._key(arm)}, tested after pass {done}", lambda: self._tested(arm))
        if "failed" in gave:
            raise CheckpointError(gave["failed"][0], gave["failed"][1])
        return FineTuningResult(**{**gave, "notes": tuple(gave["notes"])})

    def best_state(self, arm: Arm) -> tuple[BuiltNetwork, KeptTraining]:
        """Return the classifier of an arm in its best state, and what is kept of it."""
        built, _, kept = self._resumed(arm)
        assert kept is not None
        built.trained.restore(kept.part("best"))
        return built, kept

    def _key(self, arm: Arm) -> str:
        return f"{arm.name} at {self.finalists[arm.name].commit}, learning rate {arm.rate!r}"

    def _builder(self, name: str) -> Builder:
        """Return what makes classifiers of a candidate; only the examples of one stay encoded."""
        from hf_transfer_score.finetune.built import Builder, MeasuredRows
        from hf_transfer_score.finetune.loop import Machine

        if name not in self._builders:
            rows = MeasuredRows.of(self.train, self.test, self.recipe, self.seed)
            machine, load = Machine(self.recipe), self.finalists[name].load
            self._builders = {name: Builder(load, rows, self.recipe, machine, seed=self.seed)}
        return self._builders[name]

    def _resumed(self, arm: Arm) -> tuple[BuiltNetwork, Training, KeptTraining | None]:
        from hf_transfer_score.finetune.loop import Training
        from hf_transfer_score.finetune.states import kept_training, resume

        kept, builder = kept_training(self.journal.state(self._key(arm))), self._builder(arm.name)
        built = builder.built(None if kept is None else kept.anchors)
        rows, machine = builder.rows, builder.machine
        training = Training(
            built.trained, rows.fitted, rows.held, self.recipe, arm.rate, seed=self.seed, machine=machine
        )
        if kept is not None:
            resume(training, kept)
        return built, training, kept

    def _attempt(self, arm: Arm, passes: int) -> dict[str, Any]:
        """Return what training gives; whatever a library raises for one model is its failure alone."""
        try:
            return self._leg(arm, passes)
        except (LabelsError, MemoryError):
            raise
        except Exception as error:
            failure = error if isinstance(error, CheckpointError) else as_checkpoint_error(error)
            if failure.kind in ("no_space", "out_of_memory", "download"):  # may be otherwise another time
                raise failure from error
            return {"failed": [failure.kind, str(failure)]}
        finally:
            release_memory()

    def _leg(self, arm: Arm, passes: int) -> dict[str, Any]:
        """Return what so many passes give; those that an earlier run came to, maybe for more, are not run again."""
        from hf_transfer_score.finetune.states import keep_training, kept_training

        begin, path = time.perf_counter(), self.journal.state(self._key(arm))
        kept = kept_training(path)
        before = 0 if kept is None else len(kept.scores)
        if kept is None or (before < passes and not kept.about["ended"]):
            built, training, _ = self._resumed(arm)
            training.advance(passes)
            keep_training(path, training, built)
            training.finish()
            kept = kept_training(path)
            assert kept is not None
        scores, right = kept.scores[:passes], kept.rights[0]
        best: Score | None = None
        for score, rows in zip(scores, kept.rights, strict=False):
            best, right = (score, rows) if score.better_than(best) else (best, right)
        return {
            "accuracies": [one.accuracy for one in scores],
            "right": packed(right),
            "rows": len(right),
            "ended": bool(kept.about["ended"]) and len(kept.scores) <= passes,
            "passes": max(len(scores) - before, 0),
            "seconds": time.perf_counter() - begin,
        }

    def _tested(self, arm: Arm) -> dict[str, Any]:
        from hf_transfer_score.finetune.fine_tune import nothing_learned
        from hf_transfer_score.finetune.loop import evaluate

        begin = time.perf_counter()
        built, kept = self.best_state(arm)
        builder = self._builder(arm.name)
        test, fitted = (
            evaluate(built.classifier, one, builder.machine) for one in (builder.rows.test, builder.rows.fitted)
        )
        return {
            "accuracy": test.accuracy,
            "train_accuracy": fitted.accuracy,
            "validation_accuracy": kept.about["best"][0],
            "learning_rate": arm.rate,
            "penalty": None,
            "epochs": len(kept.about["scores"]),
            "trainable_parameters": built.trained.count,
            "total_parameters": built.total,
            "seconds": time.perf_counter() - begin,
            "layer": built.layer,
            "notes": list(nothing_learned(fitted.accuracy, builder.rows.fitted.codes)),
        }


def packed(rows: Rights) -> str:
    """Return which rows are right as text."""
    return base64.b64encode(np.packbits(rows).tobytes()).decode()


def _bits(text: str, rows: int) -> Rights:
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=rows).astype(bool)
