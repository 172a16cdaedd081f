"""Learning curves of real fine-tunings, row by row, from which races of `choose` are replayed.

    python -m benchmarks.choosing_curves                         # the micro networks that ship, on three targets
    python -m benchmarks.choosing_curves --dataset D --checkpoints A B C --rates 3e-4,3e-3 --epochs 12

Each network of a target has its own file below `build/choosing`, so an interrupted run resumes. The dataset is a folder
with a split `train` and a test split; a third of the test rows serve as validation rows.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.example.pictures import Labelled, Warp, as_bytes, target_digits, warped
from hf_transfer_score.backbones.base import Backbone, BackboneOptions, kind_of
from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.finetune.built import Builder, MeasuredRows
from hf_transfer_score.finetune.loop import Machine, Training, features, judge
from hf_transfer_score.finetune.recipe import Recipe, default_recipe
from hf_transfer_score.finetune.rows import held_out
from hf_transfer_score.home import SHIPPED
from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import LabelledSample, SampleOptions, memory_sample
from hf_transfer_score.tasks import Task

FOLDER = Path("build/choosing")
CHOSEN_BY, TESTED = 500, 1000
TASK = "image-classification"

Parts = tuple[LabelledSample, LabelledSample, LabelledSample]
"""Training, validation and test rows."""


class Target(Protocol):
    """A target dataset and the networks that are fine-tuned on it."""

    @property
    def name(self) -> str:
        """The name of the folder with its curves."""

    @property
    def checkpoints(self) -> Sequence[Path]:
        """The folders of the networks."""

    @property
    def recipe(self) -> Recipe:
        """How the networks are fine-tuned."""

    def parts(self) -> Parts:
        """Return the rows."""


@dataclass(frozen=True)
class Digits:
    """A target of warped digits for the networks that ship."""

    name: str
    per_class: int
    warp: Warp

    @property
    def checkpoints(self) -> Sequence[Path]:
        """The networks that ship."""
        return sorted((SHIPPED / "checkpoints").iterdir())

    @property
    def recipe(self) -> Recipe:
        """Twelve passes at three learning rates."""
        return Recipe(epochs=12, learning_rates=(3e-4, 1e-3, 3e-3), patience=None, validation_share=0.05, device="cpu")

    def parts(self) -> Parts:
        """Return the rows, each digit warped many times and in one of the three parts only."""
        parts = target_digits(self.per_class, 1, self.warp)
        whole, generator = target_digits(self.per_class, 1, Warp(0, 0, 0, 0, 0))["test"], np.random.default_rng(2)
        order = generator.permutation(len(whole))
        found = [as_sample(parts["train"])]
        for rows, count in ((order[: len(order) // 3], CHOSEN_BY), (order[len(order) // 3 :], TESTED)):
            some = np.resize(rows, count)
            found.append(as_sample(Labelled(warped(whole.pictures[some], generator, self.warp), whole.labels[some])))
        return found[0], found[1], found[2]


@dataclass(frozen=True)
class Folders:
    """A dataset and checkpoints in folders like those of the Hub."""

    dataset: Path
    checkpoints: Sequence[Path]
    recipe: Recipe
    tested: int

    @property
    def name(self) -> str:
        """The name of the dataset's folder."""
        return self.dataset.name

    def parts(self) -> Parts:
        """Return the rows; a third of the test rows are for validation."""
        options = SampleOptions(split="train")
        train = load_sample(str(self.dataset), options)
        test = held_out(str(self.dataset), train, options, split=None, count=self.tested)
        order = np.random.default_rng(2).permutation(len(test))
        some, rest = order[: len(order) // 3], order[len(order) // 3 :]
        return train, _rows(test, some), _rows(test, rest)


TARGETS = (
    Digits("usual", 48, Warp()),
    Digits("few", 16, Warp(turn=20, bend=2, clutter=0.5)),
    Digits("clean", 32, Warp(turn=10, stretch=0.1, bend=1, noise=0.2, clutter=0)),
)


@dataclass(frozen=True)
class Curves:
    """The measurements on one target.

    Attributes:
        target: its name.
        names: the networks.
        rates: learning rates.
        right: whether each validation row is right after each pass (networks, rates, passes, rows).
        accuracies: test accuracy after each pass (networks, rates, passes).
        seconds: duration of a pass (networks,).
        features: of the training rows, by network.
        labels: of the training rows.
    """

    target: str
    names: tuple[str, ...]
    rates: tuple[float, ...]
    right: NDArray[np.bool_]
    accuracies: NDArray[np.float64]
    seconds: NDArray[np.float64]
    features: dict[str, NDArray[np.float32]]
    labels: NDArray[np.int64]

    @property
    def passes(self) -> int:
        """The passes of the whole recipe."""
        return self.accuracies.shape[2]

    @property
    def steps(self) -> int:
        """The passes of fine-tuning one network with all learning rates."""
        return self.passes * len(self.rates)


def _rows(sample: LabelledSample, rows: NDArray[np.int64]) -> LabelledSample:
    return replace(sample, table=sample.table.take(np.sort(rows)), fingerprint=f"{sample.fingerprint} {len(rows)}")


def as_sample(part: Labelled) -> LabelledSample:
    """Return pictures as a sample of a dataset."""

    def picture(one: NDArray[np.float32]) -> Image.Image:
        file = BytesIO()
        Image.fromarray(as_bytes(one)).save(file, "PNG")
        return Image.open(BytesIO(file.getvalue()))

    return memory_sample(TASK, map(picture, part.pictures), part.labels.tolist())


def loaded(folder: Path, task: Task) -> Backbone:
    """Return the network in a folder."""
    return kind_of(Repository.from_folder(folder), task).load(folder, task, BackboneOptions())


def measure(target: Target, folder: Path) -> None:
    """Fine-tune every missing network at every learning rate, and store which rows are right after each pass."""
    recipe = target.recipe
    machine, paths = Machine(recipe), {one: folder / target.name / f"{one.name}.npz" for one in target.checkpoints}
    if all(path.exists() for path in paths.values()):
        return
    train, chosen_by, tested = target.parts()
    for checkpoint, path in paths.items():
        if not path.exists():
            load = partial(loaded, checkpoint, train.task)
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = _curve(
                load, [MeasuredRows.of(train, part, recipe, 0) for part in (tested, chosen_by)], recipe, machine
            )
            np.savez_compressed(path, **kept, rates=recipe.learning_rates, labels=train.labels)
            print(f"{target.name}: {checkpoint.name}: {kept['accuracies'].max():.3f}", file=sys.stderr, flush=True)


def _curve(
    load: Callable[[], Backbone], parts: Sequence[MeasuredRows], recipe: Recipe, machine: Machine
) -> Mapping[str, NDArray[np.generic]]:
    """Return the curves of one network, its features, and the duration of a pass."""
    rows, held = parts
    right = np.zeros((len(recipe.learning_rates), recipe.epochs, len(held.test.rows)), bool)
    accuracies, seconds = np.zeros(right.shape[:2]), 0.0
    kept = np.zeros((0, 0), np.float32)
    for number, rate in enumerate(recipe.learning_rates):
        built = Builder(load, rows, recipe, machine).built()
        if not number:
            kept = features(built.classifier, rows.everything.encoded, rows.everything.rows, machine).numpy()
        training = Training(built.trained, rows.everything, rows.held, recipe, rate, seed=0, machine=machine)
        for done in range(recipe.epochs):
            begin = time.process_time()
            training.advance(done + 1)
            seconds += (time.process_time() - begin) / right[..., 0].size
            right[number, done] = judge(built.classifier, held.test, machine)[1]
            accuracies[number, done] = judge(built.classifier, rows.test, machine)[0].accuracy
    return {"right": right, "accuracies": accuracies, "seconds": np.array(seconds), "features": kept}


def curves(target: str, folder: Path = FOLDER) -> Curves:
    """Return the measured curves of a target."""
    paths = sorted((folder / target).glob("*.npz"))
    read = [np.load(path, allow_pickle=False) for path in paths]
    names = tuple(path.stem for path in paths)
    right, accuracies, seconds = (np.stack([one[key] for one in read]) for key in ("right", "accuracies", "seconds"))
    known = {name: one["features"] for name, one in zip(names, read, strict=True)}
    rates = tuple(read[0]["rates"].tolist())
    return Curves(target, names, rates, right, accuracies, seconds, known, read[0]["labels"])


def shipped(folder: Path = FOLDER) -> Iterator[str]:
    """Yield the targets of the networks that ship, measured if they are not yet."""
    for target in TARGETS:
        measure(target, folder)
        yield target.name


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, help="a folder; default: the targets of the networks that ship")
    parser.add_argument("--checkpoints", type=Path, nargs="+", default=[])
    parser.add_argument("--rates", type=lambda text: tuple(map(float, text.split(","))))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--tested", type=int, default=900, help="validation and test rows")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write the curves")
    asked = parser.parse_args()
    if asked.dataset is None:
        list(shipped(asked.folder))
        return
    modality = load_sample(str(asked.dataset), SampleOptions(split="train")).task.modality
    default = default_recipe(modality)
    recipe = Recipe(
        epochs=asked.epochs,
        learning_rates=asked.rates or default.learning_rates,
        batch_size=default.batch_size,
        weight_decay=default.weight_decay,
        patience=None,
        validation_share=0.05,
        precision="bfloat16" if modality == "text" else "auto",
        device="cpu",
    )
    measure(Folders(asked.dataset, asked.checkpoints, recipe, asked.tested), asked.folder)


if __name__ == "__main__":
    main()
