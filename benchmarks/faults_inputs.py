"""Hostile feature files, datasets and checkpoints, each handed to the command."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from faults_stage import Stage

from tests.hostile.checkpoints import checkpoint_cases
from tests.hostile.datasets import dataset_cases
from tests.hostile.feature_files import feature_cases
from tests.hostile.limited import run_watched
from tests.hostile.trying import (
    MODELS,
    Trial,
    clean_terms,
    judge_checkpoint,
    judge_dataset,
    judge_feature_file,
    place_checkpoint,
    place_dataset,
    place_feature_file,
)


def feature_files(stage: Stage, random: Random) -> Iterator[Trial]:
    """Score each feature file."""
    place = stage.place("feature-files")
    for case in feature_cases():
        command = place_feature_file(case, place)
        yield judge_feature_file(case, command, run_watched(stage.warm, *command))


def datasets(stage: Stage, random: Random) -> Iterator[Trial]:
    """Rank a good checkpoint by each dataset."""
    place = stage.place("datasets")
    clean = clean_terms(stage.warm, stage.good, "text", MODELS["text"])
    for case in dataset_cases():
        home, command = place / f"{case.name}-home", place_dataset(case, place, stage.good, stage.traps)
        done = run_watched(stage.warm, *command, HF_TRANSFER_SCORE_HOME=str(home), TMPDIR=str(place))
        yield judge_dataset(case, command, done, home, clean, stage.traps)


def checkpoints(stage: Stage, random: Random) -> Iterator[Trial]:
    """Rank each checkpoint beside a good one."""
    place = stage.place("checkpoints")
    for case in checkpoint_cases():
        home, command = place / f"{case.name}-home", place_checkpoint(case, place, stage.good, stage.traps)
        done = run_watched(stage.warm, *command, HF_TRANSFER_SCORE_HOME=str(home), TMPDIR=str(place))
        clean = clean_terms(stage.warm, stage.good, case.modality, case.base)
        yield judge_checkpoint(case, command, done, home, clean, stage.traps)
