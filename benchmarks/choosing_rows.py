"""How many rows `rank --adaptive --first 3` reads, and how often its first three are those of all rows.

    python -m benchmarks.choosing --races 0 --junk 0 --adaptive 100
    python -m benchmarks.choosing --races 0 --junk 0 --adaptive 100 --datasets D E --checkpoints A B C D E F

Pools are drawn from features of checkpoints on up to 4,096 rows of each dataset: at least five checkpoints, at least
three classes, rows in random order. Without datasets they are of the ten micro networks that ship as `example`, on
pictures of three targets that they were not trained for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.choosing_curves import FOLDER, TARGETS, Digits, as_sample, loaded
from benchmarks.example.pictures import Labelled, Warp, target_digits, warped
from hf_transfer_score.choosing.adaptive import GROWTH, AdaptiveOptions, chance_to_stay
from hf_transfer_score.choosing.nested import evenly, growing
from hf_transfer_score.finetune.classifier import Classifier
from hf_transfer_score.finetune.loop import Machine, features
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.finetune.rows import Encoded
from hf_transfer_score.home import SHIPPED
from hf_transfer_score.ranking.feature_pool import rank_features
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import LabelledSample, SampleOptions

ROWS = 4096
FIRST = 3
FEWEST_NETWORKS, FEWEST_CLASSES = 5, 3

Features = dict[str, NDArray[np.float32]]
Known = tuple[Features, NDArray[np.int64]]
"""Features by checkpoint (N, D), and labels (N,)."""


@dataclass(frozen=True)
class RowsUsed:
    """The result for a pool.

    Attributes:
        share: of the rows that were read.
        same: whether the first three are those of all rows.
        common: how many of them are.
        said: the probability that they are, as claimed.
    """

    share: float
    same: bool
    common: int
    said: float


def pictures_of(target: Digits) -> LabelledSample:
    """Return many pictures of a target of the networks that ship."""
    whole, generator = target_digits(1, 1, Warp(0, 0, 0, 0, 0))["test"], np.random.default_rng(5)
    rows = np.resize(generator.permutation(len(whole)), ROWS)
    return as_sample(Labelled(warped(whole.pictures[rows], generator, target.warp), whole.labels[rows]))


def rows_of(name: str, checkpoints: Sequence[Path], draw: Callable[[], LabelledSample], folder: Path) -> Known:
    """Return features by checkpoint (N, D) and labels (N,) of many rows of a target."""
    path = folder / f"rows-{name}.npz"
    if not path.exists():
        sample, machine = draw(), Machine(Recipe(device="cpu"))
        found = {"labels": np.asarray(sample.labels)}
        for place in checkpoints:
            classifier = Classifier(loaded(place, sample.task), machine.device)
            rows = np.arange(len(sample))
            found[place.name] = features(classifier, Encoded(sample), rows, machine).numpy()
            print(f"{name}: {place.name}", file=sys.stderr, flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **found)
    data = np.load(path, allow_pickle=False)
    return {one: data[one] for one in data.files if one != "labels"}, data["labels"]


def known_rows(datasets: Sequence[Path], checkpoints: Sequence[Path], folder: Path = FOLDER) -> list[Known]:
    """Return the features and labels of datasets in folders, or of the targets of the networks that ship."""
    if not datasets:
        shipped = sorted((SHIPPED / "checkpoints").iterdir())
        return [rows_of(one.name, shipped, partial(pictures_of, one), folder) for one in TARGETS]
    options = SampleOptions(split="train", max_samples=ROWS)
    return [rows_of(one.name, checkpoints, partial(load_sample, str(one), options), folder) for one in datasets]


def pools(known: Sequence[Known], count: int, seed: int) -> Iterator[Known]:
    """Yield pools of all targets in turn; every beginning of their rows is a sample."""
    generator = np.random.default_rng(seed)
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
    until, rows = AdaptiveOptions(FIRST), len(labels)

    def scores(end: int, some: NDArray[np.int64]) -> dict[str, float]:
        part = {name: one[:end][some] for name, one in matrices.items()}
        found = rank_features(part, labels[:end][some]).forecasts
        return {name: found[name].score for name in sorted(found)}

    def first(end: int) -> set[str]:
        found = scores(end, np.arange(end))
        return set(sorted(found, key=lambda name: -found[name])[:FIRST])

    for end in growing(rows, len(np.unique(labels)), until.first_rows, GROWTH):
        chance = 1.0 if end == rows else chance_to_stay(partial(scores, end), labels[:end], rows, FIRST)
        if chance >= until.confidence:
            break
    common = len(first(end) & first(rows))
    return RowsUsed(end / rows, common == FIRST, common, chance)


def adaptive(count: int, known: Sequence[Known]) -> None:
    """Print how many rows were read, and how often the first three were those of all rows."""
    found = [used(*pool) for pool in pools(known, count, 1)]
    print(f"{count} pools {_said(found)}")
    early = [one for one in found if one.share < 1]
    if early:
        print(f"  those {len(early)} that stopped early {_said(early)}")


def _said(found: Sequence[RowsUsed]) -> str:
    share, same, common, said = (np.mean([getattr(one, name) for one in found]) for name in RowsUsed.__annotations__)
    return (
        f"have the first {FIRST} of all rows in {same:.0%} ({said:.0%} was claimed; {common:.2f} of {FIRST}), "
        f"from {share:.0%} of the rows"
    )
