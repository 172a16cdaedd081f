"""Learning curves of real fine-tunings, row by row: what races of `choose` are replayed from."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.example.pictures import Labelled, Warp, as_bytes, target_digits, warped
from hf_transfer_score.backbones.base import BackboneOptions, all_kinds
from hf_transfer_score.finetune.built import Builder, MeasuredRows
from hf_transfer_score.finetune.loop import Machine, Training, features, judge
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.home import SHIPPED
from hf_transfer_score.sampling.sample import LabelledSample, memory_sample
from hf_transfer_score.tasks import get_task

FOLDER = Path("build/choosing")
PASSES, RATES, CHOSEN_BY, TESTED = 12, (3e-4, 1e-3, 3e-3), 500, 1000
TASK = "image-classification"


@dataclass(frozen=True)
class Target:
    """A dataset to transfer to: pictures of a class to train on, and how they are warped."""

    name: str
    per_class: int
    warp: Warp


TARGETS = (
    Target("usual", 48, Warp()),
    Target("few", 16, Warp(turn=20, bend=2, clutter=0.5)),
    Target("clean", 32, Warp(turn=10, stretch=0.1, bend=1, noise=0.2, clutter=0)),
)


@dataclass(frozen=True)
class Curves:
    """What was measured on one target.

    Attributes:
        names: of the networks.
        right: rows to choose by that are right after each pass (networks, rates, passes, rows).
        accuracies: on the test rows after each pass (networks, rates, passes).
        seconds: of a pass (networks,).
        features: of the training rows, by network.
        labels: of the training rows.
    """

    names: tuple[str, ...]
    right: NDArray[np.bool_]
    accuracies: NDArray[np.float64]
    seconds: NDArray[np.float64]
    features: dict[str, NDArray[np.float32]]
    labels: NDArray[np.int64]


def as_sample(part: Labelled) -> LabelledSample:
    """Return pictures as a sample that was drawn from a dataset."""

    def picture(one: NDArray[np.float32]) -> Image.Image:
        file = BytesIO()
        Image.fromarray(as_bytes(one)).save(file, "PNG")
        return Image.open(BytesIO(file.getvalue()))

    return memory_sample(TASK, map(picture, part.pictures), part.labels.tolist())


def _parts(target: Target) -> Iterator[LabelledSample]:
    """Yield the rows to train on, to choose by and to test on: no digit is in two of them, each warped many times."""
    parts = target_digits(target.per_class, 1, target.warp)
    yield as_sample(parts["train"])
    whole, generator = target_digits(target.per_class, 1, Warp(0, 0, 0, 0, 0))["test"], np.random.default_rng(2)
    order = generator.permutation(len(whole))
    for rows, count in ((order[: len(order) // 3], CHOSEN_BY), (order[len(order) // 3 :], TESTED)):
        some = np.resize(rows, count)
        yield as_sample(Labelled(warped(whole.pictures[some], generator, target.warp), whole.labels[some]))


def measure(target: Target, names: Sequence[str]) -> Curves:
    """Fine-tune every network at every learning rate, and keep what each pass got right."""
    train, chosen_by, tested = _parts(target)
    recipe = Recipe(epochs=PASSES, learning_rates=RATES, patience=None, validation_share=0.05, device="cpu")
    machine = Machine(recipe)
    right = np.zeros((len(names), len(RATES), PASSES, len(chosen_by)), bool)
    accuracies, seconds, kept = np.zeros(right.shape[:3]), np.zeros(len(names)), {}
    for place, name in enumerate(names):
        folder = SHIPPED / "checkpoints" / name
        kind = "hub_vision" if (folder / "preprocessor_config.json").exists() else "timm_images"
        load = partial(all_kinds()[kind].load, folder, get_task(TASK), BackboneOptions())
        rows, held = (MeasuredRows.of(train, part, recipe, 0) for part in (tested, chosen_by))
        for number, rate in enumerate(RATES):
            built = Builder(load, rows, recipe, machine).built()
            if name not in kept:
                kept[name] = features(built.classifier, rows.everything.encoded, rows.everything.rows, machine).numpy()
            training = Training(built.trained, rows.everything, rows.held, recipe, rate, seed=0, machine=machine)
            for done in range(PASSES):
                begin = time.process_time()
                training.advance(done + 1)
                seconds[place] += (time.process_time() - begin) / (PASSES * len(RATES))
                right[place, number, done] = judge(built.classifier, held.test, machine)[1]
                accuracies[place, number, done] = judge(built.classifier, rows.test, machine)[0].accuracy
        print(f"{target.name}: {name}: {accuracies[place].max():.3f}", file=sys.stderr, flush=True)
    assert train.labels is not None
    return Curves(tuple(names), right, accuracies, seconds, kept, train.labels)


def curves(target: Target, folder: Path = FOLDER) -> Curves:
    """Return the curves of a target, measured once."""
    path = folder / f"{target.name}.npz"
    names = sorted(one.name for one in (SHIPPED / "checkpoints").iterdir())
    if not path.exists():
        found = measure(target, names)
        folder.mkdir(parents=True, exist_ok=True)
        parts = {f"features {name}": rows for name, rows in found.features.items()}
        plain = {name: getattr(found, name) for name in ("names", "right", "accuracies", "seconds", "labels")}
        np.savez_compressed(path, **plain, **parts)
    data = np.load(path, allow_pickle=False)
    known = {name: data[f"features {name}"] for name in data["names"].tolist()}
    parts = [data[name] for name in ("right", "accuracies", "seconds")]
    return Curves(tuple(data["names"].tolist()), *parts, known, data["labels"])
