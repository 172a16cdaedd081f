"""How many rows `rank --adaptive --first 3` reads, and how often its first three are those of all rows.

    python -m benchmarks.choosing --races 0 --junk 0 --adaptive 100

Pools are drawn from features of the ten micro networks that ship as `example`, on 4,096 pictures of each of three
targets that they were not trained for: five to ten networks, three to five classes, rows in random order.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.choosing_curves import FOLDER, TARGETS, TASK, Digits, as_sample
from benchmarks.example.pictures import Labelled, Warp, target_digits, warped
from hf_transfer_score.backbones.base import BackboneOptions, all_kinds
from hf_transfer_score.choosing.adaptive import GROWTH, AdaptiveOptions, agreeing_halves
from hf_transfer_score.choosing.nested import evenly, growing
from hf_transfer_score.finetune.classifier import Classifier
from hf_transfer_score.finetune.loop import Machine, features
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.finetune.rows import Encoded
from hf_transfer_score.home import SHIPPED
from hf_transfer_score.ranking.feature_pool import rank_features
from hf_transfer_score.tasks import get_task

ROWS = 4096
FIRST = 3
FEWEST_NETWORKS, FEWEST_CLASSES = 5, 3

Features = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class RowsUsed:
    """The result for a pool: the share of the rows read, and whether the first three are those of all rows."""

    share: float
    same: bool
    common: int


def rows_of(target: Digits, folder: Path = FOLDER) -> tuple[Features, NDArray[np.int64]]:
    """Return features by network (N, D) and labels (N,) of many pictures of a target."""
    path = folder / f"rows-{target.name}.npz"
    if not path.exists():
        whole, generator = target_digits(1, 1, Warp(0, 0, 0, 0, 0))["test"], np.random.default_rng(5)
        rows = np.resize(generator.permutation(len(whole)), ROWS)
        sample = as_sample(Labelled(warped(whole.pictures[rows], generator, target.warp), whole.labels[rows]))
        machine, found = Machine(Recipe(device="cpu")), {"labels": whole.labels[rows]}
        encoded = partial(Encoded, sample)
        for place in sorted((SHIPPED / "checkpoints").iterdir()):
            kind = "hub_vision" if (place / "preprocessor_config.json").exists() else "timm_images"
            classifier = Classifier(all_kinds()[kind].load(place, get_task(TASK), BackboneOptions()), machine.device)
            found[place.name] = features(classifier, encoded(), np.arange(ROWS), machine).numpy()
            print(f"{target.name}: {place.name}", file=sys.stderr, flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **found)
    data = np.load(path, allow_pickle=False)
    return {name: data[name] for name in data.files if name != "labels"}, data["labels"]


def pools(count: int, seed: int) -> Iterator[tuple[Features, NDArray[np.int64]]]:
    """Yield pools of all targets in turn; every beginning of their rows is a sample."""
    generator, known = np.random.default_rng(seed), [rows_of(target) for target in TARGETS]
    for number in range(count):
        matrices, labels = known[number % len(known)]
        names, classes = list(matrices), np.unique(labels)
        chosen = generator.choice(names, int(generator.integers(FEWEST_NETWORKS, len(names) + 1)), replace=False)
        kept = generator.choice(classes, int(generator.integers(FEWEST_CLASSES, len(classes) + 1)), replace=False)
        rows = generator.permutation(np.flatnonzero(np.isin(labels, kept)))
        rows = rows[evenly(labels[rows])]
        yield {name: matrices[name][rows] for name in sorted(chosen)}, labels[rows]


def used(matrices: Features, labels: NDArray[np.int64]) -> RowsUsed:
    """Return what `rank --adaptive --first 3` does with a pool."""
    until = AdaptiveOptions(FIRST)

    def order(end: int, rows: NDArray[np.int64]) -> list[str]:
        return list(rank_features({name: one[:end][rows] for name, one in matrices.items()}, labels[:end][rows]).ranks)

    whole = order(len(labels), np.arange(len(labels)))
    for end in growing(len(labels), len(np.unique(labels)), until.first_rows, GROWTH):
        if end == len(labels) or agreeing_halves(partial(order, end), labels[:end], FIRST) >= until.confidence:
            break
    common = len({*order(end, np.arange(end))[:FIRST]} & {*whole[:FIRST]})
    return RowsUsed(end / len(labels), common == FIRST, common)


def adaptive(count: int) -> None:
    """Print how many rows were read, and how often the first three were those of all rows."""
    found = [used(*pool) for pool in pools(count, 1)]
    print(f"{count} pools {_said(found)}")
    early = [one for one in found if one.share < 1]
    if early:
        print(f"  those {len(early)} that stopped early {_said(early)}")


def _said(found: Sequence[RowsUsed]) -> str:
    same, common, share = (np.mean([getattr(one, name) for one in found]) for name in ("same", "common", "share"))
    return f"have the first {FIRST} of all rows in {same:.0%} ({common:.2f} of {FIRST}), from {share:.0%} of the rows"
