"""Collapse on the downstream task during fine-tuning, and test accuracy: `python -m benchmarks.evidence.collapse`.

The micro networks that ship are fine-tuned on the digits targets of `benchmarks.choosing_curves`, all in the same way.
Some minutes on one core; the figures are kept in collapse.json, and `benchmarks.evidence.report` writes them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.choosing_curves import TARGETS, Digits, Parts
from benchmarks.evidence.collapse_tables import KEPT, METRICS, WHERE, collapse_table
from hf_transfer_score.backbones.base import Backbone, BackboneOptions, kind_of
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.finetune.built import Builder, MeasuredRows
from hf_transfer_score.finetune.loop import Machine, Training, features, judge
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.home import write_text
from hf_transfer_score.metrics.scores import score_features
from hf_transfer_score.ranking.agreement import weighted_kendall
from hf_transfer_score.ranking.feature_pool import rank_features
from hf_transfer_score.tasks import Task
from hf_transfer_score.text import json_text

FOLDER = Path("build/collapse")
EPOCHS, RATE = 8, 1e-3
LOOKS = (0, 1, 2, 4, 8)
"""Epochs after which everything is measured; the first is before, the last after fine-tuning."""

RECIPE = Recipe(epochs=EPOCHS, learning_rates=(RATE,), patience=None, validation_share=0.05, device="cpu")
KEYS = ("features", "nc1")

Arrays = Mapping[str, NDArray[Any]]


def _load(folder: Path, task: Task) -> Backbone:
    return kind_of(Repository.from_folder(folder), task).load(folder, task, BackboneOptions())


def followed(folder: Path, parts: Parts, kept: Path) -> Arrays:
    """Return what is measured of a network at each look: test accuracy, features and NC1 on both kinds of rows."""
    if not kept.exists():
        train, chosen_by, tested = parts
        machine, rows = Machine(RECIPE), MeasuredRows.of(train, tested, RECIPE, 0)
        built = Builder(partial(_load, folder, train.task), rows, RECIPE, machine).built()
        training = Training(built.trained, rows.everything, rows.held, RECIPE, RATE, seed=0, machine=machine)
        found: dict[str, list[Any]] = {"accuracy": [], **{f"{what}, {where}": [] for where in WHERE for what in KEYS}}
        for epoch in LOOKS:
            training.advance(epoch)
            found["accuracy"].append(judge(built.classifier, rows.test, machine)[0].accuracy)
            looked_at = (rows.everything, MeasuredRows.of(train, chosen_by, RECIPE, 0).test)
            for where, some in zip(WHERE, looked_at, strict=True):
                states = features(built.classifier, some.encoded, some.rows, machine).numpy()
                found[f"features, {where}"].append(states)
                found[f"nc1, {where}"].append(score_features(states, some.codes, metrics=["nc1"])["nc1"].terms["nc1"])
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(kept, **{name: np.asarray(values) for name, values in found.items()})
        print(kept, found["accuracy"], file=sys.stderr, flush=True)
    return dict(np.load(kept))


def measured(target: Digits) -> dict[str, Any]:
    """Return the figures of a target."""
    parts = target.parts()
    networks = {one.name: followed(one, parts, FOLDER / target.name / f"{one.name}.npz") for one in target.checkpoints}
    found: dict[str, Any] = {}
    for where, some in zip(WHERE, parts[:2], strict=True):
        for look, moment in ((0, "before"), (-1, "after")):
            states = {name: one[f"features, {where}"][look] for name, one in networks.items()}
            pools = rank_features(states, some.labels, metrics=list(METRICS)).pools
            final = [float(one["accuracy"][-1]) for one in networks.values()]
            found[f"{moment}, {where}"] = {
                name: weighted_kendall([pools[name].scores[one] for one in networks], final) for name in METRICS
            }
        together = [spearmanr(-one[f"nc1, {where}"][1:], one["accuracy"][1:]).statistic for one in networks.values()]
        found[f"epochs, {where}"] = {"nc1": mean(map(float, together))}
    return found


def main() -> None:
    """Measure all targets."""
    figures = {target.name: measured(target) for target in TARGETS}
    rounded = {
        name: {key: {metric: round(value, 3) for metric, value in one.items()} for key, one in found.items()}
        for name, found in figures.items()
    }
    write_text(KEPT, json_text(rounded))
    print(collapse_table())


if __name__ == "__main__":
    main()
