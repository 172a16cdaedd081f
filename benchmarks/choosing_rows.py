"""How many rows `rank --adaptive --first 3` reads, and how often its first three are those of all rows.

    python -m benchmarks.choosing --races 0 --junk 0 --adaptive 100
    python -m benchmarks.choosing --races 0 --junk 0 --adaptive 100 --datasets D E --checkpoints A B C D E F

Pools are drawn from features of checkpoints on up to 4,096 rows of each dataset: five to twelve checkpoints, at least
three classes, rows in random order. Beside the result stand how often the claimed probabilities came true, and how few
rows a rule could read that knew the ranking by all rows. Without datasets the checkpoints are the ten micro networks
that ship as `example`, on pictures of three targets that they were not trained for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.choosing_curves import FOLDER, TARGETS, Digits, as_sample, loaded
from benchmarks.example.pictures import Labelled, Warp, target_digits, warped
from hf_transfer_score.choosing.adaptive import ENOUGH, GROWTH, AdaptiveOptions, chance_to_stay, noise_of
from hf_transfer_score.choosing.nested import evenly, growing
from hf_transfer_score.finetune.classifier import Classifier
from hf_transfer_score.finetune.loop import Machine, features
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.finetune.rows import Encoded
from hf_transfer_score.home import SHIPPED
from hf_transfer_score.metrics.labelled import ModelFacts
from hf_transfer_score.metrics.scores import choose_metrics, score_features
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.history import History
from hf_transfer_score.ranking.models import RankedModel, scored_model
from hf_transfer_score.ranking.pools import USUAL_METRICS
from hf_transfer_score.ranking.ranking import ranked
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import LabelledSample, SampleOptions

ROWS = 4096
FIRST = 3
FEWEST_NETWORKS, MOST_NETWORKS, FEWEST_CLASSES = 5, 12, 3
SHARING = 5
"""Number of pools that share their rows, which saves time."""

METRICS = choose_metrics(USUAL_METRICS)

Features = dict[str, NDArray[np.float32]]
Known = tuple[Features, NDArray[np.int64]]
"""Features by checkpoint (N, D), and labels (N,)."""


@dataclass(frozen=True)
class Seen:
    """A look at a pool.

    Attributes:
        share: of the rows that were read.
        same: whether the first three are those of all rows.
        said: the probability that they are, as claimed.
    """

    share: float
    same: bool
    said: float


class Drawn:
    """Checkpoints on rows in random order, every beginning of which is a sample; each is scored once on each part."""

    def __init__(self, matrices: Features, labels: NDArray[np.int64]) -> None:
        self.matrices, self.labels = matrices, labels
        self._scored: dict[tuple[str, bytes], RankedModel] = {}

    def scores(self, names: Sequence[str], rows: NDArray[np.int64]) -> dict[str, float]:
        """Return the scores of a pool by some rows."""
        found = ranked({name: self._model(name, rows) for name in names}, METRICS).with_forecast(Forecaster(History()))
        return {name: found.forecasts[name].score for name in sorted(found.forecasts)}

    def _model(self, name: str, rows: NDArray[np.int64]) -> RankedModel:
        key = name, rows.tobytes()
        if key not in self._scored:
            facts = ModelFacts(name=name)
            scored = score_features(self.matrices[name][rows], self.labels[rows], metrics=METRICS, facts=facts)
            self._scored[key] = scored_model(name, scored, facts)
        return self._scored[key]


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


def drawn(known: Sequence[Known], count: int, seed: int) -> Iterator[tuple[Drawn, list[str]]]:
    """Yield pools of all targets in turn; a few share their rows."""
    generator = np.random.default_rng(seed)
    for number in range(0, count, SHARING):
        matrices, labels = known[number // SHARING % len(known)]
        classes = np.unique(labels)
        kept = generator.choice(classes, int(generator.integers(FEWEST_CLASSES, len(classes) + 1)), replace=False)
        rows = generator.permutation(np.flatnonzero(np.isin(labels, kept)))
        rows = rows[evenly(labels[rows])]
        some = generator.choice(list(matrices), min(MOST_NETWORKS, len(matrices)), replace=False)
        part = Drawn({name: matrices[name][rows] for name in some}, labels[rows])
        for _ in range(min(SHARING, count - number)):
            size = int(generator.integers(FEWEST_NETWORKS, len(some) + 1))
            yield part, sorted(generator.choice(some, size, replace=False))


def looks(part: Drawn, names: Sequence[str]) -> list[Seen]:
    """Return all looks that `rank --adaptive --first 3` may take at a pool."""
    rows, scores = len(part.labels), partial(part.scores, names)

    def first(found: Mapping[str, float]) -> set[str]:
        return set(sorted(found, key=lambda name: -found[name])[:FIRST])

    final, noise, seen = first(scores(np.arange(rows))), dict[str, NDArray[np.float64]](), list[Seen]()
    *ends, _ = growing(rows, len(np.unique(part.labels)), AdaptiveOptions.first_rows, GROWTH)
    for end in ends:
        found = scores(np.arange(end))
        if end <= ENOUGH or not noise:
            noise = noise_of(scores, part.labels[:end])
        seen.append(Seen(end / rows, first(found) == final, chance_to_stay(found, noise, end, rows, FIRST)))
    return [*seen, Seen(1.0, same=True, said=1.0)]


def adaptive(count: int, known: Sequence[Known]) -> None:
    """Print how many rows were read, how often the first three were those of all rows, and what limits both."""
    pools = [looks(*pool) for pool in drawn(known, count, 1)]
    for confidence in sorted({0.6, 0.7, AdaptiveOptions.confidence, 0.9}):
        ends = [next(one for one in pool if one.said >= confidence) for pool in pools]
        print(f"confidence {confidence}: {count} pools {_said(ends)}")
        early = [one for one in ends if one.share < 1]
        if early and confidence == AdaptiveOptions.confidence:
            print(f"  those {len(early)} that stopped early {_said(early)}")
    before = [one for pool in pools for one in pool if one.share < 1]
    for power in sorted({round(np.log2(one.share)) for one in before}):
        some = [one for one in before if round(np.log2(one.share)) == power]
        print(f"  all looks at about {2.0**power:.0%} {_said(some)}")
    for low, high in pairwise((0, 0.5, 0.7, 0.8, 0.9, 1.01)):
        some = [one for one in before if low <= one.said < high]
        if some:
            print(f"  looks that claimed {low:.0%} to {min(high, 1):.0%} ({len(some)}) {_said(some)}")
    settled = sorted(
        next(pool[at].share for at in range(len(pool)) if all(one.same for one in pool[at:])) for pool in pools
    )
    wrong = len(settled) // 10
    fewest = (sum(settled[: len(settled) - wrong]) + wrong * settled[0]) / len(settled)
    print(f"  with hindsight, when the first {FIRST} no longer change: {np.mean(settled):.0%} of the rows;")
    print(f"  {fewest:.0%} if the slowest tenth of the pools may be wrong")


def _said(found: Sequence[Seen]) -> str:
    share, same, said = (np.mean([getattr(one, name) for one in found]) for name in Seen.__annotations__)
    return f"have the first {FIRST} of all rows in {same:.0%} ({said:.0%} was claimed), from {share:.0%} of the rows"
