"""What the processes of the demonstration do: pre-train a network, or fine-tune it. One torch thread each."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path

from hf_transfer_score.backbones.base import Backbone, BackboneOptions, kind_of
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.demonstration.material import SourceMaterial
from hf_transfer_score.demonstration.zoo import Member
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.truth.fine_tune import FineTuningResult, fine_tune
from hf_transfer_score.truth.recipe import Recipe


@dataclass(frozen=True)
class Lesson:
    """A network to be pre-trained.

    Attributes:
        member: which one.
        material: the file of the pictures it learns from.
        folder: where its folder is made.
        steps: batches at most.
        seed: of its weights and of what it sees.
    """

    member: Member
    material: Path
    folder: Path
    steps: int
    seed: int


@dataclass(frozen=True)
class Trial:
    """A checkpoint to be fine-tuned.

    Attributes:
        folder: the checkpoint.
        train: what it is trained on.
        test: what its accuracy is measured on.
        recipe: how.
        seed: of the order of rows and of the new head.
    """

    folder: Path
    train: LabelledSample
    test: LabelledSample
    recipe: Recipe
    seed: int


def pre_train(lesson: Lesson) -> None:
    """Pre-train a network and write its checkpoint."""
    from hf_transfer_score.demonstration.pretraining import write_checkpoint

    material = SourceMaterial.read(lesson.material)
    write_checkpoint(lesson.member, material, lesson.folder, lesson.seed, lesson.steps)


def measure(trial: Trial) -> FineTuningResult:
    """Fine-tune a checkpoint."""
    return fine_tune(lambda: _backbone(trial), trial.train, trial.test, trial.recipe, trial.seed)


def _backbone(trial: Trial) -> Backbone:
    task = trial.train.task
    kind = kind_of(Repository.from_folder(trial.folder), task)
    return kind.load(trial.folder, task, BackboneOptions())


@contextmanager
def helpers(count: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of fresh processes; when the block fails, what has not begun is dropped."""
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_alone)
    try:
        yield pool
    except BaseException:
        pool.shutdown(cancel_futures=True)  # they write to folders that are about to be removed
        raise
    pool.shutdown()


def _alone() -> None:
    """Compute on one thread: the same numbers whatever the machine, and processes do not hinder each other."""
    import signal

    import torch

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it at once; what there is to say the main process says
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)


def _end_with_parent() -> None:
    """Wait until the main process is gone, however it ended, and end too: nobody would take the results."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
