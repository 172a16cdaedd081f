"""Hostile feature files, datasets and checkpoints, each handed to the command."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from faults_stage import Stage

from tests.hostile.checkpoints import checkpoint_cases
from tests.hostile.datasets import dataset_cases
from tests.hostile.feature_files import feature_cases
from tests.hostile.trying import Trial, try_checkpoint, try_dataset, try_feature_file


def feature_files(stage: Stage, random: Random) -> Iterator[Trial]:
    """Score each feature file."""
    place = stage.place("feature-files")
    return (try_feature_file(stage.warm, case, place) for case in feature_cases())


def datasets(stage: Stage, random: Random) -> Iterator[Trial]:
    """Rank a good checkpoint by each dataset."""
    place = stage.place("datasets")
    return (try_dataset(stage.warm, case, place, stage.good, stage.traps) for case in dataset_cases())


def checkpoints(stage: Stage, random: Random) -> Iterator[Trial]:
    """Rank each checkpoint beside a good one."""
    place = stage.place("checkpoints")
    return (try_checkpoint(stage.warm, case, place, stage.good, stage.traps) for case in checkpoint_cases())
