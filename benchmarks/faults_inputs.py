"""Hostile feature files, datasets and checkpoints, each given to the command."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

from faults_stage import Stage

from tests.hostile.checkpoint_changes import CheckpointCase
from tests.hostile.checkpoints import checkpoint_cases
from tests.hostile.datasets import dataset_cases
from tests.hostile.feature_files import feature_cases
from tests.hostile.judging import Terms, fault_of, judge, same
from tests.hostile.limited import Finished, run_watched
from tests.hostile.traps import Traps
from tests.hostile.trying import (
    MODELS,
    Good,
    Trial,
    clean_terms,
    judge_dataset,
    judge_feature_file,
    place_dataset,
    place_feature_file,
    ranked,
    trial_of,
)


def place_checkpoint(case: CheckpointCase, folder: Path, good: Good, traps: Traps) -> list[str]:
    """Write a hostile checkpoint, and return the command that ranks it beside its original."""
    place, original = folder / case.name, good.checkpoints[case.base]
    shutil.copytree(original, place)
    case.change(place, traps)
    return good.command(good.datasets[case.modality], place, original)


def judge_checkpoint(
    case: CheckpointCase, command: list[str], done: Finished, home: Path, clean: Terms, traps: Traps
) -> Trial:
    """Return the outcome of a checkpoint and of the good one beside it, whose terms are given."""
    found, said = ranked(done, case.name)
    beside = ranked(done, case.base)[0]
    right = {"": None, "any": found, "clean": clean}[case.accepted]
    wrong = traps.sprung(home, said=done.out + done.err) or fault_of(done) or judge(said, found, case.refused, right)
    if not wrong and (beside is None or not same(beside, clean)):
        wrong = f"the good one beside it: {beside} for {clean}"
    return trial_of(case.name, command, wrong, done, home)


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
